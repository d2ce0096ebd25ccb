"""Which questions a search sees: never a held-out one, and in a choice that keeps the mean unbiased."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.search.space import SearchError
from mi_explorer.search.split import choose_questions, is_heldout, question_entropy, split_items
from mi_explorer.studies.plan import Item

ITEMS = tuple(Item("sums", str(i), f"What is {i} + 4?", str(i + 4)) for i in range(400))


@given(st.integers(60, 400), st.randoms())
def test_a_question_stays_on_its_side_whatever_the_task_holds(count, random):
    some = random.sample(ITEMS, count)
    search, heldout = split_items(some)
    assert not {i.key for i in search} & {i.key for i in heldout} and len(search) + len(heldout) == count
    assert all(is_heldout(i) for i in heldout) and set(search) <= set(split_items(ITEMS)[0])


def test_a_task_with_too_few_questions_is_refused():
    with pytest.raises(SearchError, match="this task has 3"):
        split_items(ITEMS[:3])


def test_entropy_in_closed_form():
    right = np.array([[1.0, 0.0, 0.5, 1.0], [1.0, 0.0, 0.5, 0.0]])
    assert question_entropy(right) == pytest.approx([0, 0, 1, 1])
    assert question_entropy(np.array([[0.25]])) == pytest.approx(0.25 * 2 + 0.75 * np.log2(4 / 3))


def test_a_choice_estimates_the_mean_of_the_whole_split_and_telling_questions_come_first():
    """Over many line results: the weighted mean of the chosen questions is unbiased for a score that depends on the stratum."""
    rng = np.random.default_rng(0)
    errors, plain = [], []
    for round_ in range(200):
        items = tuple(Item("sums", f"{round_}-{i}", f"{round_} {i}", "1") for i in range(90))
        telling = rng.random(90) < 0.4
        right = np.where(telling, [[1.0], [0.0]], 1.0)
        chosen = choose_questions(items, right, 32)
        score = dict(zip((i.key for i in items), np.where(telling, 0.3, 0.9) + 0.05 * rng.standard_normal(90)))
        keys = [i.key for i in chosen.items]
        weights = chosen.weights(keys)
        assert weights.sum() == pytest.approx(1) and len(set(keys)) == 32
        assert sum(chosen.telling[k] for k in keys) == min(24, int(telling.sum()))
        assert {chosen.telling[k] for k in keys[:8]} == {True, False}  # a prefix has both strata
        errors.append(sum(w * score[k] for w, k in zip(weights, keys)) - np.mean(list(score.values())))
        plain.append(np.mean([score[k] for k in keys]) - np.mean(list(score.values())))
    assert abs(np.mean(errors)) < 0.003 < 0.1 < abs(np.mean(plain))
