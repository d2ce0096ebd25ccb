"""The tab Take away: one component of ours (assets/web/takeaway.js) on the handlers, and Gradio's upload for study files."""

import json
from typing import Any

import gradio as gr

from mi_explorer.studies.store.study_file import SUFFIX
from mi_explorer.ui.components import script_component
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.static_files import on_load
from mi_explorer.ui.takeaway.takeaway_handlers import STUDY_FILES, TakeawayHandlers


def build_takeaway_tab(page: PageContext) -> None:
    """Build the tab. The view of Explore travels with each request; nothing of a visitor is kept here but file jobs, by token."""
    handlers = TakeawayHandlers(page.pairs, page.settings, page.file_jobs)

    # Functions that the script calls, by these names; Gradio marks them, which it cannot do with methods.
    def recipe(view: Any) -> dict[str, Any]:
        return handlers.recipe(view)

    def read(request: Any) -> dict[str, Any]:
        return handlers.read(request)

    def make(request: Any) -> dict[str, Any]:
        return handlers.make(request)

    def look(token: Any) -> dict[str, Any]:
        return handlers.look(token)

    def stop(token: Any) -> bool:
        return handlers.stop(token)

    def studies(nothing: Any) -> dict[str, Any]:
        return handlers.studies(nothing)

    def bring(path: Any) -> gr.HTML:
        return gr.HTML(news=json.dumps(handlers.take_in(path), ensure_ascii=False))

    functions = [recipe, read, make, look, stop, studies]
    board = script_component(
        on_load("takeaway/takeaway.js", "openTakeaway"), "takeaway", functions, files=json.dumps(STUDY_FILES), news=""
    )
    if handlers.imports() == "":
        upload = gr.UploadButton(
            "Bring in a study…", file_types=[SUFFIX], file_count="single", size="sm", elem_id="take-upload"
        )
        upload.upload(bring, upload, board, show_progress="minimal", api_visibility="private", concurrency_limit=2)
