"""λ against a plain thought budget at equal tokens, on cells whose accuracy and tokens are set by hand."""

import pytest

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.stats.budgets import budget_gaps, budget_gaps_sentence
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Measures

N = 40


def measured(cells):
    """Measures of cells given as (λ, budget, right answers of N questions, tokens of each)."""
    made = [Cell(Recipe(lam=lam), Decoding(think_budget=budget)) for lam, budget, _, _ in cells]
    samples = [
        {"cell": str(c), "item": str(q), "number": 0, "tokens": tokens, "think_tokens": 0, "answer_tokens": tokens, "flips": 0,
         "verdict": "correct" if q < right else "wrong", "answer": "1" if q < right else "2", "think_closed": True,
         "think_lenient": True, "truncated": False, "looped": False, "first_correct": None, "stable_from": None}
        for c, (_, _, right, tokens) in enumerate(cells) for q in range(N)
    ]  # fmt: skip
    return made, Measures(Grid.of(samples, [str(c) for c in range(len(cells))]))


BUDGETS = [(1.0, 50, 10, 60), (1.0, 100, 20, 110), (1.0, None, 40, 210)]


def test_gaps_are_against_the_line_between_budgets_at_equal_tokens():
    cells, measures = measured([*BUDGETS, (0.5, None, 36, 85), (0.7, None, 15, 160), (0.2, None, 5, 20)])
    gaps = budget_gaps(cells, measures)
    assert [gap.lam for gap in gaps] == [0.5, 0.7], "λ 0.2 takes fewer tokens than any budget"
    assert [gap.gap.value for gap in gaps] == pytest.approx([36 / N - 15 / N, 15 / N - 30 / N])
    assert [gap.verdict for gap in gaps] == [1, -1] and all(g.gap.low <= g.gap.value <= g.gap.high for g in gaps)
    said = budget_gaps_sentence(gaps)
    assert "1 of 2" in said and "+52.5" in said and "-37.5" in said and f"{N} questions" in said


def test_an_equal_lambda_is_undecided_and_nothing_to_compare_says_nothing():
    cells, measures = measured([*BUDGETS, (0.5, None, 20, 110)])
    (gap,) = budget_gaps(cells, measures)
    assert gap.gap.value == 0 and gap.verdict == 0 and "no difference" in budget_gaps_sentence([gap])
    for some in ([(1.0, None, 40, 200), (0.5, None, 20, 100)], BUDGETS, [BUDGETS[0], BUDGETS[2], (0.5, None, 9, 80)]):
        assert budget_gaps(*measured(some)) == ()
    assert budget_gaps_sentence(()) == ""
