"""Measures of cells with intervals. The unit of chance is the question: samples of one question are not independent.

Every measure is a ratio of two sums over questions, so one matrix of bootstrap weights, shared by all cells, gives every
interval and every paired difference. Formulas: mean@k = c/n; pass@k unbiased (2107.03374); vote@k as the expected value under
a random tie-break; ξ_O (2412.21187), ξ_UT (2501.18585).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from mi_explorer.errors import unknown
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.untyped import JsonObject

DRAWS = 2000
LEVEL = 0.95
SHARES = ("mean", "pass", "vote", "think_ratio", "think_lenient", "truncated", "looped", "no_answer", "overthinking",
          "outcome_efficiency", "underthinking")  # fmt: skip
AMOUNTS = ("tokens", "think_tokens", "answer_tokens", "flips", "tokens_per_correct")
METRICS = SHARES + AMOUNTS


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval (NaN where it has none) from n questions; shares lie in [0, 1], amounts in tokens."""

    value: float
    low: float
    high: float
    questions: int

    @property
    def ci(self) -> tuple[float | None, float | None]:
        """The interval for JSON: None instead of NaN."""
        return _plain(self.low), _plain(self.high)


class Measures:
    """Every measure of every cell of a grid. Draws are made on demand and kept; `k` limits pass@k (default: all samples)."""

    def __init__(self, grid: Grid, k: int | None = None, draws: int = DRAWS, seed: int = 0) -> None:
        self.grid, self.k = grid, k
        questions = len(grid.questions)
        rng = np.random.default_rng(seed)
        self.weights = rng.multinomial(questions, np.full(questions, 1 / questions), size=draws).astype(np.float64)
        self._sums: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._draws: dict[str, np.ndarray] = {}

    def of_cells(self, cells: Sequence[int]) -> "Measures":
        """The measures of some cells alone, by index; draws use the same questions as before."""
        if list(cells) == list(range(len(self.grid.cells))):
            return self
        return Measures(self.grid.pick(cells=cells), self.k)

    def sums(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Numerator and denominator of a metric per cell and question, [cells, questions] each."""
        if metric not in self._sums:
            if metric not in METRICS:
                raise unknown("measure", metric, METRICS)
            self._sums[metric] = _sums(self.grid, metric, self.k)
        return self._sums[metric]

    def values(self, metric: str) -> np.ndarray:
        """The metric of every cell; NaN where it is not defined."""
        top, bottom = self.sums(metric)
        return _ratio(top.sum(axis=1), bottom.sum(axis=1))

    def draws(self, metric: str) -> np.ndarray:
        """Its bootstrap draws, [draws, cells]; a draw uses the same questions for every cell and metric."""
        if metric not in self._draws:
            top, bottom = self.sums(metric)
            self._draws[metric] = _ratio(self.weights @ top.T, self.weights @ bottom.T)
        return self._draws[metric]

    def estimate(self, cell: str | int, metric: str) -> Estimate:
        """The metric of one cell with its interval.

        Where all draws agree on 0 or 1 (nothing, or everything, happened) the bootstrap would claim certainty: there the bound
        is exact binomial over questions, 1 − 0.025^(1/n).
        """
        i = self.grid.index(cell)
        n = int(self.grid.asked[i].sum())
        value = float(self.values(metric)[i])
        if n < 2 or math.isnan(value):
            return Estimate(value, math.nan, math.nan, n)
        low, high = interval(self.draws(metric)[:, i])
        if metric in SHARES and low == high and value in (0.0, 1.0):
            far = 1 - ((1 - LEVEL) / 2) ** (1 / n)
            low, high = (0.0, far) if value == 0 else (1 - far, 1.0)
        return Estimate(value, low, high, n)

    def paired(self, cell: str | int, other: str | int, metric: str) -> Estimate:
        """Cell minus other with the interval of the paired difference, over the questions that both have."""
        i, j = self.grid.index(cell), self.grid.index(other)
        value, draws, n = self._paired(i, j, metric)
        if n < 2 or math.isnan(value):
            return Estimate(value, math.nan, math.nan, n)
        return Estimate(value, *interval(draws), n)

    def _paired(self, i: int, j: int, metric: str) -> tuple[float, np.ndarray, int]:
        top, bottom = self.sums(metric)
        both = self.grid.asked[i] & self.grid.asked[j]
        pair = [i, j]
        a, b = top[pair][:, both], bottom[pair][:, both]
        point = _ratio(a.sum(axis=1), b.sum(axis=1))
        weights = self.weights if both.all() else self.weights[:, both]
        draws = _ratio(weights @ a.T, weights @ b.T)
        return float(point[0] - point[1]), draws[:, 0] - draws[:, 1], int(both.sum())

    def gain_per_1k(self, cell: str | int, other: str | int) -> Estimate:
        """Δaccuracy (points of 100) per 1,000 extra tokens from `other` to `cell`, paired; NaN if tokens do not rise."""
        i, j = self.grid.index(cell), self.grid.index(other)
        gain, gains, n = self._paired(i, j, "mean")
        cost, costs, _ = self._paired(i, j, "tokens")
        if n < 2 or not cost > 0:
            return Estimate(math.nan, math.nan, math.nan, n)
        rates = 1e5 * _ratio(gains, np.where(costs > 0, costs, np.nan))
        return Estimate(1e5 * gain / cost, *interval(rates), n)

    def row(self, cell: str | int, ks: Sequence[int] = ()) -> JsonObject:
        """Everything about one cell as JSON values: each metric, `<metric>_ci`, n of questions and samples, pass@k for `ks`."""
        i = self.grid.index(cell)
        out: JsonObject = {}
        for metric in METRICS:
            estimate = self.estimate(i, metric)
            out[metric], out[f"{metric}_ci"] = _plain(estimate.value), list(estimate.ci)
        for k in ks:
            passed = _sums(self.grid, "pass", k)[0][i].sum() / max(self.grid.asked[i].sum(), 1)
            out[f"pass@{k}"] = float(passed) if k <= self.grid.n[i].max() and self.grid.judged else None
        n = self.grid.n[i]
        return {**out, "questions": int((n > 0).sum()), "samples": int(n.max()), "total": int(n.sum())}

    def rows(self, ks: Sequence[int] = ()) -> list[JsonObject]:
        """`row` of every cell, in order."""
        return [self.row(i, ks) for i in range(len(self.grid.cells))]

    @cached_property
    def accuracy_and_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Draws of mean accuracy and mean tokens, [draws, cells] each: the plane of the Pareto chart."""
        return self.draws("mean"), self.draws("tokens")


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The central 95 % of one metric's draws; NaN if they are undefined."""
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return math.nan, math.nan
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def pass_at_k(n: np.ndarray, c: np.ndarray, k: int) -> np.ndarray:
    """Unbiased pass@k of c right among n: 1 − C(n−c, k)/C(n, k); c/n-like for n < k, where it is taken at k = n."""
    n, c = np.asarray(n, dtype=np.int64), np.asarray(c, dtype=np.int64)
    k_ = np.minimum(k, n)
    log = _log_factorials(int(n.max(initial=0)))
    wrong = n - c
    rest = np.maximum(wrong - k_, 0)
    missed = np.exp(log[wrong] - log[rest] - log[n] + log[n - k_])
    return np.where(n == 0, np.nan, np.where(wrong < k_, 1.0, 1 - missed))


@lru_cache(maxsize=8)
def _log_factorials(top: int) -> np.ndarray:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, top + 1)))))


