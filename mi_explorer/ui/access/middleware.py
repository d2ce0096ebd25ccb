"""In front of the page: who may ask, how much, and which headers every answer carries. Plain ASGI, no buffering.

On the loopback address only a loopback name (or one that the operator adds) is answered, and a foreign origin may not post:
a page on the web cannot use a visitor's browser to reach this one. Bodies have a limit before anything reads them.
"""

import asyncio
import functools
import hmac
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from urllib.parse import urlsplit

from mi_explorer.ui.access.access_policy import ANYWHERE
from mi_explorer.ui.access.limits import Limits
from mi_explorer.ui.access.settings import LOOPBACK, Settings
from mi_explorer.ui.gradio_patches import limit_waiting_requests, request_fault
from mi_explorer.untyped import Json, JsonObject, LibraryObject

log = logging.getLogger(__name__)
MAX_BODY_BYTES = 4_000_000  # bytes of a request that is no upload: a question, a recipe, a run's state
FORM_OVERHEAD_BYTES = 65_536  # what a form puts around a file
# Nothing is fetched from, or sent to, another host, whatever gets into the page. Gradio's own scripts are inline and evaluate templates.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; media-src 'self' data: blob:; worker-src 'self' blob:; connect-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'"
)
MAX_PASSWORDS, PASSWORD_WINDOW_S = 20, 60.0  # passwords that one network address may send, and the seconds in which
# calls of server functions (scores, preflights, …) at a time, of one network address, where addresses are limited
MAX_CALLS_PER_ADDRESS = 32
DISCARD_BYTES, DISCARD_S = 16_000_000, 2.0  # of a refused body that are still taken in, and thrown away

Scope = MutableMapping[str, Json]
Receive = Callable[[], Awaitable[MutableMapping[str, Json]]]
Send = Callable[[MutableMapping[str, Json]], Awaitable[None]]


class _TooLarge(Exception):
    """More came than the headers said or the limit allows."""


