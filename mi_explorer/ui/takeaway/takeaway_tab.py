"""The tab Take away: one component of ours (assets/web/takeaway.js) on the handlers, and Gradio's upload for study files."""

import json
from typing import Any

import gradio as gr

from mi_explorer.studies.store.exchange import FORMATS
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.takeaway.takeaway_handlers import STUDY_FILES, TakeawayHandlers

BOARD_SCRIPT = "MI.takeaway(element, { props, server, watch });"


def build_takeaway_tab(page: PageContext) -> None:
    """Build the tab. The view of Explore travels with each request; nothing of a visitor is kept here but parcels, by token."""
    take = TakeawayHandlers(page.pairs, page.settings, page.parcels)

    def recipe(view: Any) -> dict[str, Any]:
        return take.recipe(view)

    def read(request: Any) -> dict[str, Any]:
        return take.read(request)

    def make(request: Any) -> dict[str, Any]:
        return take.make(request)

    def look(token: Any) -> dict[str, Any]:
        return take.look(token)

    def stop(token: Any) -> bool:
        return take.stop(token)

    def studies(nothing: Any) -> dict[str, Any]:
        return take.studies(nothing)

    def bring(path: Any) -> Any:
        return gr.HTML(news=json.dumps(take.take_in(path), ensure_ascii=False))

    board = gr.HTML(
        value=None,
        html_template="<div></div>",
        js_on_load=BOARD_SCRIPT,
        apply_default_css=False,
        padding=False,
        elem_id="takeaway",
        server_functions=[recipe, read, make, look, stop, studies],
        files=json.dumps(STUDY_FILES),
        news="",
    )
    if take.imports() == "":
        upload = gr.UploadButton(
            "Bring in a study…", file_types=list(FORMATS), file_count="single", size="sm", elem_id="take-upload"
        )
        upload.upload(bring, upload, board, show_progress="minimal", api_visibility="private", concurrency_limit=2)
