"""λ* per block from the page's side: a real profile of the embedded pair through the handlers, and what is refused."""

import json

import pytest

from mi_explorer.errors import UserError
from mi_explorer.merging.block_profile import BlockProfile, BlockShare
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.weights import profile_handlers
from mi_explorer.workbench import Workbench
from tests.expected import numbers_in
from tests.fakes import scripted_bench
from tests.ui.fake import QUESTIONS, FakeBench

FOUND = BlockProfile(
    "mini",
    (BlockShare("attention", 0, 3.0, 1.0), BlockShare("mlp", 0, 0.0, 0.0), BlockShare("mlp", 1, 1.0, 4.0)),
    5,
    321,
)


def test_bars_and_words_say_what_was_found():
    shown = json.loads(profile_handlers.profile_figure(FOUND))
    attention, mlp = shown["figure"]["data"]
    assert (attention["x"], attention["y"], mlp["x"], mlp["y"]) == (["0"], [0.25], ["1"], [0.8])
    assert shown["rows"][1] == ["mlp", 0, None, 0.0, 0.0] and shown["columns"][2] == "λ*"
    said = profile_handlers.profile_sentence(FOUND)
    assert numbers_in(said)[:5] == [0.53, 0.25, 0, 0.8, 1] and "(attention of" in said
    assert "1 blocks" in said and "5 responses" in said and "321 tokens" in said
    patch = json.loads(profile_handlers.profile_board({"text": "", "error": "", "found": FOUND}))["patch"]
    assert patch["params"] == {"attention.0": 0.25, "mlp.1": 0.8, "rest": 0.525}
    view = views.view_of_dict(patch)
    assert view.recipe() == FOUND.recipe() and views.view_of_query(views.view_query(view)) == (view, ())


def test_questions_are_taken_from_first_to_last():
    assert profile_handlers.evenly_chosen(tuple(range(7)), 32) == tuple(range(7))
    picked = profile_handlers.evenly_chosen(tuple(range(1000)), 32)
    assert len(picked) == len(set(picked)) == 32 and picked[0] == 0 and picked[-1] > 950


def test_a_profile_of_the_embedded_pair(tmp_path, monkeypatch):
    monkeypatch.setattr(profile_handlers, "RESPONSE_TOKENS", 12)
    with Workbench.open("mini", home=tmp_path) as bench:
        profiles = profile_handlers.ProfileJobs()
        assert list(profile_handlers.watch_profile(profiles, bench, QUESTIONS, False)) == [
            {"text": "", "error": "", "found": None}
        ]
        states = list(profile_handlers.watch_profile(profiles, bench, QUESTIONS, True))
        found = states[-1]["found"]
        assert states[-1]["error"] == "" and found.responses == 3 and all(s["text"] for s in states[:-1])
        assert len(found.blocks) == 12 and all(b.lam is None or 0 <= b.lam <= 1 for b in found.blocks)
        bench.check(found.recipe())
        assert (
            list(profile_handlers.watch_profile(profiles, bench, QUESTIONS, False))[-1]["found"] is found
        )  # it is there for whoever comes next


def test_where_no_profile_can_be_made_the_page_says_why(monkeypatch):
    (state,) = profile_handlers.watch_profile(profile_handlers.ProfileJobs(), FakeBench(), QUESTIONS, True)
    assert "not at hand" in state["error"]
    with scripted_bench() as bench:
        bench.resident = type(
            "Resident", (), {"parents": type("P", (), {"id": "x"})(), "weight_bytes": 1 << 60, "device": None}
        )()
        with pytest.raises(UserError, match="no task"):
            profile_handlers.check_profile(bench, ())
        monkeypatch.setattr(profile_handlers, "available", lambda device: 1 << 30)
        with pytest.raises(UserError, match="once more"):
            profile_handlers.check_profile(bench, QUESTIONS)
