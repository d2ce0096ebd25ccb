"""When two values are the same. What is undecided here (`None`) may be decided by algebra, in a process of its own."""

from fractions import Fraction

from mi_explorer.tasks.grammar.dates import Date, same_date
from mi_explorer.tasks.grammar.expression import CONSTANTS, Expression, symbols_of
from mi_explorer.tasks.grammar.keys import expression_key, rational_text
from mi_explorer.tasks.grammar.times import Time, same_time
from mi_explorer.tasks.grammar.units import CURRENCIES
from mi_explorer.tasks.grammar.value_types import (
    EMPTY,
    Based,
    Collection,
    Equation,
    Quantity,
    Residue,
    Union,
    Value,
    Words,
)

CONSTANT_SYMBOLS = frozenset(CONSTANTS.values())


def equal(gold: Value, answer: Value) -> bool | None:
    """True, False, or None where only algebra can tell (two expressions that are written differently)."""
    gold, answer = _bare(gold), _bare(answer)
    if (pair := _ratio_or_time(gold, answer)) is not None:
        gold, answer = pair
    for listed, other in ((gold, answer), (answer, gold)):
        if isinstance(listed, Collection) and (names := _names(listed)):
            return _assigned(listed, names, other)
    if isinstance(gold, Equation) or isinstance(answer, Equation):
        return _equations(gold, answer)
    if isinstance(gold, Based) or isinstance(answer, Based):
        return _based(gold, answer)
    if isinstance(gold, Residue) or isinstance(answer, Residue):
        return _residues(gold, answer)
    if isinstance(gold, Date) or isinstance(answer, Date):
        return isinstance(gold, Date) and isinstance(answer, Date) and same_date(gold, answer)
    if isinstance(gold, Time) and isinstance(answer, Time):
        return same_time(gold, answer)
    if isinstance(gold, Time) or isinstance(answer, Time):
        return False
    if isinstance(gold, Words) or isinstance(answer, Words):
        return _words(gold, answer) or {_is_empty(gold), _is_empty(answer)} == {True}
    if isinstance(gold, Union) or isinstance(answer, Union):
        return _unions(gold, answer)
    if isinstance(gold, Collection) and isinstance(answer, Collection):
        return _collections(gold, answer)
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return _quantities(gold, answer)
    return False


def _bare(value: Value) -> Value:
    """A set or list of one is its element."""
    while isinstance(value, Collection) and value.kind in ("set", "list") and len(value.items) == 1:
        inner = value.items[0]
        if isinstance(inner, Collection) and inner.kind == "set":
            break  # {∅} is not ∅
        value = inner
    return value


def _ratio_or_time(gold: Value, answer: Value) -> tuple[Value, Value] | None:
    """A ratio and a bare `5:12`, which reads as a time of day too, as two ratios; None for any other pair."""
    if isinstance(gold, Time) and isinstance(answer, Collection) and answer.kind == "ratio" and gold.parts:
        return _as_ratio(gold), answer
    if isinstance(answer, Time) and isinstance(gold, Collection) and gold.kind == "ratio" and answer.parts:
        return gold, _as_ratio(answer)
    return None


def _as_ratio(time: Time) -> Collection:
    return Collection("ratio", tuple(Quantity(("num", Fraction(p)), "", Fraction(p)) for p in time.parts))


def _names(value: Collection) -> list[str]:
    """The names of a list of equations for different variables, `x = 1, y = 2`; [] for any other list."""
    names = [item.name for item in value.items if isinstance(item, Equation)]
    return names if value.kind == "list" and len(set(names)) == len(value.items) > 1 and all(names) else []


def _assigned(gold: Collection, names: list[str], answer: Value) -> bool | None:
    """`x = 1, y = 2` against another such list by name, or against (1, 2) in the order of the names."""
    values = {item.name.lower(): item.right for item in gold.items if isinstance(item, Equation)}
    if not isinstance(answer, Collection):
        return False
    if others := _names(answer):
        theirs = {item.name.lower(): item.right for item in answer.items if isinstance(item, Equation)}
        return (
            set(theirs) == set(values)
            and len(others) == len(names)
            and _all(equal(values[n], theirs[n]) for n in values)
        )
    if answer.brackets not in ("()", "[]") or len(answer.items) != len(values):
        return False
    order = sorted(values)
    if not (_are_consecutive(order) or [name.lower() for name in names] == ["r", "theta"]):
        return False  # (l, w) or (w, l)?
    return _all(equal(values[name], item) for name, item in zip(order, answer.items, strict=True))


