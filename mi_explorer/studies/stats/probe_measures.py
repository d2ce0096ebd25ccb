"""What the probes of a study say, cell by cell, with question bootstrap: sufficient, verbose, harmful, switches, forced against free.

Every measure is a ratio of two sums over questions, as in `metrics`. Unit: shares (0 to 1), tokens, counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from mi_explorer.generation.probe_points import ProbedTrace, ProbeOptions, ProbePoint
from mi_explorer.studies.stats.metrics import DRAWS, LEVEL, Estimate, interval
from mi_explorer.studies.store.sample import Sample
from mi_explorer.studies.store.store import Store
from mi_explorer.studies.store.stored_probes import StoredProbes, setting_words
from mi_explorer.untyped import JsonObject

Term = Callable[[ProbedTrace], tuple[float, float] | None]


def _points(of_point: Callable[[ProbePoint], float | None]) -> Term:
    """The mean of something over a trace's points; each trace counts once."""

    def term(probed: ProbedTrace) -> tuple[float, float] | None:
        found = [x for point in probed.points if (x := of_point(point)) is not None]
        return (fmean(found), 1.0) if found else None

    return term


def _both(which: Callable[[ProbePoint], float]) -> Term:
    """The mean of something over the points that have continuations, so that forced and free are of the same points."""
    return _points(lambda point: which(point) if point.free else None)


def _failed(probed: ProbedTrace) -> tuple[float, float] | None:
    """Right continuations of a trace's points, and those of them beside a wrong forced answer."""
    free = [(fmean(point.free), point.right) for point in probed.points if point.free]
    right = sum(share for share, _ in free)
    return (sum(share for share, forced in free if not forced), right) if right else None


MEASURES: dict[str, Term] = {
    "sufficient": lambda p: None if p.sufficient is None else (float(p.sufficient), 1.0),
    "sufficient_share": lambda p: (float(p.sufficient is not None), 1.0),
    "verbose": lambda p: None if p.verbose is None else (p.verbose, 1.0),
    "harmful": lambda p: (float(p.harmful), 1.0),
    "switches": lambda p: (float(p.switches), 1.0),
    "forced": _points(lambda point: float(point.right)),
    "forced_beside_free": _both(lambda point: float(point.right)),
    "free": _both(lambda point: fmean(point.free)),
    "free_minus_forced": _both(lambda point: fmean(point.free) - float(point.right)),
    "forced_fails": _failed,
    "confidence": _points(lambda point: point.confidence),
}
"""What each says:

- `sufficient`: tokens of the first prefix from which the forced answer is right and stays right, of right samples that have one.
- `sufficient_share`: share of probed samples that have one.
- `verbose`: share of a right sample's tokens after it.
- `harmful`: share of probed samples that were right at some point and are wrong at the end.
- `switches`: how often the forced answer changes.
- `forced`: share of right forced answers, over all points.
- `forced_beside_free`: the same over the points with continuations.
- `free`: share of right continuations there.
- `free_minus_forced`: their paired difference.
- `forced_fails`: share of wrong forced answers among the points from which going on is right.
- `confidence`: mean probability of the forced answers' tokens.
"""
CURVE_POINTS = 8  # budgets of a cell's curve
SHARES = ("sufficient_share", "harmful", "forced", "forced_beside_free", "free", "forced_fails")


@dataclass(frozen=True)
class ProbedCell:
    """The measures of a cell by name, over `samples` samples with a thought of `questions` questions; `passed` had none. `budgets`:
    accuracy under thought budgets, read off the probes."""

    cell: str
    values: dict[str, Estimate]
    samples: int
    passed: int
    questions: int
    budgets: tuple[tuple[int, Estimate], ...] = ()

    def json(self) -> JsonObject:
        """As JSON values: every measure with its interval `_ci`; None where it is not defined."""
        found: JsonObject = {
            "key": self.cell,
            "samples": self.samples,
            "without_thought": self.passed,
            "questions": self.questions,
        }
        for name, estimate in self.values.items():
            found[name] = None if estimate.value != estimate.value else estimate.value
            found[f"{name}_ci"] = list(estimate.ci)
        found["budget_curve"] = [{"budget": n, "mean": e.value, "mean_ci": list(e.ci)} for n, e in self.budgets]
        return found


@dataclass(frozen=True)
class ProbedStudy:
    """The probed cells of a study under one setting, in the order of its cells."""

    options: ProbeOptions
    cells: tuple[ProbedCell, ...]

    @property
    def words(self) -> str:
        """The setting in words."""
        return setting_words(self.options)

    def json(self) -> JsonObject:
        """As JSON values."""
        return {"setting": self.words, "cells": [cell.json() for cell in self.cells]}


