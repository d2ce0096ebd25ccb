"""One number or expression, with what stands around it: units, angles in parts, sums of units, residues, ratios."""

import re
from fractions import Fraction

from mi_explorer.tasks.grammar.exact import rational
from mi_explorer.tasks.grammar.expression import NotInGrammar, symbols_of
from mi_explorer.tasks.grammar.parser import parse_expression
from mi_explorer.tasks.grammar.units import compound_parts, split_unit
from mi_explorer.tasks.grammar.value_types import Based, Collection, Quantity, Residue

_ANGLE = re.compile(
    r"^(-?)(\d+)\s*(?:\^\s*\{?\s*)?\\(?:degree|circ)\s*\}?\s*(\d+(?:\.\d+)?)\s*(?:'|\^\{?\\prime\}?)"
    r"(?:\s*(\d+(?:\.\d+)?)\s*(?:\"|''|\^\{?\\prime\s?\\prime\}?))?$"
)
_BASE_NAMES = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_BASED = re.compile(
    r"^([0-9][0-9a-zA-Z]*|[A-F][0-9A-F]+(?=\s*_\{?\s*(?:\\(?:text|mathrm)\s*\{)?\s*1[1-6]))\s*(?:_\{?\s*(?:\\(?:text|mathrm)\s*\{)?\s*(\d{1,2}|[a-z]+)\s*\}{0,2}|\(?\s*(?:in\s+)?base[\s-](\d{1,2}|[a-z]+)\s*\)?)$"
)
_PREFIXED = re.compile(r"^0(?:[xX]([0-9a-fA-F]+)|[bB]([01]+)|[oO]([0-7]+))$")
_RESIDUE = re.compile(
    r"^(?:[a-zA-Z]\s*(?:\\equiv|≡|=)\s*)?(-?\d+)\s*(?:\\[pb]?mod\s*\{?|\(\s*\\?b?mod\s*\{?|mod\s)\s*(\d+)\s*\}?\s*\)?$"
)


def quantity(text: str) -> Quantity:
    """The quantity that a text (in one spelling) is; raises `NotInGrammar`."""
    if angle := _ANGLE.match(text):
        minutes, seconds = Fraction(angle[3]), Fraction(angle[4] or 0)
        if minutes >= 60 or seconds >= 60:
            raise NotInGrammar
        value = (int(angle[2]) + minutes / 60 + seconds / 3600) * (-1 if angle[1] else 1)
        return Quantity(("num", value), "deg", value)
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


def compound(text: str) -> Collection | Quantity | None:
    """`5 feet 3 inches`, `2 hours and 30 minutes`: a sum of units, which is compared part by part. Money is one number."""
    parts = compound_parts(text)
    if len(parts) == 2 and parts[0][1] in ("$", "€") and parts[1][1] == "cent" and parts[1][0] < 100:
        amount = parts[0][0] + parts[1][0] / 100
        return Quantity(("num", amount), parts[0][1], amount)
    items = (Quantity(("num", number), unit, number) for number, unit in parts)
    return Collection("compound", tuple(items)) if parts else None


def based(text: str) -> Based | None:
    """`2516_8`, `101 base 2`, `0x1F`."""
    if match := _PREFIXED.match(text):
        return Based((match[1] or match[2] or match[3]).lower(), "16" if match[1] else "2" if match[2] else "8")
    text = re.sub(r"^(?:\(\s*(\w+)\s*\)|\\(?:text|mathrm)\s*\{\s*(\w+)\s*\})(?=\s*_)", lambda m: m[1] or m[2], text)
    if not (match := _BASED.match(text)):
        return None
    base = match[2] or match[3]
    base = _BASE_NAMES.get(base, base)
    return Based(match[1].lower(), base) if base.isdigit() else None


def residue(text: str) -> Residue | None:
    """`5 \\pmod 7`, `x \\equiv 5 (mod 7)`."""
    match = _RESIDUE.match(text)
    if match is None or int(match[2]) < 2:
        return None
    return Residue(int(match[1]), int(match[2]))


def ratio(text: str) -> Collection | None:
    """`2:3`, `2 to 3`, `1:2:3`."""
    if not re.fullmatch(r"\s*\d+(?:\.\d+)?(?:\s*(?::|\bto\b|\\text\s?\{\s*to\s*\})\s*\d+(?:\.\d+)?)+\s*", text):
        return None
    return Collection("ratio", tuple(quantity(part) for part in re.findall(r"\d+(?:\.\d+)?", text)))
