"""What a curve is: the cells of one recipe apart from λ, under one decoding, sorted by λ.

In: the cells of a plan or a study. Out: which of them make a curve, and what to call it. Everything that draws, fits or
tables along λ takes its curves from here.
"""

from collections.abc import Sequence
from dataclasses import replace

from mi_explorer.pair_names import short_names
from mi_explorer.recipe import MODULES, Decoding, Recipe
from mi_explorer.studies.plan import Cell, describe

CurveKey = tuple[Recipe, Decoding]


def curve_key(cell: Cell) -> CurveKey | None:
    """What two cells must share to be of one curve: the recipe at λ = 0 and the decoding.

    None for a parent that stands in a study only to be compared with (group "ends").
    """
    return None if cell.group == "ends" else (cell.recipe.at(0.0), cell.decoding)


def curves(cells: Sequence[Cell], least: int = 2) -> dict[CurveKey, tuple[int, ...]]:
    """Indices of the cells of each curve by λ, in the order of the curves' first cells; those of at least `least` λs."""
    found: dict[CurveKey, list[int]] = {}
    for i, cell in enumerate(cells):
        if (key := curve_key(cell)) is not None:
            found.setdefault(key, []).append(i)
    by_lam = {key: tuple(sorted(indices, key=lambda i: cells[i].recipe.lam)) for key, indices in found.items()}
    return {key: indices for key, indices in by_lam.items() if len(indices) >= least}


def longest_curve(cells: Sequence[Cell]) -> tuple[int, ...]:
    """Indices of the cells of the curve with the most λs, by λ; of equal ones the first that nobody intervened in. () without cells."""
    return max(
        curves(cells, least=1).values(), key=lambda found: (len(found), not intervened(cells[found[0]])), default=()
    )


def intervened(cell: Cell) -> bool:
    """Whether a cell has a thought budget or a λ of the answer."""
    return cell.decoding.think_budget is not None or cell.recipe.answer_lam is not None


def curve_names(cells: Sequence[Cell]) -> dict[CurveKey, str]:
    """A name for each curve of these cells: its group, and what tells it from others of that group."""
    firsts = {key: cells[indices[0]] for key, indices in curves(cells).items()}
    names: dict[CurveKey, str] = {}
    for key, first in firsts.items():
        others = [cell for cell in firsts.values() if cell.group == first.group]
        parts = [first.group, *distinguishing_words(first, others)] if len(others) > 1 else [first.group]
        names[key] = " · ".join(filter(None, parts))
    return names


def distinguishing_words(cell: Cell, among: Sequence[Cell]) -> list[str]:
    """What tells a curve from others, given by one cell each: method, scope, pair, parameters, decoding, where they differ."""
    recipe, words = cell.recipe, []
    if len({c.recipe.method for c in among}) > 1:
        words.append(recipe.method)
    if len({c.recipe.scope for c in among}) > 1:
        missing = [m for m in MODULES if m not in recipe.scope.modules]
        words.append("all layers" if recipe.scope.layers == "all" else f"layers {recipe.scope.layers}")
        words += [f"without {', '.join(missing)}"] if missing else []
    if len(pairs := {c.recipe.pair for c in among}) > 1:
        words.append(short_names(pairs | {recipe.pair})[recipe.pair])
    if len({c.recipe.answer_lam for c in among}) > 1:
        words.append("answer's λ as thought's" if recipe.answer_lam is None else f"answer's λ {recipe.answer_lam:g}")
    same_method = [c for c in among if c.recipe.method == recipe.method]
    if len({c.recipe.params for c in same_method}) > 1:
        words.append(", ".join(f"{name} {value:g}" for name, value in recipe.params) or "default parameters")
    if len({c.recipe.template for c in among}) > 1:
        words.append(f"template {recipe.template}")
    if len({replace(c.decoding, think_budget=None) for c in among}) > 1:
        words.append(describe(cell.decoding))
    elif len({c.decoding for c in among}) > 1:
        budget = cell.decoding.think_budget
        words.append("no budget" if budget is None else f"budget {budget}")
    return words
