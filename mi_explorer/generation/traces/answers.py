"""Answers in text: the final one of a response, and the running ones of a chain of thought.

Three signs, strongest first: `\\boxed{…}`, "the answer is …" (also "answer: …" and GSM8K's `#### …`), and a sentence or line
that ends with "= x".
"""

import re
from dataclasses import dataclass

from mi_explorer.tasks.verify import WHOLE

MAX_SENTENCE = 2_000  # characters at its end that are looked at
_STATED = re.compile(
    r"(?:\banswer\b\W{0,6}(?:to\s[^.\n]{0,80}?)?\s*(?:(?:is|would be|must be|equals)\b|[:=])|^\s*####)[ \t]*[:*]*[ \t]*(?=(?P<answer>[^\n]{1,400}))",
    re.IGNORECASE | re.MULTILINE,
)
_QUANTITY = r"[-+−]?\s?[$€£]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s?/\s?\d+)?\s?%?"
_EQUATION = re.compile(
    rf"=\s*(?:\$|\\\(|\*\*)?\s*(?P<answer>{_QUANTITY}|-?\\[dt]?frac\{{\d+\}}\{{\d+\}})(?P<rest>(?:\s+[^\W\d_]{{1,20}}){{0,2}}\s*(?:\$|\\\)|\*\*)?\s*[.!?;,]?\s*)$"
)
_OPTION = re.compile(
    r"^\W{0,4}(?:(?:option|choice)\s+)?\(?\b([A-J])\b\)?[).:*]*\W*$|\*\*\(?([A-J])\)?[.)]?\*\*|\(([A-J])\)"
)
_TAGGED = re.compile(r"<answer>([^<]{0,4000})</answer>", re.IGNORECASE)
_SHORT = 60  # characters: a response of one or two words, as short as this, is its own answer


@dataclass(frozen=True)
class Found:
    """An answer in a text: characters [start, end), how it was marked ("boxed", "stated", "equation", "short")."""

    answer: str
    start: int
    end: int
    sign: str


def boxed(text: str) -> Found | None:
    """The last complete `\\boxed{…}`."""
    end = len(text)
    for _ in range(8):
        start = max(text.rfind("\\boxed{", 0, end), text.rfind("\\fbox{", 0, end))
        if start < 0:
            return None
        depth, at = 0, text.index("{", start)
        for i in range(at, min(len(text), at + MAX_SENTENCE)):
            depth += (text[i] == "{") - (text[i] == "}")
            if depth == 0:
                return Found(text[at + 1 : i].strip(), start, i + 1, "boxed")
        end = start
    return None


def stated(text: str) -> Found | None:
    """The last "answer is …" with what follows, up to the end of its sentence."""
    every = list(_STATED.finditer(text))
    if not every:
        return None
    last = every[-1]
    raw = last["answer"]
    if inner := re.match(r"\s*(\*\*[^*]+\*\*|\$[^$]+\$|\\\(.+?\\\)|\([A-J]\))", raw):
        raw = inner[1]
    else:
        raw = re.split(r"[.!?;](?=\s|$)|,?\s+(?:so|because|since|which)\s", raw, maxsplit=1)[0]
    answer = raw.strip().strip("*").strip()
    start = last.start("answer")
    return Found(answer, last.start(), start + len(raw), "stated") if answer else None


def equation(sentence: str) -> Found | None:
    """The x of a sentence that ends with "= x"."""
    at = sentence.rfind("=")
    match = _EQUATION.match(sentence, at) if at >= 0 else None
    return Found(match["answer"].strip(), match.start("answer"), match.end("answer"), "equation") if match else None


def in_sentence(sentence: str) -> Found | None:
    """The running answer that a sentence or line of a thought gives, if any."""
    skip = max(0, len(sentence) - MAX_SENTENCE)
    tail = sentence[skip:]
    found = None
    if "boxed{" in tail or "fbox{" in tail:
        found = boxed(tail)
    if found is None and ("nswer" in tail or "NSWER" in tail or "####" in tail):
        found = stated(tail)
    if found is None and "=" in tail:
        found = equation(tail)
    return found and Found(found.answer, found.start + skip, found.end + skip, found.sign)


def final(text: str, kind: str = "auto") -> str | None:
    """The answer of a response: `text` is what stands after the thought. None if it does not give one.

    Kinds that judge the whole response (IFEval) get all of it. `<answer>…</answer>` goes before every other sign.
    """
    if kind in WHOLE:
        return text.strip() or None
    tail = text[-20_000:]
    if tagged := _TAGGED.findall(tail):
        return str(tagged[-1]).strip() or None
    found = boxed(tail) or stated(tail)
    if found:
        return found.answer
    if kind == "choice":
        options = [next(filter(None, m.groups())) for line in tail.splitlines() for m in _OPTION.finditer(line)]
        return options[-1] if options else None
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    if not lines:
        return None
    last = re.split(r"(?<=[.!?])\s+", lines[-1])[-1]
    if found := equation(last):
        return found.answer
    return lines[0].strip("*").strip() if len(lines) == 1 and len(lines[0]) <= _SHORT and _is_short(lines[0]) else None


def _is_short(line: str) -> bool:
    """A bare value ("23", "$4.50", "**Tuesday**", "3:45 pm"), not a sentence."""
    return len(line.split()) <= 2
