"""Equality of values by algebra. Runs in the checker process only: sympy is slow to load, and an answer may make it work for long.

Two expressions are equal when they agree to 40 of 60 digits at several points, relative to their size: a float's tolerance
would call 1/2004! and 1/2006! equal.
"""

import random
from fractions import Fraction

import sympy

from mi_explorer.tasks.grammar.compare import equal
from mi_explorer.tasks.grammar.expression import Expression, NotInGrammar
from mi_explorer.tasks.grammar.value_types import Collection, Equation, Quantity, Union, Value
from mi_explorer.tasks.grammar.values import value_of
from mi_explorer.untyped import JsonObject, SympyExpression

DIGITS, AGREE = 60, sympy.Float("1e-40", 60)
POINTS = 6
MAX_EXPONENT = 20_000
LOG_BASE = sympy.Symbol("base of log", positive=True)  # ten or e? "log" without a base is equal to neither lg nor ln
SYMPY_FUNCTIONS: JsonObject = {
    **{name: getattr(sympy, name) for name in ["sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "asin",
        "acos", "atan", "exp", "gcd", "lcm", "floor"]},
    "log": lambda x, base=LOG_BASE: sympy.log(x) / sympy.log(base), "ln": sympy.log, "lg": lambda x: sympy.log(x, 10),
        "abs": sympy.Abs, "ceil": sympy.ceiling, "binom": sympy.binomial,
    "max": sympy.Max, "min": sympy.Min, "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan,
}  # fmt: skip
SYMPY_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "oo": sympy.oo}


def same_by_algebra(gold: Value, answer: Value) -> bool:
    """Whether two values are equal; what cannot be told is not."""
    decided = equal(gold, answer)
    if decided is not None:
        return decided
    if isinstance(gold, Equation) or isinstance(answer, Equation):
        return _same_equations(gold, answer)
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return _same_expressions(to_sympy(gold.expression), to_sympy(answer.expression))
    if isinstance(gold, Collection) and isinstance(answer, Collection):
        if gold.kind in ("set", "list", "cases"):
            return _rearranged(gold.items, answer.items)
        return all(same_by_algebra(a, b) for a, b in zip(gold.items, answer.items, strict=True))
    if isinstance(gold, Union) and isinstance(answer, Union):
        return _rearranged(gold.parts, answer.parts)
    return False


def same_texts(gold: str, answer: str) -> bool:
    """The same for texts."""
    return same_by_algebra(value_of(gold), value_of(answer))


def _rearranged(gold: tuple[Value, ...], answer: tuple[Value, ...]) -> bool:
    left = list(answer)
    for value in gold:
        match = next((other for other in left if same_by_algebra(value, other)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def _same_equations(gold: Value, answer: Value) -> bool:
    """Equations with the same solutions because one is a multiple of the other; `y = f` and `f` where only one is an equation."""
    if isinstance(gold, Equation) and isinstance(answer, Equation):
        if gold.name and answer.name and gold.name.lower() == answer.name.lower():
            return same_by_algebra(gold.right, answer.right)
        sides = [_difference(equation) for equation in (gold, answer)]
        if any(side is None or side == 0 for side in sides):
            return False
        ratio = sympy.cancel(sides[0] / sides[1])
        return bool(ratio.is_number and ratio.is_finite and ratio != 0)
    one, other = (gold, answer) if isinstance(gold, Equation) else (answer, gold)
    return isinstance(one, Equation) and bool(one.name) and same_by_algebra(one.right, other)


def _difference(equation: Equation) -> SympyExpression:
    return (
        to_sympy(equation.left) - to_sympy(equation.right.expression) if isinstance(equation.right, Quantity) else None
    )


def _same_expressions(gold: SympyExpression, answer: SympyExpression) -> bool:
    free = sorted(gold.free_symbols | answer.free_symbols, key=str)
    if not free:
        return _close(gold, answer) or _rounded(gold, answer)
    generator, tried = random.Random(0), 0
    complex_numbers = gold.has(sympy.I) or answer.has(sympy.I)
    for i in range(4 * POINTS):
        # Every other point has negative numbers, where |x| is not x; points outside of a formula's domain say nothing.
        point = {s: sympy.Rational(generator.randint(2, 997), generator.randint(2, 97)) * (-1) ** i for s in free}
        values = [side.subs(point) for side in (gold, answer)]
        if not all(_is_finite(value) and (complex_numbers or value.is_real is not False) for value in values):
            continue
        tried += 1
        if not _close(*values):
            return False
        if tried == POINTS:
            break
    return tried >= 2


def _is_finite(value: SympyExpression) -> bool:
    return not (value.has(sympy.zoo, sympy.oo, sympy.nan, -sympy.oo) or value.free_symbols)


def _close(a: SympyExpression, b: SympyExpression) -> bool:
    if a == b:
        return True
    if a.is_Rational and b.is_Rational or not (_is_finite(a) and _is_finite(b)):
        return False
    difference, size = abs(sympy.N(a - b, DIGITS)), max(abs(sympy.N(a, DIGITS)), abs(sympy.N(b, DIGITS)))
    return bool(difference <= AGREE * size)


def _rounded(gold: SympyExpression, answer: SympyExpression) -> bool:
    """A decimal answer with at least ten significant digits that is the rounded gold answer, where that has no finite decimal."""
    if not answer.is_Rational or gold.is_Rational or not gold.is_real:
        return False
    denominator = answer.q
    digits = 0
    while denominator % 10 == 0 or denominator % 5 == 0 or denominator % 2 == 0:
        denominator //= 10 if denominator % 10 == 0 else 5 if denominator % 5 == 0 else 2
        digits += 1
        if digits > 60:
            return False
    if denominator != 1 or digits < 9:
        return False
    places = next(n for n in range(70) if (answer * 10**n).is_Integer)
    return places >= 9 and bool(abs(sympy.N(gold - answer, DIGITS)) <= sympy.Float(10, DIGITS) ** -places)


def to_sympy(e: Expression) -> SympyExpression:
    """The expression as sympy has it. Raises `NotInGrammar` for what would not end."""
    kind = e[0]
    if kind == "num":
        value: Fraction = e[1]
        return sympy.Rational(value.numerator, value.denominator)
    if kind == "sym":
        name = str(e[1])
        return SYMPY_CONSTANTS[name] if name in SYMPY_CONSTANTS else sympy.Symbol(name, real=True)
    parts = [to_sympy(x) for x in e[1:] if isinstance(x, tuple)]
    if kind == "add":
        return sympy.Add(*parts)
    if kind == "mul":
        return sympy.Mul(*parts)
    if kind == "fact":
        if parts[0].is_number and not (parts[0].is_Integer and 0 <= parts[0] <= 5_000):
            raise NotInGrammar
        return sympy.factorial(parts[0])
    if kind == "pow":
        base, exponent = parts
        if exponent.is_number and not (exponent.is_finite and abs(exponent) <= MAX_EXPONENT):
            raise NotInGrammar
        return base**exponent
    name = str(e[1])
    if name not in SYMPY_FUNCTIONS:
        return sympy.Function(name)(*parts)
    return SYMPY_FUNCTIONS[name](*parts)
