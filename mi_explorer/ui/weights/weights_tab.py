"""The Weights tab in Gradio: a choice of measure, the board, the heat map and the gauge. Wiring only; see `weights_handlers.py`."""

from collections.abc import Iterator

import gradio as gr

from mi_explorer.ui.components import QUIET, script_component
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.plotly_component import figure_component, figure_update
from mi_explorer.ui.static_files import on_load
from mi_explorer.ui.weights import profile_handlers, weights_figures, weights_handlers
from mi_explorer.untyped import GradioValue

EVENT = {**QUIET, "concurrency_limit": 20}
# Names in quotes are the component's events for Gradio.


def build_weights_tab(page: PageContext) -> None:
    """Build the tab inside the current Gradio context."""
    measurements, profiles = weights_handlers.Measurements(), profile_handlers.ProfileJobs()
    measure = gr.Radio(
        weights_figures.offered_measures(None),
        value="sigma",
        label="Heat map of",
        elem_id="weights-measure",
        info="per module and layer, Instruct against Thinking",
    )
    heat = figure_component("Distance between the parents by layer and module", 300, elem_id="weights-heat")
    gauge = figure_component("How far this pair is apart, beside published pairs", 170, elem_id="weights-gauge")
    board = script_component(
        on_load("weights/weights.js", "openWeights", "begin", "measure"), "weights-board", content=""
    )
    maker = script_component(on_load("weights/profile.js", "openProfile", "look", "make"), "weights-maker", content="")
    bars = figure_component("A λ for every block", 300, elem_id="weights-profile")

    def follow(asked: bool, name: str, chosen: str) -> Iterator[tuple[GradioValue, ...]]:
        bench = page.bench(name)
        for state in weights_handlers.watch_measurement(measurements, bench, asked):
            found = state["found"]
            choice = chosen if found and (chosen != "kin_cosine" or found.base) else "sigma"
            yield (
                gr.HTML(content=weights_handlers.distances_board(bench, state)),
                figure_update(weights_handlers.heat_map_content(bench, found, chosen)),
                figure_update(weights_handlers.gauge_content(bench, found)),
                gr.Radio(weights_figures.offered_measures(found), value=choice) if found else gr.skip(),
            )

    def begin(name: str, chosen: str) -> Iterator[tuple[GradioValue, ...]]:
        yield from follow(False, name, chosen)

    def measure_anyway(name: str, chosen: str) -> Iterator[tuple[GradioValue, ...]]:
        yield from follow(True, name, chosen)

    def switch(name: str, chosen: str) -> gr.HTML:
        bench = page.bench(name)
        return figure_update(weights_handlers.heat_map_content(bench, measurements.found(bench), chosen))

    def follow_profile(asked: bool, name: str) -> Iterator[tuple[GradioValue, ...]]:
        for state in profile_handlers.watch_profile(profiles, page.bench(name), page.explore(name).questions, asked):
            figure = profile_handlers.profile_figure(state["found"]) if state["found"] else None
            yield gr.HTML(content=profile_handlers.profile_board(state)), figure_update(figure) if figure else gr.skip()

    def look(name: str) -> Iterator[tuple[GradioValue, ...]]:
        yield from follow_profile(False, name)

    def make(name: str) -> Iterator[tuple[GradioValue, ...]]:
        yield from follow_profile(True, name)

    shown = [board, heat, gauge, measure]
    board.begin(begin, [page.pair, measure], shown, **EVENT)
    board.measure(measure_anyway, [page.pair, measure], shown, **EVENT)
    measure.input(switch, [page.pair, measure], heat, **EVENT)
    maker.look(look, page.pair, [maker, bars], **EVENT)
    maker.make(make, page.pair, [maker, bars], **EVENT)
