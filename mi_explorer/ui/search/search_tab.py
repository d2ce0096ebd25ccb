"""The Search tab as Gradio components and their wiring; what they do is in `search_handlers.py`.

A run is watched by a timer that rests while nothing runs. The bar (assets/web/search/search_bar.js) says where a search stands; the
recipes and the profile of the chosen one stand below the figures (assets/web/search/search_recipes.js).
"""

import gradio as gr

from mi_explorer.ui import plotly_component
from mi_explorer.ui.components import QUIET, script_component
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.gradio_patches import event_payload
from mi_explorer.ui.search.search_fields import search_fields, search_form_values
from mi_explorer.ui.search.search_handlers import SearchHandlers
from mi_explorer.ui.static_files import on_load
from mi_explorer.untyped import GradioValue, Json, JsonObject

EVENT = {**QUIET, "concurrency_limit": 20}
# Names in quotes are the component's events for Gradio.
POLL_INTERVAL_S = 1.5  # seconds between two looks at a search that runs


def build_search_tab(page: PageContext) -> None:
    """Build the tab inside the current Gradio context."""
    handlers = SearchHandlers(page.pairs, page.searches, page.settings, page.workers)
    owner, stamp = gr.State(""), gr.State("")
    setup = search_fields(page, handlers)
    with gr.Row(equal_height=True):
        search = gr.Dropdown([], label="Search", scale=5, min_width=300, elem_id="search-choice")
        stop = gr.Button("Stop", scale=0, visible=False, min_width=110, elem_id="search-stop")
        resume = gr.Button("Go on", scale=0, visible=False, min_width=110, elem_id="search-resume")
    bar = script_component(
        on_load("search/search_bar.js", "openSearchBar", "begin"), "search-bar", [handlers.change_workers], content=""
    )
    with gr.Row():
        with gr.Column(scale=1, min_width=340):
            candidates = plotly_component.figure_component(
                "Accuracy against tokens of the candidates of a search", 440, elem_id="search-candidates"
            )
        with gr.Column(scale=1, min_width=340):
            area = plotly_component.figure_component(
                "Area dominated, over evaluations and over tokens", 440, elem_id="search-area"
            )
    recipes = script_component(on_load("search/search_recipes.js", "openSearchRecipes"), "search-recipes", content="")
    timer = gr.Timer(POLL_INTERVAL_S, active=False)
    drawn = [bar, candidates, area, recipes, stop, resume, timer, stamp]

    def updates(found: JsonObject) -> list[GradioValue]:
        busy = found["running"]
        return [
            gr.HTML(content=found["bar"]),
            plotly_component.figure_update(found["candidates"]),
            plotly_component.figure_update(found["area"]),
            gr.HTML(content=found["recipes"]),
            gr.Button(visible=busy),
            gr.Button(visible=found["resumable"]),
            gr.Timer(POLL_INTERVAL_S, active=busy),
            found["stamp"],
        ]

    def listed(pair: str, name: str, who: str, error: str = "") -> list[GradioValue]:
        """The list with `name` chosen, and all that is shown of it."""
        return [
            gr.Dropdown(handlers.choices(pair), value=name or None),
            *updates(handlers.show(name, pair, error, who)),
        ]

    def begin(event: gr.EventData, pair: str) -> list[GradioValue]:
        asked = event_payload(event)
        choices = handlers.choices(pair)
        wanted = str(asked.get("search") or "")
        name = wanted if wanted in {n for _, n in choices} else handlers.first(pair)
        who = str(asked.get("owner") or "")[:64]
        return [who, *listed(pair, name, who)]

    def choose(pair: str, name: str, who: str) -> list[GradioValue]:
        return updates(handlers.show(name, pair, owner=who))

    def go(pair: str, name: str, who: str, *given: Json) -> list[GradioValue]:
        made, problem = handlers.start(search_form_values(given), pair, who)
        return listed(pair, made or name, who, problem)

    def go_on(pair: str, name: str, who: str) -> list[GradioValue]:
        _, problem = handlers.resume(name, pair, who)
        return listed(pair, name, who, problem)

    def halt(pair: str, name: str, who: str) -> list[GradioValue]:
        return updates(handlers.show(name, pair, handlers.stop(name, who), who))

    def tick(pair: str, name: str, who: str, seen: str) -> list[GradioValue]:
        if handlers.stamp(name, pair) == seen:
            return [gr.skip()] * (1 + len(drawn))
        found = handlers.show(name, pair, owner=who)
        chosen = gr.skip() if found["running"] else gr.Dropdown(handlers.choices(pair), value=name)
        return [chosen, *updates(found)]

    bar.begin(begin, page.pair, [owner, search, *drawn], **EVENT)
    search.input(choose, [page.pair, search, owner], drawn, **EVENT)
    setup.run.click(go, [page.pair, search, owner, *setup.fields], [search, *drawn], **EVENT)
    resume.click(go_on, [page.pair, search, owner], [search, *drawn], **EVENT)
    stop.click(halt, [page.pair, search, owner], drawn, **EVENT)
    timer.tick(tick, [page.pair, search, owner, stamp], [search, *drawn], trigger_mode="once", **EVENT)
