"""Accuracy against tokens: scores that join the two, the Pareto set, and how sure an improvement on a parent is."""

import math
from collections.abc import Sequence

import numpy as np

from mi_explorer.studies.stats.metrics import Estimate, Measures, interval


def aes(
    accuracy: float,
    tokens: float,
    base_accuracy: float,
    base_tokens: float,
    alpha: float = 1.0,
    beta: float = 3.0,
    gamma: float = 5.0,
) -> float:
    """Accuracy-efficiency score: α·ΔL + β·|ΔA| if accuracy does not fall, else α·ΔL − γ|ΔA|, both relative to the baseline."""
    if not base_tokens or not base_accuracy:
        return math.nan
    shorter = (base_tokens - tokens) / base_tokens
    better = (accuracy - base_accuracy) / base_accuracy
    return alpha * shorter + (beta if better >= 0 else -gamma) * abs(better)


def ock_score(accuracy: float, tokens: float) -> float:
    """acc% − 10·ln(T̄/10000 + 1), accuracy as a share."""
    return 100 * accuracy - 10 * math.log(tokens / 10000 + 1)


def pareto(tokens: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """Indices of the points that no other point beats (fewer or equal tokens and higher or equal accuracy, one strictly)."""
    points = list(zip(tokens, accuracy))
    known = [i for i, (t, a) in enumerate(points) if not (math.isnan(t) or math.isnan(a))]

    def beaten(i: int) -> bool:
        t, a = points[i]
        return any(points[j][0] <= t and points[j][1] >= a and points[j] != (t, a) for j in known)

    return [i for i in known if not beaten(i)]


def hypervolume(
    tokens: Sequence[float], accuracy: Sequence[float], worst_tokens: float, worst_accuracy: float = 0.0
) -> float:
    """Area that the points dominate, up to the reference point (worst_tokens, worst_accuracy)."""
    front = sorted((tokens[i], accuracy[i]) for i in pareto(tokens, accuracy))
    area, level = 0.0, worst_accuracy
    for t, a in front:
        if t < worst_tokens and a > level:
            area += (worst_tokens - t) * (a - level)
            level = a
    return area


def improves(measures: Measures, cell: str | int, parent: str | int) -> float:
    """P(Pareto-improves on the parent): share of bootstrap draws with higher accuracy and fewer tokens."""
    i, j = measures.grid.index(cell), measures.grid.index(parent)
    accuracy, tokens = measures.accuracy_and_tokens
    return float(np.mean((accuracy[:, i] > accuracy[:, j]) & (tokens[:, i] < tokens[:, j])))


def improves_either(measures: Measures, cell: str | int, parents: Sequence[str | int]) -> float:
    """P(Pareto-improves on at least one of the parents)."""
    accuracy, tokens = measures.accuracy_and_tokens
    i = measures.grid.index(cell)
    hits = [
        (accuracy[:, i] > accuracy[:, j]) & (tokens[:, i] < tokens[:, j]) for j in map(measures.grid.index, parents)
    ]
    return float(np.mean(np.any(hits, axis=0)))


def aes_estimate(
    measures: Measures, cell: str | int, baseline: str | int, weights: tuple[float, float, float] = (1, 3, 5)
) -> Estimate:
    """AES of a cell against a baseline cell, with the interval over draws."""
    i, j = measures.grid.index(cell), measures.grid.index(baseline)
    accuracy, tokens = measures.accuracy_and_tokens
    mean, length = measures.values("mean"), measures.values("tokens")
    alpha, beta, gamma = weights
    with np.errstate(invalid="ignore", divide="ignore"):
        shorter = (tokens[:, j] - tokens[:, i]) / tokens[:, j]
        better = (accuracy[:, i] - accuracy[:, j]) / accuracy[:, j]
    draws = alpha * shorter + np.where(better >= 0, beta, -gamma) * np.abs(better)
    value = aes(float(mean[i]), float(length[i]), float(mean[j]), float(length[j]), alpha, beta, gamma)
    return Estimate(value, *interval(draws), int(measures.grid.asked[i].sum()))


def ock_estimate(measures: Measures, cell: str | int) -> Estimate:
    """OckScore of a cell with its interval."""
    i = measures.grid.index(cell)
    accuracy, tokens = measures.accuracy_and_tokens
    draws = 100 * accuracy[:, i] - 10 * np.log(tokens[:, i] / 10000 + 1)
    value = ock_score(float(measures.values("mean")[i]), float(measures.values("tokens")[i]))
    return Estimate(value, *interval(draws), int(measures.grid.asked[i].sum()))


def best_within(budget: float, tokens: Sequence[float], accuracy: Sequence[float | None]) -> int | None:
    """The index of the highest accuracy of at most `budget` tokens; the cheaper one wins a tie, None where everything costs more."""
    able = [
        (right, -cost, i)
        for i, (cost, right) in enumerate(zip(tokens, accuracy, strict=True))
        if cost <= budget and right is not None
    ]
    return max(able)[2] if able else None