def _are_consecutive(names: list[str]) -> bool:
    """x, y, z; a, b; m, n; x_1, x_2."""
    if all(len(name) == 1 for name in names):
        return "".join(names) in "abcdefghijklmnopqrstuvwxyz"
    heads, numbers = {name.partition("_")[0] for name in names}, [name.partition("_")[2].strip("{}") for name in names]
    return len(heads) == 1 and numbers == [str(i) for i in range(1, len(names) + 1)]


def _residues(gold: Value, answer: Value) -> bool:
    """Equal residues of one modulus; a number beside a residue must be the smallest that is not negative."""
    if isinstance(gold, Residue) and isinstance(answer, Residue):
        return gold.modulus == answer.modulus and (gold.number - answer.number) % gold.modulus == 0
    one, other = (gold, answer) if isinstance(gold, Residue) else (answer, gold)
    if isinstance(other, Equation) and other.name:
        other = other.right
    if not (isinstance(one, Residue) and isinstance(other, Quantity)):
        return False
    if one is answer and not 0 <= one.number < one.modulus:
        return False  # 12 mod 7: twelve, or five?
    return other.number == one.number % one.modulus


def _units_agree(gold: str, answer: str) -> bool:
    """Whether two units are one; degrees may be of an angle or of a scale."""
    if gold.partition("/")[0] == answer.partition("/")[0] in CURRENCIES:
        return "/" not in gold or "/" not in answer or gold == answer  # 12 dollars may be meant per hour, not per day
    return gold == answer or "deg" in (gold, answer) and {gold, answer} <= {"deg", "°C", "°F"}


def _quantities(gold: Quantity, answer: Quantity) -> bool | None:
    if gold.unit and answer.unit and not _units_agree(gold.unit, answer.unit):
        return False
    if gold.number is not None and answer.number is not None:
        return gold.number == answer.number
    ours, theirs = symbols_of(gold.expression), symbols_of(answer.expression)
    if expression_key(gold.expression) == expression_key(answer.expression):
        return True
    lowered = expression_key(_lower(gold.expression)) == expression_key(_lower(answer.expression))
    if lowered and not _distinguishes_case(ours) and not _distinguishes_case(theirs):
        return True
    if {n.lower() for n in ours - CONSTANT_SYMBOLS} != {n.lower() for n in theirs - CONSTANT_SYMBOLS} and (
        gold.number is not None or answer.number is not None
    ):
        return False  # a number is no formula
    return None


def _distinguishes_case(names: set[str]) -> bool:
    return len({n.lower() for n in names}) < len(names)


def _lower(e: Expression) -> Expression:
    if e[0] == "sym":
        return ("sym", str(e[1]).lower())
    return tuple(_lower(x) if isinstance(x, tuple) else x for x in e)


def _based(gold: Value, answer: Value) -> bool:
    if isinstance(gold, Based) and isinstance(answer, Based):
        return gold == answer
    if isinstance(gold, Based) and isinstance(answer, Quantity) and answer.number is not None:
        return rational_text(answer.number) == gold.digits.lstrip("0")
    return False


def _words(gold: Value, answer: Value) -> bool:
    if not (isinstance(gold, Words) and isinstance(answer, Words)):
        return False
    if gold.text == answer.text:
        return True
    first, comma, _ = answer.text.partition(",")
    return bool(comma) and gold.text in ("yes", "no", "true", "false") and first.strip() == gold.text


def _is_empty(value: Value) -> bool:
    """Whether a value says that nothing solves a problem: the empty set, in a sign or in words."""
    return value == EMPTY or isinstance(value, Words) and value.text in ("no solution", "no real solutions")


