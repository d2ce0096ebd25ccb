"""The Weights tab in Gradio: a choice of measure, the board, the heat map and the gauge. Wiring only; see `weights_handlers.py`."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from mi_explorer.ui import plotly_component
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.weights import profile_handlers, weights_figures, weights_handlers

# Names in quotes are the component's events for Gradio.
BOARD_SCRIPT = "MI.weights(element, { trigger, props, watch }); /* events: 'begin', 'measure' */"
PROFILE_SCRIPT = "MI.profile(element, { trigger, props, watch }); /* events: 'look', 'make' */"


def build_weights_tab(page: PageContext) -> None:
    """Build the tab inside the current Gradio context."""
    measuring, profiles = weights_handlers.Measurements(), profile_handlers.ProfileJobs()
    measure = gr.Radio(
        weights_figures.offered_measures(None),
        value="sigma",
        label="Heat map of",
        elem_id="weights-measure",
        info="per module and layer, Instruct against Thinking",
    )
    heat = plotly_component.figure_component(
        "Distance between the parents by layer and module", 300, elem_id="weights-heat"
    )
    gauge = plotly_component.figure_component(
        "How far this pair is apart, beside published pairs", 170, elem_id="weights-gauge"
    )
    board = gr.HTML(
        value=None,
        html_template="<div></div>",
        js_on_load=BOARD_SCRIPT,
        apply_default_css=False,
        padding=False,
        elem_id="weights-board",
        content="",
    )
    maker = gr.HTML(
        value=None,
        html_template="<div></div>",
        js_on_load=PROFILE_SCRIPT,
        apply_default_css=False,
        padding=False,
        elem_id="weights-maker",
        content="",
    )
    bars = plotly_component.figure_component("A λ for every block", 300, elem_id="weights-profile")

    def follow(name: str, chosen: str, asked: bool) -> Iterator[tuple[Any, ...]]:
        bench = page.bench(name)
        for state in weights_handlers.watch_measurement(measuring, bench, asked):
            found = state["found"]
            choice = gr.Radio(
                weights_figures.offered_measures(found),
                value=chosen if found and (chosen != "kin_cosine" or found.base) else "sigma",
            )
            shown = (
                weights_handlers.distances_board(bench, state),
                weights_handlers.heat_map_content(bench, found, chosen),
                weights_handlers.gauge_content(bench, found),
            )
            yield (
                gr.HTML(content=shown[0]),
                plotly_component.figure_update(shown[1]),
                plotly_component.figure_update(shown[2]),
                choice if found else gr.skip(),
            )

    def begin(name: str, chosen: str) -> Iterator[tuple[Any, ...]]:
        yield from follow(name, chosen, False)

    def asked(name: str, chosen: str) -> Iterator[tuple[Any, ...]]:
        yield from follow(name, chosen, True)

    def switch(name: str, chosen: str) -> Any:
        work = measuring.known(page.bench(name))
        return plotly_component.figure_update(
            weights_handlers.heat_map_content(page.bench(name), work.found if work else None, chosen)
        )

    def making(name: str, wanted: bool) -> Iterator[tuple[Any, ...]]:
        for state in profile_handlers.watch_profile(profiles, page.bench(name), page.explore(name).questions, wanted):
            yield (
                gr.HTML(content=profile_handlers.profile_board(state)),
                plotly_component.figure_update(profile_handlers.profile_figure(state["found"]))
                if state["found"]
                else gr.skip(),
            )

    def look(name: str) -> Iterator[tuple[Any, ...]]:
        yield from making(name, False)

    def make(name: str) -> Iterator[tuple[Any, ...]]:
        yield from making(name, True)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 20}
    board.begin(begin, [page.pair, measure], [board, heat, gauge, measure], **quiet)
    board.measure(asked, [page.pair, measure], [board, heat, gauge, measure], **quiet)
    measure.input(switch, [page.pair, measure], heat, **quiet)
    maker.look(look, page.pair, [maker, bars], **quiet)
    maker.make(make, page.pair, [maker, bars], **quiet)
