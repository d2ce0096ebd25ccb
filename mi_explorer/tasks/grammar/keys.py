"""Canonical keys: a text that equal expressions share, whatever the order of their terms and factors."""

from fractions import Fraction

from mi_explorer.tasks.grammar.exact import rational
from mi_explorer.tasks.grammar.expression import Expression


def expression_key(e: Expression) -> str:
    """A text that equal expressions share whatever the order of their terms and factors; rational parts are computed."""
    value = rational(e)
    if value is not None:
        return rational_text(value)
    if e[0] == "sym":
        return str(e[1])
    if e[0] in ("add", "mul"):
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
