"""Several values: lists, sets, tuples, intervals, matrices. `read` reads one of them."""

import re
from collections.abc import Callable

from mi_explorer.tasks.grammar.expression import NotInGrammar, symbols_of
from mi_explorer.tasks.grammar.value_types import Collection, Equation, Quantity, Value, Words

Read = Callable[[str], Value]
_MATRIX = re.compile(r"^\\begin\{([pbvBV]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}$", re.DOTALL)
_CASES = re.compile(r"^\\begin\{(?:d?cases|array)\}(?:\{[^{}]*\})?(.*)\\end\{(?:d?cases|array)\}$", re.DOTALL)
_IF = re.compile(r"^(?:\\text\s*\{\s*,?\s*(?:if|for|when)\s*\}|(?:if|for|when)\b|,)\s*", re.IGNORECASE)
_OTHERWISE = re.compile(r"^(?:\\text\s*\{\s*)?(?:otherwise|else)\s*\}?\.?$", re.IGNORECASE)
_AND_OR = re.compile(
    r",?\s*(?:\\text(?:rm)?\s*\{\s*,?\s*(?P<in_text>and|or)\s*\}|\\(?:quad|qquad)\b|\\(?P<sign>lor|vee|land|wedge)(?![a-z])"
    r"|\b(?P<word>and|or|und|oder|ou|et)\b|(?<=[\d\s)\]}])[和或])\s*"
)
_DISJUNCTION = frozenset(("or", "lor", "vee", "oder", "ou"))


def split(text: str, separators: str) -> list[str]:
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


def listed(text: str, read: Read) -> Collection | None:
    """Values between commas, semicolons, "and", "or" at the top level."""
    joined = [m[m.lastgroup] if m.lastgroup else "" for m in _AND_OR.finditer(text)]
    parts = split(_AND_OR.sub(",", text), ",;")
    if len(parts) < 2:
        return None
    if not all(part.strip() for part in parts):
        raise NotInGrammar
    items = [read(part) for part in parts]
    if both := _half_lines(items, any(word in _DISJUNCTION for word in joined), len(joined) > 0):
        return both
    names = {i.name.partition("_")[0] for i in items if isinstance(i, Equation)}
    if len(names) == 1 and "" not in names:  # x = 1 or x = 4; x = 1, 4; x_1 = 1, x_2 = 4
        items = [i.right if isinstance(i, Equation) else i for i in items]
    flat: list[Value] = []
    for item in items:
        flat += item.items if isinstance(item, Collection) and item.kind == "list" else [item]
    return Collection("list", tuple(flat))


def _half_lines(items: list[Value], either: bool, worded: bool) -> Collection | None:
    """`x > 1 and x < 3` is (1, 3). "or", and a comma between half-lines that do not meet, make a union: None."""
    lines = [i for i in items if isinstance(i, Collection) and i.kind == "interval"]
    if len(items) != 2 or len(lines) != 2 or either:
        return None
    lower = [i for i in lines if _is_infinite(i.items[1])]
    upper = [i for i in lines if _is_infinite(i.items[0])]
    if len(lower) != 1 or len(upper) != 1:
        return None
    low, high = lower[0].items[0], upper[0].items[1]
    if isinstance(low, Quantity) and isinstance(high, Quantity) and low.number is not None and high.number is not None:
        if low.number < high.number:
            return Collection("interval", (low, high), lower[0].brackets[0] + upper[0].brackets[1])
        if worded:
            raise NotInGrammar  # no number is both
    return None


def _is_infinite(value: Value) -> bool:
    return isinstance(value, Quantity) and "oo" in symbols_of(value.expression)


def bracketed(text: str, read: Read) -> Value | None:
    """`{…}`, `(…)`, `[…)`, `]…[`: sets, tuples, intervals, matrices as nested lists; one value in brackets is that value."""
    if re.fullmatch(r"[\[\]][^\[\]]*[,;][^\[\]]*[\[\]]", text) and (text[0] == "]" or text[-1] == "["):
        text = ("(" if text[0] == "]" else "[") + text[1:-1] + (")" if text[-1] == "[" else "]")
    if not (text[0] in "([{⟦" and text[-1] in ")]}⟧") or not _closes_at_end(text):
        return None
    inner = text[1:-1].strip()
    if not inner:
        raise NotInGrammar
    parts = split(inner, ",;")
    if len(parts) == 1:
        value = read(inner)
        if text[0] == "⟦" and isinstance(value, Collection) and value.kind == "set":
            return Collection("set", (value,))  # {∅} is not ∅
        return value if text[0] != "[" else None
    if not all(part.strip() for part in parts):
        raise NotInGrammar
    items = tuple(read(part) for part in parts)
    brackets = (text[0] + text[-1]).replace("{", "⟦").replace("}", "⟧")
    if brackets == "⟦⟧":
        both = [i.items if isinstance(i, Collection) and i.kind == "list" else (i,) for i in items]  # {0, ±2}
        return Collection("set", tuple(value for values in both for value in values))
    if "⟦" in brackets or "⟧" in brackets:
        raise NotInGrammar
    if brackets == "[]" and (rows := _rows(items)):
        return Collection("matrix", rows)
    kind = "tuple" if brackets in ("()", "[]") and not any(map(_is_infinite, items)) else "interval"
    return Collection(kind, items, brackets)


def _rows(items: tuple[Value, ...]) -> tuple[Collection, ...]:
    """The rows of a matrix that is written as a list of lists; () for anything else."""
    rows = [i for i in items if isinstance(i, Collection) and i.brackets == "[]"]
    if len(rows) < len(items) or len({len(row.items) for row in rows}) > 1:
        return ()
    return tuple(Collection("tuple", row.items) for row in rows)


def _closes_at_end(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c in "([{⟦") - (c in ")]}⟧")
        if depth == 0:
            return i == len(text) - 1
    return False


def cases(text: str, read: Read) -> Collection | None:
    """`\\begin{cases} x & x \\ge 0 \\\\ -x & x < 0 \\end{cases}`: pairs of a value and where it holds, in any order."""
    text = re.sub(r"^(?:\\left)?\s*⟦\s*(?=\\begin\{array)", "", text)
    if not (found := _CASES.match(text)):
        return None
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", found[1]) if row.strip()]
    pairs = []
    for row in rows:
        value, _, where = row.partition("&")
        where = where.strip().rstrip(",.;")
        while where != (where := _IF.sub("", where)):
            pass
        condition = Words("otherwise") if _OTHERWISE.match(where) else read(where)
        pairs.append(Collection("tuple", (read(value.strip().rstrip(",")), condition)))
    if not pairs:
        raise NotInGrammar
    return Collection("cases", tuple(pairs))


def matrix(text: str, read: Read) -> Collection | None:
    """`\\begin{pmatrix}…`, also in brackets of its own around an array. Bars make it a determinant."""
    bars = text.startswith("|") and text.endswith("|")
    inside = text[1:-1].strip() if text[:1] in "([|" and text[-1:] in ")]|" else text
    found = _MATRIX.match(text) or _MATRIX.match(inside)
    if found is None:
        return None
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", found[2].replace("\\hline", "")) if row.strip()]
    lines = [tuple(read(cell) for cell in row.split("&")) for row in rows]
    if not lines:
        raise NotInGrammar
    determinant = bars or found[1].lower() == "vmatrix"
    return Collection("determinant" if determinant else "matrix", tuple(Collection("tuple", line) for line in lines))
