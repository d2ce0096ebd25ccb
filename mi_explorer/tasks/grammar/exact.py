"""Exact rational values of expressions, within limits of size: nothing is computed that could run long."""

import math
from fractions import Fraction

from mi_explorer.tasks.grammar.expression import Expression, NotInGrammar

MAX_BITS = 40_000  # of a rational number that is computed
MAX_FACTORIAL = 3_000


def rational(e: Expression) -> Fraction | None:
    """The exact value, where it is rational and not too large to write down; else None."""
    try:
        return _rational(e)
    except (NotInGrammar, ZeroDivisionError, OverflowError, ValueError):
        return None


def _rational(e: Expression) -> Fraction:
    kind = e[0]
    if kind == "num":
        return _bounded(e[1])
    if kind == "add":
        return _bounded(sum((_rational(x) for x in e[1:]), Fraction(0)))
    if kind == "mul":
        return _bounded(math.prod((_rational(x) for x in e[1:]), start=Fraction(1)))
    if kind == "fact":
        n = _rational(e[1])
        if n.denominator != 1 or not 0 <= n <= MAX_FACTORIAL:
            raise NotInGrammar
        return _bounded(Fraction(math.factorial(int(n))))
    if kind == "pow":
        return _power(_rational(e[1]), _rational(e[2]))
    if kind == "fn":
        return _function(e[1], [_rational(x) for x in e[2:]])
    raise NotInGrammar


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if size * abs(exponent) > MAX_BITS and abs(base) != 1 and base:
            raise NotInGrammar
        return base ** int(exponent)
    root = exponent.denominator
    if base < 0 or root > 64:
        raise NotInGrammar
    top, bottom = _exact_root(base.numerator, root), _exact_root(base.denominator, root)
    return _power(Fraction(top, bottom), Fraction(exponent.numerator))


def _exact_root(n: int, root: int) -> int:
    low, high = 0, 1 << (n.bit_length() // root + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= n else (low, middle - 1)
    if low**root != n:
        raise NotInGrammar
    return low


def _function(name: str, values: list[Fraction]) -> Fraction:
    if name == "abs" and len(values) == 1:
        return abs(values[0])
    if name in ("floor", "ceil") and len(values) == 1:
        return Fraction(math.floor(values[0]) if name == "floor" else math.ceil(values[0]))
    if all(v.denominator == 1 for v in values):
        whole = [int(v) for v in values]
        if name == "binom" and len(whole) == 2 and 0 <= whole[1] <= whole[0] <= MAX_FACTORIAL:
            return _bounded(Fraction(math.comb(*whole)))
        if name in ("gcd", "lcm") and whole:
            return _bounded(Fraction((math.gcd if name == "gcd" else math.lcm)(*whole)))
    if name in ("max", "min") and len(values) > 1:
        return max(values) if name == "max" else min(values)
    raise NotInGrammar


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise NotInGrammar
    return value
