"""Stages: the fit against scipy, the published curves refitted, the fallbacks, and what follows from them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.special import expit

from mi_explorer.studies.report.published import refit
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Measures
from mi_explorer.studies.stats.stages import LAPSE, isotonic, of_measures, transition
from mi_explorer.studies.stats.useful_end import end_of_useful_stage_3

LAMS = [i / 10 for i in range(11)]


@pytest.mark.parametrize(
    ("model", "benchmark", "centre", "scale", "low", "high"),
    [
        ("Qwen3-4B-2507", "AIME25", (0.48, 0.495), (0.0205, 0.0264), (0.36, 0.39), (0.58, 0.60)),
        ("Qwen3-4B-2507", "IFEval", (0.48, 0.495), (0.0205, 0.0264), (0.36, 0.39), (0.57, 0.60)),
        ("Qwen3-4B-2507", "GPQA-Diamond", (0.475, 0.495), (0.0205, 0.0264), (0.36, 0.39), (0.58, 0.60)),
        ("Qwen3-30B-A3B-2507", "AIME25", (0.56, 0.605), (0.0115, 0.026), (0.45, 0.56), (0.60, 0.69)),
        ("Qwen3-30B-A3B-2507", "IFEval", (0.56, 0.605), (0.0115, 0.026), (0.45, 0.56), (0.60, 0.69)),
        ("Qwen3-30B-A3B-2507", "GPQA-Diamond", (0.56, 0.605), (0.0115, 0.026), (0.45, 0.56), (0.60, 0.69)),
    ],
)
def test_the_published_curves_refitted(model, benchmark, centre, scale, low, high):
    found = refit(model, benchmark)
    assert found.kind == "logistic" and found.worst < 0.05
    assert centre[0] <= found.lambda50 <= centre[1]
    assert scale[0] <= found.s <= scale[1]
    assert low[0] - 0.005 <= found.stage2[0] <= low[1] + 0.005
    assert high[0] - 0.005 <= found.stage2[1] <= high[1] + 0.005
    assert found.stage2 == pytest.approx((found.lambda50 - 4.595 * found.s, found.lambda50 + 4.595 * found.s))
    assert found.stage2_95 == pytest.approx((found.lambda50 - 2.944 * found.s, found.lambda50 + 2.944 * found.s))


@given(st.floats(0.25, 0.75), st.floats(0.03, 0.12), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_fit_is_the_maximum_that_scipy_finds(centre, scale, seed):
    lam, n = np.array(LAMS), np.full(11, 400.0)
    k = np.random.default_rng(seed).binomial(400, expit((lam - centre) / scale)).astype(float)
    found = transition(LAMS, k, n)
    if found.kind != "logistic":
        assert found.kind == "isotonic"
        return

    def loss(x):
        p = LAPSE + (1 - 2 * LAPSE) * expit((lam - x[0]) / math.exp(x[1]))
        return -(k * np.log(p) + (n - k) * np.log(1 - p)).sum()

    best = optimize.minimize(
        loss, [centre, math.log(scale)], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 5000}
    )
    assert loss([found.lambda50, math.log(found.s)]) <= best.fun + 1e-4
    assert found.lambda50 == pytest.approx(best.x[0], abs=2e-3)
    assert found.s == pytest.approx(math.exp(best.x[1]), rel=0.02)
    assert found.ratio(found.lambda50) == pytest.approx(0.5)


def rows(centre, scale, spread, seed=0, questions=150, samples=4):
    """Samples of a sweep whose questions differ in where they switch."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, spread, questions)
    return [
        {"cell": f"{lam}", "item": str(q), "number": k, "verdict": "correct", "answer": "1", "tokens": 5,
         "think_closed": bool(rng.random() < expit((lam - centre - shift[q]) / scale))}
        for lam in LAMS for q in range(questions) for k in range(samples)
    ]  # fmt: skip


