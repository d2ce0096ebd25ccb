"""Measures against brute force, closed forms and scipy; intervals that cover; speed."""

import itertools
import math
import time
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mi_explorer.errors import UserError
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import METRICS, Measures, interval, pass_at_k, vote
from tests.expected import CELL_KEYS


def sample(cell="a", item="q", number=0, correct=True, answer="1", tokens=10, **more):
    verdict = {True: "correct", False: "wrong", None: None}[correct]
    return {
        "cell": cell,
        "item": item,
        "number": number,
        "verdict": verdict,
        "answer": answer,
        "tokens": tokens,
        **more,
    }


@settings(deadline=None)
@given(st.integers(1, 12), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    right = [True] * c + [False] * (n - c)
    draws = list(itertools.combinations(right, k)) if n <= 8 else None
    exact = sum(map(any, draws)) / len(draws) if draws else 1 - math.comb(n - c, k) / math.comb(n, k)
    assert pass_at_k(np.array([n]), np.array([c]), k)[0] == pytest.approx(exact, abs=1e-12)


def test_pass_at_k_of_the_paper_s_formula():
    n, c, k = 64, 30, 8
    product = 1 - math.prod(1 - k / i for i in range(n - c + 1, n + 1))
    assert pass_at_k(np.array([n]), np.array([c]), k)[0] == pytest.approx(product, abs=1e-12)
    assert pass_at_k(np.array([n]), np.array([c]), 1)[0] == pytest.approx(c / n)
    assert pass_at_k(np.array([4]), np.array([1]), 64)[0] == 1.0  # fewer samples than k: all of them


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["1", "2", "3", None]), st.booleans()), min_size=1, max_size=9))
def test_vote_is_the_mean_over_tie_breaks(answers):
    right = {"1"}
    given_ = [a for a, _ in answers if a]
    counts = {a: given_.count(a) for a in set(given_)}
    modes = [a for a, n in counts.items() if n == max(counts.values())]
    expected = Fraction(sum(a in right for a in modes), len(modes)) if modes else 0
    numbers = np.array([-1 if a is None else int(a) for a, _ in answers])
    credit = vote(np.zeros(len(answers), int), numbers, numbers == 1, 1)
    assert credit[0] == pytest.approx(float(expected))


def test_votes_see_spellings_as_one_answer_and_skip_the_empty():
    answers = [("1/2", True), ("0.5", True), ("7", False), ("7", False), (None, False), (None, False), (None, False)]
    rows = [sample(number=i, answer=a, correct=c) for i, (a, c) in enumerate(answers)]
    measures = Measures(Grid.of(rows))
    assert measures.values("vote")[0] == 0.5
    assert measures.values("no_answer")[0] == pytest.approx(3 / 7)
    assert measures.values("mean")[0] == pytest.approx(2 / 7)


def test_vote_at_k_averages_disjoint_blocks():
    rows = [sample(number=i, answer=a, correct=a == "1") for i, a in enumerate("1122111")]
    assert Measures(Grid.of(rows)).values("vote")[0] == 1.0
    assert Measures(Grid.of(rows), k=2).values("vote")[0] == pytest.approx(2 / 3)  # 11 | 22 | 11
    assert Measures(Grid.of(rows), k=3).values("vote")[0] == 1.0  # 112 | 211, the last one in no block


def naive(rows, metric):
    """Each metric written as its definition, question by question."""
    by_item = {}
    for row in rows:
        by_item.setdefault(row["item"], []).append(row)

    def spent(r):
        return 1.0 if r["first_correct"] is None else r["first_correct"] / r["tokens"]

    def right(r):
        return r["verdict"] == "correct"

    def mean(value, keep=lambda r: True):
        top = [sum(value(r) for r in item if keep(r)) / len(item) for item in by_item.values()]
        bottom = [sum(1 for r in item if keep(r)) / len(item) for item in by_item.values()]
        return sum(top) / sum(bottom) if sum(bottom) else math.nan

    return {
        "mean": lambda: mean(right), "tokens": lambda: mean(lambda r: r["tokens"]),
        "think_tokens": lambda: mean(lambda r: r["think_tokens"]),
        "answer_tokens": lambda: mean(lambda r: r["tokens"] - r["think_tokens"]), "think_ratio": lambda: mean(lambda r: r["think_closed"]),
        "think_lenient": lambda: mean(lambda r: r["think_lenient"]), "truncated": lambda: mean(lambda r: r["truncated"]),
        "looped": lambda: mean(lambda r: r["looped"]), "flips": lambda: mean(lambda r: r["flips"]),
        "no_answer": lambda: mean(lambda r: r["answer"] is None), "overthinking": lambda: mean(lambda r: 1 - spent(r), right),
        "underthinking": lambda: mean(lambda r: 1 - spent(r), lambda r: not right(r)),
        "outcome_efficiency": lambda: mean(lambda r: 0.0 if r["first_correct"] is None else spent(r)),
        "tokens_per_correct": lambda: mean(lambda r: r["tokens"]) / mean(right) if mean(right) else math.nan,
        "pass": lambda: sum(any(map(right, item)) for item in by_item.values()) / len(by_item),
    }[metric]()  # fmt: skip


