"""Live runs over HTTP: states are sent as what changed, as they are made; who waits is told; who leaves ends the run."""

import asyncio
import json
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from mi_explorer.ui.access.limits import Limits, Visitor
from mi_explorer.ui.explore.live import RUN_ROUTE, LiveRuns, StateDeltas, server_sent_event
from mi_explorer.ui.explore.run_queue import RunQueue
from tests.servers import apart
from tests.visitors import joined

TOKEN = "a" * 16
JSON = [(b"content-type", b"application/json; charset=utf-8")]
texts = st.text(st.sampled_from('ab\n \u2028é日👩\u200d🔬\ud800"\\'), max_size=6)
marks = st.none() | st.lists(st.integers(0, 2), max_size=2)
frames = st.fixed_dictionaries({"tokens": st.integers(0, 3), "mark": marks, "thought": texts, "answer": texts})


@given(st.lists(st.dictionaries(st.sampled_from(["0", "0.5", "1"]), st.tuples(frames, st.booleans())), max_size=6))
def test_pieces_put_together_are_the_states(steps):
    """Texts grow in some steps and are others in the next, as a text is whose end was not certain."""
    pieces, there, state, sent = StateDeltas(), {}, {"frames": {}}, b""
    for heartbeat, step in enumerate(steps):
        for name, (frame, grows) in step.items():
            old = there.get(name, {"thought": "", "answer": ""})
            there[name] = {**frame, **{part: old[part] + frame[part] for part in ("thought", "answer") if grows}}
        whole = {"token": TOKEN, "heartbeat": heartbeat, "frames": dict(there)}
        sent = server_sent_event(pieces.of(whole))
        assert sent.isascii() and sent.count(b"\n") == 2 and sent.endswith(b"\n\n")
        state = joined(state, json.loads(sent[6:]))
        assert state == whole


def test_what_did_not_change_is_not_sent_again():
    pieces = StateDeltas()
    frame = {"tokens": 4000, "thought": "word " * 4000, "answer": ""}
    pieces.of({"frames": {"0": frame, "1": frame}})
    grown = {**frame, "tokens": 4001, "thought": frame["thought"] + "more"}
    piece = pieces.of({"frames": {"0": grown, "1": frame}})
    assert piece == {"frames": {"0": {"tokens": 4001}}, "more": {"0": {"thought": "more"}}}


class Runs:
    """Runs that say a word whenever `more` is set, until they are stopped or have said three."""

    def __init__(self):
        self.more, self.stopped, self.closed, self.asked = (
            threading.Semaphore(0),
            threading.Event(),
            threading.Event(),
            [],
        )

    def begin(self, request, who):
        self.asked.append((request, who))
        try:
            for n in range(3):
                while not self.more.acquire(timeout=0.01):
                    if self.stopped.is_set():
                        return
                yield {
                    "token": TOKEN,
                    "state": "running",
                    "frames": {"1": {"tokens": n, "thought": "x" * n, "answer": ""}},
                }
            yield {"token": TOKEN, "state": "done", "frames": {"1": {"tokens": 3, "thought": "xxx", "answer": ""}}}
        finally:
            self.closed.set()

    def stop(self, token):
        assert token == TOKEN
        self.stopped.set()


async def asked(runs, line, body, headers=JSON, leave=None, auth=None, cookie=b""):
    """What the route sends, message by message as it comes; the visitor hangs up after `leave` of them."""
    app = Starlette(routes=[LiveRuns(runs.begin, runs.stop, line).route()])
    app.auth, app.tokens, app.cookie_id = auth, {"secret": "ann"}, "c"
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": RUN_ROUTE,
        "raw_path": RUN_ROUTE.encode(),
             "scheme": "http", "query_string": b"", "root_path": "", "headers": [*headers, (b"cookie", cookie)], "client": ("10.0.0.1", 1),
             "server": ("x", 1)}  # fmt: skip
    got, gone, first = [], asyncio.Event(), True

    async def receive():
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        got.append(message)
        if len(got) == leave:
            gone.set()
        if message["type"] == "http.response.body" and message.get("body"):
            runs.more.release()  # the next word is made only once this one was sent: nothing is held back

    runs.more.release()
    await asyncio.wait_for(app(scope, receive, send), 10)
    return got[0]["status"], dict(got[0]["headers"]), b"".join(m.get("body", b"") for m in got[1:])


def words(body):
    state = {"frames": {}}
    for line in body.decode().split("\n\n")[:-1]:
        yield (state := joined(state, json.loads(line.removeprefix("data: "))))


