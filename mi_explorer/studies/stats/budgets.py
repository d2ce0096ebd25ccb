"""Does λ beat a plain thought budget? Accuracy of each λ against that of Thinking under a budget, at equal tokens.

The budget's frontier is the cells of λ = 1 (or the highest λ) by budget, joined by straight lines in mean tokens. Every bootstrap draw
uses the same questions for λ and budget, so the intervals are of paired differences. Several λ are compared: none is picked as the best.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mi_explorer.studies.plan import Cell
from mi_explorer.studies.stats.efficiency import pareto
from mi_explorer.studies.stats.intervention_grid import is_plain
from mi_explorer.studies.stats.metrics import Estimate, Measures, interval

LEAST_BUDGETS = 2  # cells with a budget that make a frontier


@dataclass(frozen=True)
class BudgetGap:
    """Accuracy at λ minus accuracy of the budget that takes as many tokens, paired over questions."""

    lam: float
    tokens: float
    gap: Estimate

    @property
    def verdict(self) -> int:
        """1: λ is better, −1: the budget is, 0: the interval holds both."""
        return 1 if self.gap.low > 0 else -1 if self.gap.high < 0 else 0


@dataclass(frozen=True)
class Frontiers:
    """Indices of cells: `lams` without a budget by λ, `budgets` of the highest λ by budget (none last), and of all λ × budget those
    that no other beats (`both`, by tokens)."""

    lams: tuple[int, ...]
    budgets: tuple[int, ...]
    both: tuple[int, ...]


def frontiers(cells: Sequence[Cell], measures: Measures) -> Frontiers | None:
    """The three frontiers of accuracy over tokens; None where a study has no λ to compare with budgets."""
    plain = [i for i, cell in enumerate(cells) if _curve(cell) and cell.decoding.think_budget is None]
    limited = [i for i, cell in enumerate(cells) if _curve(cell) and cell.decoding.think_budget is not None]
    if not measures.grid.judged or not plain or not limited:
        return None
    top = max(cells[i].recipe.lam for i in plain)
    budgets = [i for i in (*limited, *plain) if cells[i].recipe.lam == top]
    if len(budgets) - 1 < LEAST_BUDGETS:
        return None
    every = [*plain, *limited]
    tokens, right = measures.values("tokens"), measures.values("mean")
    best = [every[i] for i in pareto(tokens[every].tolist(), right[every].tolist())]
    return Frontiers(
        tuple(sorted(plain, key=lambda i: cells[i].recipe.lam)),
        tuple(sorted(budgets, key=lambda i: cells[i].decoding.think_budget or math.inf)),
        tuple(sorted(best, key=lambda i: tokens[i])),
    )


def budget_gaps(cells: Sequence[Cell], measures: Measures) -> tuple[BudgetGap, ...]:
    """The gap of every λ without a budget whose tokens lie within the budgets' reach; () where there is nothing to compare."""
    found = frontiers(cells, measures)
    if found is None:
        return ()
    frontier, top = list(found.budgets), cells[found.budgets[-1]].recipe.lam
    tokens, right = measures.values("tokens"), measures.values("mean")
    token_draws, right_draws = measures.draws("tokens"), measures.draws("mean")
    gaps = []
    for i in found.lams:
        if cells[i].recipe.lam == top or not min(tokens[frontier]) <= tokens[i] <= max(tokens[frontier]):
            continue
        value = float(right[i] - _at(tokens[i], tokens[frontier], right[frontier]))
        draws = np.array(
            [
                right_draws[d, i] - _at(token_draws[d, i], token_draws[d, frontier], right_draws[d, frontier])
                for d in range(len(token_draws))
            ]
        )
        questions = int(measures.grid.asked[[i, *frontier]].all(axis=0).sum())
        gaps.append(BudgetGap(cells[i].recipe.lam, float(tokens[i]), Estimate(value, *interval(draws), questions)))
    return tuple(sorted(gaps, key=lambda gap: gap.lam))


def _curve(cell: Cell) -> bool:
    return is_plain(cell) and cell.recipe.answer_lam is None


def _at(x: float, tokens: np.ndarray, right: np.ndarray) -> float:
    order = np.argsort(tokens)
    return float(np.interp(x, tokens[order], right[order]))


def budget_gaps_sentence(gaps: Sequence[BudgetGap]) -> str:
    """What the gaps say together; "" without any."""
    if not gaps:
        return ""
    better, worse = ([gap for gap in gaps if gap.verdict == sign] for sign in (1, -1))
    widths = ", ".join(
        f"λ {g.lam:g} {100 * g.gap.value:+.1f} [{100 * g.gap.low:+.1f}, {100 * g.gap.high:+.1f}]" for g in gaps
    )
    if better and not worse:
        said = f"λ beats a plain thought budget at {len(better)} of {len(gaps)} λ"
    elif worse and not better:
        said = f"A plain thought budget beats λ at {len(worse)} of {len(gaps)} λ"
    elif better:
        said = f"λ beats a plain thought budget at {len(better)} of {len(gaps)} λ and falls behind it at {len(worse)}"
    else:
        said = f"Between λ and a plain thought budget no difference is seen at {len(gaps)} λ"
    questions = min(gap.gap.questions for gap in gaps)
    return f"{said} (accuracy in points at equal tokens, paired 95 % intervals over {questions} questions: {widths})."