class AccessMiddleware:
    """ASGI middleware; `settings` say what is allowed."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.calls: Counter[str] = Counter()
        self.attempts: dict[str, deque[float]] = {}  # when each address sent a password, the last minute's
        self.headers = [(name.lower().encode(), value.encode()) for name, value in security_headers(settings).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def out(message: MutableMapping[str, Json]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                ours = {name for name, _ in self.headers}
                message = {
                    **message,
                    "headers": [h for h in message.get("headers", []) if h[0].lower() not in ours] + self.headers,
                }
            await send(message)

        address = (scope.get("client") or ("",))[0]
        calls_server = self._counts_call(scope)
        if refusal := self._refusal(scope, address):
            await discard_body(receive)
            await send_text(out, *refusal)
            return
        limit, seen = self._limit(scope), 0

        async def counted() -> MutableMapping[str, Json]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge
            return message

        self.calls[address] += calls_server
        try:
            await self.app(scope, counted, out)
        except _TooLarge:
            if not started:
                await discard_body(receive)
                await send_text(out, 413, f"This request is larger than {limit:,} bytes.")
        except Exception as error:
            fault = request_fault(error)
            if started and fault is None:
                raise
            if started:
                await send({"type": "http.response.body", "body": b""})
                return
            if fault is None:
                log.exception("A request failed")
            await send_text(out, *(fault or (500, "Something broke on the server.")))
        finally:
            self.calls[address] -= calls_server
            if not self.calls[address]:
                del self.calls[address]

    def _counts_call(self, scope: Scope) -> bool:
        """Whether this request calls a server function on a page where addresses are limited."""
        return self.settings.address_runs > 0 and scope["path"].rstrip("/").endswith("/component_server")

    def _too_many_passwords(self, address: str) -> bool:
        """Note that a password comes from this address; whether it sends more of them than somebody who mistypes."""
        now = time.monotonic()
        if len(self.attempts) > 10_000:
            self.attempts = {h: sent for h, sent in self.attempts.items() if sent[-1] > now - PASSWORD_WINDOW_S}
        sent = self.attempts.setdefault(address, deque(maxlen=MAX_PASSWORDS))
        if len(sent) == MAX_PASSWORDS and sent[0] > now - PASSWORD_WINDOW_S:
            return True
        sent.append(now)
        return False

    def _refusal(self, scope: Scope, address: str) -> tuple[int, str] | None:
        """Status and sentence of a request that is not let in; None lets it in."""
        given = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        if not self.settings.open and ANYWHERE not in self.settings.hosts:
            known = {*LOOPBACK, "[::1]", *self.settings.hosts}
            if host_name(given.get(b"host", "")) not in known:
                return (
                    421,
                    "This page answers on its loopback address only. Its operator can name other hosts with --hosts.",
                )
            origin, reads = given.get(b"origin"), scope["method"] in ("GET", "HEAD", "OPTIONS")
            if origin is not None and not reads and origin_host(origin) not in known:
                return 403, "A page of another origin may not use this one."
        limit = self._limit(scope)
        if limit == 0:
            return 403, "This page takes no files."
        length = given.get(b"content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return 400, "The length of the request is not a number."
        if int(length[:20]) > limit:
            return 413, f"This request is larger than {limit:,} bytes."
        login = scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/login")
        if self.settings.auth and login and self._too_many_passwords(address):
            return 429, "Too many passwords came from your network address. Try again in a minute."
        if self._counts_call(scope) and self.calls[address] >= MAX_CALLS_PER_ADDRESS:
            return 429, "Many requests from your network address are being answered already. Try again in a moment."
        return None

    def _limit(self, scope: Scope) -> int:
        """Bytes that this request may have."""
        if "/upload" not in scope["path"] or scope["method"] != "POST":
            return MAX_BODY_BYTES
        return self.settings.upload * 1_000_000 + FORM_OVERHEAD_BYTES if self.settings.upload else 0


def host_name(host: str) -> str:
    """The host name of a Host header, without its port."""
    host = host.strip().lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def origin_host(origin: str) -> str:
    """The host name of an Origin header; "" where it names none."""
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def security_headers(settings: Settings) -> dict[str, str]:
    """What every answer says to browsers: no type guessing, nothing to other hosts (the address holds the question), who may frame."""
    frames = {"self": "'self'", "none": "'none'"}.get(settings.frames, settings.frames)
    made = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Content-Security-Policy": f"{CONTENT_POLICY}; frame-ancestors {frames}",
    }
    if settings.frames in ("self", "none"):  # the older header knows no list of origins
        made["X-Frame-Options"] = "SAMEORIGIN" if settings.frames == "self" else "DENY"
    return made


async def discard_body(receive: Receive) -> None:
    """Take in what the client is still sending, within bounds: closing earlier resets the connection, and the answer is never seen."""
    left, end = DISCARD_BYTES, time.monotonic() + DISCARD_S
    while left > 0:
        try:
            message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
        except TimeoutError:
            return
        left -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


async def send_text(send: Send, status: int, words: str) -> None:
    """A short plain answer."""
    body = words.encode()
    start = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


def launch_options(app: LibraryObject, settings: Settings, limits: Limits) -> JsonObject:
    """What `launch` needs for these settings; also puts the limits on the queue of `app` (a `gr.Blocks` after `.queue()`)."""
    from starlette.middleware import Middleware

    limit_waiting_requests(app, limits)
    users = dict(settings.auth)
    return {
        "app_kwargs": {"middleware": [Middleware(AccessMiddleware, settings=settings)]},
        "max_file_size": max(settings.upload, 1) * 1_000_000,
        "auth": functools.partial(password_matches, users) if users else None,
        "auth_message": "This page asks for a name and a password; its operator gives them." if users else None,
        "enable_monitoring": False,
    }


def password_matches(users: dict[str, str], name: str, password: str) -> bool:
    """Whether this is a user's password, in a time that does not tell how much of it was right."""
    expected = users.get(name)
    right = hmac.compare_digest((expected or "").encode(), password.encode())
    return right and expected is not None
