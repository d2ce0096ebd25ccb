"""Each cell of a curve against its parents: how surely it improves on them, and its accuracy minus that of λ = 1.

In: the cells of a study and their measures. Out: a value for each cell, which a chart of the curve needs no samples for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mi_explorer.recipe import Recipe
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.stats.curve import curves
from mi_explorer.studies.stats.efficiency import improves
from mi_explorer.studies.stats.metrics import Estimate, Measures

END_METHODS = ("linear", "slerp")  # at λ 0 and 1 these are the parents themselves; a scale of task vectors is not


@dataclass(frozen=True)
class AgainstParents:
    """`improves_…`: the share of bootstrap draws with more right answers and fewer tokens than that parent; None for a parent, and where
    it was not measured. `minus_thinking`: accuracy minus that of λ = 1 of the same curve, paired over questions; None without one."""

    improves_instruct: float | None = None
    improves_thinking: float | None = None
    minus_thinking: Estimate | None = None


def against_parents(cells: Sequence[Cell], measures: Measures) -> tuple[AgainstParents, ...]:
    """One for each cell, in order; cell i of `measures` is `cells[i]`. Empty ones for cells of no curve and unjudged questions."""
    found = [AgainstParents()] * len(cells)
    if not measures.grid.judged:
        return tuple(found)
    for indices in curves(cells).values():
        parents = {lam: _parent(cells, cells[indices[0]], lam) for lam in (0.0, 1.0)}
        thinking = next((i for i in indices if cells[i].recipe.lam == 1), None)
        for i in indices:
            gap = None if thinking is None else measures.paired(i, thinking, "mean")
            found[i] = AgainstParents(
                _improves(measures, i, parents, 0.0),
                _improves(measures, i, parents, 1.0),
                None if gap is None or math.isnan(gap.value) else gap,
            )
    return tuple(found)


def _parent(cells: Sequence[Cell], like: Cell, lam: float) -> int | None:
    """The cell that is the parent at λ = 0 or 1 under the same pair and decoding, if the study measured it."""
    for i, cell in enumerate(cells):
        recipe = cell.recipe
        whole = lam == 0 or recipe.scope == Recipe().scope
        same = recipe.pair == like.recipe.pair and cell.decoding == like.decoding
        if same and whole and recipe.lam == lam and recipe.method in END_METHODS:
            return i
    return None


def _improves(measures: Measures, cell: int, parents: Mapping[float, int | None], lam: float) -> float | None:
    parent = parents[lam]
    return None if parent is None or cell in parents.values() else improves(measures, cell, parent)
