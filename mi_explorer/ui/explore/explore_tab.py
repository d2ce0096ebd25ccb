"""The Explore tab in Gradio: one component fed one dict, its events, and the functions that its scripts call."""

import json
from collections.abc import Iterator

import gradio as gr

from mi_explorer.ui.access.limits import visitor_of
from mi_explorer.ui.components import QUIET, script_component
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.explore.explore_handlers import QuestionInfo
from mi_explorer.ui.explore.live import RUN_ROUTE, STEER_ROUTE, TEXT_FIELDS
from mi_explorer.ui.explore.run_queue import turn_wait
from mi_explorer.ui.gradio_patches import event_payload, place_in_queue
from mi_explorer.ui.spaces.environment import on_zero
from mi_explorer.ui.static_files import BUNDLE, on_load
from mi_explorer.untyped import Json, JsonObject

MAX_STREAMS = 40  # runs that stream at once; more wait, and the engine shares its batch among them
MAX_LOAD_REQUESTS = 4


def build_explore_tab(page: PageContext, app: gr.Blocks) -> None:
    """Build the tab inside the current Gradio context of `app`."""
    pairs = page.pairs

    def setup_of(fixed: JsonObject) -> str:
        run, steer = ("", "") if on_zero() else (RUN_ROUTE, STEER_ROUTE)
        return compact_json(
            {**fixed, "pairs": pairs.offered(), "policy": pairs.access.policy, "live": run, "steer": steer}
        )

    # -- functions that scripts call, by these names -----------------------------------------------------------------
    def queue_place(token: Json) -> JsonObject | None:
        place = place_in_queue(app, str(token))
        return place and turn_wait(*place, pairs.runs_per_second())

    def curve(view: Json) -> JsonObject | None:
        return pairs.at(view.get("pair") if isinstance(view, dict) else "").explore.curve(view)

    def draw(pair: Json) -> QuestionInfo | JsonObject:
        return pairs.at(pair).explore.draw()

    def is_known(request: Json) -> bool | None:
        request = request if isinstance(request, dict) else {}
        return pairs.at(request.get("pair", "")).explore.is_known(request.get("q", ""))

    def score(request: Json) -> JsonObject:
        return pairs.at(request.get("pair") if isinstance(request, dict) else "").explore.score(request)

    def route(request: Json) -> JsonObject:
        return pairs.at(request.get("pair") if isinstance(request, dict) else "").explore.route(request)

    def pieces(request: Json) -> JsonObject:
        return pairs.at(request.get("pair") if isinstance(request, dict) else "").explore.pieces(request)

    # -- events ------------------------------------------------------------------------------------------------------
    def run(event: gr.EventData, who: gr.Request) -> Iterator[JsonObject]:
        yield from map(gradio_state, pairs.run(event_payload(event), visitor_of(who)))

    def load(event: gr.EventData) -> Iterator[JsonObject]:
        asked = event_payload(event)
        for step in pairs.load(asked.get("spec", ""), str(asked.get("token", ""))[:64]):
            yield {"loading": step}

    def opened(request: gr.Request) -> tuple[gr.HTML, str]:
        query = dict(request.query_params)
        pair = pairs.at(query.get("pair"))
        return gr.HTML(opened=compact_json(pair.explore.open(query)), setup=setup_of(pair.setup)), pair.name

    functions = [
        pairs.stop,
        pairs.is_running,
        queue_place,
        curve,
        draw,
        is_known,
        route,
        score,
        pieces,
        pairs.judge,
        pairs.gallery,
        pairs.preview,
    ]
    setup = setup_of(pairs.at(pairs.first).setup)
    script = on_load(BUNDLE, "openExplore", "run", "openpair")
    board = script_component(script, "explore", functions, setup=setup, opened="")
    board.run(run, None, board, concurrency_limit=MAX_STREAMS, trigger_mode="multiple", **QUIET)
    board.openpair(load, None, board, concurrency_limit=MAX_LOAD_REQUESTS, trigger_mode="multiple", **QUIET)
    app.load(opened, None, [board, page.pair], queue=False, **QUIET)


def compact_json(value: Json) -> str:
    """JSON text: Gradio clones and compares every property at every update; a text is cheap there where a deep dict is not."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def gradio_state(state: JsonObject) -> JsonObject:
    """A state as Gradio's event: texts by frame, of which Gradio sends what was appended, and all the rest as one text."""
    frames = {k: {name: x for name, x in f.items() if name not in TEXT_FIELDS} for k, f in state["frames"].items()}
    texts = {part: {k: f[part] for k, f in state["frames"].items()} for part in TEXT_FIELDS}
    return {"run": compact_json({**state, "frames": frames}), **texts}
