"""Where a sweep is worth refining: further λs at each curve's transition.

In: a study's cells and samples. Out: cells to measure next, and why. The runner asks `next_cells` after each round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mi_explorer.studies.plan import Cell
from mi_explorer.studies.stats import stages
from mi_explorer.studies.stats.curve import curves
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Measures
from mi_explorer.studies.store.store import CellRow, Store

NextCells = Callable[[Store, int, Sequence[CellRow]], tuple[tuple[Cell, ...], str]]


@dataclass(frozen=True)
class Refined:
    """Further λ were added to the study, because the transition lies there."""

    study: str
    lams: tuple[float, ...]
    why: str


def next_cells(store: Store, study: int, rows: Sequence[CellRow]) -> tuple[tuple[Cell, ...], str]:
    """Cells worth measuring next: each curve's own, at the λs where its transition is; and why."""
    new: list[Cell] = []
    why = []
    cells, samples = [row.cell for row in rows], store.samples(study)
    for indices in curves(cells).values():
        curve, keys = [cells[i] for i in indices], [rows[i].key for i in indices]
        lams = [cell.recipe.lam for cell in curve]
        mine = set(keys)
        found = stages.of_measures(Measures(Grid.of([s for s in samples if s.cell in mine], keys)), lams)
        new += [replace(curve[0], recipe=curve[0].recipe.at(lam)) for lam in worth_measuring(found, lams)]
        why.append(found.message)
    return tuple(new), " ".join(why)


def worth_measuring(found: stages.Transition, known: Sequence[float]) -> tuple[float, ...]:
    """The λs that a refinement adds: D-optimal ones (λ50 ± 1.54 s), or what an isotonic curve asks for, between measured ones.

    Where a neighbour is measured already, the middle of the gap on the transition's side tells more than a twin of it.
    """
    centre, s = found.lambda50, found.s
    if centre is None:
        return ()
    out: list[float] = []
    for lam in found.next if s is None else (centre - stages.OPTIMAL * s, centre + stages.OPTIMAL * s):
        lams = sorted({*known, *out})
        near = min(lams, key=lambda x: abs(x - lam))
        towards = [x for x in lams if x != near and (x > near) == (centre > near)]
        after = min(towards, key=lambda x: abs(x - near), default=near)
        if abs(lam - near) < abs(after - near) / 4:
            lam = (near + after) / 2
        lam = round(lam, 3)
        if lams[0] < lam < lams[-1] and all(abs(lam - x) >= stages.MIN_STEP for x in lams):
            out.append(lam)
    return tuple(out)
