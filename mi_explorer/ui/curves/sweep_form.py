"""The forms of the Curves tab: set up a sweep (with its cost beforehand), and change a study of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from mi_explorer.recipe import MODULES
from mi_explorer.ui.components import QUIET
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.curves import sweep_request as sweep
from mi_explorer.ui.curves.curves_handlers import CurvesHandlers
from mi_explorer.ui.explore.page_setup import TEMPLATES, method_controls
from mi_explorer.untyped import GradioValue, Json, JsonObject

FIELD_KEYS = tuple(sweep.DEFAULTS)
NUMBER_FIELDS = (  # key, label, digits after the point
    *(("temperature", "Temperature", None), ("top_p", "Top-p", None), ("top_k", "Top-k", 0), ("cap", "Token limit", 0)),
    *(("seed", "Seed", 0), ("task_seed", "Draw of the questions", 0)),
)
CONFIRM_DELETE = """(studies, published, who, sure) =>
    [studies, published, who, studies.length > 0 && confirm(`Delete “${studies[0]}” and its samples for good?`)]"""


@dataclass(frozen=True)
class SweepFields:
    """Fields in the order of `sweep.DEFAULTS`, and the button that starts."""

    fields: list[GradioValue]
    run: gr.Button


@dataclass(frozen=True)
class StudyFields:
    """What changes the first study that is shown."""

    questions: gr.Number
    samples: gr.Number
    lams: gr.Textbox
    extend: gr.Button
    refine: gr.Button
    name: gr.Textbox
    rename: gr.Button
    delete: gr.Button
    points: gr.Number
    free: gr.Number
    probe: gr.Button
    sure: gr.Checkbox

    def buttons(self) -> list[tuple[gr.Button, str, list[GradioValue], str | None]]:
        """Each button, the action of `CurvesHandlers.act` behind it, its own inputs, and a script that asks first."""
        return [
            (self.extend, "extend", [self.questions, self.samples, self.lams], None),
            (self.refine, "refine", [], None),
            (self.rename, "rename", [self.name], None),
            (self.probe, "probe", [self.points, self.free], None),
            (self.delete, "delete", [self.sure], CONFIRM_DELETE),
        ]


def form_values(given: Sequence[Json]) -> JsonObject:
    """The form as `sweep_request` takes it."""
    return dict(zip(FIELD_KEYS, given, strict=True))


def sweep_fields(page: PageContext, handlers: CurvesHandlers) -> SweepFields:
    """The form of a new sweep. Its cost is estimated when the form is opened and whenever a field changes."""
    bench, d = page.bench(), sweep.DEFAULTS
    first = page.task() or d["task"]
    offered = [m["name"] for m in method_controls(bool(bench.pair.base)) if m["available"]]
    with gr.Accordion("Set up a sweep", open=False, elem_id="curves-setup") as fold:
        with gr.Row():
            offered_tasks = list(dict.fromkeys([first, *page.pairs.access.offered_tasks()]))
            label = "Task (a name, or a .jsonl or .csv file)"
            task = gr.Dropdown(offered_tasks, value=first, label=label, allow_custom_value=True, scale=2)
            questions = gr.Number(
                d["questions"], label="Questions", precision=0, minimum=1, min_width=110, elem_id="curves-questions"
            )
            samples = gr.Number(
                d["samples"], label="Samples of each", precision=0, minimum=1, min_width=110, elem_id="curves-each"
            )
            lams = gr.Textbox(d["lams"], label="λ: first:last:step, or a list", min_width=160, elem_id="curves-lams")
            grid = gr.Radio([sweep.UNIFORM, sweep.REFINED], value=d["grid"], label="λ grid", scale=2)
        with gr.Row():
            method = gr.Dropdown(
                offered, value=d["methods"], multiselect=True, label="Methods (one curve each)", scale=2
            )
            layers = gr.Textbox(d["layers"], label="Layers that are blended", min_width=140)
            modules = gr.Dropdown(
                list(MODULES), value=d["modules"], multiselect=True, label="Modules that are blended", scale=3
            )
            template = gr.Dropdown(
                [(text, key) for key, text in TEMPLATES], value=d["template"], label="Chat template", min_width=150
            )
        with gr.Row():
            numbers = [
                gr.Number(d[key], label=label, min_width=100, precision=digits) for key, label, digits in NUMBER_FIELDS
            ]
            name = gr.Textbox("", label="Name of the study (optional)", min_width=200, scale=2, elem_id="curves-name")
        with gr.Row(equal_height=True):
            cost = gr.Textbox("", label="What it takes", interactive=False, scale=5, lines=1, elem_id="curves-cost")
            run = gr.Button("Run sweep", variant="primary", scale=1, min_width=140, elem_id="curves-run")
    fold.expand(lambda pair, chosen: page.task_for(pair, chosen, first), [page.pair, task], task, **QUIET)
    fields: list[GradioValue] = [
        task,
        questions,
        samples,
        lams,
        grid,
        method,
        layers,
        modules,
        template,
        *numbers,
        name,
    ]

    def estimate(pair: str, *given: Json) -> str:
        return handlers.runs.cost(form_values(given), pair)

    changes = [fold.expand, *(f.change for f in fields)]
    gr.on(changes, estimate, [page.pair, *fields], cost, trigger_mode="always_last", **QUIET)
    return SweepFields(fields, run)


def study_fields() -> StudyFields:
    """The form that changes a study: more of it, another name, or none of it."""
    with gr.Accordion("Change your study (the first above)", open=False, elem_id="curves-manage"):
        with gr.Row(equal_height=True):
            questions = gr.Number(
                None, label="Questions in all", precision=0, minimum=1, min_width=130, elem_id="curves-more"
            )
            samples = gr.Number(None, label="Samples of each in all", precision=0, minimum=1, min_width=130)
            lams = gr.Textbox("", label="λs to add", placeholder="0.45,0.55", min_width=140)
            extend = gr.Button("Extend", min_width=110, elem_id="curves-extend")
            refine = gr.Button("Refine at the transition", min_width=190, elem_id="curves-refine")
        with gr.Row(equal_height=True):
            name = gr.Textbox("", label="Another name", scale=3, elem_id="curves-another")
            rename = gr.Button("Rename", min_width=110, elem_id="curves-rename")
            delete = gr.Button("Delete", variant="stop", min_width=110, elem_id="curves-delete")
        with gr.Row(equal_height=True):
            points = gr.Number(
                12, label="Probes of each thought", precision=0, minimum=1, min_width=150, elem_id="curves-points"
            )
            free = gr.Number(
                1,
                label="Continuations of each (0: forced answers alone)",
                precision=0,
                minimum=0,
                min_width=150,
                scale=2,
            )
            probe = gr.Button("Probe its thoughts", min_width=190, elem_id="curves-probe")
        sure = gr.Checkbox(False, visible=False)
    return StudyFields(questions, samples, lams, extend, refine, name, rename, delete, points, free, probe, sure)