def test_intervals_cover_and_know_that_questions_differ():
    hits = []
    for seed in range(40):
        found = of_measures(Measures(Grid.of(rows(0.47, 0.05, 0.05, seed, 60)), draws=300), LAMS)
        assert found.lambda50_ci[0] < found.lambda50 < found.lambda50_ci[1] and found.s_ci[0] < found.s < found.s_ci[1]
        hits.append(found.lambda50_ci[0] <= 0.47 <= found.lambda50_ci[1])
    assert 0.8 <= np.mean(hits) <= 1
    alike = of_measures(Measures(Grid.of(rows(0.47, 0.05, 0.0))), LAMS)
    unlike = of_measures(Measures(Grid.of(rows(0.47, 0.05, 0.15))), LAMS)
    assert np.ptp(unlike.lambda50_ci) > 1.5 * np.ptp(alike.lambda50_ci)


def counts(*ratios, n=800.0):
    return np.array(ratios) * n, np.full(len(ratios), n)


@pytest.mark.parametrize(
    ("ratios", "kind", "message"),
    [
        ([0] * 11, "none", "closed nowhere between λ 0 and 1"),
        ([0.005] * 11, "none", "closed nowhere"),
        ([1] * 11, "none", "closed everywhere"),
        ([1] * 5 + [0] * 6, "none", "does not rise through one half"),
        ([0] * 8 + [0.05, 0.1, 0.3], "partial", "reaches 30 % at λ 1"),
        ([0.8, 0.7] + [1] * 9, "partial", "reaches 70 % at λ 0.1"),
        ([0.5] * 11, "none", "the think ratio is 50 % between λ 0 and 1, with no slope beyond chance"),
        ([0.49, 0.51, 0.5, 0.48, 0.52, 0.5, 0.51, 0.49, 0.5, 0.5, 0.51], "none", "is between 48 and 52 %"),
        ([0.3, 0.31, 0.29] * 3 + [0.3, 0.3], "none", "no slope beyond chance"),
        ([0] * 5 + [1] * 6, "isotonic", "between λ 0.4 and 0.5"),
        ([0] * 4 + [0.1] + [0.9] + [0.9] * 5, "isotonic", "stays below 99 % up to λ 1"),
    ],
)  # fmt: skip
def test_what_is_said_where_a_logistic_can_not_be(ratios, kind, message):
    found = transition(LAMS, *counts(*ratios))
    assert found.kind == kind and message in found.message
    assert (found.lambda50 is None) == (kind in ("none", "partial"))
    assert found.stage(0.5) == (None if kind in ("none", "partial") else found.stage(0.5))


def test_no_transition_is_read_into_what_was_not_measured():
    """A weak slope may cross one half far away, or only by a stray point: no λ50 then, whatever the fit says."""
    n = np.full(11, 4000.0)
    weak = 0.40 + 0.008 * np.arange(11)
    weak[10] = 0.505
    found = transition(LAMS, weak * n, n)
    assert found.lambda50 is None or 0 <= found.lambda50 <= 1
    far = transition([0, 0.1, 0.2, 0.3], np.array([0.41, 0.51, 0.43, 0.46]) * 9000, np.full(4, 9000.0))
    assert (far.kind, far.lambda50) == ("none", None) and "outside" in far.message
    wide = transition(LAMS, *counts(*expit((np.array(LAMS) - 0.5) / 0.2)))
    assert wide.kind == "logistic" and "beyond" in wide.message


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.floats(0.02, 0.98), st.integers(1, 500), st.integers(0, 2**32 - 1))
def test_lambda50_never_lies_outside_of_the_measured_lambdas(points, ratio, n, seed):
    lam = np.linspace(0, 1, points)
    k = np.random.default_rng(seed).binomial(n, ratio, points).astype(float)
    found = transition(lam, k, np.full(points, float(n)))
    assert found.lambda50 is None or 0 <= found.lambda50 <= 1


def test_flat_curves_are_called_flat_about_as_often_as_chance_allows():
    rng = np.random.default_rng(0)
    kinds = [transition(LAMS, rng.binomial(200, 0.45, 11).astype(float), np.full(11, 200.0)).kind for _ in range(200)]
    assert kinds.count("none") / 200 >= 0.9


