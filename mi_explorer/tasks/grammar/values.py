"""From the text of an answer to the value that it is."""

import re
from fractions import Fraction
from functools import lru_cache

from mi_explorer.tasks.grammar.dates import date_of
from mi_explorer.tasks.grammar.expression import NotInGrammar
from mi_explorer.tasks.grammar.groups import bracketed, cases, listed, matrix
from mi_explorer.tasks.grammar.leads import without_lead
from mi_explorer.tasks.grammar.quantities import based, compound, quantity, ratio, residue
from mi_explorer.tasks.grammar.relations import real_line_without, relation, set_by_condition, without_points
from mi_explorer.tasks.grammar.spelling import one_spelling, plain_words, unwrap
from mi_explorer.tasks.grammar.times import time_of
from mi_explorer.tasks.grammar.value_types import (
    EMPTY,
    INFINITY,
    MINUS_INFINITY,
    Collection,
    Quantity,
    Union,
    Value,
    Words,
)
from mi_explorer.tasks.grammar.words import number_name

SYNONYMS = {
    "dne": "does not exist", "undefined": "does not exist", "no solutions": "no solution", "no real solution": "no real solutions",
    "infinite": "\\infty", "infinity": "\\infty", "+\\infty": "\\infty", "there is no solution": "no solution",
    "there are no solutions": "no solution", "no solution exists": "no solution", "no solutions exist": "no solution",
}  # fmt: skip
_PLAIN_NUMBER = re.compile(r"^(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$", re.ASCII)
_ORDINAL = re.compile(r"^\d+(?:st|nd|rd|th)$", re.IGNORECASE)
_WORKED = re.compile(r"^([^()]*\d[^()]*?)\s+\((?:i\.e\.,?\s*|that is,?\s*|=\s*)?([^()]*\d\s*[-+*/×÷·][^()]*)\)$")
_NAMED_TWICE = re.compile(r"^([a-zA-Z][a-zA-Z -]{2,60}?)\s*\((\d{1,3}(?:,?\d{3}){0,3})\)$")  # nine (9)
_EMPTY = re.compile(r"^(?:\\emptyset|\\varnothing|⟦\s*⟧|the empty set|empty set)$")
_ALL_REAL = re.compile(
    r"^(?:\\mathbb\s?\{?R\}?|\\R|(?:\\text\{\s*)?(?:all|any|every) (?:reals|real (?:numbers?|values?|x)(?: of x)?)\s*\}?)$"
)
_REAL_BUT = re.compile(r"^\\mathbb\s?\{?R\}?\s*(?:\\setminus|\\backslash|\\|-)\s*⟦([^⟧]+)⟧$")


@lru_cache(maxsize=8192)
def value_of(text: str) -> Value:
    """The value of an answer; `Words` for whatever the grammar does not know."""
    if _PLAIN_NUMBER.match(text):  # most running answers
        number = Fraction(text)
        return Quantity(("num", number), "", number)
    plain = unwrap(text)
    if bare := without_lead(plain):
        plain = unwrap(bare)
    if found := time_of(plain) or date_of(plain):
        return found
    if _ORDINAL.match(plain):
        return Words(plain.lower())
    if plain.endswith(")"):
        plain = _said_once(plain)
    spelled = one_spelling(plain)
    try:
        return _read(spelled)
    except NotInGrammar:
        words = plain_words(plain)
        return Words(SYNONYMS.get(words) or _formula_words(words))


def _said_once(text: str) -> str:
    """A number that is said twice, once: `36 (12 × 3)`, `nine (9)`. Any other text as it is."""
    if (named := _NAMED_TWICE.match(text)) and number_name(named[1]) == int(named[2].replace(",", "")):
        return named[2]
    if worked := _WORKED.match(text):
        numbers = [v.number for v in map(value_of, worked.groups()) if isinstance(v, Quantity)]
        if len(numbers) == 2 and numbers[0] is not None and numbers[0] == numbers[1]:
            return worked[1]
    return text


def _formula_words(words: str) -> str:
    """The words; of a formula that is not read, in one spelling of its spaces and of signs with two names."""
    if not re.search(r"[\\^<>=]", words):
        return words
    words = re.sub(r"\\[lc]?dots(?![a-z])", r"\\ldots", words)
    words = re.sub(r"\\(le|ge|ne)q(?![a-z])", r"\\\1", re.sub(r"\\mid(?![a-z])", "|", words))
    words = re.sub(r"^(\\\{\s*\w)\s*[:|]", r"\1|", words)
    return re.sub(r"(?<![a-z])\s+|\s+(?![a-z])", "", words)


def _read(text: str) -> Value:
    """The value of a text in one spelling. Raises `NotInGrammar`."""
    text = unwrap(text)
    if not text:
        raise NotInGrammar
    if _EMPTY.match(text):
        return EMPTY
    if _ALL_REAL.match(text):
        return Collection("interval", (Quantity(MINUS_INFINITY), Quantity(INFINITY)), "()")
    if hole := _REAL_BUT.match(text):
        return real_line_without(_read(f"⟦{hole[1]}⟧"))
    if left := without_points(text, _read):
        return left
    for found in (matrix(text, _read), cases(text, _read), based(text), residue(text), ratio(text)):
        if found is not None:
            return found
    if "\\cup" in text:
        written = [part.strip() for part in text.split("\\cup")]
        parts = tuple(map(_read, written))
        if all(re.fullmatch(r"⟦[^⟦⟧]*⟧", part) for part in written):  # of listed elements, a set of one is its element
            sets = [p.items if isinstance(p, Collection) and p.kind == "set" else (p,) for p in parts]
            return Collection("set", tuple(dict.fromkeys(item for items in sets for item in items)))
        return Union(parts)
    if summed := compound(text):
        return summed
    if condition := set_by_condition(text, _read):
        return condition
    if outer := bracketed(text, _read) if text[0] in "]⟦" or text[-1] == "[" else None:
        return outer
    if several := listed(text, _read):
        return several
    if related := relation(text, _read):
        return related
    if outer := bracketed(text, _read):
        return outer
    if "\\pm" in text:
        if text.count("\\pm") > 1:
            raise NotInGrammar
        return Collection("list", tuple(_read(text.replace("\\pm", sign)) for sign in ("+", "-")))
    return quantity(text)
