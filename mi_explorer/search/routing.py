"""Routers and the oracle on a study of the λ line: trained on the search split, judged on the held-out one.

In: shares of right samples and tokens by λ, question and sample, and the questions' features. Out: curves of accuracy against tokens,
each point with its paired difference from the line's best mix at equal tokens.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mi_explorer.search.frontier import line_mix, mixed
from mi_explorer.search.logistic import fit_logistic
from mi_explorer.search.oracle import OraclePoint, oracle_curve
from mi_explorer.search.router import Router
from mi_explorer.search.score_table import ScoreMatrix
from mi_explorer.untyped import JsonObject

CURVE_POINTS = 11


@dataclass(frozen=True)
class LineSamples:
    """Right (0 or 1) and tokens of samples, [λs, questions, samples]; `features` [questions, features]."""

    lams: tuple[float, ...]
    right: np.ndarray
    tokens: np.ndarray
    features: np.ndarray

    def of(self, questions: np.ndarray) -> "LineSamples":
        """Those of some questions, by mask or index."""
        return LineSamples(self.lams, self.right[:, questions], self.tokens[:, questions], self.features[questions])

    def at(self, lam: float) -> int:
        return self.lams.index(lam)


@dataclass(frozen=True)
class RouterPoint:
    """A router at one threshold, on held-out questions; `share` of them go to the lower λ."""

    threshold: float
    share: float
    right: float
    tokens: float
    difference: float
    difference_ci: tuple[float, float]


@dataclass(frozen=True)
class RoutingResult:
    """Routers with their curves, and the oracle's."""

    routers: tuple[tuple[Router, tuple[RouterPoint, ...]], ...]
    oracle: tuple[OraclePoint, ...]
    questions: tuple[int, int]
    line: tuple[tuple[float, float, float], ...]

    def json(self) -> JsonObject:
        return {
            "routers": [{"router": r.json(), "curve": [asdict(p) for p in curve]} for r, curve in self.routers],
            "oracle": [asdict(point) for point in self.oracle],
            "questions": {"search": self.questions[0], "heldout": self.questions[1]},
            "line": [{"lambda": lam, "mean": right, "tokens": tokens} for lam, right, tokens in self.line],
        }


def study_routing(search: LineSamples, heldout: LineSamples, low: float, high: float, pair: str) -> RoutingResult:
    """Train and judge the routers between λ `low` and `high`, and the oracle over all λs.

    A router's own threshold is the one with the largest gain over the line on the search split.
    """
    share = search.right[search.at(low)].mean(axis=1)
    model = fit_logistic(search.features, share)
    found = []
    for blank in (Router(low, high, 0.5, None, pair), Router(low, high, 0.5, model, pair)):
        scores = blank.scores(search.features)
        levels = np.quantile(scores, np.linspace(0, 1, CURVE_POINTS)[1:-1])
        curve = router_curve(blank, search, levels)
        best = max(curve, key=lambda p: p.difference).threshold
        found.append((blank.at(best), router_curve(blank, heldout, levels)))
    line = tuple(
        (lam, float(heldout.right[i].mean()), float(heldout.tokens[i].mean())) for i, lam in enumerate(heldout.lams)
    )
    counts = search.right.shape[1], heldout.right.shape[1]
    return RoutingResult(tuple(found), oracle_curve(heldout.right, heldout.tokens), counts, line)


def router_curve(router: Router, on: LineSamples, thresholds: Sequence[float] | np.ndarray) -> tuple[RouterPoint, ...]:
    """Accuracy and tokens as the threshold moves, with the paired difference from the line at equal tokens."""
    right, tokens = on.right.mean(axis=2), on.tokens.mean(axis=2)
    low, high = on.at(router.low), on.at(router.high)
    scores = router.scores(on.features)
    weights = np.full(right.shape[1], 1 / right.shape[1])
    out = []
    for threshold in sorted(float(t) for t in thresholds):
        easy = scores >= threshold
        own = np.where(easy, right[low], right[high]), np.where(easy, tokens[low], tokens[high])
        matrix = ScoreMatrix((), np.vstack([right, own[0]]), np.vstack([tokens, own[1]]))
        mean, cost = matrix.means(weights)
        mix = line_mix(mean[:-1].tolist(), cost[:-1].tolist(), float(cost[-1]))
        drawn, _ = matrix.draws(weights)
        draws = drawn[:, -1] - mixed(drawn.T, mix)
        interval = np.quantile(draws, [0.025, 0.975])
        out.append(
            RouterPoint(
                threshold,
                float(easy.mean()),
                float(mean[-1]),
                float(cost[-1]),
                float(mean[-1] - mixed(mean, mix)),
                (float(interval[0]), float(interval[1])),
            )
        )
    return tuple(out)
