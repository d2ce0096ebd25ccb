"""The tab Take away: one component of ours (assets/web/takeaway) on the handlers, and Gradio's upload for study files."""

import json

import gradio as gr

from mi_explorer.studies.store.study_file import SUFFIX
from mi_explorer.ui.components import script_component
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.static_files import on_load
from mi_explorer.ui.takeaway.takeaway_handlers import STUDY_FILES, TakeawayHandlers


def build_takeaway_tab(page: PageContext) -> None:
    """Build the tab. The view of Explore travels with each request; nothing of a visitor is kept here but file jobs, by token."""
    handlers = TakeawayHandlers(page.pairs, page.settings, page.file_jobs)

    def bring(path: object) -> gr.HTML:
        return gr.HTML(news=json.dumps(handlers.take_in(path), ensure_ascii=False))

    files = page.file_jobs
    functions = [handlers.recipe, handlers.read, handlers.make, files.look, files.stop, handlers.studies]
    board = script_component(
        on_load("takeaway/takeaway.js", "openTakeaway"), "takeaway", functions, files=json.dumps(STUDY_FILES), news=""
    )
    if handlers.imports() == "":
        upload = gr.UploadButton(
            "Bring in a study…", file_types=[SUFFIX], file_count="single", size="sm", elem_id="take-upload"
        )
        upload.upload(bring, upload, board, show_progress="minimal", api_visibility="private", concurrency_limit=2)
