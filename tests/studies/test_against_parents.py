"""A cell of a curve against its parents, recounted from the samples by hand."""

import numpy as np
import pytest

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Cell, grid
from mi_explorer.studies.stats.against_parents import AgainstParents, against_parents
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Measures

QUESTIONS = 40


def sample(cell: int, item: int, right: bool, tokens: int) -> dict:
    return {
        "cell": str(cell),
        "item": f"q{item}",
        "number": 0,
        "verdict": "correct" if right else "wrong",
        "tokens": tokens,
    }


def measured(rights, tokens):
    """Measures of cells that answer the first `rights[i]` questions right with `tokens[i]` tokens."""
    samples = [sample(i, q, q < n, tokens[i]) for i, n in enumerate(rights) for q in range(QUESTIONS)]
    return Measures(Grid.of(samples, [str(i) for i in range(len(rights))]))


def test_a_blend_between_its_parents():
    cells = grid(Recipe(), (0, 0.5, 1), Decoding())
    first, blend, last = against_parents(cells, measured([10, 39, 30], [20, 50, 90]))
    assert (blend.improves_instruct, blend.improves_thinking) == (0.0, pytest.approx(1.0, abs=0.02))
    assert first.improves_thinking is None and last.improves_instruct is None, "a parent improves on nobody"
    assert blend.minus_thinking.value == pytest.approx(9 / 40) and blend.minus_thinking.questions == QUESTIONS
    assert 0 < blend.minus_thinking.low < 9 / 40 < blend.minus_thinking.high
    assert (last.minus_thinking.low, last.minus_thinking.high) == (0, 0)


def test_a_scaled_task_vector_at_one_is_no_parent_and_cells_of_no_curve_have_none():
    curve = grid(Recipe(method="task_arithmetic"), (0.5, 1), Decoding())
    alone = Cell(Recipe(lam=0.3, template="instruct"), Decoding())
    found = against_parents([*curve, alone], measured([10, 20, 30], [20, 50, 90]))
    assert found[0].improves_thinking is None and found[0].minus_thinking.value == pytest.approx(-0.25)
    assert found[2] == AgainstParents()


def test_questions_without_known_answers_have_none():
    cells = grid(Recipe(), (0, 1), Decoding())
    samples = [replace_verdict(sample(i, q, True, 5)) for i in range(2) for q in range(3)]
    assert against_parents(cells, Measures(Grid.of(samples, ["0", "1"]))) == (AgainstParents(), AgainstParents())


def replace_verdict(one: dict) -> dict:
    return {**one, "verdict": None}


def test_accuracy_over_shared_questions_only():
    cells = grid(Recipe(), (0.5, 1), Decoding())
    samples = [sample(0, q, q < 2, 5) for q in range(4)] + [sample(1, q, q < 3, 5) for q in range(2, 6)]
    gap = against_parents(cells, Measures(Grid.of(samples, ["0", "1"])))[0].minus_thinking
    shared = range(2, 4)
    assert gap.questions == 2 and gap.value == np.mean([q < 2 for q in shared]) - np.mean([q < 3 for q in shared])
