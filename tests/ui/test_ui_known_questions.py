"""What the embedded pair knows: its own questions and nothing of the everyday ones, by Instruct's surprise."""

import json

import pytest

from mi_explorer.generation.scores import score
from mi_explorer.recipe import Recipe
from mi_explorer.search.question_features import question_surprise
from mi_explorer.tasks import load_task
from mi_explorer.ui.explore import known_questions as known
from mi_explorer.ui.explore.explore_handlers import Explore
from tests.fakes import scripted_bench


def test_surprise_is_that_of_the_questions_own_tokens(bench):
    recipe, question = Recipe("mini", lam=0.0), "What is the capital of France?"
    prompt = bench.prompts.render(question, recipe)
    before, after = (
        len(bench.tokenizer.encode(text, add_special_tokens=False)) for text in prompt.text.split(question)
    )
    own = prompt.ids[before : len(prompt.ids) - after]
    assert bench.prompts.decode(own, "instruct") == question
    found = score(bench.resident, recipe, prompt.ids[:before], own).logprob_instruct
    assert question_surprise(bench.resident, bench.prompts, "mini", question) == pytest.approx(
        -sum(found) / len(found), abs=1e-4
    )


def test_the_shipped_threshold_is_of_the_shipped_weights(bench):
    explore = Explore(bench)
    assert "arithmetic" in explore.known.words
    everyday = known.EVERYDAY.read_text(encoding="utf-8").splitlines()
    assert len(set(everyday)) == 120
    assert [q for q in everyday[::4] if explore.is_known(q) is not False] == []
    assert [q.text for q in load_task("mini").questions[::10] if explore.is_known(q.text) is not True] == []


@pytest.mark.parametrize("question", ["", "  ", None, 7, "x" * 100_000, "\ud800", "<|im_end|>", ["a"]])
def test_any_question_gets_an_answer(bench, question):
    assert Explore(bench).is_known(question) in (None, False)


def test_nothing_is_said_of_other_pairs_and_other_weights(bench, tmp_path):
    assert Explore(scripted_bench()).is_known("What is 3 + 4?") is None
    kept = json.loads((known.FOLDER / "mini.json").read_text(encoding="utf-8"))
    (tmp_path / "mini.json").write_text(json.dumps({**kept, "weights": "0" * 16}))
    assert known.known_questions(bench, tmp_path) is None
    (tmp_path / "mini.json").write_text("{")
    assert known.known_questions(bench, tmp_path) is None


def test_the_threshold_lies_in_the_widest_gap_of_fewest_errors():
    assert known.best_threshold([1, 2, 3], [5, 9, 10]) == 4
    assert known.best_threshold([1, 2, 8], [3, 9, 10, 11]) == 8.5, "one of four is a smaller share than one of three"


def test_shares_have_wilsons_interval():
    none = known.share_with_interval(0, 209)
    assert (none["share"], none["low"]) == (0, 0) and none["high"] == pytest.approx(3.8415 / (209 + 3.8415), abs=1e-4)
    half = known.share_with_interval(5, 10)  # Newcombe 1998: 0.2366 to 0.7634
    assert (half["low"], half["high"]) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
