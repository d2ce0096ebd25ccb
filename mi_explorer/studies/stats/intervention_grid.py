"""Grids of λ and an intervention: λ × thought budget, λ of the thought × λ of the answer. Which cells of a study make one.

In: the cells of a study. Out: for each grid the place of every cell in it. Tables and heat maps take their rows and columns from here.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mi_explorer.studies.plan import Cell

BUDGET, ANSWER = "thought budget", "λ of the answer"
Value = float | None  # None: no budget; the answer at the thought's own λ


@dataclass(frozen=True)
class InterventionGrid:
    """`places[λ, value]` is the index of a cell; `values` are of what is varied beside λ (`what`), None last."""

    what: str
    lams: tuple[float, ...]
    values: tuple[Value, ...]
    places: dict[tuple[float, Value], int]

    def word(self, value: Value) -> str:
        """A value in words."""
        if value is None:
            return "none" if self.what == BUDGET else "as thought"
        return f"{value:g}"


def intervention_grids(cells: Sequence[Cell]) -> tuple[InterventionGrid, ...]:
    """The grids with at least two λs and two values; cells of other methods and scopes stand in none. Answers are compared under one
    budget, or under none."""
    plain = [i for i, cell in enumerate(cells) if is_plain(cell)]
    kinds: list[tuple[str, Callable[[Cell], Value], Callable[[Cell], bool]]] = [
        (BUDGET, lambda cell: cell.decoding.think_budget, lambda cell: cell.recipe.answer_lam is None)
    ]
    if len({cells[i].decoding.think_budget for i in plain}) == 1:
        kinds.append((ANSWER, lambda cell: cell.recipe.answer_lam, lambda cell: True))
    found = []
    for what, value_of, belongs in kinds:
        places = {(cells[i].recipe.lam, value_of(cells[i])): i for i in plain if belongs(cells[i])}
        for side in (1, 0):  # a value at one λ alone is no column, a λ under one value alone is no row
            counts = Counter(at[side] for at in places)
            places = {at: i for at, i in places.items() if counts[at[side]] > 1}
        lams = tuple(sorted({lam for lam, _ in places}))
        values = tuple(sorted({value for _, value in places}, key=lambda v: (v is None, v or 0)))
        if len(lams) > 1 and len(values) > 1:
            found.append(InterventionGrid(what, lams, values, places))
    return tuple(found)


def is_plain(cell: Cell) -> bool:
    """Whether a cell is a whole linear blend, so that only λ and interventions tell it from others of its study."""
    recipe = cell.recipe
    return recipe.method == "linear" and recipe.scope == type(recipe.scope)() and not cell.label
