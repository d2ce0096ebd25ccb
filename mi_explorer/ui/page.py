"""The page: one Gradio app around open pairs. Its tabs stand in folders of their own; this file puts them together.

All text reaches the document through text nodes in `assets/web`. Events are private; what belongs to a visitor travels with
the event.
"""

from collections.abc import Callable

import gradio as gr

from mi_explorer.search.search_job import SearchJobs
from mi_explorer.studies.jobs import Jobs
from mi_explorer.ui.ablations.ablations_tab import build_ablations_tab
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.api.registration import add_endpoints
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.curves.curves_tab import build_curves_tab
from mi_explorer.ui.explore.explore_tab import build_explore_tab
from mi_explorer.ui.explore.run_queue import RunQueue
from mi_explorer.ui.open_pairs import PagePairs
from mi_explorer.ui.search.search_tab import build_search_tab
from mi_explorer.ui.takeaway.takeaway_tab import build_takeaway_tab
from mi_explorer.ui.weights.weights_tab import build_weights_tab

CLEANING_S = (3600, 24 * 3600)  # every hour, uploads and downloads older than a day are removed

# The tabs beside Explore: id (also `?tab=` in the address), title, and what builds it.
TABS: tuple[tuple[str, str, Callable[[PageContext], None]], ...] = (
    ("curves", "Curves", build_curves_tab),
    ("search", "Search", build_search_tab),
    ("ablations", "Ablations", build_ablations_tab),
    ("weights", "Weights", build_weights_tab),
    ("takeaway", "Take away", build_takeaway_tab),
)


class PageApp(gr.Blocks):
    """Gradio's app, with what its server needs of the page."""

    context: PageContext
    run_queue: RunQueue | None = None  # of the live runs, once it is served


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


def build(
    pairs: PagePairs, settings: Settings | None = None, jobs: Jobs | None = None, searches: SearchJobs | None = None
) -> PageApp:
    """The app of these pairs; the page opens on the first one, or on the open pair that its address names."""
    with PageApp(title="MI Explorer", analytics_enabled=False, fill_width=True, delete_cache=CLEANING_S) as app:
        pair = gr.State(pairs.first)
        work = jobs or Jobs(), searches or SearchJobs()
        context = app.context = PageContext(pairs, pair, settings or Settings(), *work)
        pairs.in_use = context.in_use
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):  # a menu would hide tabs from `?tab=` on a phone
            with gr.Tab("Explore", id="explore"):
                build_explore_tab(context, app)
            for name, title, build_tab in TABS:
                with gr.Tab(title, id=name), gr.Column(elem_classes="mi-tab"):
                    build_tab(context)
        add_endpoints(context)
    return app
