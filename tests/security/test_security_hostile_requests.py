"""Hostile bodies, views and calls on a real server end in words, and the page lives."""

import json

import pytest

from tests.security.asking import ask
from tests.servers import ROOT
from tests.visitors import QueuedRun, Run

DEEP = b'{"data": [], "fn_index": 0, "session_hash": "x", "event_data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", DEEP, b'{"data": NaN}', b'{"session_hash": {}}', b'{"data": 1e999}'],
)
def test_bodies_that_are_none_are_refused_and_the_page_lives(plain, body):
    for path in (
        "/mi/run",
        "/gradio_api/queue/join",
        "/gradio_api/component_server",
        "/gradio_api/call/strip",
        "/gradio_api/cancel",
    ):
        status, answer, _ = plain.ask("POST", path, body, **{"Content-Type": "application/json"})
        assert status != 200 or body == DEEP
        assert b"Traceback" not in answer and str(ROOT).encode() not in answer
    assert plain.ask("GET", "/config")[0] == 200


@pytest.mark.parametrize(
    "request_",
    [None, [], "x", 1, {}, {"token": "a" * 16}, {"token": {"a": 1}, "view": {}}, {"token": "a" * 16, "view": []}, {"token": "../../etc", "view": {}},
     ask(lam="NaN"), ask(lam=1e308), ask(cap=10**30), ask(seed="0x10"), ask(q="x" * 30_000), ask(q=["a"]), ask(layers="9" * 4000), ask(modules=[{}]),
     ask(params={"density": "1e400"}), ask(method="__import__('os')"), ask(template="/etc/passwd"), ask(pins=[0] * 1000), ask(pair="/etc|/etc"),
     {**ask(), "kept": [{"lam": "x"}, None, 1, {"lam": 1e300}]}],
)  # fmt: skip
@pytest.mark.parametrize("way", [Run, QueuedRun])
def test_a_hostile_run_ends_in_words_or_runs_as_if_it_were_none(plain, request_, way):
    run = way(plain, "hostile", request_)
    if run.status == 400 and way is Run:
        assert run.words() == b"This request is not a run." and not (
            isinstance(request_, dict) and request_.get("token") == "a" * 16
        )
        return
    assert run.status == 200
    *_, last = run.states()
    assert (
        last["state"] == "failed" and last["message"] and "Traceback" not in last["message"] or last["state"] == "done"
    )
    assert "Something broke" not in last["message"]


@pytest.mark.parametrize(
    "data", [None, [], {}, {"token": "x", "id": []}, "x" * 100_000, {"token": {}, "id": {}}, [[[]]], 1e300]
)
@pytest.mark.parametrize("name", ["stop", "alive", "draw", "score", "judge"])
def test_hostile_calls_of_server_functions_end_in_words(plain, name, data):
    status, answer = plain.server(name, data)
    assert status == 200 or b"Traceback" not in answer
    if status == 200 and isinstance(answer, dict):
        assert "Something broke" not in json.dumps(answer)
