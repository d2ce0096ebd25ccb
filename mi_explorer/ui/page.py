"""The page: one Gradio app around one workbench. Explore is a single component fed one dict; Gradio carries the events.

The component's template is static and holds no value slots: all text reaches the document through text nodes in
`assets/web/*.js`. Events are private; what belongs to a visitor travels with the event.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from mi_explorer.errors import UserError
from mi_explorer.ui import landing
from mi_explorer.ui.explore import Explore
from mi_explorer.ui.settings import Settings
from mi_explorer.ui.setup import setup

WEB = Path(__file__).resolve().parents[2] / "assets" / "web"
SCRIPTS = ("core", "address", "paint", "pane", "board", "rail", "bars", "knobs", "ask", "frame", "explore")
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
ON_LOAD = "MI.mount(element, { trigger, props, server, watch }); /* events: 'run' */"


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


def build(explore: Explore, fixed: dict[str, Any]) -> gr.Blocks:
    """The app of these handlers; `fixed` is the fixed part of the page (see `setup.py`)."""

    def stop(token: Any) -> bool:
        return explore.stop(token)

    def alive(token: Any) -> bool:
        return explore.alive(token)

    def draw(turn: Any) -> dict[str, Any]:
        return explore.draw(turn)

    def score(request: Any) -> dict[str, Any]:
        return explore.score(request)

    def run(event: gr.EventData) -> Iterator[dict[str, Any]]:
        yield from explore.run(event._data)

    def opened(request: gr.Request) -> Any:
        return gr.HTML(opened=explore.open(dict(request.query_params)))

    with gr.Blocks(title="MI Explorer", analytics_enabled=False, fill_width=True) as app:
        board = gr.HTML(
            value=None, html_template="<div></div>", js_on_load=ON_LOAD, apply_default_css=False, head=head(), elem_id="explore", padding=False,
            server_functions=[stop, alive, draw, score], setup=fixed, opened=None,
        )  # fmt: skip
        board.run(
            run,
            None,
            board,
            show_progress="hidden",
            concurrency_limit=VISITORS,
            trigger_mode="multiple",
            api_visibility="private",
        )
        app.load(opened, None, board, show_progress="hidden", queue=False, api_visibility="private")
    return app


def launch(app: gr.Blocks, host: str, port: int, **more: Any) -> Any:
    """Serve the page at host:port. Raises OSError when the port is taken."""
    options = {"ssr_mode": False, "run_history": False, "share": False, "footer_links": ["gradio"], **more}
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

    questions = questions_of(settings.task)
    with Workbench.open(
        settings.pair, device=settings.device, dtype=settings.dtype or None, home=settings.home or None, max_rows=settings.rows
    ) as bench:
        launch(app_of(bench, questions, settings.task), settings.host, settings.port)


def app_of(bench: Any, questions: tuple[Any, ...], task: str) -> gr.Blocks:
    """The app of an open workbench, on its precomputed strip where there is one."""
    explore = Explore(bench, questions)
    content = landing.read(bench.pair.name)
    if content:
        explore.keep(landing.TOKEN, {s.id: s for s in landing.snapshots(content, bench)})
    return build(explore, setup(bench, questions, task, landing.strip(content, bench.fingerprint) if content else None, facts=facts(bench)))


def facts(bench: Any) -> str:
    """The pair in a few words: layers, parameters, arithmetic."""
    parent = bench.resident.parents.instruct
    weights = sum(math.prod(parent.header(name)[0]) for name in parent.names())
    size = f"{weights / 1e9:.1f} B" if weights >= 1e9 else f"{weights / 1e6:.1f} M"
    return f"{bench.layers} layers · {size} parameters · {bench.dtype} on {bench.device}"
