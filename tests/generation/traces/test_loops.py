"""Loops: periodic tails, repeated paragraphs, text that compresses too well; and what is none of these."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.generation.traces import loops, trace_of_text


def naive_period(ids):
    """The definition, tried period by period."""
    for p in range(1, len(ids)):
        span = max(3 * p, loops.MIN_TAIL)
        if span > len(ids):
            return 0
        tail = ids[-span:]
        if all(tail[i] == tail[i - p] for i in range(p, span)):
            return p
    return 0


@given(
    st.lists(st.integers(0, 2), max_size=30), st.lists(st.integers(0, 2), min_size=1, max_size=12), st.integers(0, 9)
)
@settings(max_examples=150, deadline=None)
def test_period_against_the_definition(head, cycle, times):
    ids = head + cycle * times
    assert loops.tail_period(ids) == naive_period(ids)


def test_a_loop_of_tokens_and_its_smallest_period():
    assert loops.tail_period([9, 8, 7] + [1, 2, 3, 4, 5] * 6) == 5
    assert loops.tail_period([1] * 40) == 1
    assert loops.tail_period([1, 2, 3, 4] + [7, 7, 7]) == 0  # "777" is a number


def test_a_paragraph_three_times_is_a_loop_and_twice_is_not():
    paragraph = "Let me check the sum of the two numbers once more.\n"
    assert loops.repeated_paragraph(paragraph + "a\n" + paragraph + "b\n" + paragraph)
    assert not loops.repeated_paragraph(paragraph + "a\n" + paragraph)
    assert not loops.repeated_paragraph("The answer is 23.\n" * 5)  # short


def test_compression():
    rng = random.Random(1)
    prose = " ".join(f"{rng.randrange(1000)} plus {rng.randrange(1000)} is a number" for _ in range(200))
    assert loops.compresses("again and again " * 200)
    assert not loops.compresses(prose)
    assert not loops.compresses("a" * 500)  # too short to say


@pytest.mark.parametrize(
    ("text", "looped"), [(("wait a moment " * 20).strip(), True), ("one two three four five", False)]
)
def test_a_trace_says_so(text, looped):
    assert trace_of_text(text, finish="cap").looped is looped
