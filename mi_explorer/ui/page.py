"""The page: one Gradio app around one workbench. Explore is a single component fed one dict; Gradio carries the events.

The component's template is static and holds no value slots: all text reaches the document through text nodes in
`assets/web/*.js`. Events are private; what belongs to a visitor travels with the event.
"""

import functools
import gc
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.studies.jobs import Jobs
from mi_explorer.ui import ablations, api, curves, plotly_component, spaces, takeaway, weights
from mi_explorer.ui.access import middleware
from mi_explorer.ui.access.access_policy import AccessPolicy
from mi_explorer.ui.access.limits import Limits, Visitor, visitor_of
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.explore import demo_strip
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.live import RUN_ROUTE, TEXT_FIELDS, LiveRuns
from mi_explorer.ui.explore.page_setup import page_setup, pair_summary
from mi_explorer.ui.explore.run_queue import RunQueue, turn_in_gradio_queue
from mi_explorer.ui.open_pairs import OpenPairs

WEB = ASSETS / "web"
SCRIPTS = (
    "core", "address", "live", "run", "paint", "pane", "board", "study", "rail", "bars", "knobs", "ask", "frame", "pairs", "explore",
    "tabs", "figure", "curves", "curves_samples", "weights", "ablations", "takeaway",
)  # fmt: skip
STYLES = ("style", "figure", "curves", "weights", "takeaway")
CACHE_CLEANING_S = (3600, 24 * 3600)  # every hour, uploads and downloads older than a day are removed
MAX_SESSIONS = 500  # tabs and programs whose state is kept, the last ones; each takes a quarter of a megabyte, also when it is gone
SPARE_THREADS = 24  # so that Stop, scores and tables are answered while every visitor streams
QUEUE_POLL_S = 0.05  # seconds between two looks of Gradio into its queue; it looks every millisecond, for which the engine's thread has to wait
PROGRESS_POLL_S = (
    1.0  # and into progress bars of its own, of which there are none here; it looks every ten milliseconds
)
# At the end of every event Gradio tabulates the last 10,000 for a dashboard that is off here: 2 to 9 ms, and memory in each thread that does it.
DASHBOARD = {"GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000", "GRADIO_ANALYTICS_MAX_EVENTS": "1"}
MAX_STREAMS = 40  # runs that may stream at once; more wait in Gradio's queue, the engine shares its batch among them

PAGE_CSS = """
.gradio-container { max-width: none !important; padding: 0 !important; }
.gradio-container > main, .gradio-container .main, .gradio-container .wrap { padding: 0 !important; max-width: none !important; }
#explore { padding: 0 !important; overflow: visible !important; border: 0 !important; }
#explore .html-container { padding: 0 !important; overflow: visible !important; }
#explore .html-container.pending { opacity: 1 !important; }
#tabs > .tab-wrapper { max-width: 1480px; margin: 0 auto; padding: 0 20px; }
#tabs > .tabitem { padding: 0 !important; border: 0 !important; background: none !important; }
.mi-tab { max-width: 1480px; margin: 0 auto; padding: 16px 20px 32px !important; }
footer { opacity: .75; }
"""

# The tabs beside Explore: id (also `?tab=` in the address), title, and what fills it. They are built when first opened.
TABS: tuple[tuple[str, str, Callable[[PageContext], None]], ...] = (
    ("curves", "Curves", curves.build_curves_tab),
    ("ablations", "Ablations", ablations.build_ablations_tab),
    ("weights", "Weights", weights.build_weights_tab),
    ("takeaway", "Take away", takeaway.build_takeaway_tab),
)

# Names in quotes are the component's events for Gradio.
ON_LOAD = "MI.start(element, { trigger, props, server, watch }); MI.tabAddress(); /* events: 'run', 'openpair' */"


