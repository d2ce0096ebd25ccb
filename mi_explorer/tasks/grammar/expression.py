"""Expressions: a parser for plain and LaTeX arithmetic, exact rational values, and a key that does not depend on order.

An expression is a nested tuple: ("num", Fraction) · ("sym", name) · ("add", a, b, …) · ("mul", a, b, …) · ("pow", a, b) ·
("fact", a) · ("fn", name, a, …). Raises `NotInGrammar` for anything else.
"""

import math
import re
from fractions import Fraction
from functools import cache
from typing import Any

Expression = tuple[Any, ...]

FUNCTIONS = frozenset(
    "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan asin acos atan log ln lg exp sqrt det gcd lcm max min floor ceil abs binom root".split()
)
CONSTANTS = {"pi": "pi", "infty": "oo", "infinity": "oo", "inf": "oo", "e": "e", "i": "i"}
NOT_FACTORS = frozenset(f"\\{name}" for name in "cup cap in le ge ne pm mp approx degree rfloor rceil".split()) | {
    "\\%"
}
SHORT_WORDS = frozenset("an at as us up am pm by my sq st dry sky try cry spy pry sty wry nth std yrs hrs".split())
MAX_LENGTH, MAX_DEPTH = 400, 40  # characters and nesting of an expression that is read
MAX_BITS = 40_000  # of a rational number that is computed
MAX_FACTORIAL = 3_000
_NUMBER = r"""
    \d*\.\d*\\overline\{\d+\}|\d*\.\d*\\bar\{?\d+\}?|\d*\.\d*\\dot\{?\d\}?(?:\d*\\dot\{?\d\}?)?|\d*\.\d*\(\d+\)|\d*\.\d*?(?P<period>\d+?)(?P=period)+\.{2,3}|\d*\.\d+\.{3}|
    (?:\d+\.\d+|\.\d+|\d+\.(?!\d)|\d+)(?:[eE][-+]?\d+(?![\w.]))?
"""
TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<number>{_NUMBER})|(?P<command>\\[a-zA-Z]+|\\%)|(?P<power>\*\*|\^)|(?P<word>[^\W\d_]+)|(?P<sign>[-+*/!(){{}}\[\]|_,'=<>%⟦⟧$€£¥:;&\\\"])",
    re.VERBOSE,
)


class NotInGrammar(Exception):
    """A text that is no expression of this grammar."""


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


class Parser:
    """Recursive descent over the tokens of one expression. `words` are the letters that stand for themselves."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        self.found, self.at, self.depth = found, 0, 0

    def whole(self) -> Expression:
        """The expression that all tokens make."""
        value = self.sum()
        self.skip()
        if self.at < len(self.found):
            raise NotInGrammar
        return value

    def skip(self) -> None:
        while self.at < len(self.found) and self.found[self.at][0] == "space":
            self.at += 1

    def peek(self) -> tuple[str, str]:
        self.skip()
        return self.found[self.at] if self.at < len(self.found) else ("end", "")

    def take(self, *texts: str) -> bool:
        """Whether the next token is one of these; then it is consumed."""
        kind, text = self.peek()
        if text in texts and kind != "end":
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise NotInGrammar

    def sum(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotInGrammar
        terms = [self.product()]
        while True:
            if self.take("+"):
                terms.append(self.product())
            elif self.take("-"):
                terms.append(("mul", ("num", Fraction(-1)), self.product()))
            else:
                break
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("add", *terms)

    def product(self) -> Expression:
        if self.take("-"):
            return ("mul", ("num", Fraction(-1)), self.product())
        if self.take("+"):
            return self.product()
        factors = [self.mixed_number() or self.power()]
        while True:
            if self.take("*", "\\cdot", "\\times", "\\ast"):
                factors.append(self.signed_power())
            elif self.take("/", "\\div"):
                factors.append(("pow", self.signed_power(), ("num", Fraction(-1))))
            elif self._starts_factor():
                factors.append(self.power())
            else:
                break
        return factors[0] if len(factors) == 1 else ("mul", *factors)

    def _starts_factor(self) -> bool:
        kind, text = self.peek()
        if kind == "number":  # "2 3" is no product
            return self.found[self.at - 1][1] in (")", "}", "⟧", "!") and self.found[self.at - 1][0] == "sign"
        if kind == "command":
            return text not in NOT_FACTORS
        return kind == "word" or text in ("(", "{")

    def mixed_number(self) -> Expression | None:
        """`2 1/3` and `2\\frac{1}{3}`: a whole number and a proper fraction with nothing between them but space."""
        start = self.at
        kind, text = self.peek()
        if kind == "number" and text.isdigit():
            self.at += 1
            spaced = self.at < len(self.found) and self.found[self.at][0] == "space"
            fraction = self._plain_fraction(spaced)
            if fraction is not None and 0 < fraction < 1:
                return ("num", int(text) + fraction)
        self.at = start
        return None

    def _plain_fraction(self, spaced: bool) -> Fraction | None:
        kind, text = self.peek()
        if text == "\\frac":
            self.at += 1
            top, bottom = self.argument(), self.argument()
            if top[0] == bottom[0] == "num" and top[1].denominator == bottom[1].denominator == 1 and bottom[1]:
                return Fraction(top[1], bottom[1])
            return None
        if spaced and kind == "number" and text.isdigit():
            self.at += 1
            if self.take("/"):
                kind, bottom_text = self.peek()
                if kind == "number" and bottom_text.isdigit() and int(bottom_text):
                    self.at += 1
                    if self.peek()[0] not in ("power",) and self.peek()[1] != "!":
                        return Fraction(int(text), int(bottom_text))
        return None

    def signed_power(self) -> Expression:
        if self.take("-"):
            return ("mul", ("num", Fraction(-1)), self.signed_power())
        return self.signed_power() if self.take("+") else self.power()

    def power(self) -> Expression:
        base = self.atom()
        while True:
            if self.peek()[1] == "!" and self.peek()[0] == "sign":
                self.at += 1
                base = ("fact", base)
            elif self.peek()[0] == "power":
                self.at += 1
                if self.peek()[1] in ("\\prime", "\\circ", "\\degree"):
                    raise NotInGrammar
                base = ("pow", base, self.exponent())
            elif self.take("'"):
                base = ("fn", "prime", base)
            else:
                return base

    def exponent(self) -> Expression:
        if self.peek()[1] == "{":
            return self.argument()
        return self.signed_power()

    def argument(self) -> Expression:
        """What a LaTeX command takes: `{…}`, or one digit, letter or command."""
        if self.take("{"):
            value = self.sum()
            self.expect("}")
            return value
        kind, text = self.peek()
        if kind == "number" and text.isdigit():
            self.found[self.at] = (kind, text[1:])
            if len(text) == 1:
                self.at += 1
            return ("num", Fraction(int(text[0])))
        if kind == "word" and len(text) > 1:
            self.found[self.at] = (kind, text[1:])
            return ("sym", text[0])
        return self.atom()

    def atom(self) -> Expression:
        kind, text = self.peek()
        self.at += 1
        if kind == "number":
            return ("num", number_of(text))
        if text in ("(", "{", "["):
            value = self.sum()
            self.expect({"(": ")", "{": "}", "[": "]"}[text])
            return value
        if text == "|":
            value = self.sum()
            self.expect("|")
            return ("fn", "abs", value)
        if kind == "command":
            return self.command(text[1:])
        if kind == "word":
            return self.letters(text)
        raise NotInGrammar

    def command(self, name: str) -> Expression:
        if name == "frac":
            top, bottom = self.argument(), self.argument()
            return ("mul", top, ("pow", bottom, ("num", Fraction(-1))))
        if name == "sqrt":
            root: Expression = ("num", Fraction(2))
            if self.take("["):
                root = self.sum()
                self.expect("]")
            inner = self.atom() if self.peek()[1] == "(" else self.argument()
            return ("pow", inner, ("pow", root, ("num", Fraction(-1))))
        if name in ("binom", "dbinom", "tbinom"):
            return ("fn", "binom", self.argument(), self.argument())
        if name in ("lfloor", "lceil"):
            value = self.sum()
            self.expect("\\rfloor" if name == "lfloor" else "\\rceil")
            return ("fn", "floor" if name == "lfloor" else "ceil", value)
        if name in ("text", "mathrm", "mathbf", "mbox", "textbf", "textit", "mathit", "operatorname", "rm"):
            return self._named()
        if name in ("overline", "bar", "vec", "hat", "tilde", "mathbb", "mathcal", "widehat", "dot"):
            return ("fn", name, self.argument())
        return self.letters(name) if name in CONSTANTS or name in FUNCTIONS else self.indexed(("sym", f"\\{name}"))

    def _named(self) -> Expression:
        """`\\text{width}` as a symbol of that name; `\\mathrm{e}` as the letter."""
        self.expect("{")
        words = []
        while not self.take("}"):
            kind, text = self.peek()
            if kind not in ("word", "number"):
                raise NotInGrammar
            words.append(text)
            self.at += 1
        if len(words) == 1 and words[0].isdigit():
            return ("num", Fraction(int(words[0])))
        name = " ".join(words)
        return self.letters(name) if len(name) == 1 or name in FUNCTIONS or name in CONSTANTS else ("sym", f"'{name}'")

    def letters(self, text: str) -> Expression:
        """A constant, a function with its argument, or a product of one-letter variables."""
        if text in FUNCTIONS:
            return self.function(text)
        if text in CONSTANTS:
            return self.indexed(("sym", CONSTANTS[text]))
        if len(text) > 1 and not _is_product(text):
            raise NotInGrammar
        *first, last = (("sym", CONSTANTS.get(c, c)) for c in text)
        value = self.indexed(last)
        return ("mul", *first, value) if first else value

    def indexed(self, symbol: Expression) -> Expression:
        """A symbol with its index, `x_1`."""
        if not self.take("_"):
            return symbol
        return ("sym", f"{symbol[1]}_{expression_key(self.argument())}")

    def function(self, name: str) -> Expression:
        """`sin(x)`, `\\sin^2 x`, `\\log_2 8`, `gcd(4, 6)`."""
        base = self.argument() if self.take("_") else None
        power = self.exponent() if self.peek()[0] == "power" and (self.take("^") or self.take("**")) else None
        if self.take("("):
            arguments = [self.sum()]
            while self.take(","):
                arguments.append(self.sum())
            self.expect(")")
        else:
            arguments = [self.argument() if self.peek()[1] == "{" else self._factor_chain()]
        if name == "sqrt" and len(arguments) == 1:
            value: Expression = ("pow", arguments[0], ("num", Fraction(1, 2)))
        else:
            value = ("fn", name, *arguments, *([base] if base is not None else []))
        return value if power is None else ("pow", value, power)

    def _factor_chain(self) -> Expression:
        factors = [self.power()]
        while self.peek()[0] == "word" and self.peek()[1] not in FUNCTIONS:
            factors.append(self.power())
        return factors[0] if len(factors) == 1 else ("mul", *factors)


def _is_product(text: str) -> bool:
    """Whether letters side by side are variables that are multiplied (`xy`, `abc`) and no word."""
    variables = "abcdkmnpqrstuvwxyz" if len(text) == 2 else "bcdkmnpqrstvwxyz"
    return text == "abc" or len(text) <= 3 and text not in SHORT_WORDS and all(c in variables for c in text)


def parse_expression(text: str) -> Expression:
    """The expression that a text (in one spelling) is; raises `NotInGrammar`."""
    try:
        return Parser(tokens(text)).whole()
    except (RecursionError, ZeroDivisionError, ValueError, OverflowError):
        raise NotInGrammar from None


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
    if name in ("max", "min") and values:
        return max(values) if name == "max" else min(values)
    raise NotInGrammar


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise NotInGrammar
    return value


@cache
def _is_commutative(kind: str) -> bool:
    return kind in ("add", "mul")


def expression_key(e: Expression) -> str:
    """A text that equal expressions share whatever the order of their terms and factors; rational parts are computed."""
    value = rational(e)
    if value is not None:
        return rational_text(value)
    if e[0] == "sym":
        return str(e[1])
    if _is_commutative(e[0]):
        rest: list[str] = []
        total = Fraction(0 if e[0] == "add" else 1)
        for part in _flat(e):
            known = rational(part)
            if known is None:
                rest.append(expression_key(part))
            else:
                total = total + known if e[0] == "add" else total * known
        if total != (0 if e[0] == "add" else 1):
            rest.append(rational_text(total))
        return f"{e[0]}({','.join(sorted(rest))})" if len(rest) > 1 else rest[0]
    inner = ",".join(expression_key(x) if isinstance(x, tuple) else str(x) for x in e[1:])
    return f"{e[0]}({inner})"


def rational_text(value: Fraction) -> str:
    """`3/4`; hexadecimal where Python refuses to write that many decimal digits."""
    if value.numerator.bit_length() + value.denominator.bit_length() < 10_000:
        return str(value)
    return f"{value.numerator:#x}/{value.denominator:#x}"


def _flat(e: Expression) -> list[Expression]:
    parts: list[Expression] = []
    for part in e[1:]:
        parts += _flat(part) if part[0] == e[0] else [part]
    return parts


def symbols_of(e: Expression) -> set[str]:
    """The names of an expression's symbols, constants (pi, e, i, oo) included."""
    if e[0] == "sym":
        return {str(e[1])}
    return set().union(*(symbols_of(x) for x in e[1:] if isinstance(x, tuple)), set())