samples_of_a_cell = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from([None, "1", "2"]), st.integers(1, 40), *[st.booleans()] * 2,
        st.integers(0, 5)),
    min_size=1, max_size=25,
)  # fmt: skip


@given(samples_of_a_cell)
@settings(max_examples=60, deadline=None)
def test_every_measure_against_its_definition(data):
    rows = [
        sample(item=f"q{q}", number=i, correct=c, answer=a, tokens=t, think_tokens=t // 2, think_closed=x, think_lenient=x or y,
            truncated=y,
               looped=x and y, first_correct=max(1, t - f) if c or f % 2 else None, flips=f)
        for i, (q, c, a, t, x, y, f) in enumerate(data)
    ]  # fmt: skip
    measures = Measures(Grid.of(rows), draws=10)
    for metric in METRICS:
        if (
            metric in ("vote", "pass")
            and len({sum(r["item"] == q for r in rows) for q in {r["item"] for r in rows}}) > 1
        ):
            continue  # uneven samples: k differs by question
        if metric != "vote":
            assert measures.values(metric)[0] == pytest.approx(naive(rows, metric), nan_ok=True), metric


def flat(counts, n, cell="a"):
    """Rows of one cell: question i has counts[i] right ones among n."""
    return [
        sample(cell, f"q{i}", k, k < c, "1" if k < c else "2", 10 + i) for i, c in enumerate(counts) for k in range(n)
    ]


def test_the_interval_is_scipy_s_bootstrap_of_question_means():
    rng = np.random.default_rng(3)
    counts = rng.binomial(8, rng.beta(1, 1, 80))
    estimate = Measures(Grid.of(flat(counts, 8))).estimate("a", "mean")
    other = stats.bootstrap((counts / 8,), np.mean, n_resamples=9999, method="percentile", rng=rng).confidence_interval
    assert estimate.value == pytest.approx(counts.mean() / 8)
    assert (estimate.low, estimate.high) == pytest.approx((other.low, other.high), abs=0.01)
    naive_width = 2 * 1.96 * math.sqrt(estimate.value * (1 - estimate.value) / (80 * 8))
    assert estimate.high - estimate.low > 1.5 * naive_width  # samples of a question are not independent


def test_intervals_cover_about_as_often_as_they_say():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(150):
        counts = rng.binomial(4, rng.beta(2, 2, 60))
        e = Measures(Grid.of(flat(counts, 4)), draws=400).estimate(0, "mean")
        hits += e.low <= 0.5 <= e.high
    assert 0.88 <= hits / 150 <= 0.99


def test_paired_differences_are_narrower_and_exact_where_cells_agree():
    rng = np.random.default_rng(1)
    counts = rng.binomial(8, rng.beta(0.3, 0.3, 100))
    better = np.minimum(8, counts + (rng.random(100) < 0.2))
    measures = Measures(Grid.of(flat(counts, 8, "a") + flat(better, 8, "b") + flat(counts, 8, "c")))
    difference = measures.paired("b", "a", "mean")
    assert difference.value == pytest.approx((better - counts).mean() / 8)
    per_question = (better - counts) / 8
    se = per_question.std(ddof=1) / 10
    assert (difference.low, difference.high) == pytest.approx(
        (difference.value - 1.96 * se, difference.value + 1.96 * se), abs=0.004
    )
    own = measures.estimate("a", "mean")
    assert difference.high - difference.low < (own.high - own.low) / 3
    same = measures.paired("c", "a", "mean")
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_pairs_use_only_the_questions_that_both_have():
    rows = flat([4, 4, 0, 0], 4, "a") + [r for r in flat([4, 0, 0, 0], 4, "b") if r["item"] != "q3"]
    measures = Measures(Grid.of(rows))
    difference = measures.paired("b", "a", "mean")
    assert (difference.value, difference.questions) == (pytest.approx(-1 / 3), 3)
    assert measures.row("b")["questions"] == 3 and measures.row("b")["total"] == 12


