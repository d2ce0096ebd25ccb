"""Is this answer right? `verify(gold, answer, kind)` is safe from any thread and ends within a limit, whatever it is given.

Kinds: `number` (exact rational), `math` (numbers first, then symbolic equality in a process of its own), `choice` (letter
or the option's text), `text`, `ifeval`, `reasoning_gym`; `auto` looks at the gold answer. Answers come from a model: nothing
here evaluates one in this process.
"""

import json
import re
from fractions import Fraction

from mi_explorer.errors import unknown
from mi_explorer.tasks import judge

MAX_ANSWER = 2_000  # characters; nobody's final answer is longer (checks on whole responses have their own limits)
MAX_DIGITS = 300
KINDS = ("auto", "number", "math", "choice", "text", "ifeval", "ifeval_loose", "reasoning_gym")
WHOLE = ("ifeval", "ifeval_loose")  # kinds whose answer is the whole response after the thought
MAX_WHOLE = 200_000  # characters of such a response

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:\s*/\s*\d+(?:\.\d+)?)?")
_IN_TEXT = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?(?![\w]|\.\d)")
_FRAC = re.compile(r"([-+]?)\\[dt]?frac\s*(?:\{\s*(-?\d+)\s*\}|(\d))\s*(?:\{\s*(-?\d+)\s*\}|(\d))")
_WRAP = re.compile(
    r"^(?:\$\$(.*)\$\$|\$([^$]*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\*\*(.*)\*\*|\\boxed\{(.*)\}"
    r"|\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\})$",
    re.DOTALL,
)
_LETTER = re.compile(r"^\W*(?:(?:option|choice|answer)\W+)?\(?([A-Za-z])\)?(?:[).:,\s]|$)", re.IGNORECASE)


def canonical(answer: str, kind: str = "auto") -> str:
    """One spelling per answer, for votes and for quick comparison: `$1{,}234.50$` → `2469/2`, `**Tuesday**.` → `tuesday`.

    Numbers become reduced fractions. Two answers of equal canonical form are the same; unequal ones may still be equal as
    expressions (only `verify` finds out).
    """
    text = str(answer)[: MAX_ANSWER + 1].strip()
    if kind == "choice":
        match = _LETTER.match(_unwrap(text))
        return match[1].upper() if match else _words(text)
    text = _unwrap(text)
    value = _fraction(text)
    if value is None and kind == "number":
        found = _IN_TEXT.findall(text.replace("−", "-"))
        value = _fraction(found[0]) if len(found) == 1 else None
    return str(value) if value is not None else _words(text)


def same(gold: str, answer: str | None, kind: str = "auto") -> bool:
    """The quick comparison: equal canonical forms. Never slow, never symbolic; used on running answers in mid-stream."""
    if answer is None or len(answer) > MAX_ANSWER:
        return False
    if kind == "reasoning_gym":  # its gold answer is the item, as JSON
        try:
            gold = str(json.loads(gold)["answer"])
        except (ValueError, KeyError, TypeError):
            return False
    kind = kind_of(gold) if kind in ("auto", "reasoning_gym") else kind
    if kind == "choice":
        letter, _, option = gold.partition(")")
        given = canonical(answer, "choice")
        return given == letter.strip().upper() or bool(option.strip()) and _words(_unwrap(answer)) == _words(option)
    return canonical(gold, kind) == canonical(answer, kind)


def kind_of(gold: str) -> str:
    """The kind that `auto` stands for: number, choice (gold written `B) the option`), math, or text."""
    text = _unwrap(gold.strip())
    if _fraction(text) is not None:
        return "number"
    if re.match(r"^[A-Z]\) ", gold):
        return "choice"
    if re.search(r"[\\^_{}=<>]|\d\s*[-+*/,]|[-+*/]\s*\d|\d[a-z]\b|\bpi\b|\bsqrt", text) and not re.search(
        r"\d:\d\d", text
    ):
        return "math"
    return "text"


def verify(gold: str, answer: str | None, kind: str = "auto") -> bool:
    """Whether `answer` is right. No answer and an over-long one are wrong; so is one whose check does not end in time.

    Numbers are compared exactly, in this thread. What is left of `math` (and of `auto` where the answer is an expression)
    goes to the judge's process. Raises `JudgeError` where a check needs an extra that is not installed.
    """
    if kind not in KINDS:
        raise unknown("kind of answer", kind, KINDS)
    if answer is None or len(answer) > (MAX_WHOLE if kind in WHOLE else MAX_ANSWER):
        return False
    if kind in WHOLE or kind == "reasoning_gym":
        return judge.ask(kind, gold, answer)
    known = kind_of(gold) if kind == "auto" else kind
    if same(gold, answer, known):
        return True
    if known == "math":
        return _symbolic(gold, answer)
    # A number may be given as an expression; a word that stands where a number should is just wrong.
    return (
        kind == "auto"
        and known == "number"
        and bool(re.search(r"[\\^*/+()=]", _unwrap(answer)))
        and _symbolic(gold, answer)
    )


def _symbolic(gold: str, answer: str) -> bool:
    """Equality as expressions, by the judge. Two plain numbers that differ are settled already."""
    if _fraction(_unwrap(gold)) is not None and _fraction(_unwrap(answer)) is not None:
        return False
    return judge.ask("math", gold, answer)


def _unwrap(text: str) -> str:
    """`text` without the markup around it and the stop at its end."""
    for _ in range(4):
        before = text
        text = text.strip().rstrip(".,;!").strip()
        match = _WRAP.match(text)
        if match:
            text = next(g for g in match.groups() if g is not None)
        if text == before:
            break
    return text


def _fraction(text: str) -> Fraction | None:
    """The rational number that `text` is, if it is just that (with currency, thousands separators, percent, LaTeX \\frac)."""
    text = (
        text.strip()
        .replace("−", "-")
        .replace("\\!", "")
        .replace("{,}", ",")
        .replace("\\,", "")
        .replace("\\$", "")
        .replace("$", "")
    )
    text = re.sub(r"\\?%$|\\%$|(?:\^\{?\\circ\}?|°)$", "", text).strip().replace("€", "").replace("£", "")
    if match := _FRAC.fullmatch(text):
        text = f"{match[1]}{match[2] or match[3]}/{match[4] or match[5]}"
    if re.fullmatch(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    if len(text) > MAX_DIGITS or not _NUMBER.fullmatch(text):
        return None
    top, _, bottom = text.partition("/")
    try:
        return Fraction(top.strip()) / Fraction(bottom.strip() or 1)
    except (ValueError, ZeroDivisionError):
        return None


def _words(text: str) -> str:
    """Lower-case words with single spaces, without markup and the punctuation around them."""
    text = re.sub(r"\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}", r"\1", text.strip())
    text = re.sub(r"\\[dt]frac", r"\\frac", re.sub(r"\\left|\\right|\\[!,;: ]|[$*]", "", text))
    return re.sub(r"\s+", " ", text).strip(" .,;:!'\"").lower()
