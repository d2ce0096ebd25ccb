"""Answers in text: the final one of a response, and the running ones of a chain of thought.

Signs, strongest first: `\\boxed{…}`, "the answer is …" (also "answer: …", a heading "Answer", GSM8K's `#### …`), and a sentence
or line that ends with "= x". A final answer may also be the whole of a short response, or what its last sentence says.
"""

import json
import re
from dataclasses import dataclass

from mi_explorer.generation.traces.sentences import clauses, first_sentence, last_sentence
from mi_explorer.tasks.grammar.choices import option_letter
from mi_explorer.tasks.verify import WHOLE

MAX_SENTENCE = 2_000  # characters at its end that are looked at
MAX_RESPONSE = 20_000  # characters at the end of a response that are looked at
SHORT_CHARACTERS, SHORT_WORDS = 60, 6  # a response as short as this is its own answer

_STATED = re.compile(
    r"(?:\banswers?\b\W{0,6}(?:to\s[^.\n]{0,80}?)?\s*(?:(?:is|are|would be|must be|should be|equals)\b|[:=])|^\s*####|\s####(?=\s)"
    r"|答案\s*(?:是|为)?\s*[:：]?(?=\s*[^\s:：])|^A\s*:|\b(?:solutions?|roots?)\s+(?:is|are)\b"
    r"|\b(?:Antwort\s+(?:ist|lautet)|réponse\s+est|respuesta\s+es)\b)"
    r"[ \t]*[:*]*[ \t]*(?=(?P<answer>[^\n]{0,400}))",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(
    r"^[\s>]*(?:#{1,6}\s*)?[*_✅ ]*(?:final\s+|the\s+)?answer[*_ ]*:?[*_ ]*$", re.IGNORECASE | re.MULTILINE
)
_CHOSEN = re.compile(
    r"\b(?:(?:option|choice|answer)\s+(?:is|must be|should be|would be)"
    r"|i(?:\s+would|'d|\s+will)?\s+(?:choose|pick|select|go with))\s+(?=(?P<answer>[^\n]{1,200}))",
    re.IGNORECASE,
)
_QUANTITY = r"[-+−]?\s?[$€£]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s?/\s?\d+)?\s?%?"
_EQUATION = re.compile(
    rf"=\s*(?:\$|\\\(|\*\*)?\s*(?P<answer>{_QUANTITY}|-?\\[dt]?frac\{{\d+\}}\{{\d+\}})"
    r"(?P<rest>(?:\s+[^\W\d_]{1,20}){0,2}\s*(?:\$|\\\)|\*\*)?\s*[.!?;,]?\s*)$"
)
_LAST_EQUATION = re.compile(
    r"=\s*(?P<answer>(?:\$|\\\(|\*\*)?\s*[-+−]?\s?[$€£]?\d[^=\n]{0,80})$"
)  # what a last line may end with: a quantity in any spelling
_CONCLUDED = re.compile(
    r"\b(?:is|are|was|were|be|equals?|takes?|makes?|gives?|get|gets|has|have|costs?|needs?|earns?|pays?|totals?|left with|total of|at)"
    rf"\s+(?:only\s+|exactly\s+)?(?P<answer>\*\*[^*\n]{{1,60}}\*\*|\$[^$\n]{{1,80}}\$"
    rf"|{_QUANTITY}(?:\s*:\s*\d\d)?(?:\s+[\w.]{{1,20}}){{0,4}})\s*[.!]?\s*$",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\?\b(?:boxed|fbox|framebox)\s*(?=[{\\\d])|\\(?:boxed|fbox|framebox)\s*(?=[{\\\d])")
_BOX_JOIN = re.compile(
    r"^[\s$.]*(?:,|;|and|or|(?:and|or)\s+\$?[a-z]\s*=|\\text\{\s*(?:and|or)\s*\})?[\s$]*(?:and|or)?[\s$]*$",
    re.IGNORECASE,
)
_TAGGED = re.compile(r"<(answer|final_answer)>(.{0,4000}?)(?:</\1>|$)", re.IGNORECASE | re.DOTALL)
_END_TOKENS = re.compile(r"(?:\s*(?:<\\?\|[^|<>\s]{1,30}\\?\|>|</s>|<eos>|<end_of_turn>))+\s*$")
_DISPLAY = re.compile(r"^\s*(?:\\\[|\$\$|\\\(|\$)\s*(.+?)\s*(?:\\\]|\$\$|\\\)|\$)", re.DOTALL)
_REJECTED = re.compile(
    r"\b(?:wrong|incorrect|false|not|isn't|cannot|can't|eliminated?|rule[sd]? out|ruling out|excluded?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class FoundAnswer:
    """An answer in a text: characters [start, end), how it was marked ("boxed", "stated", "equation")."""

    answer: str
    start: int
    end: int
    sign: str


def boxed_answer(text: str) -> FoundAnswer | None:
    """The last filled `\\boxed{…}`; several that stand side by side are one answer. `\\boxed2` and `\\boxed\\frac12` count."""
    boxes = [box for match in _BOX.finditer(text) if (box := _box(text, match)) and box.answer]
    if not boxes:
        return None
    last = boxes[-1]
    joined = [last.answer]
    for box in reversed(boxes[:-1]):
        if not _BOX_JOIN.match(text[box.end : last.start]) or "." in text[box.end : last.start]:
            break
        joined.insert(0, box.answer)
        last = FoundAnswer("", box.start, last.end, "boxed")
    return FoundAnswer(", ".join(joined), last.start, boxes[-1].end, "boxed")


def _box(text: str, match: re.Match[str]) -> FoundAnswer | None:
    at = match.end()
    if text[at] == "{":
        end = _closing(text, at)
        return None if end is None else FoundAnswer(text[at + 1 : end].strip(), match.start(), end + 1, "boxed")
    if not match[0].startswith("\\"):
        return None
    if text[at].isdigit():
        number = re.match(r"\d+", text[at:])
        assert number is not None
        return FoundAnswer(number[0], match.start(), at + len(number[0]), "boxed")
    command = re.match(r"\\[a-zA-Z]+", text[at:])
    if command is None:
        return None
    end = at + len(command[0])
    for _ in range(2):  # its arguments: {…} or one character each
        if end < len(text) and text[end] == "{":
            closed = _closing(text, end)
            if closed is None:
                return None
            end = closed + 1
        elif end < len(text) and text[end].isalnum():
            end += 1
    return FoundAnswer(text[at:end], match.start(), end, "boxed")


def _closing(text: str, at: int) -> int | None:
    depth = 0
    for i in range(at, min(len(text), at + MAX_SENTENCE)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return i
    return None


def stated_answer(text: str, kind: str = "auto") -> FoundAnswer | None:
    """The last "answer is …" with what follows, up to the end of its sentence; on the next line where its own is empty."""
    every = list(_STATED.finditer(text))
    if kind == "choice":
        every = sorted([*every, *_CHOSEN.finditer(text)], key=lambda match: match.start())
    for match in reversed(every):
        if raw := match["answer"].strip(" \t*:_："):
            if re.match(r"not\s", raw) and not re.search(r"\bbut\b", first_sentence(raw)):
                continue  # what the answer is not
            start = match.start("answer")
            return _statement(raw, match.start(), start + len(match["answer"]), kind, first_sentence(raw))
        if found := _next_lines(text, match.end("answer"), match.start(), kind):
            return found
    return None


def _statement(raw: str, start: int, end: int, kind: str, sentence: str) -> FoundAnswer | None:
    answer = _said(raw, sentence, kind)
    found_at = raw.find(answer)
    stop = end - len(raw) + found_at + len(answer) if found_at >= 0 else end
    return FoundAnswer(answer, start, max(stop, start + 1), "stated") if answer else None


def _said(raw: str, sentence: str, kind: str) -> str:
    """The answer in what follows "the answer is": without the reasons and contrasts behind it."""
    if raw[:1] in "\"'" or raw.endswith("}") and raw.count("}") > raw.count("{"):
        raw = sentence = raw.rstrip("}").strip().strip("\"'")
    if option := re.match(r"\(([A-Z])\)\s+(?=(\S))", sentence):
        if kind != "choice" and re.match(r"[-+\d$\\]", option[2]):
            sentence = sentence[option.end() :]
        elif not re.match(r"(?:or|and)\b", sentence[option.end() :]):
            return option[0].strip()
    if match := re.match(r"(?:therefore|thus|simply|exactly|indeed|clearly)\s+", sentence, re.IGNORECASE):
        sentence = sentence[match.end() :]
    if match := re.match(r"not\s+.{1,60}?\bbut\s+(?:rather\s+)?(.+)$", sentence):
        sentence = match[1]
    if inner := re.match(
        r"(\*\*[^*]+\*\*|\$[^$]+\$|\\\(.+?\\\)|\\\[.+?\\\])(?!\s*(?:or|and|,|=|-|\+)\s*[$\\\d*])", sentence
    ):
        marked = inner[1]
        if not (marked.startswith("$") and re.search(r"[-+=,]\s*\$$|because|which", marked)):
            return marked.strip("*") if not marked.startswith("**$") else marked
    sentence = re.sub(r"\s*\((?:not|and not|rather than)\b[^()]*\)", "", sentence)
    sentence = re.split(
        r",?\s+(?:so|because|since|which|as|while|where|when)\s|,\s+(?:not|rather than|and not)\s|\s+(?:not|rather than|instead of)\s",
        sentence, maxsplit=1,
    )[0] if not sentence.lower().startswith("not ") else sentence  # fmt: skip
    left, equals, right = sentence.rpartition("=")
    if equals and re.search(r"\d", left) and not re.search(r"\\[a-z]|\^", sentence):
        sentence = right
    return re.sub(r"[\s*_✅✔✓🎉]+$", "", sentence.strip().strip("*").strip())


def _next_lines(text: str, at: int, start: int, kind: str) -> FoundAnswer | None:
    """The answer in the lines that follow a statement or heading which is empty itself."""
    rest = text[at : at + MAX_SENTENCE]
    lead = len(rest) - len(rest.lstrip(" \n\r\t*:_"))
    body = rest[lead:]
    if not body:
        return None
    if display := _DISPLAY.match(body):
        box = boxed_answer(display[1])
        return FoundAnswer(box.answer if box else display[1], start, at + lead + display.end(), "stated")
    line = body.split("\n", 1)[0].strip()
    return _statement(line, start, at + lead + len(line), kind, first_sentence(line)) if line else None


def equation_answer(sentence: str) -> FoundAnswer | None:
    """The x of a sentence that ends with "= x"."""
    at = sentence.rfind("=")
    match = _EQUATION.match(sentence, at) if at >= 0 else None
    return (
        FoundAnswer(match["answer"].strip(), match.start("answer"), match.end("answer"), "equation") if match else None
    )


def running_answer(sentence: str) -> FoundAnswer | None:
    """The running answer that a sentence or line of a thought gives, if any."""
    skip = max(0, len(sentence) - MAX_SENTENCE)
    tail = sentence[skip:]
    found = None
    if "boxed" in tail or "fbox" in tail:
        found = boxed_answer(tail)
    if found is None and ("nswer" in tail or "NSWER" in tail or "####" in tail or "答案" in tail):
        found = stated_answer(tail)
    if found is None and "=" in tail:
        found = equation_answer(tail)
    return found and FoundAnswer(found.answer, found.start + skip, found.end + skip, found.sign)


def final_answer(text: str, kind: str = "auto") -> str | None:
    """The answer of a response: `text` is what stands after the thought. None if it does not give one.

    Kinds that judge the whole response (IFEval) get all of it. `<answer>…</answer>` goes before every other sign.
    """
    if kind in WHOLE:
        return text.strip() or None
    tail = _END_TOKENS.sub("", text[-MAX_RESPONSE:])
    if marked := re.findall(r"<\|begin_of_box\|>(.{1,400}?)(?:<\|end_of_box\|>|$)", text[-MAX_RESPONSE:], re.DOTALL):
        return str(marked[-1]).strip()
    if tagged := [inner.strip() for _, inner in _TAGGED.findall(tail) if inner.strip()]:
        return _answer_in(tagged[-1], kind) or tagged[-1]
    return _json_answer(tail) or _answer_in(tail, kind)


def _json_answer(text: str) -> str | None:
    """The answer of a response that is one JSON object."""
    if not (text.lstrip().startswith("{") and text.rstrip().endswith("}")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for key in ("answer", "final_answer", "result"):
        if isinstance(value, dict) and isinstance(value.get(key), (str, int, float)):
            return str(value[key])
    return None


def _answer_in(text: str, kind: str) -> str | None:
    box, said = boxed_answer(text), stated_answer(text, kind)
    heading = list(_HEADING.finditer(text))
    if heading and (said is None or heading[-1].start() >= said.start):
        said = _next_lines(text, heading[-1].end(), heading[-1].start(), kind) or said
    if kind == "choice":
        return _choice_in(text, box, said)
    if found := box or said:
        return found.answer
    lines = [line.strip().removeprefix("> ") for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    if (word := re.match(r"(yes|no|true|false)\b\s*(?:[,.;]|$)", lines[0], re.IGNORECASE)) and kind in ("auto", "text"):
        return word[1]
    last = last_sentence(lines[-1])
    if several := _named_equation(last):
        return several
    if found := equation_answer(last):
        return found.answer
    if match := _LAST_EQUATION.search(last):
        return match["answer"].strip().rstrip(".")
    if len(lines) == 1 and len(lines[0]) <= SHORT_CHARACTERS and len(lines[0].split()) <= 2:
        return lines[0].strip("*").strip()
    for sentence in (last, last_sentence(re.sub(r"\s*\([^()]*\)\s*$", "", lines[-1]))):
        if match := _CONCLUDED.search(sentence):
            return match["answer"].strip("* ")
    return None


def _named_equation(sentence: str) -> str | None:
    """`x = 1 or x = 4`: all of a variable's values; None for anything else."""
    match = re.search(r"\b[a-z]\s*=\s*[^=,]{1,30}?(?:,|\s+or\s+|\s+and\s+)\s*[a-z]\s*=\s*[^=]{1,30}$", sentence)
    return match[0].rstrip(". ") if match else None


def _choice_in(text: str, box: FoundAnswer | None, said: FoundAnswer | None) -> str | None:
    """The option that a response names: in a box, in a statement, as its first line, or in its last clause that names one."""
    for found in (box, said):
        if found and option_letter(found.answer):
            return found.answer
    if found := box or said:
        return found.answer
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    if (
        not _REJECTED.search(lines[0])
        and option_letter(lines[0])
        and (len(lines[0].strip("*()[]. ")) == 1 or len(lines) == 1 and len(lines[0].split()) <= SHORT_WORDS)
    ):
        return option_letter(lines[0])
    if len(lines) == 1 and len(lines[0].split()) <= 2 and len(lines[0]) <= SHORT_CHARACTERS:
        return lines[0]
    for clause in reversed(clauses(text[-MAX_SENTENCE:])):
        if _REJECTED.search(clause):
            continue
        if letter := option_letter(clause):
            return letter
        if len(re.findall(r"(?<![\w'])[A-Z](?![\w'])", clause)) > 1:
            return None  # two options at once
    return None
