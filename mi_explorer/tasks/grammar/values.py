"""The values that an answer may be, and how a text becomes one."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from mi_explorer.tasks.grammar.exact import rational
from mi_explorer.tasks.grammar.expression import Expression, NotInGrammar, symbols_of
from mi_explorer.tasks.grammar.keys import expression_key
from mi_explorer.tasks.grammar.parser import parse_expression
from mi_explorer.tasks.grammar.spelling import one_spelling, plain_words, unwrap
from mi_explorer.tasks.grammar.times import Time, time_of
from mi_explorer.tasks.grammar.units import split_unit


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
class Collection:
    """Several values: `kind` is "list" (no brackets), "set", "tuple", "interval" (mixed brackets), "matrix", "ratio"."""

    kind: str
    items: tuple["Value", ...]
    brackets: str = ""


@dataclass(frozen=True)
class Union:
    """Intervals or sets joined by ∪."""

    parts: tuple["Value", ...]


@dataclass(frozen=True)
class Equation:
    """left = right. `name` is what the left side defines (`x`, `f(x)`, `y`), "" where it is more than a name."""

    left: Expression
    right: "Value"
    name: str = ""


@dataclass(frozen=True)
class Words:
    """Anything else: compared word by word."""

    text: str


Value = Quantity | Based | Collection | Union | Equation | Time | Words

EMPTY = Collection("set", ())
INFINITY: Expression = ("sym", "oo")
MINUS_INFINITY: Expression = ("mul", ("num", Fraction(-1)), INFINITY)
SYNONYMS = {
    "dne": "does not exist", "undefined": "does not exist", "no solutions": "no solution", "no real solution": "no real solutions",
    "infinite": "\\infty", "infinity": "\\infty", "+\\infty": "\\infty",
}  # fmt: skip
_EMPTY = re.compile(r"^(?:\\emptyset|\\varnothing|⟦\s*⟧|the empty set|empty set)$")
_BASED = re.compile(r"^([0-9a-zA-Z]+)_\{?(\d{1,2})\}?$")
_MATRIX = re.compile(r"^\\begin\{([pbvBV]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}$", re.DOTALL)
_NAME = re.compile(r"^(?:\\?[a-zA-Z](?:_\{?\w+\}?)?|[a-zA-Z]{1,3}\([a-zA-Z]\)|\\angle\s?[A-Z]{1,3}|[A-Z]{2,3})$")
_AND_OR = re.compile(r",?\s*(?:\\text(?:rm)?\s*\{\s*,?\s*(?:and|or)\s*\}|\\(?:quad|qquad)\b|\b(?:and|or)\b)\s*")


@lru_cache(maxsize=8192)
def value_of(text: str) -> Value:
    """The value of an answer; `Words` for whatever the grammar does not know."""
    plain = unwrap(text)
    if found := time_of(plain):
        return found
    spelled = one_spelling(plain)
    try:
        return _value(spelled)
    except NotInGrammar:
        words = plain_words(plain)
        return Words(SYNONYMS.get(words, words))


def _value(text: str) -> Value:
    text = unwrap(text)
    if not text:
        raise NotInGrammar
    if _EMPTY.match(text):
        return EMPTY
    if text in ("\\mathbb{R}", "\\mathbb R", "\\R"):
        return Collection("interval", (Quantity(MINUS_INFINITY), Quantity(INFINITY)), "()")
    if matrix := _MATRIX.match(text):
        return _matrix(matrix[2])
    if (based := _BASED.match(text)) and any(c.isdigit() for c in based[1]) and based[1][0].isdigit():
        return Based(based[1].lower(), based[2])
    if "\\cup" in text:
        return Union(tuple(_value(part) for part in text.split("\\cup")))
    if listed := _list(text):
        return listed
    if related := _relation(text):
        return related
    if bracketed := _bracketed(text):
        return bracketed
    if ratio := _ratio(text):
        return ratio
    if "\\pm" in text:
        if text.count("\\pm") > 1:
            raise NotInGrammar
        return Collection("list", tuple(_value(text.replace("\\pm", sign)) for sign in ("+", "-")))
    return _quantity(text)


def _list(text: str) -> Collection | None:
    """Values between commas, semicolons, "and", "or" at the top level."""
    parts = _split(_AND_OR.sub(",", text), ",;")
    if len(parts) < 2:
        return None
    if not all(part.strip() for part in parts):
        raise NotInGrammar
    items = [_value(part) for part in parts]
    names = {i.name for i in items if isinstance(i, Equation)}
    if len(names) == 1:  # x = 1 or x = 4; x = 1, 4
        items = [i.right if isinstance(i, Equation) else i for i in items]
    flat: list[Value] = []
    for item in items:
        flat += item.items if isinstance(item, Collection) and item.kind == "list" else [item]
    return Collection("list", tuple(flat))


def _split(text: str, separators: str) -> list[str]:
    """`text` at the separators that stand outside of all brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "([{⟦":
            depth += 1
        elif c in ")]}⟧":
            depth -= 1
        elif depth == 0 and c in separators:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _relation(text: str) -> Value | None:
    """Equations, chains of equal numbers, inequalities as intervals, membership."""
    if (
        "\\ne" in text.replace("\\neg", "")
        and re.search(r"\\neq?(?![a-z])", text)
        or "!=" in text
        or "\\approx" in text
    ):
        raise NotInGrammar
    if match := re.match(r"^\\?[a-zA-Z]\s*\\in(?![a-z])\s*(.+)$", text):
        return _value(match[1])
    signs = re.split(r"(<=|>=|\\leq?(?![a-z])|\\geq?(?![a-z])|\\leqslant|\\geqslant|\\lt|\\gt|<|>)", text)
    if len(signs) > 1:
        return _inequality(signs)
    sides = _split(text, "=")
    if len(sides) < 2:
        return None
    if not all(side.strip() for side in sides):
        raise NotInGrammar
    left, *others = (side.strip() for side in sides)
    if len(others) == 1 and _NAME.match(others[0]) and not _NAME.match(left):
        left, others = others[0], [left]
    values = [_value(side) for side in others]
    if _NAME.match(left):
        right = _agreed(values)
        return Equation(("sym", left.replace("\\", "")), right, left.replace("\\", "").replace(" ", ""))
    first = _value(left)
    if isinstance(first, Quantity) and first.number is not None:
        return _agreed([first, *values])
    if len(values) == 1 and isinstance(first, Quantity) and isinstance(values[0], Quantity):
        return Equation(first.expression, values[0])
    raise NotInGrammar