def _equations(gold: Value, answer: Value) -> bool | None:
    if isinstance(gold, Equation) and isinstance(answer, Equation):
        if gold.name and answer.name:
            names = {gold.name.lower(), answer.name.lower()}
            graph = "y" in names and any(name.endswith("(x)") for name in names)  # y = … and f(x) = …
            return equal(gold.right, answer.right) if len(names) == 1 or graph else None
        return None
    one, other = (gold, answer) if isinstance(gold, Equation) else (answer, gold)
    assert isinstance(one, Equation)
    return equal(one.right, other) if one.name else False


def _unions(gold: Value, answer: Value) -> bool | None:
    ours, theirs = _union_parts(gold), _union_parts(answer)
    return _unordered(ours, theirs) if ours and theirs else False


def _union_parts(value: Value) -> tuple[Value, ...]:
    """The parts of a union; `x < 1 or x > 2` is one too."""
    if isinstance(value, Union):
        return value.parts
    intervals = (
        isinstance(value, Collection)
        and value.kind == "list"
        and all(isinstance(item, Collection) and item.kind == "interval" for item in value.items)
    )
    return value.items if intervals and isinstance(value, Collection) else ()


def _collections(gold: Collection, answer: Collection) -> bool | None:
    loose = {"set", "list"}
    if gold.kind == answer.kind == "cases":
        return _unordered(gold.items, answer.items)
    if gold.kind in loose and answer.kind in loose:
        return _unordered(gold.items, answer.items)
    for sequence, other in ((gold, answer), (answer, gold)):
        if other.kind == "list" and sequence.brackets == "[]" and sequence.kind == "tuple" and len(sequence.items) > 2:
            return _ordered(gold.items, answer.items)  # a Python list; [1, 2] may be an interval
    if gold.kind in loose or answer.kind in loose:
        return False
    if {gold.kind, answer.kind} <= {"tuple", "interval"}:
        return gold.brackets == answer.brackets and _ordered(gold.items, answer.items)
    return gold.kind == answer.kind and _ordered(gold.items, answer.items)


def _ordered(gold: tuple[Value, ...], answer: tuple[Value, ...]) -> bool | None:
    if len(gold) != len(answer):
        return False
    return _all(equal(a, b) for a, b in zip(gold, answer, strict=True))


def _all(verdicts: object) -> bool | None:
    found = list(verdicts)  # type: ignore[call-overload]
    return False if False in found else None if None in found else True


def _unordered(gold: tuple[Value, ...], answer: tuple[Value, ...]) -> bool | None:
    """Whether one is a rearrangement of the other; None where a pair of them is undecided."""
    if len(gold) != len(answer) or len(gold) > 40:
        return False
    left, undecided = list(answer), False
    for value in gold:
        verdicts = [equal(value, other) for other in left]
        if True in verdicts:
            left.pop(verdicts.index(True))
        elif None in verdicts:
            undecided = True
        else:
            return False
    return None if undecided else not left


def canonical_value(value: Value) -> str:
    """A text that is the same for values that `equal` calls equal, for votes. Undecided ones may differ."""
    value = _bare(value)
    if isinstance(value, Equation) and value.name:
        return canonical_value(value.right)
    if isinstance(value, Quantity):
        number = value.number
        return rational_text(number) if isinstance(number, Fraction) else value.key
    if isinstance(value, Based):
        return value.digits
    if isinstance(value, Collection):
        items = [canonical_value(item) for item in value.items]
        loose = value.kind in ("set", "list")
        return f"{'' if loose else value.brackets or value.kind}{{{','.join(sorted(items) if loose else items)}}}"
    if isinstance(value, Union):
        return "u".join(sorted(map(canonical_value, value.parts)))
    if isinstance(value, Residue):
        return f"{value.number % value.modulus} mod {value.modulus}"
    if isinstance(value, Date):
        return f"{value.year or ''}-{value.month:02d}-{value.day:02d}"
    if isinstance(value, Time):
        return f"{value.seconds // 3600}:{value.seconds // 60 % 60:02d}:{value.seconds % 60:02d}"
    if isinstance(value, Equation):
        return f"{expression_key(value.left)}={canonical_value(value.right)}"
    return value.text
