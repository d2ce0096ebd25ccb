"""What a plan will take: lengths of the recipe itself before those of its neighbours, the limit where nothing is known, and the words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.cost import Cost, estimate, learn, roughly, throughput, token_count
from mi_explorer.studies.plan import Plan, grid
from mi_explorer.studies.store.sample import Sample
from tests.expected import numbers_in

SAMPLE = Sample("", "", "", 0, 1, "stop", "correct", "7", 120, 100, 20, True, True, False, False, 60, 60, 0, 0.5)


def plan(*lams: float, cap: int = 512, recipe: Recipe | None = None) -> Plan:
    return Plan("sums", grid(recipe or Recipe(), lams, Decoding(cap=cap)), 5, 2)


def test_a_recipe_that_was_measured_is_as_long_as_it_was_and_others_lie_between_their_neighbours():
    known = learn(
        [
            (Recipe(lam=0.0), 10, 200),
            (Recipe(lam=1.0), 10, 2000),
            (Recipe(lam=1.0), 30, 2000),
            (Recipe("mini", "slerp", 0.5), 4, 800),
        ]
    )
    assert known[Recipe(lam=1.0)] == (40, 4000)
    assert estimate(plan(0, 1), 20, 20, known, None).tokens == 20 * (20 + 100) / 2
    assert estimate(plan(0.25), 10, 10, known, None).tokens == 10 * (20 + 0.25 * 80)
    assert (
        estimate(plan(0.5, recipe=Recipe("mini", "slerp")), 10, 4, known, None).tokens == 4 * 200
    )  # its own, and only what is missing
    assert estimate(plan(1, cap=60), 10, 10, known, None).tokens == 10 * 60  # no longer than the limit


def test_where_only_other_blends_were_measured_they_tell_it():
    known = learn([(Recipe(lam=0.8, scope=Scope("0-2")), 2, 60), (Recipe("mini", "ties", 0.8), 2, 20)])
    assert estimate(plan(0.8), 10, 10, known, None).tokens == 10 * 20


def test_without_anything_measured_the_limit_bounds_it():
    found = estimate(plan(0, 1, cap=200), 20, 20, {}, 1000.0)
    assert (found.tokens, found.measured, found.seconds) == (4000, False, 4.0)
    assert "at most" in found.text and numbers_in(found.text) == [20, 4000, 200, 4, 1000]


def test_the_words():
    measured = Cost(20, 5, 500, True, None).text
    assert "at most" not in measured and numbers_in(measured) == [20, 5, 500, 100]
    assert numbers_in(Cost(20, 0, 0, True, 900.0).text) == [20]
    assert roughly(0.2) == "1 s" and roughly(3) == "3 s" and roughly(200) == "3 min" and roughly(9000) == "2.5 h"
    assert token_count(830) == "830" and token_count(12_400) == "12 thousand" and token_count(3.1e6) == "3.1 million"


def test_the_pace_leaves_pauses_out():
    at = [replace(SAMPLE, tokens=100, finished=1000.0 + i + (3600 if i >= 10 else 0)) for i in range(20)]
    assert throughput(at) == pytest.approx(19 * 100 / (18 + 5))  # an hour's pause counts as five seconds
    assert throughput(at[:9]) is None and throughput([replace(s, finished=1.0) for s in at]) is None


MEASURED = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 50), st.integers(0, 5000)), max_size=8)


@given(MEASURED, st.floats(0, 1), st.integers(1, 4000), st.integers(0, 100))
def test_an_estimate_lies_between_what_was_measured_and_the_limit(measured, lam, cap, missing):
    known = learn([(Recipe(lam=x), n, tokens) for x, n, tokens in measured])
    found = estimate(plan(lam, cap=cap), 100, missing, known, None)
    means = [tokens / n for n, tokens in known.values()] or [float(cap)]
    assert missing * min(cap, *means) * (1 - 1e-9) <= found.tokens <= missing * min(cap, max(means)) * (1 + 1e-9)
