"""Equations, chains of equal numbers, inequalities as intervals, membership, sets by a condition."""

import re
from collections.abc import Callable
from fractions import Fraction

from mi_explorer.tasks.grammar.expression import NotInGrammar, symbols_of
from mi_explorer.tasks.grammar.groups import split
from mi_explorer.tasks.grammar.quantities import quantity
from mi_explorer.tasks.grammar.value_types import Collection, Equation, Quantity, Union, Value, half_line
from mi_explorer.tasks.grammar.words import changes_number

Read = Callable[[str], Value]
# What the left side of an equation may define: x, x_1, f(x), f(2), P(A), \angle ABC, AB.
_NAME = re.compile(
    r"^(?:\\?[a-zA-Z](?:_\{?\w+\}?)?|[a-zA-Z]{1,3}\((?:[a-zA-Z]|-?\d+)\)|\\(?:theta|phi|alpha|beta|gamma|omega|rho)"
    r"|m?\s?\\angle\s?[A-Z]{1,3}|[A-Z]{2,3}|\\det\s?(?:[A-Z]|\([A-Z]\))|\|[A-Z]\||\\(?:text|mathrm)\s?\{\s*[A-Za-z]\s*\})$"
)
_LABEL = re.compile(r"^(?:\\text\s*\{\s*)?([^\W\d_]{3,}(?: [^\W\d_]+){0,5})\s*\}?$")
_VARIABLE = re.compile(r"^(?:\\?[a-zA-Z]|\\(?:theta|phi|alpha|beta|lambda|mu))$")
_DISTANCE = re.compile(r"^\|\s*[a-zA-Z]\s*(?:([-+])\s*([\d./]+)\s*)?\|$")
_SIGNS = re.compile(r"(<=|>=|\\leq?(?![a-z])|\\geq?(?![a-z])|\\leqslant|\\geqslant|\\lt(?![a-z])|\\gt(?![a-z])|<|>)")
_CONDITION = re.compile(r"^⟦\s*([a-zA-Z])\s*(?:\\in\s*\\mathbb\s?\{?R\}?\s*)?(?:\||\\mid|:)\s*(.+)⟧$")


def without_points(text: str, read: Read) -> Value | None:
    """`x \\ne 1, x \\ne -1` and `x \\ne \\pm 1`: what is left of the real line; None for anything else."""
    if not (match := re.match(r"^(\\?[a-zA-Z])\s*(?:\\neq?(?![a-z])|!=)", text)):
        return None
    again = re.escape(match[1]) + r"\s*(?:\\neq?(?![a-z])|!=)"
    listed = re.sub(rf"(?:,|\\text\s*\{{\s*and\s*\}}|\band\b)\s*(?:{again})", ",", text[match.end() :])
    return real_line_without(read(f"⟦{listed}⟧"))


def real_line_without(holes: Value) -> Value:
    """The real numbers but for some. Raises `NotInGrammar` unless each hole is a number (one alone may be any bound)."""
    points = holes.items if isinstance(holes, Collection) and holes.kind in ("set", "list") else (holes,)
    bounds = [p for p in points if isinstance(p, Quantity)]
    if len(bounds) < len(points) or not bounds:
        raise NotInGrammar
    if len(bounds) > 1:
        if any(b.number is None for b in bounds):
            raise NotInGrammar
        bounds.sort(key=lambda b: b.number or 0)
    between = [Collection("interval", pair, "()") for pair in zip(bounds, bounds[1:])]
    return Union((half_line(bounds[0], "<", False), *between, half_line(bounds[-1], ">", False)))


def relation(text: str, read: Read) -> Value | None:
    """The value of a text with =, <, ≠ or ∈ outside of brackets; None where it has none; raises `NotInGrammar`."""
    if match := re.fullmatch(r"(\\?[a-zA-Z])\s*(?:\\neq?(?![a-z])|!=)\s*(.+)", text):
        bound = _bound(match[2])
        return Union((half_line(bound, "<", False), half_line(bound, ">", False)))
    if re.search(r"\\neq?(?![a-z])|!=|\\approx", text):
        raise NotInGrammar
    if match := re.match(r"^\\?[a-zA-Z]\s*\\in(?![a-z])\s*(.+)$", text):
        return read(match[1])
    signs = _SIGNS.split(text)
    if len(signs) > 1:
        return _inequality(signs)
    sides = split(text, "=")
    return _equation(sides, read) if len(sides) > 1 else None


def set_by_condition(text: str, read: Read) -> Value | None:
    """`{x | 0 < x < 5}` as the set that its condition gives."""
    match = _CONDITION.match(text)
    if match is None:
        return None
    value = read(match[2])
    names = set(re.findall(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])", match[2]))
    if names != {match[1]} or isinstance(value, (Quantity, Equation)):
        raise NotInGrammar
    return value


