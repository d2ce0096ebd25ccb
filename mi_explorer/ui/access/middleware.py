"""The gate in front of the page: who may ask, how much, and which headers every answer carries. Plain ASGI, no buffering.

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
from typing import Any
from urllib.parse import urlsplit

from mi_explorer.ui.access.access_policy import ANYWHERE
from mi_explorer.ui.access.limits import LimitError, Limits, visitor_of
from mi_explorer.ui.access.settings import LOOPBACK, Settings

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
MAX_CALLS_PER_ADDRESS = 32  # calls of server functions (scores, preflights, …) of one network address at a time, where addresses are limited
DISCARD_BYTES, DISCARD_S = (
    16_000_000,
    2.0,
)  # bytes and seconds of a refused body that are still taken in, and thrown away

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


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

        async def out(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                ours = {name for name, _ in self.headers}
                message = {
                    **message,
                    "headers": [h for h in message.get("headers", []) if h[0].lower() not in ours] + self.headers,
                }
            await send(message)

        given = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        refused = self._refused(scope, given)
        if refused:
            await discard_body(receive)
            await send_text(out, *refused)
            return
        host = (scope.get("client") or ("",))[0]
        if (
            self.settings.auth
            and scope["method"] == "POST"
            and scope["path"].rstrip("/").endswith("/login")
            and self._guesses(host)
        ):
            await discard_body(receive)
            await send_text(out, 429, "Too many passwords came from your network address. Try again in a minute.")
            return
        counts = scope["path"].rstrip("/").endswith("/component_server") and self.settings.address_runs > 0
        if counts and self.calls[host] >= MAX_CALLS_PER_ADDRESS:
            await send_text(
                out, 429, "Many requests from your network address are being answered already. Try again in a moment."
            )
            return
        limit, seen = self._limit(scope), 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge
            return message

        self.calls[host] += counts
        try:
            await self.app(scope, counted, out)
        except _TooLarge:
            if not started:
                await discard_body(receive)
                await send_text(out, 413, f"This request is larger than {limit:,} bytes.")
        except Exception as error:
            if started:
                raise
            if type(error).__name__ == "FnIndexInferError":  # Gradio's own, for an endpoint that is none
                await send_text(out, 404, "There is no such endpoint.")
                return
            log.exception("A request failed")
            await send_text(out, 500, "Something broke on the server.")
        finally:
            self.calls[host] -= counts
            if not self.calls[host]:
                del self.calls[host]

    def _guesses(self, host: str) -> bool:
        """Note that a password comes from this address; whether it sends more of them than somebody who mistypes."""
        now = time.monotonic()
        if len(self.attempts) > 10_000:
            self.attempts = {h: sent for h, sent in self.attempts.items() if sent[-1] > now - PASSWORD_WINDOW_S}
        sent = self.attempts.setdefault(host, deque(maxlen=MAX_PASSWORDS))
        if len(sent) == MAX_PASSWORDS and sent[0] > now - PASSWORD_WINDOW_S:
            return True
        sent.append(now)
        return False

    def _refused(self, scope: Scope, given: dict[bytes, str]) -> tuple[int, str] | None:
        """Status and words of a request that is not let in; None lets it in."""
        if not self.settings.open and ANYWHERE not in self.settings.hosts:
            known = {*LOOPBACK, "[::1]", *self.settings.hosts}
            if host_name(given.get(b"host", "")) not in known:
                return (
                    421,
                    "This page answers on its loopback address only. Its operator can name other hosts with --hosts.",
                )
            origin, reads = given.get(b"origin"), scope["method"] in ("GET", "HEAD", "OPTIONS")
            if origin is not None and not reads and (urlsplit(origin).hostname or "") not in known:
                return 403, "A page of another origin may not use this one."
        limit = self._limit(scope)
        if limit == 0:
            return 403, "This page takes no files."
        length = given.get(b"content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return 400, "The length of the request is not a number."
        if int(length[:20]) > limit:
            return 413, f"This request is larger than {limit:,} bytes."
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


def limit_waiting_requests(queue: Any, limits: Limits) -> None:
    """Let Gradio's queue take only so many waiting requests of one visitor, so that nobody can fill it alone.

    `queue` is the queue of a `gr.Blocks`: its `push` is asked first whether this visitor has too many there.
    """
    push = queue.push

    @functools.wraps(push)
    async def guarded(body: Any, request: Any, username: str | None) -> Any:
        there = [event for line in queue.event_queue_per_concurrency_id.values() for event in line.queue]
        try:
            limits.waiting(
                visitor_of(request, body.session_hash),
                [visitor_of(event.request, event.session_hash) for event in there],
            )
        except LimitError as error:
            return False, str(error), "error"
        return await push(body=body, request=request, username=username)

    queue.push = guarded


def launch_options(app: Any, settings: Settings, limits: Limits) -> dict[str, Any]:
    """What `launch` needs for these settings; also puts the limits on the queue of `app` (a `gr.Blocks` after `.queue()`)."""
    from starlette.middleware import Middleware

    limit_waiting_requests(app._queue, limits)
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
