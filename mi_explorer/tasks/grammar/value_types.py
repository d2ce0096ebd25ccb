"""The values that an answer may be."""

from dataclasses import dataclass
from fractions import Fraction

from mi_explorer.tasks.grammar.dates import Date
from mi_explorer.tasks.grammar.expression import Expression
from mi_explorer.tasks.grammar.keys import expression_key
from mi_explorer.tasks.grammar.times import Time

INFINITY: Expression = ("sym", "oo")
MINUS_INFINITY: Expression = ("mul", ("num", Fraction(-1)), INFINITY)


@dataclass(frozen=True)
class Quantity:
    """An expression, perhaps with a unit ("" where there is none or it is just a name). `number` is its exact value."""

    expression: Expression
    unit: str = ""
    number: Fraction | None = None

    @property
    def key(self) -> str:
        return expression_key(self.expression)


@dataclass(frozen=True)
class Based:
    """Digits in a base, `2516_8`."""

    digits: str
    base: str


@dataclass(frozen=True)
class Residue:
    """A whole number modulo another, `5 \\pmod 7`."""

    number: int
    modulus: int


@dataclass(frozen=True)
class Collection:
    """Several values.

    `kind` is "list" (no brackets), "set", "tuple", "interval" (mixed brackets), "matrix", "determinant", "ratio", "compound"
    (`5 ft 3 in`) or "cases" (pairs of a value and where it holds).
    """

    kind: str
    items: tuple["Value", ...]
    brackets: str = ""


@dataclass(frozen=True)
class Union:
    """Intervals or sets joined by ∪."""

    parts: tuple["Value", ...]


@dataclass(frozen=True)
class Equation:
    """left = right. `name` is what the left side defines (`x`, `f(x)`, `y`, "area"), "" where it is more than a name."""

    left: Expression
    right: "Value"
    name: str = ""


@dataclass(frozen=True)
class Words:
    """Anything else: compared word by word."""

    text: str


Value = Quantity | Based | Residue | Collection | Union | Equation | Time | Date | Words
EMPTY = Collection("set", ())


def half_line(bound: Quantity, side: str, closed: bool) -> Collection:
    """All numbers below ("<") or above (">") a bound."""
    if side == "<":
        return Collection("interval", (Quantity(MINUS_INFINITY), bound), "(" + ("]" if closed else ")"))
    return Collection("interval", (bound, Quantity(INFINITY)), ("[" if closed else "(") + ")")
