"""λ against a plain thought budget at equal tokens, frontiers and grids of interventions, on cells whose accuracy and tokens are set by hand."""

import pytest

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Cell, Plan
from mi_explorer.studies.report.intervention_tables import answer_rows, frontier_rows, gap_rows
from mi_explorer.studies.stats.budgets import budget_gaps, budget_gaps_sentence, frontiers
from mi_explorer.studies.stats.curve import curve_names, distinguishing_words, longest_curve
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.intervention_grid import ANSWER, intervention_grids
from mi_explorer.studies.stats.metrics import Measures
from mi_explorer.studies.stats.summary import summary_of
from mi_explorer.studies.store.store import CellRow, StudyInfo

N = 40


def drawn(cells):
    """Cells given as (λ, budget, right answers of N questions, tokens of each), and their samples."""
    made = [Cell(Recipe(lam=lam), Decoding(think_budget=budget)) for lam, budget, _, _ in cells]
    samples = [
        {"cell": str(c), "item": str(q), "number": 0, "tokens": tokens, "think_tokens": 0, "answer_tokens": tokens, "flips": 0,
         "verdict": "correct" if q < right else "wrong", "answer": "1" if q < right else "2", "think_closed": True,
         "think_lenient": True, "truncated": False, "looped": False, "first_correct": None, "stable_from": None}
        for c, (_, _, right, tokens) in enumerate(cells) for q in range(N)
    ]  # fmt: skip
    return made, samples


def measured(cells):
    """The cells of `drawn` and their measures."""
    made, samples = drawn(cells)
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


def test_the_three_frontiers():
    grid = [(0.5, 50, 30, 70), (0.5, 100, 12, 80)]
    cells, measures = measured([*BUDGETS, (0.5, None, 36, 85), (0.2, None, 5, 20), *grid])
    found = frontiers(cells, measures)
    assert (found.lams, found.budgets) == ((4, 3, 2), (0, 1, 2))
    assert found.both == (4, 0, 5, 3, 2), "of (20, 5), (60, 10), (70, 30), (80, 12), (85, 36), (110, 20), (210, 40)"
    assert frontiers(*measured([*BUDGETS[:2], (0.5, 50, 3, 70)])) is None, "no λ without a budget"


def test_gaps_as_a_table():
    made, samples = drawn([*BUDGETS, (0.5, None, 36, 85), (0.7, None, 15, 160)])
    rows = [CellRow(str(i), cell, "f", "float32") for i, cell in enumerate(made)]
    summary = summary_of(StudyInfo(1, "s", Plan("sums", tuple(made)), "live", "", 0, 0, 0), rows, samples)
    first, second = gap_rows(summary)
    assert (first["λ"], first["better"], second["better"]) == ("0.5", "λ", "budget")
    assert first["λ − budget, points"].startswith("+52.5 [") and first["accuracy %"].startswith("90.0 [")
    assert (first["tokens"].split()[0], first["questions"]) == ("85.0", f"{N}")
    assert [row["budget"] for row in frontier_rows(summary)] == ["50", "100", "none"]


def test_answers_against_the_thought_s_own_lambda():
    """All answers alike: the interval is the exact bound over questions and no point."""
    cells = [Cell(Recipe(lam=x, answer_lam=y)) for x in (0.5, 1) for y in (0.0, None)]
    _, samples = drawn([(0, None, 30, 50), (0, None, 30, 50), (0, None, 20, 90), (0, None, 30, 70)])
    rows = [CellRow(str(i), cell, "f", "float32") for i, cell in enumerate(cells)]
    summary = summary_of(StudyInfo(1, "s", Plan("sums", tuple(cells)), "live", "", 0, 0, 0), rows, samples)
    same, worse = answer_rows(summary)
    far = 100 * (1 - 0.025 ** (1 / N))
    assert same["Δ accuracy, points"] == f"+0.0 [-{far:.1f}, +{far:.1f}]" and same["Δ tokens"] == "+0.0 [+0.0, +0.0]"
    assert worse["Δ accuracy, points"].startswith("-25.0 [") and worse["Δ tokens"].startswith("+20.0 [")


def test_grids_of_lambda_and_budget_or_answer():
    cells, _ = measured([*BUDGETS, (0.5, None, 20, 85), (0.5, 100, 20, 80), (0.7, None, 20, 90)])
    (grid,) = intervention_grids(cells)
    assert (grid.lams, grid.values) == ((0.5, 1.0), (100, None)), (
        "budget 50 stands at one λ alone, λ 0.7 without a budget alone"
    )
    assert [grid.word(value) for value in grid.values] == ["100", "none"]
    assert grid.places == {(1.0, 100): 1, (1.0, None): 2, (0.5, None): 3, (0.5, 100): 4}
    answers = [Cell(Recipe(lam=x, answer_lam=y)) for x in (0.5, 1) for y in (0, 1)]
    (grid,) = intervention_grids([*answers, Cell(Recipe("mini", "slerp", 0.5)), Cell(Recipe(lam=0.5), label="ends")])
    assert (grid.what, grid.values, len(grid.places)) == (ANSWER, (0.0, 1.0), 4)
    assert intervention_grids(cells[:3]) == () == intervention_grids(answers[:2]), "one λ is no grid"


def test_an_intervened_curve_is_not_the_paper_s():
    cells = [Cell(Recipe(lam=x), Decoding(think_budget=b), group=f"budget {b}") for b in (20, None) for x in (0, 1)]
    assert longest_curve(cells) == (2, 3) and longest_curve(cells[:2]) == (0, 1)
    assert list(curve_names(cells).values()) == ["budget 20", "budget None"]
    assert distinguishing_words(cells[0], cells) == ["budget 20"] and distinguishing_words(cells[2], cells) == [
        "no budget"
    ]
