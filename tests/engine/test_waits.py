"""Those who wait for a slot are told where they stand: by the order in which the queue really gives slots, and at its pace."""

import threading
import time
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.engine import Engine
from mi_explorer.engine.events import INTERACTIVE, Finished, Request
from mi_explorer.engine.queue_positions import QueuePositions
from mi_explorer.engine.request_queue import RequestQueue
from mi_explorer.engine.stream import EventStream, QueuePosition
from mi_explorer.generation import generate
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.recipe import Recipe
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run
from tests.fakes import scripted_bench


def waiting(stream, order, key="k"):
    request = SimpleNamespace(recipe=Recipe(), prompt=(1, 2))
    return SimpleNamespace(
        stream=stream,
        order=order,
        key=key,
        priority=INTERACTIVE,
        request=request,
        rowwise_key="p",
        foldable=True,
        slots=[0],
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=25),
    st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 6)),
    st.randoms(),
)
def test_the_order_is_the_one_in_which_slots_are_given(streams, busy, random):
    queue = RequestQueue()
    for order, stream in enumerate(streams):
        queue.add(waiting(stream, order, random.choice("xyz")))
    told = queue.order(INTERACTIVE, busy)
    assert {s: n for s, n, _ in told} == {s: streams.count(s) for s in streams}
    busy, given_to = dict(busy), []
    while (found := queue.pop(INTERACTIVE, lambda r: True, busy)) is not None:
        given_to.append(found.stream)
        busy[found.stream] = busy.get(found.stream, 0) + 1
    first = {s: given_to.index(s) for s in streams}
    assert {s: ahead for s, _, ahead in told} == first
    assert [s for s, _, _ in told] == sorted(first, key=first.__getitem__)


def test_who_waits_for_a_slot_is_told_and_who_does_not_is_not(labs):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=1, max_context=128, costs=CHEAP_ROWS) as engine:
        step = engine.step
        engine.step = lambda: (
            time.sleep(0.02),
            step(),
        )  # no row ends while this thread looks, however busy the machine is
        slots, many = engine.status().max_slots, 6
        streams = [engine.submit([Request("x", prompt(6, n), lab.recipe(0.3), greedy(100))]) for n in range(many)]
        end, told = time.monotonic() + 60, []
        while len(told) < many - slots and time.monotonic() < end:
            time.sleep(0.002)
            told = [s.waits for s in streams if s.waits is not None]
        assert [w.place for w in told] == [1, 2, 3, 4][: many - slots] and {w.of for w in told} == {many - slots}
        assert [w.ahead for w in told] == [0, 1, 2, 3][: many - slots] and {w.rows for w in told} == {1}
        assert {w.seconds for w in told} == {None}  # nothing has ended yet
        for stream in streams:
            stream.cancel()
        while not all(s.done for s in streams) and time.monotonic() < end:
            for stream in streams:
                stream.drain()
            time.sleep(0.01)
        engine.submit([Request("y", prompt(6), lab.recipe(0.3), greedy(3))]).get(30)
        time.sleep(0.3)
        run(engine, [Request("z", prompt(6), lab.recipe(0.3), greedy(3))])
        assert [s.waits for s in streams] == [None] * many


def test_the_rate_is_that_of_the_requests_that_ended():
    queue, stream = RequestQueue(), EventStream(lambda *_: None)
    queue.add(waiting(stream, 0))
    now = time.monotonic()
    for ends, seconds in (((100, 90), None), ((20, 10, 5, 0.0), 5.0), ((200, 30, 20, 10), 10.0)):
        positions = QueuePositions()
        positions.ends.extend(now - t for t in ends)
        positions.report(queue, [])
        assert (stream.waits.place, stream.waits.of, stream.waits.seconds) == (1, 1, seconds)


class Late:
    """A stream on which nothing happens for a while, then the only request ends."""

    waits = QueuePosition(2, 3, 1, 4, 9.0)

    def __init__(self):
        self.end = time.monotonic() + 0.4

    def get(self, timeout):
        time.sleep(min(timeout, max(0.0, self.end - time.monotonic())))
        if time.monotonic() < self.end:
            return None
        self.waits = None
        return Finished("a", "stop", 0)

    def drain(self, within=0.0):
        return []

    def cancel(self, ids=None):
        pass


def test_a_snapshot_that_waits_says_so_and_a_quiet_run_gives_signs_of_life():
    with scripted_bench(SimpleNamespace(submit=lambda requests: Late(), close=lambda: None)) as bench:
        ticks = list(bench.stream([GenerationRequest("a", "Go", Recipe())], hz=100, heartbeat=0.1))
    assert ticks[0][0].waits == Late.waits and ticks[0][0].state == "queued"
    assert (
        ticks[1] == ()
        and 2 <= sum(t == () for t in ticks) <= 4
        and ticks[-1][0].state == "done"
        and ticks[-1][0].waits is None
    )


def test_gathering_ends_with_the_last_request():
    stream = EventStream(lambda *_: None)
    stream.expect(["a", "b"])
    ends = [Finished(name, "stop", 0) for name in "ab"]
    for delay, end in zip((0.05, 0.15), ends):
        threading.Timer(delay, stream.put, [[end]]).start()
    began = time.monotonic()
    assert stream.drain(30) == ends and 0.1 < time.monotonic() - began < 10
    stream.expect(["c"])
    assert stream.drain(0.05) == [] and not stream.done  # open again: it waited, and nothing came


class Ended:
    """A stream of one answer that looks how often it is asked for more."""

    def __init__(self):
        self.events, self.asked = [Finished("a", "stop", 0)], 0

    def get(self, timeout):
        self.asked += 1
        return self.events.pop() if self.events else None

    def drain(self, within=0.0):
        return []

    def cancel(self, ids=None):
        pass


def test_a_slow_verdict_is_waited_for_at_rest(monkeypatch):
    monkeypatch.setattr(generate, "verdict_of", lambda *_: time.sleep(0.5) or "wrong")
    stream = Ended()
    with scripted_bench(SimpleNamespace(submit=lambda requests: stream, close=lambda: None)) as bench:
        (*_, last) = bench.stream([GenerationRequest("a", "Go", Recipe(), gold="7")])
    assert last[0].verdict == "wrong" and stream.asked <= 20
