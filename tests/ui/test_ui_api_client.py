"""The endpoints on a real server: `gradio_client` and plain HTTP."""

import json
import time
import urllib.request

import pytest
from gradio.queueing import Queue
from gradio_client import Client
from gradio_client.exceptions import AppError

from mi_explorer.ui.page import build
from mi_explorer.ui.server import launch
from tests.servers import free_port
from tests.ui.api_site import LONG, Site

NAMES = {"pairs", "questions", "recipe", "route", "generate", "strip", "sweep", "sweep_status", "sweep_stop"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(site, client) of a running server."""
    site = Site(tmp_path_factory.mktemp("home"), delay=0.002)
    port = free_port()
    app = build(site.pairs, None, site.jobs)
    launch(app, "127.0.0.1", port, quiet=True)
    yield site, Client(f"http://127.0.0.1:{port}", verbose=False)
    app.close()
    site.close()


def test_no_table_of_events_is_made_that_nobody_reads(served, monkeypatch):
    tables = []
    monkeypatch.setattr(Queue, "_get_df", staticmethod(lambda records: tables.append(len(records))))
    assert served[1].predict("What is 3 + 4?", api_name="/generate")["state"] == "done"
    assert (
        served[1].predict("What is 3 + 5?", api_name="/generate")["state"] == "done"
    )  # what ends the first one has run by now
    assert not tables


def test_the_api_page_lists_these_endpoints_and_no_other(served):
    _, client = served
    found = client.view_api(return_format="dict")
    assert set(found["named_endpoints"]) == {f"/{name}" for name in NAMES} and not found["unnamed_endpoints"]
    types = {p["parameter_name"]: p["python_type"]["type"] for p in found["named_endpoints"]["/generate"]["parameters"]}
    assert (types["prompt"], types["lam"], types["top_k"], types["params"]) == (
        "str",
        "float",
        "int",
        "None | dict(str, float)",
    )
    gives = found["named_endpoints"]["/strip"]["returns"][0]["python_type"]["type"]
    assert gives.startswith("list[dict(lam: float, state: str") and "verdict: None | str" in gives
    assert all(p["parameter_has_default"] for p in found["named_endpoints"]["/sweep"]["parameters"])


def test_a_client_iterates_and_predicts(served):
    _, client = served
    states = list(client.submit("slow", lam=0.9, gold="7", api_name="/generate"))
    assert len(states) > 2 and all(LONG.startswith(s["text"]) for s in states)
    assert [len(s["text"]) for s in states] == sorted(len(s["text"]) for s in states)
    assert (states[-1]["state"], states[-1]["verdict"], states[-1]["text"]) == ("done", "correct", LONG)
    assert client.predict("slow", lam=0.9, gold="7", api_name="/generate")["text"] == LONG
    frames = client.predict("What is 3 + 4?", lams="0,1", api_name="/strip")
    assert [f["lam"] for f in frames] == [0, 1] and {f["state"] for f in frames} == {"done"}
    assert client.predict(api_name="/pairs")[0]["name"] == "mini"


def test_a_client_sees_the_message(served):
    _, client = served
    with pytest.raises(AppError, match="prompt is empty"):
        client.predict("", api_name="/generate")
    with pytest.raises(AppError, match="Did you mean 'linear'"):
        client.predict("Go", method="linaer", api_name="/strip")


def test_two_clients_get_their_own_traces(served):
    _, client = served
    jobs = [client.submit(f"What is {n} + {n}?", lam=n / 10, seed=n, api_name="/generate") for n in range(8)]
    alone = [client.predict(f"What is {n} + {n}?", lam=n / 10, seed=n, api_name="/generate") for n in range(8)]
    assert [job.result(60)["text"] for job in jobs] == [a["text"] for a in alone]


def test_a_cancelled_job_leaves_the_engine(served):
    site, client = served
    before = len(site.engine.streams)
    job = client.submit("slow", lam=1, api_name="/generate")
    next(iter(job))
    job.cancel()
    for _ in range(100):
        if site.engine.streams[before].all:
            break
        time.sleep(0.02)
    assert site.engine.streams[before].all


def test_plain_http_works(served):
    _, client = served
    base = client.src.rstrip("/") + "/gradio_api/call/questions"
    request = urllib.request.Request(
        base, json.dumps({"data": [1, 0, "stories"]}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{base}/{event}", timeout=30) as stream:
        lines = stream.read().decode().splitlines()
    assert lines[0] == "event: complete" and json.loads(lines[1].removeprefix("data: "))[0][0]["gold"] == "7"
