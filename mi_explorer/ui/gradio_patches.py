"""Everything that reaches inside Gradio (6.31): each function with its reason, each held by tests/ui/test_gradio_patches.py.

Elsewhere the page uses Gradio's public interface only, but for its import (`gradio_import.py`). Look here first when Gradio is upgraded.
"""

import functools
import logging
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import gradio.queueing
import gradio.routes
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mi_explorer.ui.access.limits import LimitError, Limits, visitor_of
from mi_explorer.untyped import JsonObject, LibraryObject

log = logging.getLogger(__name__)
OURS = Path(__file__).resolve().parents[1]
PASSED_THROUGH = ("middleware.py", "static_files.py", "gradio_patches.py")  # files of ours on the way to Gradio
QUEUE_POLL_S = 0.05
PROGRESS_POLL_S = 1.0
NEVER = 1_000_000_000  # events between two summaries of the dashboard


def quiet_queue(app: gr.Blocks) -> None:
    """Let an idle queue cost nothing. Call after `app.queue()`.

    Gradio looks into its queue every millisecond and for progress bars every ten, and at the end of each event tabulates the last
    10,000 for a dashboard that is off here (2 to 9 ms). The engine's thread waits for the interpreter each time.
    """
    queue = app._queue
    queue.sleep_when_free = QUEUE_POLL_S
    queue.progress_update_sleep_when_free = PROGRESS_POLL_S
    queue.ANALYTICS_MAX_EVENTS = 1
    queue.ANAYLTICS_CACHE_FREQUENCY = NEVER  # Gradio's spelling


def drop_messages_of_gone_sessions(app: gr.Blocks) -> None:
    """Let a message to a session that is not there be dropped. Gradio's loop would raise, and with it end the queue for everybody.

    A session is gone when its tab was closed, when 2,000 newer ones came, and at once where a request names it "".
    """
    queue = app._queue
    send = queue.send_message

    def send_if_there(event: LibraryObject, event_message: LibraryObject) -> None:
        if event.session_hash in queue.pending_messages_per_session:
            send(event, event_message)

    queue.send_message = send_if_there  # type: ignore[method-assign]


def limit_waiting_requests(app: gr.Blocks, limits: Limits) -> None:
    """Let the queue take only so many waiting requests of one visitor, so that nobody fills it alone. Gradio limits only all together."""
    queue = app._queue
    push = queue.push

    @functools.wraps(push)
    async def limited_push(body: LibraryObject, request: LibraryObject, username: str | None) -> LibraryObject:
        waiting = [event for line in queue.event_queue_per_concurrency_id.values() for event in line.queue]
        others = [visitor_of(event.request, event.session_hash) for event in waiting]
        try:
            limits.check_waiting(visitor_of(request, body.session_hash), others)
        except LimitError as error:
            return False, str(error), "error"
        return await push(body=body, request=request, username=username)

    queue.push = limited_push  # type: ignore[method-assign]


def place_in_queue(app: gr.Blocks, token: str) -> tuple[int, int] | None:
    """How many events stand before the run of this token in Gradio's queue, and how many wait; None if it does not wait there.

    For pages whose GPU is lent, where a run is an event of Gradio's; Gradio tells a place only in a progress display of its own.
    """
    for line in list(app._queue.event_queue_per_concurrency_id.values()):
        waiting = list(line.queue)
        for place, event in enumerate(waiting):
            sent = getattr(event.data, "event_data", None)
            if isinstance(sent, dict) and sent.get("token") == token:
                return place, len(waiting)
    return None


def unanswered_events(app: gr.Blocks) -> int:
    """How many events of Gradio's wait, run, or have an answer that is not read yet. `Blocks.close` would cut them off."""
    return sum(len(ids) for ids in list(app._queue.pending_event_ids_session.values()))


def event_payload(event: gr.EventData) -> JsonObject:
    """What a script sent with `trigger(name, payload)`. Gradio gives it only attribute by attribute."""
    payload = event._data
    return payload if isinstance(payload, dict) else {}


def is_signed_in(request: Request) -> bool:
    """Whether the page asks for no password, or has this visitor's (Gradio checks its own routes only, by its cookie)."""
    app = request.app
    return app.auth is None or any(
        request.cookies.get(f"access-token{kind}-{app.cookie_id}") in app.tokens for kind in ("", "-unsecure")
    )


def quiet_request_faults() -> None:
    """Let a value that Gradio cannot read for a component be one line of the log. It prints a traceback with the whole value."""
    for module in (gradio.queueing, gradio.routes):
        module.traceback = SimpleNamespace(**{**vars(traceback), "print_exc": _print_fault})  # type: ignore[attr-defined]


def _print_fault() -> None:
    error = sys.exc_info()[1]
    if not isinstance(error, Exception) or request_fault(error) is None:
        traceback.print_exc()


def request_fault(error: Exception) -> tuple[int, str] | None:
    """Status and sentence where Gradio stumbled over a request before it called code of ours; None for a fault of ours.

    Gradio reads some parts of a request unchecked (a component's id, a file name, a host, lone surrogates) and would answer 500, or
    break an answer off that has begun (a stream of an unknown event).
    """
    if type(error).__name__ == "FnIndexInferError":
        return 404, "There is no such endpoint."
    if isinstance(error.__cause__, HTTPException):  # raised when its answer had begun
        return error.__cause__.status_code, str(error.__cause__.detail)
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [path for path in files if OURS in path.parents and path.name not in PASSED_THROUGH]
    if not ours and any({"gradio", "starlette"} & set(path.parts) for path in files):
        log.warning("A request could not be read: %s", repr(error)[:200])
        return 400, "This request cannot be read."
    return None
