"""Probes as the page asks for them, over HTTP: points against thought budgets and the library's own, refusals as sentences."""

import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mi_explorer.generation.probe_points import ProbeOptions
from mi_explorer.generation.probes import ProbeTarget, run_probe
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.ui.access.limits import Limits, Visitor
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.live import RUN_ROUTE, LiveRuns
from mi_explorer.ui.explore.run_queue import RunQueue
from mi_explorer.ui.explore.view import DEFAULTS
from tests.visitors import joined

QUESTION, GOLD = "What is 14 + 3 * 6 - 9?", "23"
RUN = "r" * 16
GREEDY = Decoding(temperature=0)


def client_of(explore):
    """A visitor of the route of live runs."""
    live = LiveRuns(explore.run, explore.runs.stop, RunQueue(4, 4, explore.limits, lambda: 0.0))
    app = Starlette(routes=[live.route()])
    app.auth, app.tokens, app.cookie_id = None, {}, "c"
    return TestClient(app)


def asked(client, **more):
    """The states of a request of the page."""
    body = {"token": "p" * 16, "kind": "probe", "view": {"q": QUESTION, "gold": GOLD}, "tab": "t", **more}
    answer = client.post(RUN_ROUTE, json=body)
    assert answer.status_code == 200
    states, state = [], {"frames": {}}
    for event in answer.text.split("\n\n")[:-1]:
        state = joined(state, json.loads(event.removeprefix("data: ")))
        states.append(state)
    return states


def explored(bench, decoding):
    """Explore with traces at λ 0 and 1, finished and on the way."""
    made = Explore(bench)
    requests = [GenerationRequest(f"{lam:g}", QUESTION, Recipe(lam=lam), decoding, GOLD) for lam in (0.0, 1.0)]
    for snapshots in bench.stream(requests):
        for snapshot in snapshots:
            made.traces.keep(RUN, snapshot)
    return made


@pytest.fixture(scope="module")
def explore(bench):
    return explored(bench, GREEDY)


@pytest.fixture
def client(explore):
    return client_of(explore)


def test_points_come_one_by_one_and_are_what_a_thought_budget_answers(client, bench):
    states = asked(client, source={"run": RUN, "id": "1"}, points=5)
    counts = [len(state["probe"]["points"]) for state in states]
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == 5 == len(states[-1]["probe"]["wanted"])
    assert [s["state"] for s in states] == ["running"] * (len(states) - 1) + ["done"]
    for point in states[-1]["probe"]["points"]:
        decoding = Decoding(temperature=0, think_budget=point["token"])
        *_, (budget,) = bench.stream([GenerationRequest("b", QUESTION, Recipe(lam=1.0), decoding, GOLD)])
        assert (budget.trace.answer, budget.verdict == "correct") == (point["answer"], point["right"])


def test_measures_are_the_librarys_at_another_lambda_and_with_continuations(client, explore, bench):
    snapshot = explore.traces.get(RUN, "1")
    target = ProbeTarget.of(snapshot, QUESTION, GOLD)
    own = run_probe(bench.generator, target, ProbeOptions(points=4, lam=0.5, free=2)).json()
    found = asked(client, source={"run": RUN, "id": "1"}, points=4, lam=0.5, free=2)[-1]["probe"]
    places = [point.pop("place") for point in found["points"]]
    assert {key: found[key] for key in own} == own
    thought = snapshot.trace.thought.strip()
    for point, place in zip(found["points"], places, strict=True):
        written = snapshot.trace.text[: snapshot.trace.ends[point["token"] - 1]]
        assert place["tokens"] == point["token"] and written.rstrip().endswith(thought[: place["at"]].rstrip()[-20:])
    assert found["lam"] == 0.5 and found["first"] == snapshot.trace.first_correct


def test_without_a_known_answer_there_are_answers_and_no_verdicts(client):
    view = {"q": QUESTION, "gold": ""}
    found = asked(client, source={"run": RUN, "id": "1"}, points=3, view=view)[-1]
    scored = asked(client, source={"run": RUN, "id": "1"}, points=3)[-1]["probe"]
    assert found["state"] == "done" and not found["probe"]["scored"] and found["probe"]["sufficient"] is None
    assert [p["right"] for p in found["probe"]["points"]] == [None] * 3
    for key in ("token", "answer", "confidence"):
        assert [p[key] for p in found["probe"]["points"]] == [p[key] for p in scored["points"]]
    assert found["probe"]["switches"] == scored["switches"]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"source": {"run": RUN, "id": "0.3"}}, "Run it again"),
        ({"source": "nothing"}, "Run it again"),
        ({"source": {"run": ["x"], "id": {}}}, "Run it again"),
        ({"view": {"q": "What is 2 + 2?", "gold": "4"}}, "another question"),
        ({"view": {"q": "", "gold": "4"}}, "prompt is empty"),
        ({"source": {"run": RUN, "id": "0"}}, "no thought"),
        ({"points": 0}, "points"),
        ({"points": 1e9}, "points"),
        ({"points": "<script>"}, "points"),
        ({"points": 2.5}, "whole"),
        ({"lam": 9}, "λ"),
        ({"lam": {"a": 1}}, "λ"),
        ({"free": 100}, "continuations"),
        ({"free": 8, "points": 40}, "320"),
        ({"free": 2, "view": {"q": QUESTION}}, "no known answer"),
        ({"view": [1]}, "prompt is empty"),
    ],
)
def test_what_cannot_be_probed_is_one_sentence(client, more, word):
    states = asked(client, **{"source": {"run": RUN, "id": "1"}, "points": 3, **more})
    assert [s["state"] for s in states] == ["failed"] and word in states[0]["message"] and states[0]["probe"] is None


def test_limits_of_the_page_hold_for_probes(explore, bench):
    source = {"run": RUN, "id": "1"}
    full = Explore(bench, limits=Limits(runs=1))
    full.traces.keep(RUN, explore.traces.get(RUN, "1"))
    with full.limits.run(Visitor("t")):
        assert "going on already" in asked(client_of(full), source=source)[-1]["message"]
    short = Explore(bench, limits=Limits(tokens=10))
    short.traces.keep(RUN, explore.traces.get(RUN, "1"))
    assert "at most 10" in asked(client_of(short), source=source, free=1)[-1]["message"]


def test_a_stopped_probe_keeps_its_points(explore):
    states = explore.run(
        {
            "token": "q" * 16,
            "kind": "probe",
            "view": {**DEFAULTS, "q": QUESTION, "gold": GOLD},
            "source": {"run": RUN, "id": "1"},
            "points": 12,
            "free": 8,
        }
    )
    assert next(states)["state"] == "running"
    assert explore.runs.stop("q" * 16)
    *_, last = states
    assert last["state"] == "stopped" and len(last["probe"]["points"]) <= 12 and not explore.runs.is_busy()
