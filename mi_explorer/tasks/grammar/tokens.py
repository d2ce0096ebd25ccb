"""The tokens of an expression, and the exact values of its numbers."""

import re
from fractions import Fraction

from mi_explorer.tasks.grammar.expression import NotInGrammar

MAX_LENGTH = 400  # characters of an expression that is read
# Longest first: periods (`0.\overline{3}`, `0.\bar3`, `0.\dot{1}2\dot{3}`, `0.(3)`, `0.333...`), then decimals and whole numbers.
_NUMBER = r"""
    \d*\.\d*\\overline\{\d+\}|\d*\.\d*\\bar\{?\d+\}?|\d*\.\d*\\dot\{?\d\}?(?:\d*\\dot\{?\d\}?)?|\d*\.\d*\(\d+\)
    |\d*\.\d*?(?P<period>\d+?)(?P=period)+\.{2,3}|\d*\.\d+\.{3}
    |(?:\d+\.\d+|\.\d+|\d+\.(?!\d)|\d+)(?:[eE][-+]?\d+(?![\w.]))?
"""
TOKEN = re.compile(
    rf"""(?P<space>\s+)|(?P<number>{_NUMBER})|(?P<command>\\[a-zA-Z]+|\\%)|(?P<power>\*\*|\^)|(?P<word>[^\W\d_]+)
    |(?P<sign>[-+*/!(){{}}\[\]|_,'=<>%⟦⟧$€£¥:;&\\\"])""",
    re.VERBOSE,
)
SHORT_WORDS = frozenset([
    "an", "at", "as", "us", "up", "am", "pm", "by", "my", "sq", "st", "dry", "sky",
    "try", "cry", "spy", "pry", "sty", "wry", "nth", "std", "yrs", "hrs",
])  # fmt: skip


def tokens(text: str) -> list[tuple[str, str]]:
    """(type, text) of every token; white space is kept as ("space", " ")."""
    if len(text) > MAX_LENGTH:
        raise NotInGrammar
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise NotInGrammar
        kind = str(match.lastgroup)
        if kind not in ("space", "number", "command", "power", "word", "sign"):
            kind = next(k for k in ("number",) if match[k])
        found.append((kind, " " if kind == "space" else match[0]))
        at = match.end()
    return found


def number_of(text: str) -> Fraction:
    """The exact value of a number token, repeating decimals included."""
    if any(sign in text for sign in ("\\", "(", "...")) or text.endswith(".."):
        return _repeating(text)
    mantissa, _, exponent = text.lower().partition("e")
    if abs(int(exponent or 0)) > 5_000:
        raise NotInGrammar
    return Fraction(mantissa.rstrip(".") or "0") * Fraction(10) ** int(exponent or 0)


def _repeating(text: str) -> Fraction:
    whole, _, rest = text.partition(".")
    if text.endswith(".."):
        rest = rest.rstrip(".")
        match = re.fullmatch(r"(\d*?)((\d+?)\3+)", rest)
        if match is None:
            raise NotInGrammar
        head, period = match[1], match[3]
    elif dotted := re.fullmatch(r"(\d*)\\dot\{?(\d)\}?(?:(\d*)\\dot\{?(\d)\}?)?", rest):
        head, period = dotted[1], dotted[2] + (dotted[3] or "") + (dotted[4] or "")
    else:
        match = re.fullmatch(r"(\d*)(?:\\overline\{|\\bar\{?|\()(\d+)[})]?", rest)
        if match is None:
            raise NotInGrammar
        head, period = match[1], match[2]
    scale = 10 ** len(head)
    return (
        Fraction(int(whole or 0))
        + Fraction(int(head or 0), scale)
        + Fraction(int(period), scale * (10 ** len(period) - 1))
    )


def is_product(text: str) -> bool:
    """Whether letters side by side are variables that are multiplied (`xy`, `abc`) and no word."""
    variables = "abcdkmnpqrstuvwxyz" if len(text) == 2 else "bcdkmnpqrstvwxyz"
    return text == "abc" or len(text) <= 3 and text not in SHORT_WORDS and all(c in variables for c in text)
