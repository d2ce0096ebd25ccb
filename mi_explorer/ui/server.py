"""Serving the page: open the pair, build the app, and answer at host:port until interrupted."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.routing import Route

from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair
from mi_explorer.search.search_job import SearchJobs
from mi_explorer.studies.jobs import Jobs
from mi_explorer.ui import plotly_component, static_files
from mi_explorer.ui.access import middleware
from mi_explorer.ui.access.access_policy import AccessPolicy
from mi_explorer.ui.access.limits import Limits
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore import demo_strip
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.explore_tab import MAX_STREAMS
from mi_explorer.ui.explore.live import LiveRuns
from mi_explorer.ui.explore.page_setup import page_setup, pair_summary
from mi_explorer.ui.explore.run_queue import RunQueue
from mi_explorer.ui.gradio_patches import (
    drop_messages_of_gone_sessions,
    quiet_queue,
    quiet_request_faults,
    unanswered_events,
)
from mi_explorer.ui.open_pairs import OpenPair, PagePairs, ReportPhase
from mi_explorer.ui.page import PageApp, build, theme
from mi_explorer.ui.pair_gallery import machine_of
from mi_explorer.ui.spaces.environment import on_zero
from mi_explorer.ui.spaces.space_bench import SpaceBench
from mi_explorer.untyped import GradioValue, JsonObject

if TYPE_CHECKING:
    from mi_explorer.tasks.task import Question
    from mi_explorer.workbench import Workbench

MAX_SESSIONS = (
    500  # tabs and programs whose state is kept, the latest; each takes a quarter of a megabyte, also when it is gone
)
SPARE_THREADS = 24  # so that Stop, scores and tables are answered while every visitor streams
POLL_S = 0.2  # between two looks whether the server still runs
DRAIN_S = 6.0  # that runs have to give their last state when the server ends


def launch(
    app: PageApp,
    host: str,
    port: int,
    settings: Settings | None = None,
    limits: Limits | None = None,
    **more: GradioValue,
) -> None:
    """Serve the page at host:port behind the access rules of these settings, in threads. Raises OSError when the port is taken."""
    settings = replace(settings or Settings(), host=host, port=port)
    limits = limits or Limits(settings.runs, settings.address_runs, settings.tokens)
    context = app.context
    app.queue(default_concurrency_limit=MAX_STREAMS, max_size=settings.queue, api_open=False)
    quiet_queue(app)
    drop_messages_of_gone_sessions(app)
    quiet_request_faults()
    access = middleware.launch_options(app, settings, limits)
    access["app_kwargs"]["middleware"].append(Middleware(static_files.EarlyLinks))
    app.run_queue = run_queue = RunQueue(MAX_STREAMS, settings.queue, limits, context.pairs.runs_per_second)
    live = LiveRuns(context.pairs.run, context.pairs.stop, run_queue, context.pairs.steer)
    routes: list[Route] = [
        static_files.web_route(),
        plotly_component.plotly_route(),
        context.file_jobs.route(),
        live.route(),
        live.steer_route(),
    ]
    options: JsonObject = {
        "server_name": host,
        "server_port": port,
        "theme": theme(),
        "ssr_mode": False,
        "run_history": False,
        "share": False,
        "footer_links": ["gradio"],
        "max_threads": MAX_STREAMS + SPARE_THREADS,
        "state_session_capacity": MAX_SESSIONS,
        "prevent_thread_lock": True,
        **access,
        **more,
    }
    app.launch(**{**options, "app_kwargs": {"routes": routes, **access["app_kwargs"]}})


def wait(app: PageApp) -> None:
    """Block until interrupted (KeyboardInterrupt); then end every run with what it has, and close the server."""
    try:
        while app.is_running:
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        print("Interrupted: ending what runs, then closing the server.", flush=True)
    finally:
        close_server(app)


def close_server(app: PageApp) -> None:
    """End every run with what it has, then close the server."""
    pairs = app.context.pairs
    pairs.stop_all()
    end = time.monotonic() + DRAIN_S
    while time.monotonic() < end and (unanswered_events(app) or (app.run_queue and app.run_queue.is_busy())):
        time.sleep(0.02)
    app.context.file_jobs.close()
    app.close(verbose=False)


def offered_questions(task: str) -> "tuple[Question, ...]":
    """The questions that the page offers; none where the task cannot be had."""
    from mi_explorer.tasks import load_task

    try:
        return load_task(task).questions if task else ()
    except UserError as error:
        print(f"No example questions: {error}", flush=True)
        return ()


def open_bench(pair: str | Pair, settings: Settings, report: ReportPhase | None = None) -> "Workbench":
    """The workbench of a pair as the settings say. On a Space with ZeroGPU it has a GPU only for the time of a call."""
    from mi_explorer.workbench import Workbench

    home, dtype = settings.home or None, settings.dtype or None
    if on_zero() and settings.device != "cpu":
        return SpaceBench.open_space(pair, settings.device, dtype, home, settings.rows)
    return Workbench.open(pair, device=settings.device, dtype=dtype, home=home, max_rows=settings.rows, report=report)


def serve_page(settings: Settings) -> None:
    """Open the pair and serve the page until interrupted. Raises `UserError` for what cannot be opened."""
    limits = Limits(settings.runs, settings.address_runs, settings.tokens)
    machine = machine_of(settings.device, settings.dtype, settings.rows, on_zero())
    access = AccessPolicy(settings.pairs, settings.hub, settings.folders, first_task=settings.task)

    def open_pair(pair: Pair, report: ReportPhase) -> OpenPair:
        return prepared(open_bench(pair, settings, report), settings.task, limits)

    with open_bench(settings.pair, settings) as bench:
        pairs = PagePairs(prepared(bench, settings.task, limits), open_pair, access, machine)
        jobs, searches = Jobs(), SearchJobs()
        try:
            app = build(pairs, settings, jobs, searches)
            launch(app, settings.host, settings.port, settings, limits)
            wait(app)
        finally:
            searches.close()
            jobs.close()
            pairs.close()


def prepared(bench: "Workbench", task: str = "", limits: Limits | None = None) -> OpenPair:
    """An open workbench with Explore's handlers and the page's fixed part, on its precomputed strip where there is one.

    `task` offers its questions; "": the pair's own task does.
    """
    from mi_explorer.checkpoints.preflight import preflight

    task = task or bench.pair.task
    questions = offered_questions(task)
    explore = Explore(bench, questions, limits)
    content = demo_strip.load_demo_strip(bench.pair.name)
    strip = None
    if content:
        strip = demo_strip.demo_state(content, bench.fingerprint)
        for trace in demo_strip.demo_snapshots(content, bench):
            explore.traces.keep(demo_strip.DEMO_TOKEN, trace)
    explore.demo = strip or demo_strip.embedded_demo()
    summary = pair_summary(preflight(bench.pair), bench.dtype, bench.device)
    knows = {"knows": explore.known.words} if explore.known else {}
    return OpenPair(explore, page_setup(bench, questions, task, strip, {**summary, **knows}))
