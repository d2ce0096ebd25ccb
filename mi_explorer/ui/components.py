"""Components of ours in Gradio: an empty element, and a script of `assets/web` that fills it with text nodes."""

import functools
from collections.abc import Callable, Sequence

import gradio as gr

from mi_explorer.untyped import GradioValue, Json, JsonObject

# An event whose progress the page shows itself, and which programs cannot call.
QUIET: JsonObject = {"show_progress": "hidden", "api_visibility": "private"}


def script_component(
    script: str, elem_id: str | None, functions: Sequence[Callable[..., object]] = (), **properties: GradioValue
) -> gr.HTML:
    """`script` (from `static_files.on_load`) runs when the element is there.

    `functions` (methods too) are what the script may call on the server, by their names; `properties` are its values (JSON types),
    and may be updated.
    """
    return gr.HTML(
        value=None,
        html_template="<div></div>",
        js_on_load=script,
        apply_default_css=False,
        padding=False,
        elem_id=elem_id,
        server_functions=[_plain(function) for function in functions] or None,
        **properties,
    )


def _plain(function: Callable[..., object]) -> Callable[..., object]:
    """A function around a handler: Gradio marks what it serves, which it cannot do with a method."""

    @functools.wraps(function)
    def call(*args: Json) -> GradioValue:
        return function(*args)

    return call
