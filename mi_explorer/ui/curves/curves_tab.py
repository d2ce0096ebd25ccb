"""The Curves tab as Gradio components and their wiring; what they do is in `curves_handlers.py`.

The bar (assets/web/curves/curves.js) opens the tab, holds the address and watches background runs; the picked samples are listed
by point_samples.js. Both show text through text nodes only.
"""

import json
from functools import partial

import gradio as gr

from mi_explorer.ui import plotly_component
from mi_explorer.ui.components import QUIET, script_component
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.curves import curve, sweep_form
from mi_explorer.ui.curves.curves_handlers import FIGURES, MAX_SHOWN, CurvesHandlers
from mi_explorer.ui.gradio_patches import event_payload
from mi_explorer.ui.static_files import on_load
from mi_explorer.untyped import GradioValue, Json, JsonObject

HOST: JsonObject = {"elem_classes": "mi-figure-host", "content": ""}


def build_curves_tab(page: PageContext) -> None:
    """Build the tab inside the current Gradio context."""
    handlers = CurvesHandlers(page.pairs, page.jobs, page.settings, workers=page.workers)

    owner = gr.State("")
    with gr.Row(equal_height=True):
        studies = gr.Dropdown(
            [],
            multiselect=True,
            max_choices=MAX_SHOWN,
            label="Studies",
            scale=4,
            min_width=320,
            elem_id="curves-studies",
        )
        overlays = gr.Dropdown(
            list(curve.overlays()),
            multiselect=True,
            max_choices=MAX_SHOWN,
            label="Published curves",
            scale=3,
            min_width=320,
            elem_id="curves-published",
        )
        budget = gr.Number(
            None, label="Best λ within … tokens", minimum=0, scale=1, min_width=200, elem_id="curves-budget"
        )
    bar = script_component(
        on_load("curves/curves.js", "openCurves", "opened", "refresh", "look"),
        "curves-bar",
        [handlers.sweep_states, handlers.stop_sweep, handlers.resume_sweep, handlers.change_workers],
        **HOST,
    )
    setup = sweep_form.sweep_fields(page, handlers)
    manage = sweep_form.study_fields()
    with gr.Row():
        with gr.Column(scale=3, min_width=340):
            multiples = plotly_component.figure_component(
                "Accuracy, think ratio, tokens and overthinking over λ",
                860,
                plotly_component.WAITING,
                "curves-multiples",
            )
        with gr.Column(scale=2, min_width=340):
            pareto = plotly_component.figure_component(
                "Accuracy against tokens", 430, plotly_component.WAITING, "curves-pareto"
            )
            samples = script_component(
                on_load("curves/point_samples.js", "openPointSamples"),
                "curves-samples",
                [handlers.samples, handlers.sample],
                **HOST,
            )
            grid = plotly_component.figure_component(
                "Accuracy and tokens by λ and intervention", 560, elem_id="curves-grid"
            )
            probes = plotly_component.figure_component("Probes over λ", 800, elem_id="curves-probes")
            difference = plotly_component.figure_component(
                "Differences between curves, paired by question", 480, elem_id="curves-difference"
            )

    shown = [studies, overlays, budget]
    figures = {"multiples": multiples, "pareto": pareto, "probes": probes, "grid": grid, "difference": difference}
    drawn = [budget, *(figures[name] for name in FIGURES), bar]
    everything = [studies, overlays, *drawn]

    def updates(found: JsonObject) -> list[GradioValue]:
        charts = [plotly_component.figure_update(found[name]) for name in FIGURES]
        return [found["budget"], *charts, gr.HTML(content=found["bar"])]

    def show(names: list[str], published: list[str], limit: Json) -> list[GradioValue]:
        return updates(handlers.show(names, published, limit))

    def whole(names: list[str], published: list[str], messages: list[str]) -> list[GradioValue]:
        """Every part of the tab, with the studies as they are now."""
        return [
            gr.Dropdown(choices=handlers.choices(), value=names),
            published,
            *updates(handlers.show(names, published, None, messages)),
        ]

    def opened(event: gr.EventData, pair: str) -> list[GradioValue]:
        asked = event_payload(event)
        names, published, messages = handlers.opening(_texts(asked.get("studies")), _texts(asked.get("overlays")), pair)
        return [str(asked.get("owner") or "")[:64], *whole(names, published, messages)]

    def look(event: gr.EventData, published: list[str]) -> list[GradioValue]:
        return whole(_texts(event_payload(event).get("studies")), published, [])

    def pick(event: gr.EventData) -> gr.HTML:
        point = event_payload(event).get("custom")
        if not isinstance(point, list) or len(point) != 2:
            return gr.HTML(content=json.dumps({"none": True}))
        return gr.HTML(content=json.dumps({"study": str(point[0]), "cell": str(point[1])}))

    def start(names: list[str], published: list[str], pair: str, who: str, *values: Json) -> list[GradioValue]:
        name, problem = handlers.act("start", sweep_form.form_values(values), pair, who)
        return whole([name] if name else names, published, [problem] if problem else [])

    def steer(what: str, names: list[str], published: list[str], who: str, *args: Json) -> list[GradioValue]:
        """A button of the "change a study" part: it acts on the first study that is shown."""
        if not names:
            return whole(names, published, ["Choose one of your own studies first."])
        if what == "delete" and not args[0]:
            return whole(names, published, [])
        result, problem = handlers.act(what, names[0], *(args if what != "delete" else ()), who)
        after = [n for n in names if n != names[0]] if what == "delete" and not problem else names
        if what == "rename" and not problem:
            after = [str(result), *names[1:]]
        message = problem or (f"“{names[0]}” is deleted, {result:,} samples with it." if what == "delete" else "")
        return whole(after, published, [message] if message else [])

    bar.opened(opened, page.pair, [owner, *everything], queue=False, **QUIET)
    bar.refresh(show, shown, drawn, **QUIET)
    bar.look(look, overlays, everything, **QUIET)
    gr.on([studies.input, overlays.input, budget.submit, budget.blur], show, shown, drawn, **QUIET)
    for chart in (multiples, pareto, probes, grid):
        chart.pick(pick, None, samples, **QUIET)
    setup.run.click(start, [studies, overlays, page.pair, owner, *setup.fields], everything, **QUIET)
    for button, what, inputs, js in manage.buttons():
        button.click(partial(steer, what), [studies, overlays, owner, *inputs], everything, js=js, **QUIET)


def _texts(value: Json) -> list[str]:
    return [str(x) for x in value[:MAX_SHOWN]] if isinstance(value, list) else []