def head() -> str:
    """The style and the scripts of the page, inline: no request leaves for them, and no path of this machine is shown."""
    css = "".join((WEB / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
    scripts = [(WEB / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return f"<style>{css}</style>" + "".join(f"<script>{text}</script>" for text in scripts)


def theme() -> gr.themes.Base:
    """Fonts from Gradio's own files (nothing is fetched from elsewhere), a primary colour with contrast above 4.5:1."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        font=[
            gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)),
            "Segoe UI",
            "Helvetica Neue",
            "Arial",
            "sans-serif",
        ],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "Menlo", "Consolas", "monospace"],
    ).set(
        body_background_fill="#fbfbfc",
        body_background_fill_dark="#0f1115",
        button_primary_background_fill="#4f46e5",
        button_primary_background_fill_dark="#4f46e5",
        button_primary_background_fill_hover="#4338ca",
        button_primary_background_fill_hover_dark="#4338ca",
    )


def compact_json(value: Any) -> str:
    """JSON text: Gradio clones and compares every property at every update, and one text is cheap where a deep dict is not."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def gradio_state(state: dict[str, Any]) -> dict[str, Any]:
    """A state as it travels: the texts by frame, which Gradio sends as what was appended, and all the rest as one text."""
    frames = {k: {name: x for name, x in f.items() if name not in TEXT_FIELDS} for k, f in state["frames"].items()}
    return {
        "run": compact_json({**state, "frames": frames}),
        **{part: {k: f[part] for k, f in state["frames"].items()} for part in TEXT_FIELDS},
    }


def build(pairs: OpenPairs, settings: Settings | None = None, jobs: Jobs | None = None) -> gr.Blocks:
    """The app of these pairs; the page opens on the first one, or on the resident pair that its address names."""

    def fixed_part(fixed: dict[str, Any]) -> str:
        return compact_json(
            {**fixed, "pairs": pairs.offered(), "policy": pairs.policy, "live": "" if spaces.on_zero() else RUN_ROUTE}
        )

    def stop(token: Any) -> bool:
        return pairs.stop(token) or any(explore.stop(token) for explore in pairs.rooms())

    def alive(token: Any) -> bool:
        return any(explore.alive(token) for explore in pairs.rooms())

    def line(token: Any) -> dict[str, Any] | None:
        return turn_in_gradio_queue(app._queue, str(token), pairs.pace())

    def curve(view: Any) -> dict[str, Any] | None:
        return pairs.at(view.get("pair") if isinstance(view, dict) else "")[0].curve(view)

    def draw(pair: Any) -> dict[str, Any]:
        return pairs.at(pair)[0].draw()

    def score(request: Any) -> dict[str, Any]:
        return pairs.at(request.get("pair") if isinstance(request, dict) else "")[0].score(request)

    def judge(spec: Any) -> dict[str, Any]:
        return pairs.judge(spec)

    def begin(request: Any, who: Visitor) -> Iterator[dict[str, Any]]:
        view = request.get("view") if isinstance(request, dict) else None
        return pairs.at(view.get("pair") if isinstance(view, dict) else "")[0].run(request, who)

    def run(event: gr.EventData, who: gr.Request) -> Iterator[dict[str, Any]]:
        yield from map(gradio_state, begin(event._data, visitor_of(who)))

    def load(event: gr.EventData) -> Iterator[dict[str, Any]]:
        asked = event._data if isinstance(event._data, dict) else {}
        for step in pairs.load(asked.get("spec", ""), str(asked.get("token", ""))[:64]):
            yield {"loading": step}

    def opened(request: gr.Request) -> Any:
        query = dict(request.query_params)
        explore, fixed = pairs.at(query.get("pair"))
        return gr.HTML(opened=compact_json(explore.open(query)), setup=fixed_part(fixed)), explore.bench.pair.name

    with gr.Blocks(title="MI Explorer", analytics_enabled=False, fill_width=True, delete_cache=CACHE_CLEANING_S) as app:
        page = PageContext(pairs, gr.State(pairs.first), settings, jobs or Jobs())
        pairs.held = page.held
        app.parcels = page.parcels
        app.live = functools.partial(LiveRuns, begin, stop)
        app.pace = pairs.pace
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):  # a menu would hide tabs from `?tab=` on a phone
            with gr.Tab("Explore", id="explore"):
                board = gr.HTML(
                    value=None,
                    html_template="<div></div>",
                    js_on_load=ON_LOAD,
                    apply_default_css=False,
                    head=head(),
                    elem_id="explore",
                    padding=False,
                    server_functions=[stop, alive, line, curve, draw, score, judge],
                    setup=fixed_part(pairs.at(pairs.first)[1]),
                    opened="",
                )
            for name, title, fill in TABS:
                with gr.Tab(title, id=name), gr.Column(elem_classes="mi-tab"):
                    fill(page)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        board.run(run, None, board, concurrency_limit=MAX_STREAMS, trigger_mode="multiple", **quiet)
        board.openpair(load, None, board, concurrency_limit=4, trigger_mode="multiple", **quiet)
        app.load(opened, None, [board, page.pair], queue=False, **quiet)
        api.add_endpoints(pairs, settings, page.jobs, MAX_STREAMS)
    return app


def launch(
    app: gr.Blocks, host: str, port: int, settings: Settings | None = None, limits: Limits | None = None, **more: Any
) -> Any:
    """Serve the page at host:port behind the gate of these settings. Raises OSError when the port is taken."""
    settings = replace(settings or Settings(), host=host, port=port)
    for name, value in DASHBOARD.items():
        os.environ.setdefault(name, value)
    queue = app.queue(default_concurrency_limit=MAX_STREAMS, max_size=settings.queue, api_open=False)
    queue._queue.sleep_when_free = QUEUE_POLL_S
    queue._queue.progress_update_sleep_when_free = PROGRESS_POLL_S
    limits = limits or Limits(settings.runs, settings.address_runs, settings.tokens)
    guarded = middleware.launch_options(queue, settings, limits)
    live = app.live(RunQueue(MAX_STREAMS, settings.queue, limits, app.pace))  # type: ignore[attr-defined]  # set by `build`
    options: dict[str, Any] = {
        "ssr_mode": False,
        "run_history": False,
        "share": False,
        "footer_links": ["gradio"],
        "max_threads": MAX_STREAMS + SPARE_THREADS,
        "state_session_capacity": MAX_SESSIONS,
        **more,
    }
    routes = {"routes": [plotly_component.plotly_route(), app.parcels.route(), live.route()]}  # type: ignore[attr-defined]  # set by `build`
    options = {**guarded, **options, "app_kwargs": {**routes, **guarded["app_kwargs"], **options.get("app_kwargs", {})}}
    return queue.launch(server_name=host, server_port=port, theme=theme(), css=PAGE_CSS, **options)


def offered_questions(task: str) -> tuple[Any, ...]:
    """The questions that the page offers; none where the task cannot be had."""
    from mi_explorer.tasks import load_task

    try:
        return load_task(task).questions if task else ()
    except UserError as error:
        print(f"No example questions: {error}", flush=True)
        return ()


def serve(settings: Settings) -> None:
    """Open the pair and serve the page until interrupted. Raises `UserError` for what cannot be opened."""
    from mi_explorer.workbench import Workbench

    def open_bench(pair: Any, report: Any = None) -> Any:
        home, dtype = settings.home or None, settings.dtype or None
        if spaces.on_zero() and settings.device != "cpu":  # a GPU only for the time of a call
            return spaces.SpaceBench.open_space(pair, settings.device, dtype, home, settings.rows)
        return Workbench.open(
            pair, device=settings.device, dtype=dtype, home=home, max_rows=settings.rows, report=report
        )

    questions = offered_questions(settings.task)
    limits = Limits(settings.runs, settings.address_runs, settings.tokens)
    guard = AccessPolicy(settings.pairs, settings.hub, settings.folders, asked=settings.task)
    with open_bench(settings.pair) as bench:
        first = open_pair(bench, questions, settings.task, limits)
        pairs = OpenPairs(
            *first, lambda pair, report: open_pair(open_bench(pair, report), questions, settings.task, limits), guard
        )
        jobs = Jobs()
        try:
            app = build(pairs, settings, jobs)
            gc.collect()
            gc.freeze()  # what is there now stays: a look through all of it takes a fifth of a second, in which nobody's tokens come
            gc.collect()  # of nothing: what comes from now on is compared with little, so that it is looked through often, and quickly
            launch(app, settings.host, settings.port, settings, limits)
        finally:
            jobs.close()
            pairs.close()


def open_pair(
    bench: Any, questions: tuple[Any, ...], task: str, limits: Limits | None = None
) -> tuple[Explore, dict[str, Any]]:
    """The handlers and the fixed part of an open workbench, on its precomputed strip where there is one."""
    from mi_explorer.checkpoints.preflight import preflight

    explore = Explore(bench, questions, limits)
    content = demo_strip.load_demo_strip(bench.pair.name)
    strip = None
    if content:
        strip = demo_strip.demo_state(content, bench.fingerprint)
        explore.keep(demo_strip.DEMO_TOKEN, {s.id: s for s in demo_strip.demo_snapshots(content, bench)})
    explore.landing = strip or demo_strip.embedded_demo()
    words = pair_summary(preflight(bench.pair), bench.dtype, bench.device)
    return explore, page_setup(bench, questions, task, strip, words)
