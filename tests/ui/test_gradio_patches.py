"""Each patch of Gradio on the Gradio that is installed: what it reads and sets exists, and does what its reason says."""

import asyncio
import inspect
import time
from types import SimpleNamespace

import gradio as gr
import gradio.queueing
import gradio.routes
import pytest
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Queue
from gradio.routes import App
from starlette.responses import JSONResponse

from mi_explorer.ui import gradio_patches as patches
from mi_explorer.ui.access.limits import MAX_WAITING_REQUESTS, Limits
from mi_explorer.ui.api.registration import checked
from tests.servers import apart


@pytest.fixture
def app():
    with gr.Blocks() as app:
        gr.Button().click(lambda: None, None, None)
    return app.queue()


def queue_of(app):
    """The events that wait for the button's function."""
    app._queue.create_event_queue_for_fn(next(iter(app.fns.values())))
    (line,) = app._queue.event_queue_per_concurrency_id.values()
    return line


def test_an_idle_queue_sleeps(app):
    names = ("sleep_when_free", "progress_update_sleep_when_free", "ANALYTICS_MAX_EVENTS", "ANAYLTICS_CACHE_FREQUENCY")
    assert all(f"self.{name}" in inspect.getsource(Queue) for name in names)
    patches.quiet_queue(app)
    looks = []

    class Looked(type(app._queue)):
        def __len__(self):
            looks.append(time.monotonic())
            return 0

    app._queue.__class__ = Looked

    async def half_a_second():
        task = asyncio.create_task(app._queue.start_processing())
        await asyncio.sleep(0.5)
        task.cancel()

    apart(half_a_second())
    assert 2 <= len(looks) <= 15  # every 50 ms; unpatched it is hundreds


def test_events_are_not_tabulated(app, monkeypatch):
    tables = []
    monkeypatch.setattr(Queue, "_get_df", staticmethod(lambda records: tables.append(records)))
    patches.quiet_queue(app)
    app._queue.events_recorded = 5000
    app._queue.compute_analytics_summary([{"function": "x"}])
    assert tables == []


def test_nobody_fills_the_queue_alone(app):
    line, pushed = queue_of(app), []

    async def push(body, request, username):
        line.queue.append(SimpleNamespace(session_hash=body.session_hash, request=request))
        pushed.append(body.session_hash)
        return True, "id", "success"

    assert list(inspect.signature(app._queue.push).parameters) == ["body", "request", "username"]
    app._queue.push = push
    patches.limit_waiting_requests(app, Limits(address_runs=MAX_WAITING_REQUESTS + 6))

    def come(session, host):
        request = SimpleNamespace(client=SimpleNamespace(host=host))
        body = SimpleNamespace(session_hash=session)
        return apart(app._queue.push(body=body, request=request, username=None))

    accepted, message, _ = [come("ann", "10.0.0.1") for _ in range(MAX_WAITING_REQUESTS + 10)][-1]
    assert pushed.count("ann") == MAX_WAITING_REQUESTS and not accepted and "waiting" in message
    assert come("bob", "10.0.0.2")[0]
    assert [come(f"other{i}", "10.0.0.1")[0] for i in range(8)] == [True] * 6 + [False] * 2  # the address as a whole


def test_a_message_to_nobody_ends_nothing(app):
    event = SimpleNamespace(alive=True, session_hash="gone", _id="x")
    with pytest.raises(KeyError):
        app._queue.send_message(event, SimpleNamespace())
    patches.drop_messages_of_gone_sessions(app)
    app._queue.send_message(event, SimpleNamespace())
    here = app._queue.pending_messages_per_session["here"] = asyncio.Queue()
    event.session_hash = "here"
    app._queue.send_message(event, SimpleNamespace())
    assert here.qsize() == 1


def test_the_place_of_a_run_in_gradios_queue(app):
    assert "event_data" in PredictBodyInternal.model_fields
    line = queue_of(app)
    line.queue += [SimpleNamespace(data=None)]
    line.queue += [SimpleNamespace(data=SimpleNamespace(event_data={"token": t})) for t in "xy"]
    assert patches.place_in_queue(app, "y") == (2, 3)
    assert patches.place_in_queue(app, "w") is None


@pytest.mark.parametrize("payload", [{"a": 1}, None, [1], "x"])
def test_the_payload_of_an_event(payload):
    assert patches.event_payload(gr.EventData(None, payload)) == (payload if isinstance(payload, dict) else {})


def test_unanswered_events(app):
    """An event counts from when it joins the queue until its answer is read."""
    text = inspect.getsource(gradio.queueing.Queue.push), inspect.getsource(gradio.routes)
    assert all("pending_event_ids_session" in part for part in text)
    app._queue.pending_event_ids_session |= {"here": {"a", "b"}, "there": {"c"}}
    assert patches.unanswered_events(app) == 3


def test_what_the_password_check_reads_is_gradios_own():
    """A real sign-in is in tests/security."""
    text = inspect.getsource(App)
    for name in ('f"access-token-{app.cookie_id}"', 'f"access-token-unsecure-{app.cookie_id}"', "app.tokens[token] ="):
        assert name in text


def test_a_fault_of_ours_is_none_of_the_request():
    from mi_explorer.recipe import Recipe

    def fault(work):
        with pytest.raises(Exception) as caught:
            work()
        return patches.request_fault(caught.value)

    assert fault(lambda: Recipe("mini", lam="x")) is None
    assert fault(lambda: JSONResponse("\ud800"))[0] == 400
    assert fault(lambda: 1 / 0) is None


def test_a_value_that_gradio_cannot_read_is_one_line_of_the_log(monkeypatch, capsys, caplog):
    def fault(work):
        try:
            work()
        except Exception as error:
            if not isinstance(error, gr.Error) or error.print_exception:  # as Gradio has it at each place
                gradio.queueing.traceback.print_exc()

    for module in (gradio.queueing, gradio.routes):
        monkeypatch.setattr(module, "traceback", module.traceback)
        assert "print_exc()" in inspect.getsource(module) and "traceback.print_exception" not in inspect.getsource(
            module
        )
    patches.quiet_request_faults()

    def ours():
        checked("lam", {}, set, 1)  # a kind that no endpoint has

    fault(lambda: gr.Radio(["a"]).preprocess("x" * 5000))
    assert "Traceback" not in capsys.readouterr().err
    assert len(caplog.records) == 1 and len(caplog.records[0].getMessage()) < 400
    fault(lambda: ours())  # a fault of ours is shown
    assert "Traceback" in capsys.readouterr().err
