"""Areas and the line's best mix, against counting squares and a linear program; who dominates whom."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from mi_explorer.search.frontier import line_mix, spread_out, volume, volume_trace
from mi_explorer.search.score_table import ScoreMatrix, dominators

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), min_size=1, max_size=8)


@given(POINTS)
def test_the_area_is_the_squares_that_some_point_dominates(points):
    right, tokens = [a / 12 for a, _ in points], [float(t) for _, t in points]
    squares = sum(any(t <= x and a > y for a, t in points) for x in range(12) for y in range(12))
    assert abs(volume(right, tokens, 12.0) - squares / 144) < 1e-9
    trace = [p.value for p in volume_trace(right, tokens, [1] * len(points), 12.0)]
    assert trace == sorted(trace) and abs(trace[-1] - squares / 144) < 1e-9


@given(POINTS, st.floats(0.5, 14))
def test_the_lines_mix_is_what_a_linear_program_finds(points, at):
    right, tokens = [a / 12 for a, _ in points], [float(t) for _, t in points]
    mix = line_mix(right, tokens, at)
    assert len(mix) <= 2 and abs(sum(w for _, w in mix) - 1) < 1e-9
    found = sum(w * right[i] for i, w in mix)
    cheapest = min(tokens)
    if at < cheapest:
        assert found == max(a for a, t in zip(right, tokens) if t == cheapest)
        return
    assert sum(w * tokens[i] for i, w in mix) <= at + 1e-9
    best = linprog([-a for a in right], A_ub=[tokens], b_ub=[at], A_eq=[[1.0] * len(right)], b_eq=[1.0])
    assert abs(found + best.fun) < 1e-7


@given(POINTS, st.integers(1, 8))
def test_finalists_are_pareto_points_and_all_of_them_where_there_is_room(points, count):
    right, tokens = [a / 12 for a, _ in points], [float(t) for _, t in points]
    kept = spread_out(right, tokens, count, 13.0)
    assert 1 <= len(kept) <= count and [tokens[i] for i in kept] == sorted(tokens[i] for i in kept)
    for i in kept:
        assert not any(
            t <= tokens[i] and a >= right[i] and (t, a) != (tokens[i], right[i]) for a, t in zip(right, tokens)
        )
    if count == 8:
        assert (
            abs(volume([right[i] for i in kept], [tokens[i] for i in kept], 13.0) - volume(right, tokens, 13.0)) < 1e-9
        )


def test_only_a_clear_difference_stops_a_candidate():
    rng = np.random.default_rng(1)
    base = rng.random((1, 40)) < 0.6
    right = np.vstack([base, base, base & (rng.random((1, 40)) < 0.5), base]).astype(float)
    tokens = np.vstack([np.full(40, 50.0), np.full(40, 50.0), np.full(40, 70.0), np.full(40, 70.0)])
    matrix, weights = ScoreMatrix(("a", "b", "c", "d"), right, tokens), np.full(40, 1 / 40)
    assert dominators(matrix, weights, 2, [0, 1, 3]) == [0, 1]  # fewer right and more tokens
    assert dominators(matrix, weights, 3, [0, 1]) == []  # as many right: not clear
    assert dominators(matrix, weights, 0, [1, 2, 3]) == []
