"""The page's scripts and styles as static files: ES modules, and one sheet of style that is put together from its parts.

Every address holds a hash of all of them, so that a browser keeps a file for good and asks for a new one when it changed.
Addresses are relative to the page: a proxy may serve it under any host and prefix.
"""

import hashlib
from functools import cache
from typing import Any

from mi_explorer.paths import ASSETS
from mi_explorer.untyped import JsonObject

WEB = ASSETS / "web"
WEB_ROUTE = "/mi/web"
STYLE_SHEET = "style.css"
STYLES = (  # in the order in which they override one another
    *(
        "shared/frame",
        "shared/base",
        "shared/controls",
        "explore/header",
        "explore/gallery",
        "explore/question",
        "explore/lenses",
    ),
    *("explore/board", "explore/trace", "explore/steer", "explore/token_card", "explore/probes"),
    *("explore/rail", "explore/chart", "explore/help", "explore/tour", "explore/narrow"),
    *("figure/figure", "curves/curves", "search/search", "weights/weights", "takeaway/takeaway"),
)
CONTENT_TYPES = {".js": "text/javascript", ".css": "text/css"}
CACHE_CONTROL = "public, max-age=31536000, immutable"
FIRST_MODULES = ("shared/", "explore/")
FIRST_SCRIPT = b"<script>"  # of Gradio's page
FAILED = "The page could not load its scripts. Reload it."


@cache
def web_files() -> dict[str, bytes]:
    """What is served, by name below `assets/web`: every module, and the sheet of style. Read once."""
    files = {p.relative_to(WEB).as_posix(): p.read_bytes() for p in sorted(WEB.rglob("*.js"))}
    return {**files, STYLE_SHEET: b"\n".join((WEB / f"{name}.css").read_bytes() for name in STYLES)}


@cache
def web_version() -> str:
    """A hash of all names and contents."""
    found = hashlib.sha256()
    for name, content in web_files().items():
        found.update(f"{name} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


def web_address(name: str) -> str:
    """The address of a file, relative to the page."""
    return f".{WEB_ROUTE}/{web_version()}/{name}"


def on_load(module: str, function: str, *events: str) -> str:
    """The script that starts a component of the page: `function` of a module gets its element and what Gradio gives it.

    `events` are the component's events for Gradio, which looks for their names in quotes.
    """
    assert module in web_files(), module
    listens = f" /* events: {', '.join(map(repr, events))} */" if events else ""
    return (
        f'import(new URL("{web_address(module)}", document.baseURI)).then('
        f"(module) => module.{function}(element, {{ trigger, props, server, watch }}), "
        f'() => (element.textContent = "{FAILED}"));{listens}'
    )


def web_route() -> Any:
    """The route that hands the files out; an address of another version is not found, and not kept."""
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def send(request: Request) -> Response:
        name = request.path_params["name"]
        content = web_files().get(name) if request.path_params["version"] == web_version() else None
        if content is None:
            return PlainTextResponse("There is no such file.", 404, {"Cache-Control": "no-store"})
        suffix = name[name.rindex(".") :]
        return Response(content, media_type=CONTENT_TYPES[suffix], headers={"Cache-Control": CACHE_CONTROL})

    return Route(WEB_ROUTE + "/{version}/{name:path}", send)


class EarlyLinks:
    """ASGI middleware: links to the page's files in its own HTML, so that they load beside Gradio's files.

    What a component gives as `head`, Gradio puts into the page when its own scripts have run, a second later.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] != "GET" or path.strip("/"):
            await self.app(scope, receive, send)
            return
        start: JsonObject | None = None

        async def send_with_links(message: Any) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                body = message.get("body", b"").replace(FIRST_SCRIPT, early_links().encode() + FIRST_SCRIPT, 1)
                message = {**message, "body": body}
                others = [h for h in start["headers"] if h[0].lower() != b"content-length"]
                length = [] if message.get("more_body") else [(b"content-length", str(len(body)).encode())]
                await send({**start, "headers": others + length})
                start = None
            await send(message)

        await self.app(scope, receive, send_with_links)


def early_links() -> str:
    """Links to what the first visit needs: the style and the modules of Explore, all at once instead of import by import."""
    needed = [name for name in web_files() if name.endswith(".js") and name.startswith(FIRST_MODULES)]
    modules = "".join(f'<link rel="modulepreload" href="{web_address(name)}">' for name in needed)
    return f'<link rel="preload" as="style" href="{web_address(STYLE_SHEET)}">{modules}'
