"""Waiting is told as it is: the place in the line, the seconds at the pace of the last minute, and stopping while in line."""

import threading
import time

from mi_explorer.ui.explore import run_queue
from mi_explorer.ui.explore.explore_handlers import Explore
from tests.ui.fake import FakeBench


def request(token, **view):
    return {"token": token * 16, "kind": "here", "view": {"q": "How many?", "gold": "7", "lam": 1, **view}}


def test_the_wait_for_a_turn():
    assert run_queue.turn_wait(1, 3, 0.5) == {"what": "turn", "place": 2, "of": 3, "seconds": 4}
    assert run_queue.turn_wait(0, 3, 0) == {"what": "turn", "place": 1, "of": 3, "seconds": None}


def test_throughput_needs_a_few_ends_of_the_last_minute(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(run_queue.time, "monotonic", lambda: now[0])
    throughput = run_queue.Throughput()
    for seconds, want in ((0, 0), (10, 0), (10, 3 / 20), (20, 4 / 40), (55, 0)):
        now[0] += seconds
        throughput.ended()
        assert throughput.per_second() == want


def test_a_run_that_waits_for_a_slot_says_its_place_and_then_runs():
    bench = FakeBench(rate=100, slots=1)
    explore, out = Explore(bench), {}

    def visitor(name):
        out[name] = list(explore.run(request(name)))

    threads = [threading.Thread(target=visitor, args=name, daemon=True) for name in "abc"]
    for t in threads:
        t.start()
        time.sleep(0.15)
    [t.join(30) for t in threads]
    told = {name: [s["waits"] for s in states] for name, states in out.items()}
    assert all(w is None for w in told["a"])
    assert {"what": "slot", "place": 1, "of": 1, "rows": 1, "ahead": 0, "seconds": 7.0} in told["b"]
    assert {w["place"] for w in told["c"] if w} == {1, 2}
    for states in out.values():
        assert states[-1]["state"] == "done" and states[-1]["waits"] is None
    waits = [(s["waits"] is None, s["frames"]["1"]["state"]) for s in out["c"]]
    assert (False, "queued") in waits and (False, "running") not in waits
    assert explore.runs.throughput.per_second() > 0


def test_a_run_stopped_while_it_waits_in_line_ends_when_its_turn_comes():
    explore = Explore(FakeBench(rate=50))
    assert explore.runs.stop("a" * 16) is False
    began = time.monotonic()
    last = list(explore.run(request("a")))[-1]
    assert last["state"] == "stopped" and last["frames"]["1"]["tokens"] <= 1 and time.monotonic() - began < 2
    assert list(explore.run(request("b")))[-1]["state"] == "done"
