"""Steering of a run from the page: who may do what, what is recorded, and that a replay gives the same tokens. The embedded pair."""

import json
import threading
import time

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mi_explorer.generation.schedule import parse_schedule
from mi_explorer.generation.traces import ThinkTags
from mi_explorer.ui.access.limits import Limits, Visitor
from mi_explorer.ui.explore import steered_runs
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.live import RUN_ROUTE, STEER_ROUTE, LiveRuns
from mi_explorer.ui.explore.run_plan import STEERED_ID
from mi_explorer.ui.explore.run_queue import RunQueue
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from tests.visitors import joined

ME = Visitor("me", "10.0.0.1")
TOKENS = iter(f"{n:016d}" for n in range(10_000))
VIEW = {"q": "Find two numbers with sum 17 and product 60.", "gold": "12", "lam": 1}


class Steered:
    """A steered run in a thread of its own."""

    def __init__(self, bench, pace=60, who=ME, **view):
        self.explore, self.token, self.who, self.states = Explore(bench), next(TOKENS), who, []
        request = {"token": self.token, "kind": "steer", "view": {**VIEW, **view}, "pace": pace}
        self.thread = threading.Thread(target=lambda: self.states.extend(self.read(request)))
        self.seen = []
        self.thread.start()

    def read(self, request):
        for state in self.explore.run(request, self.who):
            self.seen.append(state)
            yield state

    @property
    def frame(self):
        return self.seen[-1]["frames"].get(STEERED_ID, {"tokens": 0, "state": "queued"}) if self.seen else {"tokens": 0}

    def until(self, tokens):
        end = time.monotonic() + 20
        while self.frame["tokens"] < tokens:
            assert time.monotonic() < end and self.thread.is_alive()
            time.sleep(0.005)

    def act(self, what, who=ME, **more):
        self.explore.steered.act({"token": self.token, "id": STEERED_ID, "what": what, **more}, who)

    def end(self):
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.seen[-1]


def lambdas(frame):
    """(token, λ): which λ wrote from which token on, by the steps of a frame."""
    return [(0, frame["lam"]), *((s["at"], s["lam"]) for s in frame["steps"] if s["lam"] is not None)]


def test_what_is_done_takes_effect_at_the_next_token_and_a_replay_gives_the_same(bench):
    run = Steered(bench)
    run.until(20)
    run.act("lambda", lam=0.8)
    run.until(28)
    run.act("pause")
    run.act("hint", text="\nHmm, <b>look</b> at 5 and 12.\n")
    run.act("stop")
    run.act("resume")
    last = run.end()
    frame = last["frames"][STEERED_ID]
    assert [s["cause"] for s in frame["steps"]] == ["lam", "hint", "stop"] and frame["closed"]
    (_, first), (at, second) = lambdas(frame)
    assert (first, second) == (1, 0.8) and 20 <= at < 28
    hint = frame["steps"][1]
    assert frame["thought"][hint["from"] : hint["to"]].strip() == "Hmm, <b>look</b> at 5 and 12."
    assert frame["verdict"] in ("correct", "wrong") and last["replayed"] is None

    trace = run.explore.traces.get(run.token, STEERED_ID)
    fresh = {"lam": 1, "schedule": frame["schedule"], "expected": frame["check"]}
    again = Steered(bench, pace=0, **fresh)
    ended = again.end()
    same = again.explore.traces.get(again.token, STEERED_ID)
    assert same.ids == trace.ids and same.schedule == trace.schedule == parse_schedule(frame["schedule"])
    assert ended["replayed"] == {"tokens": len(trace.ids), "equal": True}
    other = Steered(bench, pace=0, **{**fresh, "seed": 1, "t": 1.5})
    assert other.end()["replayed"]["equal"] is False


def test_a_run_that_was_stopped_is_replayed_up_to_there(bench):
    run = Steered(bench)
    run.until(30)
    run.explore.runs.stop(run.token)
    frame = run.end()["frames"][STEERED_ID]
    assert frame["state"] == "cancelled"
    ended = Steered(bench, pace=0, expected=frame["check"]).end()
    assert ended["replayed"] == {"tokens": frame["tokens"], "equal": True}
    assert ended["frames"][STEERED_ID]["tokens"] > frame["tokens"]


