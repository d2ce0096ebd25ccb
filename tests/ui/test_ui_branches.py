"""Branches as the page asks for them, over HTTP: exact against fresh requests with the same prefix, from a link too; refusals."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.generation.schedule import ScheduleStep
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.ui.access.limits import Limits
from mi_explorer.ui.explore.branch_path import BranchPath, LinkedProbe, parse_branch, parse_probe
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.token_check import token_check
from mi_explorer.ui.explore.view import view_of_dict, view_of_query, view_query
from tests.ui.test_ui_probes import GOLD, QUESTION, RUN, asked, client_of, explored

DECODING = Decoding(cap=160, seed=3)
VIEW = {"q": QUESTION, "gold": GOLD, "cap": 160, "seed": 3}


@pytest.fixture(scope="module")
def explore(bench):
    return explored(bench, DECODING)


@pytest.fixture
def client(explore):
    return client_of(explore)


def branched(client, token="b" * 16, **more):
    """The states of a branch."""
    return asked(client, token=token, kind="branch", **{"view": VIEW, **more})


@pytest.mark.parametrize(("at", "lam"), [(0, 0.4), (40, 0.3), (60, 1.0)])
def test_a_branch_is_a_fresh_request_with_that_prefix(client, explore, bench, at, lam):
    whole = explore.traces.get(RUN, "1")
    states = branched(client, source={"run": RUN, "id": "1"}, at=at, lam=lam)
    assert states[-1]["state"] == "done" and states[-1]["frames"]["branch"]["lam"] == lam
    found = explore.traces.get("b" * 16, "branch")
    recipe = Recipe(lam=lam, template="thinking")
    *_, (fresh,) = bench.stream([GenerationRequest("x", QUESTION, recipe, DECODING, GOLD, given=whole.ids[:at])], hz=50)
    assert found.ids == fresh.ids and found.ids[:at] == whole.ids[:at]
    if lam == 1.0:
        assert found.ids == whole.ids  # its own λ: the same noise draws the same tokens
    else:
        assert found.ids != whole.ids
    shared = states[-1]["frames"]["branch"].get("shared", {"tokens": 0, "at": 0})
    assert shared["tokens"] == at
    assert whole.trace.text[: whole.trace.ends[at - 1] if at else 0].endswith(
        found.trace.thought.strip()[: shared["at"]]
    )


def test_a_branch_of_a_branch_comes_again_from_its_path_alone(client, explore):
    branched(client, source={"run": RUN, "id": "1"}, at=30, lam=0.5)
    branched(client, "c" * 16, source={"run": "b" * 16, "id": "branch"}, at=45, lam=0.9)
    second = explore.traces.get("c" * 16, "branch")
    path = f"1~30:0.5,45:0.9~{token_check(second.ids)}"
    again = Explore(explore.bench)
    states = branched(client_of(again), "d" * 16, path=path)
    assert states[-1]["replayed"] == {"tokens": len(second.ids), "equal": True}
    frame = states[-1]["frames"]["branch"]
    assert (frame["tokens"], frame["answer"]) == (second.trace.tokens, second.trace.answer_text.strip())
    held = again.traces.get(
        "d" * 16, "branch"
    )  # held as the branch that it repeats: probes and branches of it are the same
    assert (held.recipe, held.given, held.lambdas) == (second.recipe, second.given, second.lambdas)
    assert frame["shared"]["tokens"] == 45 and [s["shared"]["tokens"] for s in _running(states)] == sorted(
        min(45, s["tokens"]) for s in _running(states)
    )


def _running(states):
    return [frame for s in states if (frame := s["frames"].get("branch"))]


def test_a_branch_can_be_probed(client, explore):
    branched(client, source={"run": RUN, "id": "1"}, at=40, lam=1.0)
    own = asked(client, source={"run": "b" * 16, "id": "branch"}, points=3, view=VIEW)[-1]["probe"]
    whole = asked(client, source={"run": RUN, "id": "1"}, points=3, view=VIEW)[-1]["probe"]
    assert own == whole and len(own["points"]) == 3


def test_tokens_for_a_click_make_up_the_text(explore):
    trace = explore.traces.get(RUN, "1").trace
    tokens = explore.pieces({"token": RUN, "id": "1"})["tokens"]
    assert "".join(text for text, _ in tokens) == trace.text and len(tokens) == trace.tokens
    assert "".join(text for text, part in tokens if part == "thought").strip() == trace.thought.strip()
    assert "error" in explore.pieces({"token": RUN, "id": "7"}) and "error" in explore.pieces("x")


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"at": 10**6}, "no token"),
        ({"at": -1}, "go on from"),
        ({"at": 1.5}, "whole"),
        ({"at": None}, "go on from"),
        ({"lam": "much"}, "λ"),
        ({"lam": 99}, "λ"),
        ({"source": {"run": RUN, "id": "0.7"}}, "Run it again"),
        ({"view": {**VIEW, "q": "Another?"}}, "another question"),
        ({"path": "1"}, "branch is written"),
        ({"path": "1~"}, "branch is written"),
        ({"path": "1~40:close"}, "branch is written"),
        ({"path": "x~40:0.5"}, "λ"),
        ({"path": "1~40:0.5,20:0.1"}, "out of order"),
        ({"path": "1~500:0.5"}, "token limit"),
        ({"path": "1~40:9"}, "λ"),
        ({"path": "1~40:0.5~" + "9" * 3000}, "branch is written"),
        ({"path": {"a": ["<script>"]}}, "branch is written"),
        ({"path": "1~40:0.5", "view": {**VIEW, "q": " "}}, "empty"),
        ({"path": "1~40:0.5", "view": {**VIEW, "layers": "0-99"}}, "layer"),
    ],
)
def test_what_cannot_be_branched_is_one_sentence(client, more, word):
    states = branched(client, **{"source": {"run": RUN, "id": "1"}, "at": 20, "lam": 0.5, **more})
    assert [s["state"] for s in states] == ["failed"] and word in states[0]["message"]


def test_the_pages_limit_of_tokens_holds_for_branches(explore):
    short = client_of(Explore(explore.bench, limits=Limits(tokens=100)))
    assert "at most 100" in branched(short, path="1~40:0.5")[0]["message"]


lams = st.floats(-1, 2).map(lambda x: round(x, 4))
steps = st.builds(ScheduleStep, st.integers(0, 900), lam=lams) | st.builds(
    ScheduleStep, st.integers(0, 900), hint=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
)


@given(lams, st.lists(steps, max_size=4), lams, st.sampled_from(["", "225-1f0c9ab37e44"]))
def test_a_path_is_read_as_it_was_written(lam, before, own, check):
    schedule = (*sorted(before, key=lambda step: step.at), ScheduleStep(900, lam=own))
    path = BranchPath(lam, schedule, check)
    assert parse_branch(path.text()) == path and path.shared == 900 and path.own_lam == own
    assert ";" not in path.text() and "/" not in path.text()


@given(st.text(max_size=60))
def test_any_other_text_is_refused_with_a_sentence(text):
    try:
        path = parse_branch(text)
    except UserError as error:
        assert str(error)
    else:
        assert parse_branch(replace(path).text()) == path


@given(st.none() | lams, st.integers(1, 6), st.integers(1, 48), st.none() | lams, st.integers(0, 8))
def test_a_linked_probe_is_read_as_it_was_written(at, branch, points, lam, free):
    probe = LinkedProbe(at, branch if at is None else None, points, lam, free)
    assert parse_probe(probe.text()) == probe and ";" not in probe.text()


def test_branches_and_probes_go_through_an_address():
    view = view_of_dict({**VIEW, "branches": ["1~30:0.5,40:hint=a%3Bb%2C~,50:0.25"], "probes": ["1/12", "b1/3/0.5/2"]})
    again, messages = view_of_query(view_query(view))
    assert again == view and not messages
    for key, wrong in (
        ("branches", "1~9"),
        ("probes", "1/0"),
        ("branches", ["1~9:1"] * 7),
        ("probes", 3),
        ("branches", [3]),
    ):
        with pytest.raises(UserError):
            view_of_dict({**VIEW, key: wrong if isinstance(wrong, list) else wrong})
    long = replace(view, prompt="x" * 1600)
    assert "branches" not in view_query(long) and "probes" not in view_query(long)