def _agreed(values: list["Value"]) -> Value:
    """The last of a chain of equal values; a chain that is not true is no answer."""
    numbers = {v.number for v in values if isinstance(v, Quantity)}
    if len(values) > 1 and (len(numbers) > 1 or not all(isinstance(v, Quantity) for v in values)):
        raise NotInGrammar
    return values[-1]


def _inequality(signs: list[str]) -> Value:
    """`x >= 3` is [3, ∞); `1 < x <= 3` is (1, 3]. Anything but one variable between plain bounds is not read."""
    parts = [part.strip() for part in signs[::2]]
    ways = ["<" if s in ("<", "\\lt") or s.startswith(("<", "\\l")) else ">" for s in signs[1::2]]
    strict = [s in ("<", ">", "\\lt", "\\gt") for s in signs[1::2]]
    if len(parts) == 2:
        if not re.fullmatch(r"\\?[a-zA-Z]", parts[0]):
            parts, ways = parts[::-1], [">" if ways[0] == "<" else "<"]
        if not re.fullmatch(r"\\?[a-zA-Z]", parts[0]):
            raise NotInGrammar
        bound = _bound(parts[1])
        if ways[0] == "<":
            return Collection("interval", (Quantity(MINUS_INFINITY), bound), "(" + (")" if strict[0] else "]"))
        return Collection("interval", (bound, Quantity(INFINITY)), ("(" if strict[0] else "[") + ")")
    if len(parts) == 3 and re.fullmatch(r"\\?[a-zA-Z]", parts[1]) and ways[0] == ways[1]:
        low, high = _bound(parts[0]), _bound(parts[2])
        if ways[0] == ">":
            low, high, strict = high, low, strict[::-1]
        return Collection("interval", (low, high), ("(" if strict[0] else "[") + (")" if strict[1] else "]"))
    raise NotInGrammar


def _bound(text: str) -> Quantity:
    value = _quantity(text)
    if symbols_of(value.expression) - {"pi", "e", "oo"}:
        raise NotInGrammar
    return value


def _bracketed(text: str) -> Value | None:
    """`{…}`, `(…)`, `[…)`: sets, tuples and intervals; one value in brackets is that value."""
    if not (text[0] in "([⟦" and text[-1] in ")]⟧") or not _closes_at_end(text):
        return None
    inner = text[1:-1].strip()
    if not inner:
        raise NotInGrammar
    parts = _split(inner, ",;")
    if len(parts) == 1:
        return _value(inner) if text[0] != "[" else None
    if not all(part.strip() for part in parts):
        raise NotInGrammar
    items = tuple(_value(part) for part in parts)
    brackets = text[0] + text[-1]
    kind = "set" if brackets == "⟦⟧" else "tuple" if brackets in ("()", "[]") else "interval"
    if any(isinstance(i, Quantity) and "oo" in symbols_of(i.expression) for i in items):
        kind = "interval"
    if "⟦" in brackets and kind != "set":
        raise NotInGrammar
    return Collection(kind, items, "" if kind == "set" else brackets)


def _closes_at_end(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c in "([{⟦") - (c in ")]}⟧")
        if depth == 0:
            return i == len(text) - 1
    return False


def _matrix(body: str) -> Collection:
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", body) if row.strip()]
    lines = [tuple(_value(cell) for cell in row.split("&")) for row in rows]
    if not lines:
        raise NotInGrammar
    return Collection("matrix", tuple(Collection("tuple", line) for line in lines))


def _ratio(text: str) -> Collection | None:
    if not re.fullmatch(r"\s*\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+\s*", text):
        return None
    return Collection("ratio", tuple(_quantity(part) for part in text.split(":")))


def _quantity(text: str) -> Quantity:
    core, unit, factor = split_unit(text)
    if not core:
        raise NotInGrammar
    expression = parse_expression(core)
    if factor != 1:
        expression = ("mul", ("num", factor), expression)
    number = rational(expression)
    if unit and number is None and symbols_of(expression) - {"pi", "e"}:
        raise NotInGrammar  # words beside a formula are no unit
    return Quantity(expression, unit, number)