REQUEST = json.dumps({"token": TOKEN, "tab": "t" * 100}).encode()


def test_states_are_sent_as_they_are_made():
    runs = Runs()
    status, headers, body = apart(asked(runs, RunQueue(1, 1, Limits(), lambda: 0.0), REQUEST))
    assert (
        status == 200
        and headers[b"content-type"].startswith(b"text/event-stream")
        and headers[b"x-accel-buffering"] == b"no"
    )
    assert [(s["state"], s["frames"]["1"]["thought"]) for s in words(body)] == [
        ("running", ""),
        ("running", "x"),
        ("running", "xx"),
        ("done", "xxx"),
    ]
    assert runs.asked[0][1] == Visitor("t" * 64, "10.0.0.1")
    assert not runs.stopped.is_set(), "what has ended is not stopped: its token would be remembered as unwanted"


def test_who_hangs_up_ends_the_run_and_frees_the_place():
    runs, line = Runs(), RunQueue(1, 1, Limits(), lambda: 0.0)

    async def visit():
        await asked(runs, line, REQUEST, leave=2)
        with line.join(Visitor("next")) as place:
            return await place.called(0)

    assert apart(visit())
    assert runs.stopped.wait(2) and runs.closed.wait(2)


def test_who_waits_is_told_and_then_served():
    runs, line = Runs(), RunQueue(1, 1, Limits(), lambda: 0.0)

    async def visit():
        held = line.join(Visitor("before"))
        held.__enter__()
        asyncio.get_running_loop().call_later(0.25, held.__exit__, None, None, None)
        return await asked(runs, line, REQUEST)

    import mi_explorer.ui.explore.live as live

    before, live.WAIT_REPORT_S = live.WAIT_REPORT_S, 0.1
    try:
        states = list(words(apart(visit())[2]))
    finally:
        live.WAIT_REPORT_S = before
    assert states[0] == {
        "token": TOKEN,
        "state": "waiting",
        "waits": {"what": "turn", "place": 1, "of": 1, "seconds": None},
        "frames": {},
    }
    assert [s["state"] for s in states[-2:]] == ["running", "done"]


def test_where_the_line_is_full_the_run_fails_in_words():
    async def visit():
        line = RunQueue(0, 0, Limits(), lambda: 0.0)
        return await asked(Runs(), line, REQUEST)

    (state,) = words(apart(visit())[2])
    assert state["state"] == "failed" and "Try again" in state["message"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [(REQUEST, [(b"content-type", b"text/plain")], 415), (REQUEST, [], 415), (b"{", JSON, 400), (b"[" * 100_000, JSON, 400),
     (b"null", JSON, 400), (b"\xff", JSON, 400), (b'{"token": "../x"}', JSON, 400)],
)  # fmt: skip
def test_what_is_no_request_is_said_to_be_none(body, headers, status):
    runs = Runs()
    got, _, told = apart(asked(runs, RunQueue(1, 1, Limits(), lambda: 0.0), body, headers))
    assert got == status and told and not runs.asked


@pytest.mark.parametrize(
    ("cookie", "status"),
    [
        (b"", 401),
        (b"access-token-c=guess", 401),
        (b"access-token-c=secret", 200),
        (b"access-token-unsecure-c=secret", 200),
    ],
)
def test_only_who_is_signed_in_may_run(cookie, status):
    runs = Runs()
    assert (
        apart(asked(runs, RunQueue(1, 1, Limits(), lambda: 0.0), REQUEST, auth=SimpleNamespace(), cookie=cookie))[0]
        == status
    )
    assert bool(runs.asked) is (status == 200)


def test_a_run_that_is_being_written_is_closed_after_its_word():
    """A visitor who hangs up while the run's thread is inside it: closing then would fail, and later nobody would."""
    inside, closed = threading.Event(), threading.Event()

    def begin(request, who):
        try:
            inside.set()
            time.sleep(0.2)
            yield {"token": TOKEN, "state": "running", "frames": {}}
            yield {"token": TOKEN, "state": "done", "frames": {}}
        finally:
            closed.set()

    live = LiveRuns(begin, lambda token: None, RunQueue(1, 1, Limits(), lambda: 0.0))

    async def visit():
        events = live.run_events({"token": TOKEN}, Visitor())
        reading = asyncio.create_task(anext(events))
        while not inside.is_set():
            await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    apart(visit())
    assert closed.wait(2)
