"""The page's scripts and styles as static files: one script for the first visit, ES modules for the other tabs, one sheet of style.

Every address holds a hash of all of them, so that a browser keeps a file for good and asks for a new one when it changed.
Addresses are relative to the page: a proxy may serve it under any host and prefix.
"""

import hashlib
from functools import cache

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mi_explorer.paths import ASSETS
from mi_explorer.ui.script_bundle import bundled, importing_bundle, modules_of
from mi_explorer.untyped import Json, JsonObject, LibraryObject

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
FIRST_MODULE = "explore/explore.js"
BUNDLE = "explore/first.js"  # that module and all it imports; in a folder, so that `import("../…")` in it finds its way
FIRST_SCRIPT = b"<script>"  # of Gradio's page
FAILED = "The page could not load its scripts. Reload it."


@cache
def web_files() -> dict[str, bytes]:
    """What is served, by name below `assets/web`: the bundle, every module beside it, and the sheet of style. Read once."""
    sources = {p.relative_to(WEB).as_posix(): p.read_text(encoding="utf-8") for p in sorted(WEB.rglob("*.js"))}
    first = modules_of(FIRST_MODULE, sources)
    others = {name: importing_bundle(name, text, BUNDLE, first) for name, text in sources.items() if name not in first}
    scripts = {BUNDLE: bundled(first, sources), **others}
    style = b"\n".join((WEB / f"{name}.css").read_bytes() for name in STYLES)
    return {**{name: text.encode() for name, text in scripts.items()}, STYLE_SHEET: style}


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


def web_route() -> Route:
    """The route that hands the files out; an address of another version is not found, and not kept."""

    def send(request: Request) -> Response:
        name = request.path_params["name"]
        content = web_files().get(name) if request.path_params["version"] == web_version() else None
        if content is None:
            return PlainTextResponse("There is no such file.", 404, {"Cache-Control": "no-store"})
        suffix = name[name.rindex(".") :]
        return Response(content, media_type=CONTENT_TYPES[suffix], headers={"Cache-Control": CACHE_CONTROL})

    return Route(WEB_ROUTE + "/{version}/{name:path}", send)


class EarlyLinks:
    """ASGI middleware: links to the page's files in its own HTML, so that they load beside Gradio's files; and that HTML compressed.

    What a component gives as `head`, Gradio puts into the page when its own scripts have run, a second later. Gradio compresses what
    has a file name's ending, which the page itself has not: a quarter of a megabyte, ten times what it is compressed.
    """

    def __init__(self, app: LibraryObject) -> None:
        self.app = app
        self.page = GZipMiddleware(self.send_page, compresslevel=6)

    async def __call__(self, scope: LibraryObject, receive: LibraryObject, send: LibraryObject) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] != "GET" or path.strip("/"):
            await self.app(scope, receive, send)
            return
        await self.page(scope, receive, send)

    async def send_page(self, scope: LibraryObject, receive: LibraryObject, send: LibraryObject) -> None:
        """The page with the links, not compressed."""
        start: JsonObject | None = None

        async def send_with_links(message: Json) -> None:
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
    """Links to what the first visit needs: the style and the bundle of Explore."""
    style = f'<link rel="preload" as="style" href="{web_address(STYLE_SHEET)}">'
    return f'{style}<link rel="modulepreload" href="{web_address(BUNDLE)}">'