def test_nothing_and_everything_get_an_exact_bound():
    e = Measures(Grid.of(flat([0] * 50, 4))).estimate(0, "mean")
    exact = stats.binomtest(0, 50).proportion_ci(method="exact")
    assert (e.value, e.low, e.high) == (0, 0, pytest.approx(exact.high))
    e = Measures(Grid.of(flat([4] * 50, 4))).estimate(0, "mean")
    assert (e.value, e.low, e.high) == (1, pytest.approx(1 - exact.high), 1)


def test_one_question_has_no_interval():
    e = Measures(Grid.of(flat([2], 4))).estimate(0, "mean")
    assert e.value == 0.5 and math.isnan(e.low) and e.ci == (None, None)


def test_gain_per_1k_tokens():
    rows = flat([2] * 40, 4, "a") + [{**r, "tokens": r["tokens"] + 50} for r in flat([3] * 40, 4, "b")]
    measures = Measures(Grid.of(rows))
    gain = measures.gain_per_1k("b", "a")
    assert (gain.value, gain.low, gain.high) == (pytest.approx(500),) * 3  # 25 points for 50 tokens
    assert math.isnan(measures.gain_per_1k("a", "b").value)


def test_without_gold_answers_there_are_tokens_but_no_accuracy():
    measures = Measures(Grid.of([sample(item=str(i), correct=None, tokens=5 + i) for i in range(4)]))
    row = measures.row(0)
    assert row["mean"] is None and row["pass"] is None and row["vote"] is None and row["overthinking"] is None
    assert row["tokens"] == 6.5


def test_row_is_plain_json_and_complete():
    import json

    row = Measures(Grid.of(flat([1, 2, 3], 4))).row(0, ks=(1, 2, 8))
    assert json.loads(json.dumps(row)) == row
    assert set(row) >= CELL_KEYS - {"lambda"}
    assert (row["questions"], row["samples"], row["total"]) == (3, 4, 12)
    assert row["pass@1"] == pytest.approx(0.5) and row["pass@8"] is None


def test_draws_are_repeatable():
    grid = Grid.of(flat([1, 2, 3, 0] * 10, 4))
    assert Measures(grid).estimate(0, "mean") == Measures(grid).estimate(0, "mean")
    assert Measures(grid, seed=1).estimate(0, "tokens") != Measures(grid).estimate(0, "tokens")


def test_a_data_frame_and_objects_give_the_same_grid():
    class Row:
        def __init__(self, **fields):
            self.__dict__.update(fields)

    full = {
        "think_tokens": 1,
        "think_closed": True,
        "think_lenient": True,
        "truncated": False,
        "looped": False,
        "first_correct": None,
        "flips": 0,
    }
    rows = [{**r, **full} for r in flat([1, 3], 4)]
    rows[2]["answer"] = None
    grids = [Grid.of(rows), Grid.of(pd.DataFrame(rows)), Grid.of([Row(**r) for r in rows])]
    for grid in grids[1:]:
        for name in ("correct", "answers", "tokens", "think_closed", "first_correct"):
            np.testing.assert_array_equal(getattr(grid, name), getattr(grids[0], name), name)


def test_no_samples():
    with pytest.raises(UserError, match="no samples yet"):
        Grid.of([])
    with pytest.raises(UserError, match="None of these cells"):
        Grid.of(flat([1], 1), cells=["other"])
    with pytest.raises(UserError, match="Did you mean 'tokens'"):
        Measures(Grid.of(flat([1], 1))).values("token")


def test_interval_of_nothing():
    assert all(map(math.isnan, interval(np.array([np.nan]))))


def test_eleven_cells_of_200_questions_and_64_samples_in_under_two_seconds():
    rng = np.random.default_rng(0)
    shape = (11, 200, 64)
    cell, item, number = (x.ravel() for x in np.indices(shape))
    frame = pd.DataFrame({
        "cell": cell.astype(str), "item": item.astype(str), "number": number, "tokens": rng.integers(10, 300, cell.size),
        "verdict": np.where(rng.random(cell.size) < 0.5, "correct", "wrong"), "answer": rng.integers(0, 99, cell.size).astype(str),
        "think_closed": rng.random(cell.size) < cell / 10, "first_correct": 7,
    })  # fmt: skip
    start = time.process_time()
    measures = Measures(Grid.of(frame))
    rows = measures.rows()
    differences = [measures.paired(i, 0, metric) for i in range(11) for metric in ("mean", "tokens", "think_ratio")]
    assert time.process_time() - start < 2
    assert (
        len(rows) == 11
        and all(row["mean_ci"][0] < row["mean"] < row["mean_ci"][1] for row in rows)
        and len(differences) == 33
    )