def test_isotonic_bands_by_interpolation():
    found = transition(LAMS, *counts(*([0] * 5 + [1] * 6)))
    assert found.lambda50 == pytest.approx(0.45)
    assert found.stage2 == pytest.approx((0.401, 0.499)) and found.stage2_95 == pytest.approx((0.405, 0.495))
    assert found.s is None and found.next == (0.433, 0.467)
    assert [found.stage(x) for x in (0.3, 0.45, 0.7)] == [1, 2, 3]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.data())
def test_isotonic_against_quadratic_programming(r, data):
    w = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(r), max_size=len(r))), float)
    ours = isotonic(np.array(r), w)
    theirs = optimize.isotonic_regression(r, weights=w).x
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_few_points_and_odd_input():
    two = transition([0, 1], *counts(0, 1))
    assert (two.kind, two.lambda50, two.next) == ("isotonic", 0.5, (0.333, 0.667))
    assert transition([0.5], *counts(0.5)).kind in ("isotonic", "none", "partial")
    assert transition([], np.zeros(0), np.zeros(0)).kind == "none"
    unsorted = transition(LAMS[::-1], *[x[::-1] for x in counts(*expit((np.array(LAMS) - 0.5) / 0.05))])
    assert unsorted.lambda50 == pytest.approx(0.5, abs=1e-3)
    unmeasured = transition(LAMS, counts(*expit((np.array(LAMS) - 0.5) / 0.05))[0], np.array([800.0] * 10 + [0.0]))
    assert unmeasured.lambda50 == pytest.approx(0.5, abs=1e-3)


def test_the_next_lambda_is_d_optimal_and_not_measured_yet():
    ratios = expit((np.array(LAMS) - 0.52) / 0.06)
    found = transition(LAMS, *counts(*ratios))
    assert found.next == pytest.approx((0.52 - 1.54 * 0.06, 0.52 + 1.54 * 0.06), abs=2e-3)
    again = transition(LAMS, *counts(*ratios), measured=[found.next[0]])
    assert again.next == (found.next[1],)

    # D-optimality: among symmetric pairs, logits of ±1.54 maximise the determinant of the information matrix.
    def information(z):
        w = expit(z) * (1 - expit(z))
        return w * w * z * z

    assert optimize.minimize_scalar(lambda z: -information(z), bounds=(0.1, 5), method="bounded").x == pytest.approx(
        1.54, abs=5e-3
    )


def sweep(accuracy, tokens, thinks):
    rng = np.random.default_rng(5)
    return Measures(Grid.of([
        {"cell": f"{lam}", "item": str(q), "number": k, "verdict": "correct" if rng.random() < a else "wrong", "answer": "1",
         "tokens": int(t + rng.integers(-3, 4)), "think_closed": bool(rng.random() < r)}
        for lam, a, t, r in zip(LAMS, accuracy, tokens, thinks) for q in range(120) for k in range(8)
    ]))  # fmt: skip


def test_the_end_of_useful_stage_3():
    thinks = expit((np.array(LAMS) - 0.4) / 0.03)
    tokens = [30] * 4 + [60, 100, 120, 140, 160, 180, 200]
    measures = sweep([0.4] * 4 + [0.5, 0.6, 0.75, 0.9, 0.9, 0.9, 0.9], tokens, thinks)
    found = of_measures(measures, LAMS)
    end = end_of_useful_stage_3(measures, LAMS, found)
    assert end.lam == 0.7 and end.gain.low <= 0 <= end.gain.high and "n = 120" in end.message
    rising = sweep([0.2] * 4 + [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], tokens, thinks)
    end = end_of_useful_stage_3(rising, LAMS, of_measures(rising, LAMS))
    assert end.lam is None and end.last == (0.9, 1.0)
    never = sweep([0.4] * 11, tokens, [0] * 11)
    assert "no stage 3" in end_of_useful_stage_3(never, LAMS, of_measures(never, LAMS)).message


def test_json():
    import json

    data = refit("Qwen3-4B-2507", "AIME25").json()
    assert json.loads(json.dumps(data)) == data
    assert {"lambda50", "s", "stage2", "lambda50_ci", "s_ci", "next"} <= set(data)
