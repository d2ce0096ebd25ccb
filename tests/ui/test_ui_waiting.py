"""Waiting is told as it is: the place in the line, the seconds at the pace of the last minute, and stopping while in line."""

import threading
import time
from types import SimpleNamespace

from fake import FakeBench

from mi_explorer.ui.explore import run_queue
from mi_explorer.ui.explore.explore_handlers import Explore


def request(token, **view):
    return {"token": token * 16, "kind": "here", "view": {"q": "How many?", "gold": "7", "lam": 1, **view}}


def line(*tokens):
    """A queue as Gradio holds it."""
    events = [SimpleNamespace(data=SimpleNamespace(event_data={"token": t})) for t in tokens]
    other = SimpleNamespace(queue=[SimpleNamespace(data=None)])
    return SimpleNamespace(event_queue_per_concurrency_id={"a": other, "b": SimpleNamespace(queue=events)})


def test_the_place_in_the_line_and_its_seconds():
    queue = line("x", "y", "z")
    assert run_queue.turn_in_gradio_queue(queue, "y", 0.5) == {"what": "turn", "place": 2, "of": 3, "seconds": 4}
    assert run_queue.turn_in_gradio_queue(queue, "x", 0) == {"what": "turn", "place": 1, "of": 3, "seconds": None}
    assert (
        run_queue.turn_in_gradio_queue(queue, "w", 1) is None
        and run_queue.turn_in_gradio_queue(SimpleNamespace(), "w", 1) is None
    )


def test_the_line_is_gradios_own():
    """The names that `for_turn` reads exist in the Gradio that is installed."""
    import gradio as gr
    from gradio.data_classes import PredictBodyInternal

    with gr.Blocks() as app:
        gr.Button().click(lambda: None, None, None)
    app.queue()
    assert (
        isinstance(app._queue.event_queue_per_concurrency_id, dict) and "event_data" in PredictBodyInternal.model_fields
    )


def test_a_pace_needs_a_few_ends_of_the_last_minute(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(run_queue.time, "monotonic", lambda: now[0])
    pace = run_queue.Throughput()
    for seconds, want in ((0, 0), (10, 0), (10, 3 / 20), (20, 4 / 40), (55, 0)):
        now[0] += seconds
        pace.ended()
        assert pace.per_second() == want


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
    assert explore.pace.per_second() > 0


def test_a_run_stopped_while_it_waits_in_line_ends_when_its_turn_comes():
    explore = Explore(FakeBench(rate=50))
    assert explore.stop("a" * 16) is False
    began = time.monotonic()
    last = list(explore.run(request("a")))[-1]
    assert last["state"] == "stopped" and last["frames"]["1"]["tokens"] <= 1 and time.monotonic() - began < 2
    assert list(explore.run(request("b")))[-1]["state"] == "done"
