"""Accuracy and tokens of candidates per question, with weights: means, paired differences and their bootstrap draws.

The unit of chance is the question. All cells share the draws of a question set, so that differences are paired.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mi_explorer.studies.store.sample import Sample

DRAWS = 1000


class ScoreTable:
    """Shares of right samples and mean tokens by cell and question; grows as cells are measured."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, tuple[int, int, int]]] = {}  # cell → question → samples, right, tokens

    def put(self, cell: str, samples: Iterable[Sample]) -> None:
        """All samples of a cell so far; they replace what was known of it."""
        sums: dict[str, tuple[int, int, int]] = {}
        for s in samples:
            n, right, tokens = sums.get(s.item, (0, 0, 0))
            sums[s.item] = n + 1, right + s.correct, tokens + s.tokens
        self._sums[cell] = sums

    def has(self, cell: str, questions: Iterable[str]) -> bool:
        """Whether the cell has a sample of each of these questions."""
        return all(q in self._sums.get(cell, {}) for q in questions)

    def tokens(self, cell: str, questions: Iterable[str]) -> int:
        """Tokens of all samples of the cell on these questions."""
        sums = self._sums.get(cell, {})
        return sum(sums[q][2] for q in questions if q in sums)

    def matrix(self, cells: Sequence[str], questions: Sequence[str]) -> "ScoreMatrix":
        """The cells' scores on these questions, which each of them must have."""
        found = [[self._sums[c][q] for q in questions] for c in cells]
        data = np.array(found, dtype=np.float64).reshape(len(cells), len(questions), 3)
        return ScoreMatrix(tuple(cells), data[:, :, 1] / data[:, :, 0], data[:, :, 2] / data[:, :, 0])


@dataclass(frozen=True)
class ScoreMatrix:
    """`right` and `tokens` are means over samples, [cells, questions]."""

    cells: tuple[str, ...]
    right: np.ndarray
    tokens: np.ndarray

    def means(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Accuracy and tokens of every cell, the questions weighted."""
        return self.right @ weights, self.tokens @ weights

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each draw has each question, [draws, questions]."""
        n = self.right.shape[1]
        return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(np.float64)

    def draws(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bootstrap draws of accuracy and tokens, [draws, cells] each."""
        drawn = self.counts * weights
        drawn /= np.maximum(drawn.sum(axis=1, keepdims=True), 1e-12)
        return drawn @ self.right.T, drawn @ self.tokens.T


def dominators(
    matrix: ScoreMatrix, weights: np.ndarray, cell: int, others: Sequence[int], level: float = 0.975
) -> list[int]:
    """Those of `others` that beat a cell clearly: more right and fewer tokens, each at this one-sided level by paired draws."""
    right, tokens = matrix.draws(weights)
    return [
        j
        for j in others
        if j != cell
        and np.mean(right[:, j] - right[:, cell] > 0) >= level
        and np.mean(tokens[:, cell] - tokens[:, j] > 0) >= level
    ]
