"""The best λ for every question, as a bound for routers: chosen on one half of the samples, scored on the other, or it flatters itself.

A price in accuracy per token turns accuracy and tokens into one number; over prices the oracle makes a curve.
"""

from dataclasses import dataclass

import numpy as np

PRIOR = 2.0  # samples that a λ's mean over questions counts for, beside a question's own
PRICES = (0.0, 1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3)  # accuracy (share) that a token must bring


@dataclass(frozen=True)
class OraclePoint:
    """Accuracy and mean tokens at one price; `naive` are the figures without cross-fitting, which are too good."""

    price: float
    right: float
    tokens: float
    naive_right: float
    naive_tokens: float


def oracle_curve(right: np.ndarray, tokens: np.ndarray, prices: tuple[float, ...] = PRICES) -> tuple[OraclePoint, ...]:
    """The oracle over λ, of [λs, questions, samples] each; every question has all samples, at least two.

    Ties go to fewer tokens. Both halves choose for each other and the results are averaged.
    """
    halves = [(right[:, :, i::2].mean(axis=2), tokens[:, :, i::2].mean(axis=2)) for i in (0, 1)]
    whole = right.mean(axis=2), tokens.mean(axis=2)
    count = right.shape[2]
    out = []
    for price in prices:
        crossed = [_score(_choice(*halves[i], price, count // 2), *halves[1 - i]) for i in (0, 1)]
        naive = _score(_choice(*whole, price, count), *whole)
        out.append(
            OraclePoint(
                price, (crossed[0][0] + crossed[1][0]) / 2, (crossed[0][1] + crossed[1][1]) / 2, naive[0], naive[1]
            )
        )
    return tuple(out)


def _choice(right: np.ndarray, tokens: np.ndarray, price: float, samples: int) -> np.ndarray:
    """Index of the λ of every question, by its own samples and, where these say little, by the λ's mean over questions."""
    value = right - max(price, 1e-9) * tokens
    shrunk = (samples * value + PRIOR * value.mean(axis=1, keepdims=True)) / (samples + PRIOR)
    return np.asarray(shrunk.argmax(axis=0))


def _score(choice: np.ndarray, right: np.ndarray, tokens: np.ndarray) -> tuple[float, float]:
    at = np.arange(len(choice))
    return float(right[choice, at].mean()), float(tokens[choice, at].mean())