def vote(rows: np.ndarray, answers: np.ndarray, correct: np.ndarray, count: int) -> np.ndarray:
    """Expected credit of the majority vote in each of `count` rows: right modes ÷ modes; 0 where nobody answered.

    `rows`, `answers`, `correct` are flat and parallel; answers below 0 are not counted. An answer is right if a sample that gave
    it was judged right.
    """
    has = answers >= 0
    rows, answers, correct = rows[has], answers[has], correct[has]
    if not len(rows):
        return np.zeros(count)
    width = int(answers.max()) + 1
    groups, member, sizes = np.unique(rows * width + answers, return_inverse=True, return_counts=True)
    right = np.bincount(member, weights=correct, minlength=len(groups)) > 0
    owner = groups // width
    largest = np.zeros(count, dtype=np.int64)
    np.maximum.at(largest, owner, sizes)
    mode = sizes == largest[owner]
    modes = np.bincount(owner[mode], minlength=count)
    rights = np.bincount(owner[mode], weights=right[mode], minlength=count)
    return np.asarray(rights / np.maximum(modes, 1))


def _votes(grid: Grid, k: int | None) -> np.ndarray:
    """vote@k of every cell and question: all samples, or the mean over disjoint blocks of k (unbiased, every sample used once)."""
    cells, questions, samples = grid.present.shape
    place = np.cumsum(grid.present, axis=2) - 1
    size = min(k or samples, samples)
    blocks = max(samples // size, 1)
    block = place // size
    use = grid.present & (block < blocks)
    row = (np.arange(cells * questions).reshape(cells, questions, 1) * blocks + block)[use]
    credit = vote(row, grid.answers[use], grid.correct[use], cells * questions * blocks).reshape(
        cells, questions, blocks
    )
    full = np.maximum(np.minimum(grid.n // size, blocks), 1)[
        :, :, None
    ]  # a question with fewer samples votes with what it has
    inside = np.arange(blocks) < full
    return np.asarray((credit * inside).sum(axis=2) / full[:, :, 0])


def _sums(grid: Grid, metric: str, k: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator per cell and question. Plain means weigh questions alike; the others weigh samples within."""
    n = np.maximum(grid.n, 1)
    asked = grid.asked.astype(np.float64)
    right = grid.correct.astype(np.float64)
    if not grid.judged and metric in (
        "mean",
        "pass",
        "vote",
        "overthinking",
        "outcome_efficiency",
        "underthinking",
        "tokens_per_correct",
    ):
        return np.zeros_like(asked), np.zeros_like(asked)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray((values * grid.present).sum(axis=2) / n)

    spent = np.where(
        np.isnan(grid.first_correct), 1.0, grid.first_correct / np.maximum(grid.tokens, 1)
    )  # T̂/T, 1 if never right
    if metric == "mean":
        return mean(right), asked
    if metric == "pass":
        c = (grid.correct & grid.present).sum(axis=2)
        return np.nan_to_num(pass_at_k(grid.n, c, k or int(grid.n.max()))), asked
    if metric == "vote":
        return (_votes(grid, k), asked) if grid.votes else (np.zeros_like(asked), np.zeros_like(asked))
    if metric == "think_ratio":
        return mean(grid.think_closed), asked
    if metric in ("think_lenient", "truncated", "looped", "tokens", "think_tokens", "flips"):
        return mean(getattr(grid, metric)), asked
    if metric == "no_answer":
        return mean(grid.answers < 0), asked
    if metric == "answer_tokens":
        return mean(grid.tokens - grid.think_tokens), asked
    if metric == "overthinking":  # share of tokens after the first right answer, over right samples
        return mean((1 - spent) * right), mean(right)
    if metric == "outcome_efficiency":  # ξ_O = mean(σ·T̂/T), σ: some running answer was right
        return mean(np.where(np.isnan(grid.first_correct), 0.0, spent)), asked
    if metric == "underthinking":  # ξ_UT = mean over wrong samples of 1 − T̂/T
        return mean((1 - spent) * (1 - right)), mean(1 - right)
    return mean(grid.tokens), mean(right)  # tokens per correct answer


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.asarray(
        np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=np.asarray(bottom) != 0)
    )


def _plain(x: float) -> float | None:
    return None if math.isnan(x) or math.isinf(x) else float(x)
