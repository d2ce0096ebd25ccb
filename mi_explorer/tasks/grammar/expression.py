"""An expression: a nested tuple, ("num", Fraction) · ("sym", name) · ("add", a, b, …) · ("mul", a, b, …) · ("pow", a, b) ·
("fact", a) · ("fn", name, a, …).

`parser` reads one, `exact` computes it, `keys` gives equal ones the same text.
"""

from typing import Any

Expression = tuple[Any, ...]  # recursive: its items are named above
CONSTANTS = {"pi": "pi", "infty": "oo", "infinity": "oo", "inf": "oo", "e": "e", "i": "i"}  # as written: as a symbol
FUNCTION_NAMES = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "sinh",
        "cosh",
        "tanh",
        "arcsin",
        "arccos",
        "arctan",
        "asin",
        "acos",
        "atan",
        "log",
        "ln",
        "lg",
        "exp",
        "sqrt",
    ]
    + ["det", "gcd", "lcm", "max", "min", "floor", "ceil", "abs", "binom", "root"]
)


class NotInGrammar(Exception):
    """A text that is no expression of this grammar."""


def symbols_of(e: Expression) -> set[str]:
    """The names of an expression's symbols, constants (pi, e, i, oo) included."""
    if e[0] == "sym":
        return {str(e[1])}
    return set().union(*(symbols_of(x) for x in e[1:] if isinstance(x, tuple)), set())
