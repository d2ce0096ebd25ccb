"""Verdicts on labelled answers: forms from other people's bug reports, and further forms of the same kinds.

`reported_*` hold forms that graders were reported to judge wrongly; `kinds_*` vary them by kind (sign, negation, bound,
magnitude, fraction, unit, set, interval, option, …). No right answer is refused and no wrong one accepted.
"""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.generation.traces.answers import final_answer
from mi_explorer.tasks.grammar.values import value_of
from mi_explorer.tasks.verify import canonical, same, verify

CASES = Path(__file__).parent / "cases"


def rows(name):
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").split("\n") if line]


@pytest.mark.parametrize(
    "name",
    [
        "reported_verdicts.jsonl",
        "kinds_verdicts.jsonl",
        "examined_verdicts.jsonl",
        "further_verdicts.jsonl",
        "blind_verdicts.jsonl",
    ],
)
def test_verdicts(name):
    judged = [(r, verify(r["gold"], r["answer"], r.get("kind", "auto"))) for r in rows(name)]
    assert len(judged) > 400
    assert [r for r, right in judged if right and not r["right"]] == [], "accepted, and wrong"
    assert [r for r, right in judged if not right and r["right"]] == [], "refused, and right"


@pytest.mark.parametrize(
    "name",
    [
        "reported_answers.jsonl",
        "kinds_answers.jsonl",
        "examined_answers.jsonl",
        "further_answers.jsonl",
        "blind_answers.jsonl",
    ],
)
def test_answers_of_responses(name):
    for r in rows(name):
        answer = final_answer(r["response"], r["kind"])
        assert verify(r["gold"], answer, r["kind"]) is r["right"], (r, answer)


# -- values in many spellings ---------------------------------------------------------------------------------------------

numbers = st.fractions(min_value=-10_000, max_value=10_000, max_denominator=400)


def spellings(x: Fraction) -> list[str]:
    """Ways to write one rational number."""
    sign, size = ("-" if x < 0 else ""), abs(x)
    top, bottom = size.numerator, size.denominator
    out = [
        f"{x}",
        f"$ {x} $",
        f"\\boxed{{{x}}}",
        f"x = {x}",
        f"{sign}\\frac{{{top}}}{{{bottom}}}",
        f"−{size}" if x < 0 else f"+{size}",
    ]
    out += (
        [f"minus {size}", f"negative {size}", f"-{{{size}}}", f"- {size}"]
        if x < 0
        else [f"{size} apples", f"${size}", f"{size} cm"]
    )
    whole, rest = divmod(top, bottom)
    if whole and rest:
        out += [f"{sign}{whole} {rest}/{bottom}", f"{sign}{whole}\\frac{{{rest}}}{{{bottom}}}"]
    if bottom == 1:
        out += [
            f"{sign}{top:,}",
            f"{sign}{top}.0",
            f"{sign}{top}.",
            "".join(chr(0xFF10 + int(c)) if c.isdigit() else c for c in str(x)),
        ]
        out += [f"{sign}{top}e0", f"{sign}{top}\\times 10^0"]
    return out


@settings(deadline=None)
@given(numbers, numbers)
def test_one_number_in_every_spelling(x, other):
    for text in spellings(x):
        assert same(str(x), text, "auto"), text
        assert same(str(other), text, "auto") is (x == other), text


CHANGING = (
    "not {}", "{}!", "{} thousand", "at least {}", "more than {}", "less than {}", "{} or 99999", "\\sqrt{{{}}} x", "{}x", "{}\\pi", "{}^x", "\\pm {}",
    "{} million", "x > {}", "x \\neq {}", "either {} or nothing", "{}, 99999", "({}, 99999)", "{}:59", "{}_7", "\\frac{{{}}}{{x}}", "f({})", "{}i",
    "minus {}", "-{{{}}}", "half of {}", "{} squared", "no more than {}", "other than {}",
)  # fmt: skip


@settings(deadline=None)
@given(st.integers(2, 9_999), st.sampled_from(CHANGING))
def test_what_changes_a_number_is_never_dropped(n, form):
    assert not verify(str(n), form.format(n), "number")


@settings(deadline=None)
@given(st.lists(st.integers(-99, 99), min_size=2, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_order_counts_in_tuples_and_not_in_sets(items, random):
    shuffled = items[:]
    random.shuffle(shuffled)
    listed, other = ", ".join(map(str, items)), ", ".join(map(str, shuffled))
    assert same(listed, other) and same(f"\\{{{listed}\\}}", other) and same(f"\\{{{listed}\\}}", f"\\{{{other}\\}}")
    assert same(f"({listed})", f"({other})", "math") is (items == shuffled)
    assert not same(listed, ", ".join(map(str, items[:-1])), "math") and not same(listed, f"{listed}, 100", "math")


@settings(deadline=None)
@given(st.integers(-50, 50), st.integers(51, 90), st.booleans(), st.booleans())
def test_intervals_and_inequalities(low, high, closed_left, closed_right):
    left, right = "[("[not closed_left], "])"[not closed_right]
    interval = f"{left}{low}, {high}{right}"
    chain = f"{low} {'<=' if closed_left else '<'} x {'<=' if closed_right else '<'} {high}"
    assert same(interval, chain, "math")
    other = f"{'(' if closed_left else '['}{low}, {high}{right}"
    assert not same(interval, other, "math")


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 59))
def test_times(hour, minute):
    clock = f"{hour}:{minute:02d}"
    assert (
        same(f"{clock} pm", f"{clock} p.m.") and same(clock, f"{clock} am") and not same(f"{clock} pm", f"{clock} AM")
    )
    if hour < 12:
        assert same(f"{clock} pm", f"{hour + 12}:{minute:02d}")
    assert not same(clock, f"{hour}:{(minute + 1) % 60:02d}")


@settings(deadline=None)
@given(st.sampled_from("ABCDEFGHIJKLMN"), st.sampled_from("ABCDEFGHIJKLMN"))
def test_options(right, other):
    gold = f"{right}) red"
    for form in (
        "{}",
        "({})",
        "**{}**",
        "\\textbf{{({})}}",
        "Option {}",
        "{}.",
        "The answer is {}",
        "{}: red",
        "\\boxed{{{}}}",
    ):
        assert same(gold, form.format(right), "choice"), form
        assert same(gold, form.format(other), "choice") is (right == other), form
    if right != other:
        assert not same(gold, f"{right} or {other}", "choice") and not same(gold, f"{right}, {other}", "choice")
    assert not same(gold, f"not {right}", "choice")


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=120) | st.text("0123456789+-*/^!_{}()[]\\fracsqrt.,:;=<>% $xyorandnot", max_size=60))
def test_the_grammar_takes_anything(text):
    value = value_of(text)
    assert value == value_of(text) and isinstance(canonical(text), str)
    assert final_answer(text) is None or isinstance(final_answer(text), str)
