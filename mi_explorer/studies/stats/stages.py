"""Stages of a sweep: where the closing tag appears, how sharply, and up to where more tokens still buy accuracy.

The think ratio is fitted as r(λ) = σ((λ − λ50)/s) by binomial maximum likelihood, with a lapse of one in five thousand at
both ends: one stray tag far from the transition must not widen it. Stage 2 is where r lies in [1 %, 99 %], λ50 ± 4.595 s. Where
the points cannot carry a logistic, isotonic regression with linear interpolation says where r passes 1, 50 and 99 %. No
transition is read into a curve that is flat, or whose fit passes one half outside of the measured λs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mi_explorer.studies.stats.metrics import LEVEL, Measures
from mi_explorer.untyped import JsonObject

LAPSE = 2e-4
TAIL_99, TAIL_95, OPTIMAL = 4.595, 2.944, 1.54  # logits of 99 % and 95 %; the D-optimal points of a logistic
EDGE = 0.01  # a ratio this close to 0 or 1 has not left it
BAD_FIT = 0.1  # a logistic that misses a point by more is not believed
MIN_STEP = 0.005  # λs closer than this are one
CHANCE = 3.84  # χ² of one degree of freedom at 5 %
Kind = Literal["logistic", "isotonic", "partial", "none"]
Band = tuple[float | None, float | None]


@dataclass(frozen=True)
class Transition:
    """Where thought appears. `kind` says how it is known; None where it is not. Bands are λ intervals of a think ratio.

    `logistic`: λ50, s and bands by maximum likelihood, intervals by question bootstrap where questions were given.
    `isotonic`: λ50 and bands read off a monotone curve; s unknown. `partial`: the ratio leaves 0 (or 1) but does not cross
    one half within the measured λs. `none`: no transition observed.
    """

    kind: Kind
    message: str
    lambda50: float | None = None
    lambda50_ci: Band = (None, None)
    s: float | None = None
    s_ci: Band = (None, None)
    stage2: Band = (None, None)
    stage2_95: Band = (None, None)
    next: tuple[float, ...] = ()
    worst: float | None = None  # largest distance of a measured ratio from the fit

    def stage(self, lam: float) -> int | None:
        """1, 2 or 3; None if no transition was observed."""
        low, high = self.stage2
        if self.lambda50 is None:
            return None
        if low is not None and lam < low:
            return 1
        return 3 if high is not None and lam > high else 2

    def ratio(self, lam: float) -> float | None:
        """The fitted think ratio at λ (logistic only)."""
        if self.lambda50 is None or not self.s:
            return None
        return float(_curve(np.array([(lam - self.lambda50) / self.s]))[0])

    def json(self) -> JsonObject:
        return {
            "kind": self.kind, "lambda50": self.lambda50, "lambda50_ci": list(self.lambda50_ci), "s": self.s, "s_ci": list(self.s_ci),
            "stage2": list(self.stage2), "stage2_95": list(self.stage2_95), "next": list(self.next), "message": self.message,
        }  # fmt: skip


def transition(
    lams: Sequence[float],
    closed: np.ndarray,
    total: np.ndarray,
    weights: np.ndarray | None = None,
    measured: Sequence[float] = (),
) -> Transition:
    """The transition in counts of closed thoughts out of `total` samples, [λ] or [λ, questions] each.

    With questions and bootstrap `weights` ([draws, questions], as in `Measures.weights`) the result has intervals. `measured`:
    λs that need not be proposed again besides `lams`.
    """
    order = np.argsort(np.asarray(lams, dtype=np.float64), kind="stable")
    lam = np.asarray(lams, dtype=np.float64)[order]
    k, n = (np.asarray(x, dtype=np.float64)[order] for x in (closed, total))
    by_question = k.ndim == 2
    ks, ns = (k.sum(axis=1), n.sum(axis=1)) if by_question else (k, n)
    lam, ks, ns, kept = lam[ns > 0], ks[ns > 0], ns[ns > 0], ns > 0
    r = ks / ns
    if not len(r) or r.max() <= EDGE or r.min() >= 1 - EDGE:
        where = "nowhere" if not len(r) or r.max() <= EDGE else "everywhere"
        return Transition("none", f"No transition observed: thoughts are closed {where} between λ {_span(lam)}.")
    if _flat(lam, ks, ns):
        low, high = 100 * r.min(), 100 * r.max()
        ratio = f"{low:.0f} %" if round(low) == round(high) else f"between {low:.0f} and {high:.0f} %"
        return Transition(
            "none",
            f"No transition observed: the think ratio is {ratio} between λ {_span(lam)}, with no slope beyond chance.",
        )
    if r.max() < 0.5 or r.min() > 0.5:
        i = int(np.argmax(r)) if r.max() < 0.5 else int(np.argmin(r))
        reach = f"The transition is not complete: the think ratio reaches {100 * r[i]:.0f} % at λ {lam[i]:g}"
        return Transition("partial", f"{reach} and does not cross one half between λ {_span(lam)}.")
    known = (*lam, *measured)
    first, last = lam[r > EDGE].min(), lam[r < 1 - EDGE].max(initial=-np.inf)
    if len(set(lam)) >= 3 and first < last:
        centre, scale = (x[0] for x in _fit(lam, ks[None], ns[None]))
        worst = float(np.abs(_curve((lam - centre) / scale) - r).max()) if scale > 0 else math.inf
        if worst <= BAD_FIT and not lam[0] <= centre <= lam[-1]:
            where = f"a fitted curve would pass one half at λ {centre:.2f}, outside of what was measured"
            return Transition("none", f"No transition observed between λ {_span(lam)}: {where}.")
        if worst <= BAD_FIT:
            return _logistic(
                lam,
                float(centre),
                float(scale),
                worst,
                known,
                _draws(lam, k[kept], n[kept], weights) if by_question else None,
            )
    return _isotonic(lam, r, ns, known)


def _flat(lam: np.ndarray, k: np.ndarray, n: np.ndarray) -> bool:
    """Whether a logistic in λ explains the counts no better than one ratio for all (likelihood ratio, 5 %)."""
    if len(set(lam.tolist())) < 2:
        return False  # one λ has no slope to speak of

    def fit(p: np.ndarray) -> float:
        p = np.clip(p, LAPSE, 1 - LAPSE)
        return float((k * np.log(p) + (n - k) * np.log(1 - p)).sum())

    centre, scale = (float(x[0]) for x in _fit(lam, k[None], n[None]))
    return 2 * (fit(_curve((lam - centre) / scale)) - fit(np.full(len(lam), k.sum() / n.sum()))) < CHANCE


def of_measures(measures: Measures, lams: Sequence[float]) -> Transition:
    """The transition over the cells of a sweep, λ by λ, with its intervals."""
    grid = measures.grid
    closed = (grid.think_closed & grid.present).sum(axis=2)
    return transition(lams, closed, grid.n, measures.weights)


def _curve(z: np.ndarray) -> np.ndarray:
    """σ(z) with the lapse."""
    return np.asarray(LAPSE + (1 - 2 * LAPSE) / (1 + np.exp(-np.clip(z, -500, 500))))


def _fit(lam: np.ndarray, k: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """λ50 and s of each row of counts ([rows, λ]) by damped Fisher scoring on (intercept, slope), all rows at once."""
    middle, width = (lam.min() + lam.max()) / 2, max(float(np.ptp(lam)), 1e-9)
    x = (lam - middle) / width
    r = np.divide(k, n, out=np.zeros_like(k), where=n > 0)
    # Start where the interpolated ratio crosses one half, with a slope that fits a transition over a fifth of the range.
    start = x[np.argmin(np.abs(r - 0.5), axis=1)]
    slope = np.full(len(k), 20.0)
    intercept = -slope * start
    steepest = 4 * width / MIN_STEP

    def loss(intercept: np.ndarray, slope: np.ndarray) -> np.ndarray:
        p = _curve(intercept[:, None] + slope[:, None] * x)
        return np.asarray(-(k * np.log(p) + (n - k) * np.log(1 - p)).sum(axis=1))

    now = loss(intercept, slope)
    damping = np.full(len(k), 1e-3)
    for _ in range(100):
        q = 1 / (1 + np.exp(-np.clip(intercept[:, None] + slope[:, None] * x, -500, 500)))
        p = LAPSE + (1 - 2 * LAPSE) * q
        d = (1 - 2 * LAPSE) * q * (1 - q)
        score, weight = d * (k - n * p) / (p * (1 - p)), n * d * d / (p * (1 - p))
        g0, g1 = score.sum(axis=1), (score * x).sum(axis=1)
        h00, h01, h11 = weight.sum(axis=1), (weight * x).sum(axis=1), (weight * x * x).sum(axis=1)
        h00, h11 = h00 * (1 + damping) + 1e-12, h11 * (1 + damping) + 1e-12
        det = np.maximum(h00 * h11 - h01 * h01, 1e-300)
        a = intercept + np.clip((h11 * g0 - h01 * g1) / det, -50, 50)
        b = np.clip(slope + np.clip((h00 * g1 - h01 * g0) / det, -50, 50), -steepest, steepest)
        then = loss(a, b)
        better = then <= now
        step = np.abs(a - intercept) + np.abs(b - slope)
        intercept, slope = np.where(better, a, intercept), np.where(better, b, slope)
        now = np.where(better, then, now)
        damping = np.clip(np.where(better, damping / 10, damping * 10), 1e-9, 1e9)
        if np.all((step < 1e-9) | (damping >= 1e9)):
            break
    safe = np.where(np.abs(slope) < 1e-9, 1e-9, slope)
    return middle - width * intercept / safe, width / safe


def _draws(
    lam: np.ndarray, k: np.ndarray, n: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """λ50 and s of every bootstrap draw of the questions."""
    if weights is None or k.shape[1] < 2:
        return None
    return _fit(lam, weights @ k.T, weights @ n.T)


def _logistic(
    lam: np.ndarray,
    centre: float,
    scale: float,
    worst: float,
    known: Sequence[float],
    draws: tuple[np.ndarray, np.ndarray] | None,
) -> Transition:
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    centre_ci: Band = (None, None)
    scale_ci: Band = (None, None)
    if draws is not None:
        (a, b), (c, d) = (np.quantile(x, tails) for x in draws)
        centre_ci, scale_ci = (float(a), float(b)), (float(c), float(d))
    low, high = centre - TAIL_99 * scale, centre + TAIL_99 * scale
    beyond = " (the fit reaches beyond the measured λs)" if low < lam[0] or high > lam[-1] else ""
    return Transition(
        "logistic",
        f"Thought appears at λ {centre:.3f} (half of the responses close one); "
        f"between λ {low:.2f} and {high:.2f} the think ratio goes from 1 to 99 %{beyond}.",
        centre, centre_ci, scale, scale_ci, (low, high), (centre - TAIL_95 * scale, centre + TAIL_95 * scale),
        _new([centre - OPTIMAL * scale, centre + OPTIMAL * scale], known), worst,
    )  # fmt: skip


def isotonic(r: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The non-decreasing sequence nearest to r in weighted squares (pool adjacent violators)."""
    blocks: list[list[float]] = []  # value, weight, length
    for value, w in zip(r.tolist(), weight.tolist()):
        blocks.append([value, w, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            v, w2, m = blocks.pop()
            v1, w1, m1 = blocks[-1]
            blocks[-1] = [(v1 * w1 + v * w2) / (w1 + w2), w1 + w2, m1 + m]
    return np.repeat([b[0] for b in blocks], [int(b[2]) for b in blocks])


def _isotonic(lam: np.ndarray, r: np.ndarray, n: np.ndarray, known: Sequence[float]) -> Transition:
    curve = isotonic(r, n)
    if curve[0] > 0.5 or curve[-1] < 0.5:  # falls instead of rising, or noise
        return Transition(
            "none", f"No transition observed: the think ratio does not rise through one half between λ {_span(lam)}."
        )

    def crossing(level: float) -> float | None:
        above = np.flatnonzero(curve >= level)
        if not len(above):
            return None
        i = int(above[0])
        if i == 0:
            return float(lam[0]) if curve[0] == level else None
        return float(lam[i - 1] + (level - curve[i - 1]) / (curve[i] - curve[i - 1]) * (lam[i] - lam[i - 1]))

    centre = crossing(0.5)
    i = int(np.flatnonzero(curve >= 0.5)[0])
    gap = (float(lam[max(i - 1, 0)]), float(lam[i]))
    band = (crossing(EDGE), crossing(1 - EDGE))
    more = "" if band[1] is not None else f" It stays below 99 % up to λ {lam[-1]:g}."
    return Transition(
        "isotonic",
        f"The think ratio passes one half between λ {gap[0]:g} and {gap[1]:g}; the points cannot say how sharply.{more}",
        centre, stage2=band, stage2_95=(crossing(0.05), crossing(0.95)),
        next=_new([gap[0] + (gap[1] - gap[0]) / 3, gap[0] + 2 * (gap[1] - gap[0]) / 3], known),
    )  # fmt: skip


def _new(wanted: Sequence[float], known: Sequence[float]) -> tuple[float, ...]:
    """The wanted λs, rounded to a thousandth, that are not there yet."""
    rounded = dict.fromkeys(round(x, 3) for x in wanted)
    return tuple(x for x in rounded if all(abs(x - y) >= MIN_STEP for y in known))


def _span(lam: np.ndarray) -> str:
    return f"{lam.min():g} and {lam.max():g}" if len(lam) else "(nothing measured)"
