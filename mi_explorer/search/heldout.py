"""The finalists against the plain line on questions that the search never saw."""

from collections.abc import Sequence

import numpy as np

from mi_explorer.search.frontier import line_mix, mixed, volume
from mi_explorer.search.result import Finalist, HeldoutScore, LineScore
from mi_explorer.search.score_table import ScoreMatrix
from mi_explorer.search.search_events import CandidateScore

LEVEL = 0.95


def judge(
    matrix: ScoreMatrix, finalists: Sequence[CandidateScore], line: Sequence[tuple[float, str]]
) -> tuple[Finalist, ...]:
    """Each finalist with its held-out scores. `line`: λ and cell key of the line's points, which the matrix has beside the finalists.

    The line's mix is chosen on the held-out scores themselves, which favours the line.
    """
    weights = np.full(matrix.right.shape[1], 1 / matrix.right.shape[1])
    right, tokens = matrix.means(weights)
    drawn_right, drawn_tokens = matrix.draws(weights)
    place = {key: i for i, key in enumerate(matrix.cells)}
    points = [place[key] for _, key in line]
    searched = max(1, sum(not f.on_line for f in finalists))
    out = []
    for found in finalists:
        i = place[found.key]
        mix = line_mix(right[points].tolist(), tokens[points].tolist(), float(tokens[i]))
        of_line = [(points[k], weight) for k, weight in mix]
        difference = float(right[i] - mixed(right, of_line))
        draws = drawn_right[:, i] - mixed(drawn_right.T, of_line)
        strict = np.quantile(draws, (1 - LEVEL) / 2 / searched)
        score = HeldoutScore(
            float(right[i]),
            _interval(drawn_right[:, i]),
            float(tokens[i]),
            _interval(drawn_tokens[:, i]),
            difference,
            _interval(draws),
            tuple((line[k][0], float(weight)) for k, weight in mix),
            float(mixed(tokens, of_line)),
            bool(strict > 0),
        )
        out.append(Finalist(found.cell, found.right, found.tokens, score, found.on_line))
    return tuple(out)


def line_scores(matrix: ScoreMatrix, line: Sequence[tuple[float, str]]) -> tuple[LineScore, ...]:
    """The held-out scores of the line's points, given by λ and cell key."""
    weights = np.full(matrix.right.shape[1], 1 / matrix.right.shape[1])
    right, tokens = matrix.means(weights)
    drawn_right, drawn_tokens = matrix.draws(weights)
    places = [(lam, matrix.cells.index(key)) for lam, key in line]
    return tuple(
        LineScore(lam, float(right[i]), _interval(drawn_right[:, i]), float(tokens[i]), _interval(drawn_tokens[:, i]))
        for lam, i in places
    )


def heldout_volume(matrix: ScoreMatrix, keys: Sequence[str], worst: float) -> float:
    """The share of the box that these cells dominate on held-out questions."""
    part = [matrix.cells.index(key) for key in keys]
    return volume(matrix.right[part].mean(axis=1).tolist(), matrix.tokens[part].mean(axis=1).tolist(), worst)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