def probed_studies(store: Store, name: str) -> tuple[ProbedStudy, ...]:
    """The probes of a study by setting; () where it has none."""
    info = store.study(name)
    probes = store.probes(info.id)
    if not probes:
        return ()
    samples = {s.key: s for s in store.samples(info.id)}
    kinds = {item.key: item.kind for item in store.items(info.id)}
    order = [row.key for row in store.cells(info.id)]
    by_setting: dict[str, list[StoredProbes]] = {}
    for one in probes:
        by_setting.setdefault(one.setting, []).append(one)
    return tuple(
        ProbedStudy(found[0].options, probed_cells(found, samples, kinds, order)) for found in by_setting.values()
    )


def probed_cells(
    probes: Sequence[StoredProbes], samples: Mapping[str, Sample], kinds: Mapping[str, str], order: Sequence[str]
) -> tuple[ProbedCell, ...]:
    """The measures of each cell in `order` that has probes; draws use the same questions for every cell."""
    questions = {key: i for i, key in enumerate(dict.fromkeys(samples[one.sample].item for one in probes))}
    n = len(questions)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(np.float64)
    by_cell: dict[str, list[StoredProbes]] = {}
    for one in probes:
        by_cell.setdefault(samples[one.sample].cell, []).append(one)
    return tuple(
        _probed_cell(cell, by_cell[cell], samples, kinds, questions, weights) for cell in order if cell in by_cell
    )


def _probed_cell(
    cell: str,
    probes: Sequence[StoredProbes],
    samples: Mapping[str, Sample],
    kinds: Mapping[str, str],
    questions: Mapping[str, int],
    weights: np.ndarray,
) -> ProbedCell:
    with_points = [one for one in probes if one.points]
    places = np.array([questions[samples[one.sample].item] for one in with_points], dtype=np.int64)
    traces = [one.of(samples[one.sample], kinds.get(samples[one.sample].item, "auto")) for one in with_points]

    def measured(term: Term, is_share: bool) -> Estimate:
        top, bottom = np.zeros(len(questions)), np.zeros(len(questions))
        for place, trace in zip(places, traces, strict=True):
            if (found := term(trace)) is not None:
                top[place] += found[0]
                bottom[place] += found[1]
        return _estimate(top, bottom, weights, is_share)

    return ProbedCell(
        cell,
        {name: measured(term, name in SHARES) for name, term in MEASURES.items()},
        len(traces),
        len(probes) - len(traces),
        len(set(places.tolist())),
        tuple((budget, measured(right_within(budget), True)) for budget in curve_budgets(traces)),
    )


def _estimate(top: np.ndarray, bottom: np.ndarray, weights: np.ndarray, is_share: bool) -> Estimate:
    """Sum over sum with the bootstrap interval over questions; NaN where nothing counts. A share of 0 or 1 throughout has the exact
    binomial bound, as in `Measures.estimate`."""
    n = int((bottom > 0).sum())
    if not n:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(top.sum() / bottom.sum())
    if n < 2:
        return Estimate(value, float("nan"), float("nan"), n)
    below = weights @ bottom
    draws = np.divide(weights @ top, below, out=np.full(len(below), np.nan), where=below > 0)
    low, high = interval(draws)
    if is_share and low == high and value in (0.0, 1.0):
        far = 1 - ((1 - LEVEL) / 2) ** (1 / n)
        low, high = (0.0, far) if value == 0 else (1 - far, 1.0)
    return Estimate(value, low, high, n)


def right_within(budget: int) -> Term:
    """Whether a trace would be right under a thought budget, read off its probes: by the forced answer at the last point within it, or
    by its own answer where its thought is not longer; wrong before the first point. Nothing is decoded for it."""

    def term(probed: ProbedTrace) -> tuple[float, float]:
        if probed.think_tokens <= budget + 1:  # the closing tag is beyond the budget
            return float(probed.right), 1.0
        within = [point.right for point in probed.points if point.token <= budget]
        return float(bool(within) and within[-1]), 1.0

    return term


def curve_budgets(traces: Sequence[ProbedTrace]) -> tuple[int, ...]:
    """Budgets for the curve of a cell: spread evenly over the lengths of its thoughts; () without any."""
    longest = max((trace.think_tokens for trace in traces), default=0)
    return tuple(
        dict.fromkeys(round(longest * i / CURVE_POINTS) for i in range(1, CURVE_POINTS + 1) if longest >= CURVE_POINTS)
    )
