"""Is this answer right? `verify(gold, answer, kind)` is safe from any thread and ends within a limit, whatever it is given.

The grammar in `tasks/grammar` reads both texts as values and compares them exactly, in this thread. Two expressions that are
written differently go to algebra, and a text outside the grammar to math-verify, both in the checker process. The conventions
are a table in docs/verdicts.md.
"""

import json
import re
from functools import lru_cache

from mi_explorer.errors import unknown
from mi_explorer.tasks import check_process
from mi_explorer.tasks.grammar.choices import option_letter, plain_choice, same_option
from mi_explorer.tasks.grammar.compare import canonical_value, equal
from mi_explorer.tasks.grammar.dates import Date
from mi_explorer.tasks.grammar.expression import Expression
from mi_explorer.tasks.grammar.spelling import plain_words, unwrap
from mi_explorer.tasks.grammar.times import Time
from mi_explorer.tasks.grammar.value_types import (
    Based,
    Collection,
    Equation,
    Quantity,
    Residue,
    Union,
    Value,
    Words,
)
from mi_explorer.tasks.grammar.values import value_of

MAX_ANSWER = 2_000  # characters; nobody's final answer is longer (checks on whole responses have their own limits)
KINDS = ("auto", "number", "math", "choice", "text", "ifeval", "ifeval_loose", "reasoning_gym")
WHOLE = ("ifeval", "ifeval_loose")  # kinds whose answer is the whole response after the thought
MAX_WHOLE = 200_000  # characters of such a response
_OPTION = re.compile(r"^\(?[A-Z]\)\s")
# What makes a text outside the grammar worth a look by math-verify: it is a formula, and says nothing that math-verify drops.
_FORMULA = re.compile(r"\\(?:frac|sqrt|int|sum|prod|lim|begin|left|mathbb)|\^|_")
_DROPPED = re.compile(r"[A-Za-z]{4,}\s+[A-Za-z]|\\(?:ne|neq|approx|pm|text|mathrm|mbox)(?![a-z])|[<>≠!]|\b(?:not|or)\b")


def canonical(answer: str, kind: str = "auto") -> str:
    """One spelling per answer, for votes and for quick comparison: `$1{,}234.50$` → `2469/2`, `**Tuesday**.` → `tuesday`.

    Numbers become reduced fractions. Two answers of equal canonical form are the same; unequal ones may still be equal as
    expressions (only `verify` finds out).
    """
    return _canonical(str(answer)[: MAX_ANSWER + 1], kind)


@lru_cache(maxsize=8192)
def _canonical(text: str, kind: str) -> str:
    if kind == "choice":
        return option_letter(text) or plain_words(plain_choice(text))
    return canonical_value(value_of(text)) or plain_words(text)


def same(gold: str, answer: str | None, kind: str = "auto") -> bool:
    """The quick comparison, by the grammar alone. Never slow, never symbolic; used on running answers in mid-stream."""
    return _quick(gold, answer, kind) is True


def _quick(gold: str, answer: str | None, kind: str) -> bool | None:
    """True, False, or None where only the checker process can tell."""
    if answer is None or len(answer) > MAX_ANSWER or not answer.strip():
        return False
    if kind == "reasoning_gym":  # its gold answer is the item, as JSON
        try:
            gold = str(json.loads(gold)["answer"])
        except (ValueError, KeyError, TypeError):
            return False
    literal = kind == "number"  # a number is asked for, not a formula for one
    kind = kind_of(gold) if kind in ("auto", "reasoning_gym") else kind
    if kind == "choice":
        return same_option(gold, answer)
    if kind == "text":
        return _same_text(gold, answer)
    given, wanted = value_of(answer), value_of(gold)
    if literal and isinstance(given, Quantity) and not _is_arithmetic(given.expression):
        return False
    return equal(wanted, given)


def _same_text(gold: str, answer: str) -> bool:
    if plain_words(unwrap(gold)) == plain_words(unwrap(answer)):
        return True
    wanted, given = value_of(gold), value_of(answer)
    if isinstance(wanted, (Words, Time, Date)) or isinstance(wanted, Quantity) and wanted.number is not None:
        return equal(wanted, given) is True
    return False


def _is_arithmetic(e: Expression) -> bool:
    """Whether an expression has rational numbers and + − × ÷ and powers of ten alone: a number, not a formula for one."""
    if e[0] == "pow":
        return (
            all(_is_arithmetic(x) for x in e[1:])
            and e[2][0] != "pow"
            and (e[2][0] != "num" or e[2][1].denominator == 1)
        )
    return e[0] in ("num", "add", "mul") and all(_is_arithmetic(x) for x in e[1:] if isinstance(x, tuple))


@lru_cache(maxsize=4096)
def kind_of(gold: str) -> str:
    """The kind that `auto` stands for: number, choice (gold written `B) the option`), math, or text."""
    if _OPTION.match(gold):
        return "choice"
    value = value_of(gold)
    if isinstance(value, Quantity) and value.number is not None:
        return "number"
    if isinstance(value, (Quantity, Based, Residue, Collection, Union, Equation)):
        return "math"
    return "math" if isinstance(value, Words) and _FORMULA.search(gold) else "text"


def verify(gold: str, answer: str | None, kind: str = "auto") -> bool:
    """Whether `answer` is right. No answer and an over-long one are wrong; so is one whose check does not end in time.

    Raises `CheckUnavailable` where a check needs an extra that is not installed.
    """
    if kind not in KINDS:
        raise unknown("kind of answer", kind, KINDS)
    if answer is None or len(answer) > (MAX_WHOLE if kind in WHOLE else MAX_ANSWER):
        return False
    if kind in WHOLE or kind == "reasoning_gym":
        return check_process.ask(kind, gold, answer)
    decided = _quick(gold, answer, kind)
    if decided is not None:
        return decided or _outside_grammar(gold, answer, kind)
    return check_process.ask("math", gold, answer)


def _outside_grammar(gold: str, answer: str, kind: str) -> bool:
    """math-verify's verdict on two formulas of which the grammar knows at least one not."""
    known = kind_of(gold) if kind == "auto" else kind
    if known != "math":
        return False
    values: tuple[Value, Value] = (value_of(gold), value_of(answer))
    unread = [isinstance(v, Words) for v in values]
    texts = (gold, answer)
    if (
        not any(unread)
        or not all(_FORMULA.search(t) for t, u in zip(texts, unread) if u)
        or any(map(_DROPPED.search, texts))
    ):
        return False
    return check_process.ask("latex", gold, answer)
