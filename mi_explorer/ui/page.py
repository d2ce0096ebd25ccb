"""The page: one Gradio app around one workbench. Explore is a single component fed one dict; Gradio carries the events.

The component's template is static and holds no value slots: all text reaches the document through text nodes in
`assets/web/*.js`. Events are private; what belongs to a visitor travels with the event.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from mi_explorer.errors import UserError
from mi_explorer.ui import landing
from mi_explorer.ui.explore import Explore
from mi_explorer.ui.pairs import Pairs
from mi_explorer.ui.settings import Settings
from mi_explorer.ui.setup import about, setup

WEB = Path(__file__).resolve().parents[2] / "assets" / "web"
SCRIPTS = ("core", "address", "paint", "pane", "board", "rail", "bars", "knobs", "ask", "frame", "pairs", "explore")
VISITORS = 40  # runs that may stream at once; more wait in Gradio's queue, the engine shares its batch among them

PAGE_CSS = """
.gradio-container { max-width: none !important; padding: 0 !important; }
.gradio-container > main, .gradio-container .main, .gradio-container .wrap { padding: 0 !important; max-width: none !important; }
#explore { padding: 0 !important; overflow: visible !important; border: 0 !important; }
#explore .html-container { padding: 0 !important; overflow: visible !important; }
#explore .html-container.pending { opacity: 1 !important; }
footer { opacity: .75; }
"""

# Names in quotes are the component's events for Gradio.
ON_LOAD = "MI.start(element, { trigger, props, server, watch }); /* events: 'run', 'load' */"


def head() -> str:
    """The style and the scripts of the page, inline: no request leaves for them, and no path of this machine is shown."""
    css = (WEB / "style.css").read_text(encoding="utf-8")
    scripts = [(WEB / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return f"<style>{css}</style>" + "".join(f"<script>{text}</script>" for text in scripts)


def theme() -> gr.themes.Base:
    """Fonts from Gradio's own files (nothing is fetched from elsewhere), a primary colour with contrast above 4.5:1."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "Segoe UI", "Helvetica Neue", "Arial", "sans-serif"],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "Menlo", "Consolas", "monospace"],
    ).set(body_background_fill="#fbfbfc", body_background_fill_dark="#0f1115")


def packed(value: Any) -> str:
    """JSON text: Gradio clones and compares every property at every update, and one text is cheap where a deep dict is not."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


TEXTS = ("thought", "answer")


def wire(state: dict[str, Any]) -> dict[str, Any]:
    """A state as it travels: the texts by frame, which Gradio sends as what was appended, and all the rest as one text."""
    frames = {k: {name: x for name, x in f.items() if name not in TEXTS} for k, f in state["frames"].items()}
    return {"run": packed({**state, "frames": frames}), **{part: {k: f[part] for k, f in state["frames"].items()} for part in TEXTS}}


def build(pairs: Pairs) -> gr.Blocks:
    """The app of these pairs; the page opens on the first one, or on the resident pair that its address names."""

    def fixed_part(fixed: dict[str, Any]) -> str:
        return packed({**fixed, "pairs": pairs.offered(), "policy": pairs.policy})

    def stop(token: Any) -> bool:
        return any(explore.stop(token) for explore in pairs.rooms())

    def alive(token: Any) -> bool:
        return any(explore.alive(token) for explore in pairs.rooms())

    def draw(pair: Any) -> dict[str, Any]:
        return pairs.at(pair)[0].draw()

    def score(request: Any) -> dict[str, Any]:
        return pairs.at(request.get("pair") if isinstance(request, dict) else "")[0].score(request)

    def judge(spec: Any) -> dict[str, Any]:
        return pairs.judge(spec)

    def run(event: gr.EventData) -> Iterator[dict[str, Any]]:
        request = event._data
        view = request.get("view") if isinstance(request, dict) else None
        yield from map(wire, pairs.at(view.get("pair") if isinstance(view, dict) else "")[0].run(request))

    def load(event: gr.EventData) -> Iterator[dict[str, Any]]:
        for step in pairs.load(event._data.get("spec", "") if isinstance(event._data, dict) else ""):
            yield {"loading": step}

    def opened(request: gr.Request) -> Any:
        query = dict(request.query_params)
        explore, fixed = pairs.at(query.get("pair"))
        return gr.HTML(opened=packed(explore.open(query)), setup=fixed_part(fixed))

    with gr.Blocks(title="MI Explorer", analytics_enabled=False, fill_width=True) as app:
        board = gr.HTML(
            value=None,
            html_template="<div></div>",
            js_on_load=ON_LOAD,
            apply_default_css=False,
            head=head(),
            elem_id="explore",
            padding=False,
            server_functions=[stop, alive, draw, score, judge],
            setup=fixed_part(pairs.at(pairs.first)[1]),
            opened="",
        )
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        board.run(run, None, board, concurrency_limit=VISITORS, trigger_mode="multiple", **quiet)
        board.load(load, None, board, concurrency_limit=4, trigger_mode="multiple", **quiet)
        app.load(opened, None, board, queue=False, **quiet)
    return app


def launch(app: gr.Blocks, host: str, port: int, **more: Any) -> Any:
    """Serve the page at host:port. Raises OSError when the port is taken."""
    options: dict[str, Any] = {"ssr_mode": False, "run_history": False, "share": False, "footer_links": ["gradio"], **more}
    queue = app.queue(default_concurrency_limit=VISITORS, max_size=200)
    return queue.launch(server_name=host, server_port=port, theme=theme(), css=PAGE_CSS, **options)


def questions_of(task: str) -> tuple[Any, ...]:
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

    def open_bench(pair: Any) -> Any:
        home, dtype = settings.home or None, settings.dtype or None
        return Workbench.open(pair, device=settings.device, dtype=dtype, home=home, max_rows=settings.rows)

    questions = questions_of(settings.task)
    with open_bench(settings.pair) as bench:
        pairs = Pairs(*room_of(bench, questions, settings.task), lambda pair: room_of(open_bench(pair), questions, settings.task), settings.pairs)
        try:
            launch(build(pairs), settings.host, settings.port)
        finally:
            pairs.close()


def room_of(bench: Any, questions: tuple[Any, ...], task: str) -> tuple[Explore, dict[str, Any]]:
    """The handlers and the fixed part of an open workbench, on its precomputed strip where there is one."""
    from mi_explorer.weights.preflight import preflight

    explore = Explore(bench, questions)
    content = landing.read(bench.pair.name)
    strip = None
    if content:
        strip = landing.strip(content, bench.fingerprint)
        explore.keep(landing.TOKEN, {s.id: s for s in landing.snapshots(content, bench)})
    words = about(preflight(bench.pair), bench.dtype, bench.device)
    return explore, setup(bench, questions, task, strip, words)
