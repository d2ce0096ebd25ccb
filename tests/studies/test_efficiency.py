"""Scores that join accuracy and tokens, against hand calculation and brute force."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.studies.stats import efficiency
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Measures


def test_aes_by_hand():
    assert efficiency.aes(0.6, 50, 0.5, 100) == pytest.approx(0.5 + 3 * 0.2)
    assert efficiency.aes(0.4, 50, 0.5, 100) == pytest.approx(0.5 - 5 * 0.2)
    assert efficiency.aes(0.5, 200, 0.5, 100) == pytest.approx(-1)
    assert math.isnan(efficiency.aes(0.5, 100, 0.0, 100))


def test_ock_score_by_hand():
    assert efficiency.ock_score(0.8, 10_000) == pytest.approx(80 - 10 * math.log(2))
    assert efficiency.ock_score(0.8, 0) == pytest.approx(80)


points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@settings(deadline=None)
@given(points)
def test_pareto_and_hypervolume_by_counting_squares(data):
    tokens, accuracy = zip(*data)
    front = efficiency.pareto(tokens, accuracy)
    assert front == [
        i for i, (t, a) in enumerate(data) if not any((u < t and b >= a) or (u <= t and b > a) for u, b in data)
    ]
    squares = sum(any(t <= x and a >= y + 1 for t, a in data) for x in range(10) for y in range(10))
    assert efficiency.hypervolume(tokens, accuracy, 10) == squares


def cells(*given_):
    rng = np.random.default_rng(0)
    rows = []
    for name, accuracy, tokens in given_:
        for q in range(60):
            for k in range(4):
                right = rng.random() < accuracy
                rows.append({"cell": name, "item": str(q), "number": k, "verdict": "correct" if right else "wrong", "answer": "1",
                             "tokens": int(tokens + rng.integers(-5, 6))})  # fmt: skip
    return Measures(Grid.of(rows))


def test_improvements_on_parents():
    measures = cells(("instruct", 0.4, 30), ("thinking", 0.8, 200), ("good", 0.9, 100), ("bad", 0.6, 250))
    assert efficiency.improves(measures, "good", "thinking") > 0.95
    assert efficiency.improves(measures, "bad", "thinking") == 0
    assert efficiency.improves(measures, "good", "instruct") == 0  # better, but longer
    assert efficiency.improves_either(measures, "good", ["instruct", "thinking"]) == efficiency.improves(
        measures, "good", "thinking"
    )
    assert efficiency.improves(measures, "thinking", "thinking") == 0


def test_estimates_lie_inside_their_intervals():
    measures = cells(("a", 0.5, 100), ("b", 0.7, 60))
    e = efficiency.aes_estimate(measures, "b", "a")
    mean, tokens = measures.values("mean"), measures.values("tokens")
    assert e.value == pytest.approx(efficiency.aes(mean[1], tokens[1], mean[0], tokens[0]))
    assert e.low < e.value < e.high
    o = efficiency.ock_estimate(measures, "b")
    assert o.value == pytest.approx(100 * mean[1] - 10 * math.log(tokens[1] / 1e4 + 1)) and o.low < o.value < o.high


def test_best_within_a_budget():
    tokens, accuracy = [30, 60, 200, 50], [0.4, 0.7, 0.9, None]
    assert efficiency.best_within(100, tokens, accuracy) == 1
    assert efficiency.best_within(10, tokens, accuracy) is None
    assert efficiency.best_within(100, [80, 60], [0.7, 0.7]) == 1, "the cheaper of two alike"
