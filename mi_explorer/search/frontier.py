"""The frontier of accuracy and tokens: who is on it, the area it dominates, and the plain λ line as something to beat.

The line's own frontier is the concave hull of its points: whoever may answer at λ₁ or at λ₂ may toss a coin for each question, and has
then every accuracy on the chord between them. So "the best of the line at equal tokens" is a mix of at most two λs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mi_explorer.studies.stats.efficiency import hypervolume, pareto

ROOM = 1.1  # the worst tokens are so many times those of the line's longest point


@dataclass(frozen=True)
class VolumePoint:
    """Share of the box (accuracy 0 to 1, tokens 0 to the worst) that is dominated after so many evaluations and tokens."""

    evaluations: int
    tokens: int
    value: float

    def json(self) -> dict[str, float]:
        return {"evaluations": self.evaluations, "tokens": self.tokens, "value": round(self.value, 5)}


def volume(right: Sequence[float], tokens: Sequence[float], worst: float) -> float:
    """The dominated share of the box."""
    return hypervolume(tokens, right, worst) / worst if worst > 0 else math.nan


def volume_trace(
    right: Sequence[float], tokens: Sequence[float], spent: Sequence[int], worst: float
) -> tuple[VolumePoint, ...]:
    """The dominated share after each evaluation; `spent` are the tokens of each."""
    total, out = 0, []
    for i, cost in enumerate(spent):
        total += cost
        out.append(VolumePoint(i + 1, total, volume(right[: i + 1], tokens[: i + 1], worst)))
    return tuple(out)


def spread_out(right: Sequence[float], tokens: Sequence[float], count: int, worst: float) -> list[int]:
    """At most `count` of the Pareto points, by tokens: those that keep the most area, dropped one by one."""
    kept = sorted(pareto(tokens, right), key=lambda i: tokens[i])
    distinct = {(tokens[i], right[i]): i for i in reversed(kept)}
    kept = sorted(distinct.values(), key=lambda i: tokens[i])
    while len(kept) > count:

        def without(i: int) -> float:
            rest = [j for j in kept if j != i]
            return hypervolume([tokens[j] for j in rest], [right[j] for j in rest], worst)

        kept.remove(max(kept, key=without))
    return kept


def line_mix(right: Sequence[float], tokens: Sequence[float], at: float) -> list[tuple[int, float]]:
    """(point, weight) of the line's best mix whose mean tokens are at most `at`: one or two points of its concave hull.

    Where every point has more tokens, the cheapest one: it has more tokens than `at`, in the line's favour.
    """
    points = sorted(range(len(tokens)), key=lambda i: (tokens[i], -right[i]))
    hull: list[int] = []
    for i in points:
        if hull and right[i] <= right[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(right, tokens, hull[-2], i) >= _slope(right, tokens, hull[-2], hull[-1]):
            hull.pop()
        hull.append(i)
    if at <= tokens[hull[0]]:
        return [(hull[0], 1.0)]
    if at >= tokens[hull[-1]]:
        return [(hull[-1], 1.0)]
    k = next(k for k, i in enumerate(hull) if tokens[i] > at)
    a, b = hull[k - 1], hull[k]
    share = (at - tokens[a]) / (tokens[b] - tokens[a])
    return [(a, 1 - share), (b, share)] if share > 0 else [(a, 1.0)]


def _slope(right: Sequence[float], tokens: Sequence[float], a: int, b: int) -> float:
    run = tokens[b] - tokens[a]
    return float((right[b] - right[a]) / run) if run > 0 else math.inf


def mixed(values: np.ndarray, mix: Sequence[tuple[int, float]]) -> np.ndarray:
    """A mix of rows (or of columns' last axis) of values by point: Σ weight · values[point]."""
    return np.asarray(sum(weight * values[i] for i, weight in mix))
