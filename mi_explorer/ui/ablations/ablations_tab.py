"""The Ablations tab in Gradio: which ablation, its size and cost, run and stop, and what there is. Wiring only; see `ablations_handlers.py`.

A run is watched by a timer that asks for the state of the study shown; the timer rests while nothing runs.
"""

from typing import Any

import gradio as gr

from mi_explorer.errors import UserError
from mi_explorer.ui import plotly_component
from mi_explorer.ui.ablations import ablation_rows as lines
from mi_explorer.ui.ablations import ablation_setup, ablations_handlers
from mi_explorer.ui.context import PageContext

QUIET_EVENT: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 20}
# Names in quotes are the component's events for Gradio.
BOARD_SCRIPT = "MI.ablation(element, { trigger, props, watch }); /* events: 'begin' */"
POLL_INTERVAL_S = 1.5  # seconds between two looks at a run


def build_ablations_tab(page: PageContext) -> None:
    """Build the tab inside the current Gradio context."""
    does = ablations_handlers.AblationHandlers(page)
    names = [(title, kind) for kind, (title, _) in ablation_setup.ABOUT.items()]
    asked = ablation_setup.offered_tasks(page.pairs.guard)
    first = ablation_setup.default_setup("layers")
    kind = gr.Radio(names, value="layers", show_label=False, container=False, elem_id="ablation-kind")
    with gr.Row(equal_height=True):
        lam = gr.Number(first.lam, label="λ", minimum=-1, maximum=2, step=0.05, min_width=90, elem_id="ablation-lambda")
        questions = gr.Number(
            first.questions, label="Questions", precision=0, minimum=1, min_width=110, elem_id="ablation-questions"
        )
        samples = gr.Number(
            first.samples, label="Samples of each", precision=0, minimum=1, min_width=110, elem_id="ablation-samples"
        )
        task = gr.Dropdown(asked, value="mini", label="Task", min_width=140, elem_id="ablation-task")
        cap = gr.Number(first.cap, label="Token limit", precision=0, minimum=1, min_width=110, elem_id="ablation-cap")
        run = gr.Button("Run", variant="primary", min_width=120, elem_id="ablation-run")
        stop = gr.Button("Stop", interactive=False, min_width=90, elem_id="ablation-stop")
    cost = gr.Textbox(
        "", show_label=False, container=False, interactive=False, lines=1, max_lines=3, elem_id="ablation-cost"
    )
    with gr.Row():
        study = gr.Dropdown([], label="Shown", scale=3, elem_id="ablation-study")
        beside = gr.Dropdown(
            list(lines.BESIDE["layers"]), label="Published beside it", scale=2, elem_id="ablation-beside"
        )
    chart = plotly_component.figure_component("An ablation, ours beside the published", 430, elem_id="ablation-figure")
    board = gr.HTML(
        value=None,
        html_template="<div></div>",
        js_on_load=BOARD_SCRIPT,
        apply_default_css=False,
        padding=False,
        elem_id="ablation-board",
        content="",
    )
    timer = gr.Timer(POLL_INTERVAL_S, active=False)
    size = [kind, lam, questions, samples, task, cap]
    drawn = [chart, board, stop, timer]

    def updates(found: dict[str, Any]) -> list[Any]:
        busy = found["running"]
        return [
            plotly_component.figure_update(found["figure"]),
            gr.HTML(content=found["board"]),
            gr.Button(interactive=busy),
            gr.Timer(POLL_INTERVAL_S, active=busy),
        ]

    def price(pair: str, *values: Any) -> str:
        try:
            return does.estimate(pair, ablation_setup.AblationSetup.of(*values))
        except UserError as error:
            return str(error)

    def open_kind(pair: str, which: str) -> list[Any]:
        usual = ablation_setup.setup_for_pair(which, page.bench(pair).pair.name, page.settings, asked)
        values = (which, usual.lam, usual.questions, usual.samples, usual.task, usual.cap)
        chosen, papers = does.first(which, pair), list(lines.BESIDE[which])
        return [
            gr.Number(usual.lam, visible=which != "methods"), usual.questions, usual.samples, usual.task, usual.cap, price(pair, *values),
            gr.Dropdown(does.choices(which, pair), value=chosen), gr.Dropdown(papers, value=papers[0]), *updates(does.show(which, chosen, papers[0])),
        ]  # fmt: skip

    def begin(pair: str, which: str, *values: Any) -> list[Any]:
        return open_kind(pair, which)

    def show(which: str, name: str, paper: str) -> list[Any]:
        return updates(does.show(which, name or "", paper))

    def go(pair: str, paper: str, name: str, *values: Any) -> list[Any]:
        which = values[0]
        try:
            name = does.start(pair, ablation_setup.AblationSetup.of(*values))
        except UserError as error:
            return [gr.skip(), *updates(does.show(which, name or "", paper, error=str(error)))]
        return [gr.Dropdown(does.choices(which, pair), value=name), *updates(does.show(which, name, paper))]

    def halt(name: str) -> None:
        does.stop(name or "")

    def tick(pair: str, which: str, name: str, paper: str) -> list[Any]:
        found = does.show(which, name or "", paper)
        ended = gr.skip() if found["running"] else gr.Dropdown(does.choices(which, pair), value=name)
        return [ended, *updates(found)]

    opened = [lam, questions, samples, task, cap, cost, study, beside, *drawn]
    board.begin(begin, [page.pair, *size], opened, **QUIET_EVENT)
    kind.input(open_kind, [page.pair, kind], opened, **QUIET_EVENT)
    gr.on(
        [x.input for x in (lam, questions, samples, task, cap)],
        price,
        [page.pair, *size],
        cost,
        trigger_mode="always_last",
        **QUIET_EVENT,
    )
    gr.on([study.input, beside.input], show, [kind, study, beside], drawn, **QUIET_EVENT)
    run.click(go, [page.pair, beside, study, *size], [study, *drawn], **QUIET_EVENT)
    stop.click(halt, study, None, **QUIET_EVENT)
    timer.tick(tick, [page.pair, kind, study, beside], [study, *drawn], trigger_mode="once", **QUIET_EVENT)
