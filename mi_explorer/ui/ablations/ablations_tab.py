"""The Ablations tab in Gradio: which ablation, its size and cost, run and stop, and what there is. Wiring of `ablations_handlers.py`.

A run is watched by a timer that asks for the state of the study shown; the timer rests while nothing runs.
"""

import gradio as gr

from mi_explorer.errors import UserError
from mi_explorer.ui import plotly_component
from mi_explorer.ui.ablations import ablation_setup, ablations_handlers
from mi_explorer.ui.ablations.ablation_rows import BESIDE
from mi_explorer.ui.components import QUIET, script_component
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.static_files import on_load
from mi_explorer.untyped import GradioValue, Json, JsonObject

EVENT = {**QUIET, "concurrency_limit": 20}
# Names in quotes are the component's events for Gradio.
POLL_INTERVAL_S = 1.5  # seconds between two looks at a run


def build_ablations_tab(page: PageContext) -> None:
    """Build the tab inside the current Gradio context."""
    handlers = ablations_handlers.AblationHandlers(page)
    names = [(title, kind) for kind, (title, _) in ablation_setup.ABOUT.items()]
    tasks = page.pairs.access.offered_tasks()
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
        task = gr.Dropdown(tasks, value="mini", label="Task", min_width=140, elem_id="ablation-task")
        cap = gr.Number(first.cap, label="Token limit", precision=0, minimum=1, min_width=110, elem_id="ablation-cap")
        run = gr.Button("Run", variant="primary", scale=0, min_width=120, elem_id="ablation-run")
        stop = gr.Button("Stop", scale=0, interactive=False, min_width=120, elem_id="ablation-stop")
    cost = gr.Textbox(
        "", show_label=False, container=False, interactive=False, lines=1, max_lines=3, elem_id="ablation-cost"
    )
    with gr.Row():
        study = gr.Dropdown([], label="Study", scale=3, min_width=320, elem_id="ablation-study")
        beside = gr.Dropdown(
            list(BESIDE["layers"]), label="Published beside it", scale=2, min_width=320, elem_id="ablation-beside"
        )
    chart = plotly_component.figure_component("An ablation, ours beside the published", 430, elem_id="ablation-figure")
    board = script_component(on_load("ablations/ablations.js", "openAblation", "begin"), "ablation-board", content="")
    timer = gr.Timer(POLL_INTERVAL_S, active=False)
    size = [kind, lam, questions, samples, task, cap]
    drawn = [chart, board, stop, timer]

    def updates(found: JsonObject) -> list[GradioValue]:
        busy = found["running"]
        return [
            plotly_component.figure_update(found["figure"]),
            gr.HTML(content=found["board"]),
            gr.Button(interactive=busy),
            gr.Timer(POLL_INTERVAL_S, active=busy),
        ]

    def price(pair: str, *values: Json) -> str:
        try:
            return handlers.estimate(pair, ablation_setup.AblationSetup.of(*values))
        except UserError as error:
            return str(error)

    def open_kind(pair: str, which: str) -> list[GradioValue]:
        usual = ablation_setup.setup_for_pair(
            which, page.bench(pair).pair.name, page.task(pair), page.settings.tokens, tasks
        )
        values = (which, usual.lam, usual.questions, usual.samples, usual.task, usual.cap)
        chosen, papers = handlers.first(which, pair), list(BESIDE[which])
        return [
            gr.Number(usual.lam, visible=which != "methods"),
            *(usual.questions, usual.samples, usual.task, usual.cap),
            price(pair, *values),
            gr.Dropdown(handlers.choices(which, pair), value=chosen),
            gr.Dropdown(papers, value=papers[0]),
            *updates(handlers.show(which, chosen, papers[0])),
        ]

    def show(which: str, name: str, paper: str) -> list[GradioValue]:
        return updates(handlers.show(which, name or "", paper))

    def go(pair: str, paper: str, name: str, *values: Json) -> list[GradioValue]:
        which = values[0]
        try:
            name = handlers.start(pair, ablation_setup.AblationSetup.of(*values))
        except UserError as error:
            return [gr.skip(), *updates(handlers.show(which, name or "", paper, error=str(error)))]
        return [gr.Dropdown(handlers.choices(which, pair), value=name), *updates(handlers.show(which, name, paper))]

    def halt(name: str) -> None:
        handlers.stop(name or "")

    def tick(pair: str, which: str, name: str, paper: str) -> list[GradioValue]:
        found = handlers.show(which, name or "", paper)
        ended = gr.skip() if found["running"] else gr.Dropdown(handlers.choices(which, pair), value=name)
        return [ended, *updates(found)]

    opened = [lam, questions, samples, task, cap, cost, study, beside, *drawn]
    board.begin(open_kind, [page.pair, kind], opened, **EVENT)
    kind.input(open_kind, [page.pair, kind], opened, **EVENT)
    gr.on(
        [x.input for x in (lam, questions, samples, task, cap)],
        price,
        [page.pair, *size],
        cost,
        trigger_mode="always_last",
        **EVENT,
    )
    gr.on([study.input, beside.input], show, [kind, study, beside], drawn, **EVENT)
    run.click(go, [page.pair, beside, study, *size], [study, *drawn], **EVENT)
    stop.click(halt, study, None, **EVENT)
    timer.tick(tick, [page.pair, kind, study, beside], [study, *drawn], trigger_mode="once", **EVENT)
