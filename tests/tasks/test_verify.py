"""Verdicts on answers: spellings that mean the same, answers that do not, and the kinds."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.tasks.verify import canonical, kind_of, same, verify

SAME = [
    ("23", "23", "auto"), ("23", "23.0", "auto"), ("23", "$23$", "auto"), ("23", "**23**.", "auto"), ("1234", "1,234", "auto"),
    ("1234", "1{,}234", "auto"), ("0.5", "1/2", "auto"), ("1/2", "\\frac{1}{2}", "auto"), ("1/2", "\\dfrac12", "auto"),
    ("-3", "−3", "auto"), ("-1/2", "-\\frac{1}{2}", "auto"), ("4.50", "$4.50", "auto"), ("4.5", "€4.50", "auto"), ("336", "336^\\circ", "auto"),
    ("25", "25\\%", "auto"), ("12", "\\boxed{12}", "auto"), ("12", "\\text{12}", "auto"), ("18", "18 apples", "auto"), ("18", "about 18", "number"),
    ("Tuesday", "tuesday.", "auto"), ("11:15", "11:15", "auto"), ("New York", "new  york", "auto"), ("\\text{east}", "east", "text"),
    ("B) red", "B", "auto"), ("B) red", "(b)", "choice"), ("B) red", "B) red", "choice"), ("B) red", "Red.", "choice"), ("B", "B", "choice"),
    ("x^2-1", "(x-1)(x+1)", "auto"), ("\\sqrt{8}", "2\\sqrt{2}", "math"), ("6 - 5i", "6-5i", "math"), ("x^{2}", "x^2", "math"),
    ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3, \\frac{\\pi}{2})", "math"), ("p - q", "p-q", "math"),
]  # fmt: skip
OTHER = [
    ("23", "24", "auto"), ("23", "230", "auto"), ("23", "2 3", "auto"), ("23", "23 or 24", "auto"), ("23", "", "auto"), ("23", None, "auto"),
    ("1/2", "1/3", "auto"), ("1/2", "0/0", "auto"), ("18", "18 or 19 apples", "number"), ("1234", "1,23,4", "auto"), ("3.5", "35", "auto"),
    ("Tuesday", "Thursday", "auto"), ("11:15", "11:51", "auto"), ("B) red", "C", "auto"), ("B) red", "blue", "choice"),
    ("x^2-1", "(x-1)(x+2)", "auto"), ("\\sqrt{8}", "2\\sqrt{3}", "math"), ("p - q", "q - p", "math"), ("23", "nan", "auto"), ("23", "inf", "number"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer", "kind"), SAME)
def test_right(gold, answer, kind):
    assert verify(gold, answer, kind) is True


@pytest.mark.parametrize(("gold", "answer", "kind"), OTHER)
def test_wrong(gold, answer, kind):
    assert verify(gold, answer, kind) is False


@settings(deadline=None)
@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_numbers_are_compared_exactly(a, b):
    text = f"\\frac{{{a.numerator}}}{{{a.denominator}}}"
    assert canonical(text) == canonical(str(a)) == str(a)
    assert same(str(a), str(b), "number") is (a == b)


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_decimals_are_compared_exactly(x):
    assert canonical(f"{x:f}") == str(Fraction(x))
    assert canonical(f"{x:,.3f}") == str(Fraction(x))


@settings(deadline=None)
@given(st.text(max_size=80), st.sampled_from(["auto", "number", "text", "choice", "math"]))
def test_canonical_takes_anything(text, kind):
    assert isinstance(canonical(text, kind), str)
    assert isinstance(same(text, text, kind), bool)


@pytest.mark.parametrize(("gold", "kind"), [
    ("23", "number"), ("1/2", "number"), ("$4.50", "number"), ("\\frac{1}{2}", "number"), ("B) red", "choice"), ("Tuesday", "text"),
    ("11:15", "text"), ("x^2", "math"), ("2\\sqrt{3}", "math"), ("(1, 2)", "math"), ("yes", "text")])  # fmt: skip
def test_auto_looks_at_the_gold_answer(gold, kind):
    assert kind_of(gold) == kind


def test_an_unknown_kind_is_named_with_a_suggestion():
    with pytest.raises(UserError, match="Did you mean 'number'"):
        verify("1", "1", "nubmer")


def test_lettered_words_are_not_options():
    assert canonical("A good day", "choice") == "a good day"
    assert canonical("apple", "choice") == "apple"
