"""Live runs: the page asks once, and the answer is the run itself, state by state as it grows (server-sent events).

Gradio's own events take the interpreter for some milliseconds a state, for which the engine's thread has to wait; these take a
tenth of it (`tests/bench/bench_page.py`). Only where a run must be an event of Gradio's, for the GPU that a Space lends, does the
page use those.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from mi_explorer.errors import UserError
from mi_explorer.ui.access.limits import LimitError, Visitor, visitor_of
from mi_explorer.ui.explore.explore_handlers import NO_RESULT
from mi_explorer.ui.explore.run_plan import run_token
from mi_explorer.ui.explore.run_queue import RunQueue
from mi_explorer.ui.explore.steered_runs import NotYourRun
from mi_explorer.ui.gradio_patches import is_signed_in
from mi_explorer.untyped import Json, JsonMapping, JsonObject

RUN_ROUTE, STEER_ROUTE = "/mi/run", "/mi/steer"
TEXT_FIELDS = ("thought", "answer")
WAIT_REPORT_S = 1.0  # between two reports to a visitor who waits for a turn
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second: proxies pass events on at once
State = JsonObject  # see `Explore.run`


class StateDeltas:
    """States, each as what changed since the one before.

    A delta is a state whose `frames` hold the changed fields only; `more` holds by frame what was appended to its texts.
    """

    def __init__(self) -> None:
        self._sent: dict[str, JsonMapping] = {}

    def of(self, state: JsonMapping) -> State:
        """The delta that makes the state before into this one. Frames may come and change, not go."""
        frames: dict[str, JsonObject] = {}
        more: dict[str, dict[str, str]] = {}
        for name, frame in state["frames"].items():
            old = self._sent.get(name, {})
            changed = {k: v for k, v in frame.items() if k not in old or old[k] != v}
            grown = {
                k: changed.pop(k)[len(old[k]) :]
                for k in TEXT_FIELDS
                if k in changed and k in old and changed[k].startswith(old[k])
            }
            if changed:
                frames[name] = changed
            if grown:
                more[name] = grown
            self._sent[name] = frame
        return {**state, "frames": frames, "more": more}


class LiveRuns:
    """The routes of live runs. `begin(request, visitor)` gives a run's states, `stop(token)` ends it; `steer(request, visitor)` does
    something to it, or raises a `UserError`."""

    def __init__(
        self,
        begin: Callable[[Json, Visitor], Iterator[State]],
        stop: Callable[[Json], object],
        run_queue: RunQueue,
        steer: Callable[[JsonMapping, Visitor], None] | None = None,
    ) -> None:
        self.steer = steer
        self.begin, self.stop, self.run_queue = begin, stop, run_queue
        threads = run_queue.max_running + 4  # a run that is being ended may still hold one
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="live")

    def route(self) -> Route:
        """POST a run's request as JSON, with `tab` for the visitor's tab; the answer streams deltas, `data: {…}` each."""
        return Route(RUN_ROUTE, self._answer, methods=["POST"])

    def steer_route(self) -> Route:
        """POST what to do to a run, as JSON with the `tab` that asked for the run. 204, or a sentence that says why not."""
        return Route(STEER_ROUTE, self._steer, methods=["POST"])

    async def _asked(self, request: Request) -> Json:
        """The JSON of a request about a run, or the answer that refuses it."""
        if not is_signed_in(request):
            return PlainTextResponse("You are not signed in. Reload the page and sign in again.", 401)
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/json":  # a form of another origin cannot send this type
            return PlainTextResponse("A run is asked for in JSON.", 415)
        try:
            asked = json.loads(await request.body())
        except (ValueError, RecursionError):
            asked = None
        return asked if run_token(asked) else PlainTextResponse("This request is not a run.", 400)

    async def _steer(self, request: Request) -> Response:
        asked = await self._asked(request)
        if isinstance(asked, Response) or self.steer is None:
            return asked if isinstance(asked, Response) else PlainTextResponse("Nothing can be steered here.", 404)
        try:  # the tokenizer reads a hint, which takes its time
            await run_in_threadpool(self.steer, asked, visitor_of(request, asked.get("tab", "")))
        except NotYourRun as error:
            return PlainTextResponse(str(error), 403)
        except UserError as error:
            return PlainTextResponse(str(error), 400)
        return Response(status_code=204)

    async def _answer(self, request: Request) -> Response:
        asked = await self._asked(request)
        if isinstance(asked, Response):
            return asked
        events = self.run_events(asked, visitor_of(request, asked.get("tab", "")))
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)

    async def run_events(self, asked: Json, who: Visitor) -> AsyncIterator[bytes]:
        """The run as events: its wait, then its deltas. A visitor who leaves ends it."""
        token, deltas = run_token(asked), StateDeltas()
        states: Iterator[State] | None = None
        step: Future[State | None] | None = None
        try:
            with self.run_queue.join(who) as ticket:
                while not await ticket.called(WAIT_REPORT_S):
                    waits = self.run_queue.wait_of(ticket)
                    yield server_sent_event({"token": token, "state": "waiting", "waits": waits})
                states = self.begin(asked, who)
                while True:
                    step = self._threads.submit(next, states, None)
                    state = await asyncio.wrap_future(step)
                    if state is None:
                        states = None
                        return
                    yield server_sent_event(deltas.of(state))
        except LimitError as error:
            refused = {**NO_RESULT, "message": str(error), "frames": {}, "waits": None}
            yield server_sent_event({"token": token, "state": "failed", **refused})
        finally:
            if states is not None and step is not None:
                self._leave(token, states, step)

    def _leave(self, token: str, states: Iterator[State], step: "Future[State | None]") -> None:
        """End a run that nobody reads any more: its thread may be inside it, and closes it when it comes out."""
        self.stop(token)

        def close(_: object) -> None:
            with suppress(RuntimeError):  # at the end of the process no thread starts any more, nor is one needed
                self._threads.submit(states.close)  # type: ignore[attr-defined]  # a generator

        step.add_done_callback(close)


def server_sent_event(delta: JsonMapping) -> bytes:
    """One server-sent event. Plain ASCII: text of any kind comes through, and no line of it can look like the end of an event."""
    return b"data: " + json.dumps(delta, separators=(",", ":")).encode() + b"\n\n"
