"""From a text, in plain writing or LaTeX, to an expression; recursive descent with a limit on nesting."""

from fractions import Fraction

from mi_explorer.tasks.grammar.expression import CONSTANTS, FUNCTION_NAMES, Expression, NotInGrammar
from mi_explorer.tasks.grammar.keys import expression_key
from mi_explorer.tasks.grammar.tokens import is_product, number_of, tokens

NOT_FACTORS = frozenset(
    f"\\{name}" for name in ["cup", "cap", "in", "le", "ge", "ne", "pm", "mp", "approx", "degree", "rfloor", "rceil"]
) | {"\\%"}
ANGLE_FUNCTIONS = frozenset(["sin", "cos", "tan", "cot", "sec", "csc"])
MAX_DEPTH = 40  # nesting of an expression that is read


class ExpressionParser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        self.found, self.at, self.depth = found, 0, 0
        self.in_angle = 0  # how many trigonometric functions are open: ° is a factor there

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
                number = self.peek()[0] == "number"
                factors.append(("pow", self.signed_power(), ("num", Fraction(-1))))
                if number and self.at < len(self.found) and self.found[self.at][0] != "space" and self._starts_factor():
                    raise NotInGrammar  # 1/2x: half of x, or one over 2x?
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
                if self.at < len(self.found) and self.found[self.at][1] == "!":
                    raise NotInGrammar  # a double factorial
                base = ("fact", base)
            elif self.in_angle and self._degree_sign():
                base = ("mul", base, ("sym", "pi"), ("num", Fraction(1, 180)))
            elif self.peek()[0] == "power":
                self.at += 1
                if self.peek()[1] in ("\\prime", "\\circ", "\\degree"):
                    raise NotInGrammar
                base = ("pow", base, self.exponent())
            elif self.take("'"):
                base = ("fn", "prime", base)
            else:
                return base

    def _degree_sign(self) -> bool:
        """Whether `^\\circ`, `^{\\circ}` or `\\degree` is next; then it is consumed."""
        start = self.at
        self.take("^")
        braced = self.take("{")
        if self.take("\\circ", "\\degree") and (not braced or self.take("}")):
            return True
        self.at = start
        return False

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
        return self.letters(name) if name in CONSTANTS or name in FUNCTION_NAMES else self.indexed(("sym", f"\\{name}"))

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
        return (
            self.letters(name)
            if len(name) == 1 or name in FUNCTION_NAMES or name in CONSTANTS
            else ("sym", f"'{name}'")
        )

    def letters(self, text: str) -> Expression:
        """A constant, a function with its argument, or a product of one-letter variables."""
        if text in FUNCTION_NAMES:
            return self.function(text)
        if text in CONSTANTS:
            return self.indexed(("sym", CONSTANTS[text]))
        if len(text) > 1 and not is_product(text):
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
        angle = name in ANGLE_FUNCTIONS
        self.in_angle += angle
        if self.take("("):
            arguments = [self.sum()]
            while self.take(","):
                arguments.append(self.sum())
            self.expect(")")
        else:
            arguments = [self.argument() if self.peek()[1] == "{" else self._factor_chain()]
        if angle and self._degree_sign():  # \sin(30)°
            arguments = [("mul", *arguments, ("sym", "pi"), ("num", Fraction(1, 180)))]
        self.in_angle -= angle
        if name in ("max", "min", "gcd", "lcm") and len(arguments) == 1:
            raise NotInGrammar
        if name == "sqrt" and len(arguments) == 1:
            value: Expression = ("pow", arguments[0], ("num", Fraction(1, 2)))
        else:
            value = ("fn", name, *arguments, *([base] if base is not None else []))
        if power == ("mul", ("num", Fraction(-1)), ("num", Fraction(1))) and name in ("sin", "cos", "tan"):
            return ("fn", f"arc{name}", *arguments)  # \sin^{-1} is the inverse function, not the reciprocal
        return value if power is None else ("pow", value, power)

    def _factor_chain(self) -> Expression:
        factors = [self.power()]
        while self.peek()[0] == "word" and self.peek()[1] not in FUNCTION_NAMES:
            factors.append(self.power())
        return factors[0] if len(factors) == 1 else ("mul", *factors)


def parse_expression(text: str) -> Expression:
    """The expression that a text (in one spelling) is; raises `NotInGrammar`."""
    try:
        return ExpressionParser(tokens(text)).whole()
    except (RecursionError, ZeroDivisionError, ValueError, OverflowError):
        raise NotInGrammar from None
