"""One interactive figure: plotly in a component of ours, with its data table, and PNG, SVG and CSV of what it shows.

A figure's value is JSON text made by `content`: the plotly figure (and its form for a phone, where panels stand one below the
other), the table behind it, and a file name. The script of
`assets/web/figure/figure.js` draws it, follows the page's theme, keeps zoom and hidden traces when the data change, and reports
the point that was clicked as the event `pick` with that point's `customdata`.
"""

import gzip
import html
import json
from functools import cache

import gradio as gr

from mi_explorer.paths import ASSETS
from mi_explorer.ui.components import script_component
from mi_explorer.ui.static_files import on_load
from mi_explorer.untyped import JsonObject, LibraryObject

PLOTLY_ROUTE = "/mi/plotly.min.js"
PLOTLY = ASSETS / "plotly" / "plotly-cartesian.min.js.gz"
WAITING = "waiting"  # the value of a figure whose first content is being computed: the page shows where it will be


def label_text(text: object) -> str:
    """Untrusted text for a plotly label, which reads a part of HTML: tags and entities show as typed."""
    return html.escape(str(text), quote=False)


def figure_content(
    figure: LibraryObject, columns: list[str], rows: list[list[object]], name: str, narrow: object = None
) -> str:
    """What a `component` shows: a plotly figure (object or dict), its data table (units in the headers), a file name.

    `narrow`: the figure to show instead where there is little width; it sets its own height.
    """
    shown = {"figure": _drawn(figure), "narrow": _drawn(narrow), "columns": columns, "rows": rows, "name": name}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def _drawn(figure: LibraryObject) -> JsonObject:
    drawn = json.loads(figure.to_json()) if hasattr(figure, "to_json") else figure
    if drawn:
        drawn.get("layout", {}).pop("template", None)  # the page's theme gives colours and fonts
    return drawn


def figure_component(label: str, height: int = 320, value: str = "", elem_id: str | None = None) -> gr.HTML:
    """An empty or filled figure; listen with `.pick(handler)`, whose payload is `{"custom", "x", "y", "trace"}`."""
    return script_component(
        on_load("figure/figure.js", "openFigure", "pick"),
        elem_id,
        elem_classes="mi-figure-host",
        content=value,
        label=label,
        height=height,
    )


def figure_update(text: str) -> gr.HTML:
    """The update that makes a `component` show `text` (from `content`); "" empties it."""
    return gr.HTML(content=text)


@cache
def _script() -> bytes:
    return PLOTLY.read_bytes()


def plotly_route() -> LibraryObject:
    """The route that hands out plotly's script, compressed, to be asked for when the first figure is there."""
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    def send(request: Request) -> Response:
        packed = "gzip" in request.headers.get("accept-encoding", "")
        body = _script() if packed else gzip.decompress(_script())
        headers = {"Cache-Control": "public, max-age=86400", "Vary": "Accept-Encoding"}
        return Response(
            body, media_type="text/javascript", headers=headers | ({"Content-Encoding": "gzip"} if packed else {})
        )

    return Route(PLOTLY_ROUTE, send)