def test_the_pace_is_kept(bench):
    began = time.monotonic()
    frame = Steered(bench, pace=100, cap=40).end()["frames"][STEERED_ID]
    assert frame["tokens"] == 40 and time.monotonic() - began > 0.38
    plain = Steered(bench, pace=0, cap=40).end()["frames"][STEERED_ID]
    assert plain["check"] == frame["check"]


def test_a_thought_of_the_strip_is_closed_by_its_visitor(bench, monkeypatch):
    """Every pane of a strip has the button, so all its responses can be stopped by their frames' names."""
    explore, token = Explore(bench), next(TOKENS)
    states = explore.run({"token": token, "kind": "strip", "view": {**VIEW, "lam": 0.5, "cap": 2000}}, ME)
    next(state for state in states if state.get("frames", {}).get("1", {}).get("think"))  # its thought is open
    explore.steered.act({"token": token, "id": "1", "what": "stop"}, ME)
    *_, last = states
    (step,) = last["frames"]["1"]["steps"]
    assert step["cause"] == "stop" and step["tokens"] == 1 and last["frames"]["1"]["think"] >= step["at"] + 1
    assert last["frames"]["0"]["steps"] == [] and last["frames"]["0"]["schedule"] == ""


@pytest.mark.parametrize(
    ("what", "more", "words"),
    [
        ("lambda", {"lam": 7}, "between -1 and 2"),
        ("lambda", {"lam": "nan"}, "between -1 and 2"),
        ("lambda", {"lam": None}, "must be a number"),
        ("lambda", {"lam": True}, "must be a number"),
        ("lambda", {"lam": [0.5]}, "must be a number"),
        ("hint", {"text": ""}, "empty"),
        ("hint", {"text": " \n"}, "empty"),
        ("hint", {"text": "x" * 10_000_000}, "4,000"),
        ("hint", {"text": "half \ud800"}, "half a character"),
        ("hint", {"text": 5}, "text"),
        ("hint", {}, "text"),
        ("close", {}, "stop"),
        (None, {}, "action"),
        ("stop", {"id": "9"}, "cannot be steered"),
        ("stop", {"token": "f" * 16}, "has ended"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_run_goes_on(bench, what, more, words):
    run = Steered(bench, pace=1000)
    run.until(5)
    with pytest.raises(Exception) as told:
        run.explore.steered.act({"token": run.token, "id": STEERED_ID, "what": what, **more}, ME)
    assert type(told.value).__module__.startswith("mi_explorer") and words in str(told.value)
    assert run.end()["frames"][STEERED_ID]["steps"] == []


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"schedule": "9:0.5,3:close"}, "out of order"),
        ({"schedule": "9:"}, "token:λ"),
        ({"schedule": "9:hint=" + "x" * 5000}, "4,000"),
        ({"schedule": "9:hint="}, "one of three"),
        ({"schedule": "9:7"}, "between -1 and 2"),
        ({"schedule": ",".join(["1:0.5"] * 1001)}, "1,000"),
        ({"schedule": 5}, "text"),
        ({"schedule": "<script>"}, "token:λ"),
        ({"expected": "many"}, "expected"),
        ({"budget": 0}, "budget"),
        ({"budget": "soon"}, "budget"),
        ({"answer_lam": 9}, "answer"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_a_sentence(bench, view, words):
    state = Steered(bench, pace=0, **view).end()
    assert state["state"] == "failed" and words in state["message"] and state["frames"] == {}


def test_a_budget_and_a_lambda_of_the_answer_come_from_the_view(bench):
    frame = Steered(bench, pace=0, budget=30, answer_lam=0).end()["frames"][STEERED_ID]
    assert [(s["cause"], s["at"], s["lam"]) for s in frame["steps"]] == [("budget", 30, None), ("answer", 31, 0.0)]
    assert frame["think"] == 31 and frame["schedule"] == ""


def test_without_think_tags_nothing_is_stopped_and_it_is_said(bench, monkeypatch):
    monkeypatch.setattr(bench.prompts, "tags_known", False)
    monkeypatch.setattr(bench.generator, "tags", ThinkTags("<think>", "</think>"))
    run = Steered(bench, pace=200)
    run.until(5)
    with pytest.raises(Exception, match="think tags"):
        run.act("stop")
    assert run.end()["state"] == "done"
    assert "think tags" in Steered(bench, schedule="5:close").end()["message"]
    assert "think tags" in Steered(bench, budget=20).end()["message"]


def test_a_pause_ends_after_its_time_and_gives_its_slot_away(bench, monkeypatch):
    monkeypatch.setattr(steered_runs, "MAX_PAUSE_S", 0.3)
    monkeypatch.setattr("mi_explorer.ui.explore.explore_handlers.HEARTBEAT_S", 0.1)
    run = Steered(bench)
    run.until(5)
    run.act("pause")
    time.sleep(0.2)
    assert run.frame["state"] == "paused" and bench.engine.status().slots == 0
    last = run.end()
    assert last["state"] == "stopped" and "paused" in last["message"]
    assert last["frames"][STEERED_ID]["state"] == "cancelled" and last["frames"][STEERED_ID]["tokens"] >= 5


def test_a_paced_run_ends_after_its_time(bench, monkeypatch):
    monkeypatch.setattr(steered_runs, "MAX_PACED_S", 0.5)
    last = Steered(bench, pace=2).end()
    assert last["state"] == "stopped" and "steered run" in last["message"]


def test_a_run_takes_so_many_changes_and_no_more(bench, monkeypatch):
    monkeypatch.setattr(steered_runs, "MAX_STEPS", 3)
    run = Steered(bench, pace=200)
    run.until(5)
    for lam in (0.9, 0.8, 0.7):
        run.act("lambda", lam=lam)
    with pytest.raises(Exception, match="3 changes"):
        run.act("lambda", lam=0.6)
    assert run.end()["state"] == "done"


# -- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(bench):
    """The two routes on one page, and a way to post to them."""
    explore = Explore(bench)
    pairs = PagePairs(OpenPair(explore, {}), lambda pair, report: None, "fixed")
    live = LiveRuns(pairs.run, pairs.stop, RunQueue(4, 4, Limits(), lambda: 0.0), pairs.steer)
    app = Starlette(routes=[live.route(), live.steer_route()])
    app.auth = None

    def post(route, body, **more):
        with TestClient(app, raise_server_exceptions=True) as client:
            return client.post(route, json=body, **more) if "content" not in body else client.post(route, **body)

    return explore, post


def states_of(answer):
    state, out = {"frames": {}}, []
    for line in answer.text.split("\n\n")[:-1]:
        state = joined(state, json.loads(line.removeprefix("data: ")))
        out.append(state)
    return out


def test_over_http_only_who_started_a_run_steers_it(site):
    explore, post = site
    token, got = next(TOKENS), {}
    request = {"token": token, "tab": "mine", "kind": "steer", "view": VIEW, "pace": 100}
    thread = threading.Thread(target=lambda: got.update(run=post(RUN_ROUTE, request)))
    thread.start()
    steer = {"token": token, "id": STEERED_ID, "what": "lambda", "lam": 0.7}
    end = time.monotonic() + 20
    while (mine := post(STEER_ROUTE, {**steer, "tab": "mine"})).status_code != 204:
        assert time.monotonic() < end and mine.status_code == 400
        time.sleep(0.01)
    for tab in ("another", "", None):
        told = post(STEER_ROUTE, {**steer, "lam": 0.1, "tab": tab})
        assert told.status_code == 403 and "another visitor" in told.text
    assert post(STEER_ROUTE, {**steer, "what": "hint", "text": "x" * 5000, "tab": "mine"}).status_code == 400
    thread.join(30)
    states = states_of(got["run"])
    frame = states[-1]["frames"][STEERED_ID]
    assert [lam for _, lam in lambdas(frame)] == [1, 0.7] and states[-1]["state"] == "done"
    replay = {**request, "token": next(TOKENS), "pace": 0}
    replay["view"] = {**VIEW, "schedule": frame["schedule"], "expected": frame["check"]}
    assert states_of(post(RUN_ROUTE, replay))[-1]["replayed"] == {"tokens": frame["tokens"], "equal": True}
    assert post(STEER_ROUTE, {**steer, "tab": "mine"}).status_code == 400, "it has ended"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[" * 50_000, "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
        ({"token": "../x"}, 400),
        ({"token": "a" * 16}, 400),
        ({"token": "a" * 16, "tab": {"a": 1}, "what": {"b": []}, "id": [1], "lam": "x"}, 400),
    ],
)
def test_what_is_no_steering_is_refused_in_words(site, body, status):
    answer = site[1](STEER_ROUTE, body)
    assert answer.status_code == status and answer.text