def _equation(sides: list[str], read: Read) -> Value:
    if not all(side.strip() for side in sides):
        raise NotInGrammar
    left, *others = (side.strip() for side in sides)
    if names := _tuple_of_names(left):
        right = read(others[0]) if len(others) == 1 else None
        if isinstance(right, Collection) and right.kind in ("tuple", "interval", "list"):
            rows = right.items if right.kind == "list" else (right,)
            if all(isinstance(r, Collection) and len(r.items) == len(names) for r in rows):
                return right
        raise NotInGrammar
    if len(others) == 1 and _NAME.match(others[0]) and not _NAME.match(left):
        left, others = others[0], [left]
    values = [read(side) for side in others]
    if _NAME.match(left):
        right = _agreed(values)
        return Equation(("sym", left.replace("\\", "")), right, left.replace("\\", "").replace(" ", ""))
    if (label := _LABEL.match(left)) and not any(map(changes_number, label[1].split())):
        return Equation(("sym", label[1]), _agreed(values), label[1].lower())
    first = read(left)
    if len(values) == 1 and isinstance(first, Quantity) and first.number is not None:  # 12 = 3x + 4y
        other = values[0]
        if isinstance(other, Quantity) and other.number is None and symbols_of(other.expression) - {"pi", "e", "i"}:
            return Equation(other.expression, first)
    if isinstance(first, Quantity) and first.number is not None:
        return _agreed([first, *values])
    if len(values) == 1 and isinstance(first, Quantity) and isinstance(values[0], Quantity):
        return Equation(first.expression, values[0])
    raise NotInGrammar


def _tuple_of_names(text: str) -> list[str]:
    """The names of `(x, y)`, [] for anything else."""
    match = re.fullmatch(r"\(\s*(\\?[a-z]+(?:_\d)?(?:\s*,\s*\\?[a-z]+(?:_\d)?)+)\s*\)", text)
    names = re.split(r"\s*,\s*", match[1]) if match else []
    return names if names == sorted(names) and all(_NAME.match(name) for name in names) else []


def _agreed(values: list[Value]) -> Value:
    """The last of a chain of equal values; a chain that is not true is no answer."""
    numbers = {v.number for v in values if isinstance(v, Quantity)}
    if len(values) > 1 and (len(numbers) > 1 or not all(isinstance(v, Quantity) for v in values)):
        raise NotInGrammar
    return values[-1]


def _inequality(signs: list[str]) -> Value:
    """`x >= 3` is [3, ∞); `1 < x <= 3` is (1, 3]. Anything but one variable between plain bounds is not read."""
    parts = [part.strip() for part in signs[::2]]
    ways = ["<" if s in ("<", "\\lt") or s.startswith(("<", "\\l")) else ">" for s in signs[1::2]]
    closed = [s not in ("<", ">", "\\lt", "\\gt") for s in signs[1::2]]
    if len(parts) == 2:
        if not (_VARIABLE.match(parts[0]) or _DISTANCE.match(parts[0])):
            parts, ways = parts[::-1], [">" if ways[0] == "<" else "<"]
        if match := _DISTANCE.match(parts[0]):
            return _around(match, _bound(parts[1]), ways[0], closed[0])
        if not _VARIABLE.match(parts[0]):
            raise NotInGrammar
        return half_line(_bound(parts[1]), ways[0], closed[0])
    if len(parts) == 3 and _VARIABLE.match(parts[1]) and ways[0] == ways[1]:
        low, high = _bound(parts[0]), _bound(parts[2])
        if ways[0] == ">":
            low, high, closed = high, low, closed[::-1]
        return Collection("interval", (low, high), ("[" if closed[0] else "(") + ("]" if closed[1] else ")"))
    raise NotInGrammar


def _around(match: re.Match[str], reach: Quantity, way: str, closed: bool) -> Value:
    """`|x - 2| < 3` is (-1, 5); with > it is what lies outside."""
    shift = quantity(match[2]).number if match[2] else Fraction(0)
    if reach.number is None or shift is None or reach.number <= 0:
        raise NotInGrammar
    middle = shift if match[1] == "-" else -shift
    ends = [middle - reach.number, middle + reach.number]
    low, high = (Quantity(("num", end), "", end) for end in ends)
    if way == "<":
        return Collection("interval", (low, high), "[]" if closed else "()")
    return Union((half_line(low, "<", closed), half_line(high, ">", closed)))


def _bound(text: str) -> Quantity:
    value = quantity(text)
    if symbols_of(value.expression) - {"pi", "e", "oo"}:
        raise NotInGrammar
    return value
