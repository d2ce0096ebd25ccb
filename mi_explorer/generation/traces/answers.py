"""Answers in text: the final one of a response, and the running ones of a chain of thought.

Signs, strongest first: `\\boxed{…}`, "the answer is …" (also "answer: …", a heading "Answer", GSM8K's `#### …`), and a sentence
or line that ends with "= x". A final answer may also be the whole of a short response, or what its last sentence says.
"""

import json
import re

from mi_explorer.generation.traces.boxes import FoundAnswer, boxed_answer
from mi_explorer.generation.traces.sentences import clauses, last_sentence
from mi_explorer.generation.traces.statements import HEADING, QUANTITY, answer_below, chinese_conclusion, stated_answer
from mi_explorer.tasks.grammar.choices import option_letter
from mi_explorer.tasks.verify import WHOLE

MAX_SENTENCE = 2_000  # characters at its end that are looked at
MAX_RESPONSE = 20_000  # characters at the end of a response that are looked at
SHORT_CHARACTERS, SHORT_WORDS = 60, 6  # a response as short as this is its own answer

_EQUATION = re.compile(
    rf"=\s*(?:\$|\\\(|\*\*)?\s*(?P<answer>{QUANTITY}|-?\\[dt]?frac\{{\d+\}}\{{\d+\}})"
    r"(?P<rest>(?:\s+[^\W\d_]{1,20}){0,2}\s*(?:\$|\\\)|\*\*)?\s*[.!?;,]?\s*)$"
)
_LAST_EQUATION = re.compile(
    r"=\s*(?P<answer>(?:\$|\\\(|\*\*)?\s*[-+−]?\s?[$€£]?\d[^=\n]{0,80})$"
)  # what a last line may end with: a quantity in any spelling
_CONCLUDED = re.compile(
    r"\b(?:is|are|was|were|be|equals?|takes?|makes?|gives?|get|gets|has|have|costs?|needs?|earns?|pays?|totals?|left with|total of|at"
    r"|(?:comes?|came|amounts?|adds? up) to|sold|bought|used|spent|received|needed|earned|paid|saved)"
    rf"\s+(?:only\s+|exactly\s+)?(?P<answer>\*\*[^*\n]{{1,60}}\*\*(?:\s+[\w.]{{1,20}}){{0,3}}|\$[^$\n]{{1,80}}\$"
    rf"|{QUANTITY}(?:\s*:\s*\d+){{0,3}}(?:\s+[\w.]{{1,20}}){{0,4}})\s*[.!]?\s*$",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|never|cannot|\w+n't)\s+(?:\w+\s+){0,2}$", re.IGNORECASE)
_TAGGED = re.compile(r"<(answer|final_answer)>(.{0,4000}?)(?:</\1>|$)", re.IGNORECASE | re.DOTALL)
_END_TOKENS = re.compile(r"(?:\s*(?:<\\?\|[^|<>\s]{1,30}\\?\|>|</s>|<eos>|<end_of_turn>))+\s*$")
# "B because A is …", "B, though A is …"
_REASON = re.compile(r"(?<=[\w,])\s+(?:because|since|whereas|(?:even\s+)?though|although)\s[^.!?\n,;]*", re.IGNORECASE)
_REJECTED = re.compile(
    r"\b(?:wrong|incorrect|false|not|isn't|cannot|can't|eliminated?|rule[sd]? out|ruling out|excluded?)\b|不|错|錯|排除|非",
    re.IGNORECASE,
)


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
    """The answer of a response that is one JSON object, in a code fence or not."""
    if fenced := re.fullmatch(r"\s*```(?:json)?\s*(\{.*\})\s*```\s*", text, re.DOTALL):
        text = fenced[1]
    if not (text.lstrip().startswith("{") and text.rstrip().endswith("}")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for key in ("answer", "final_answer", "result"):
        if isinstance(value, dict) and isinstance(value.get(key), (str, int, float, list)):
            return json.dumps(value[key]) if isinstance(value[key], list) else str(value[key])
    return None


def _answer_in(text: str, kind: str) -> str | None:
    box, said = boxed_answer(text), stated_answer(text, kind)
    heading = list(HEADING.finditer(text))
    if heading and (said is None or heading[-1].start() >= said.start):
        said = answer_below(text, heading[-1].end(), heading[-1].start(), kind) or said
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
    if concluded := chinese_conclusion(last):
        return concluded
    if found := equation_answer(last):
        return found.answer
    if match := _LAST_EQUATION.search(last):
        return match["answer"].strip().rstrip(".")
    if len(lines) == 1 and len(lines[0]) <= SHORT_CHARACTERS and len(lines[0].split()) <= 2:
        return lines[0].replace("**", "").strip("*").strip()
    for sentence in (last, last_sentence(re.sub(r"\s*\([^()]*\)\s*$", "", lines[-1]))):
        if (match := _CONCLUDED.search(sentence)) and not _DENIED.search(sentence, 0, match.start("answer")):
            return match["answer"].replace("**", "").strip("* ")
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
    if (
        len(lines) == 1
        and len(lines[0].split()) <= 2
        and len(lines[0]) <= SHORT_CHARACTERS
        and len(clauses(lines[0])) == 1
    ):
        return lines[0]
    tail = text[-MAX_SENTENCE:]
    told = _REASON.sub("", tail)
    return _last_option(told) or (None if told == tail else _last_option(tail))


def _last_option(text: str) -> str | None:
    """The option of the last clause that names one and does not refute it; None where that names two."""
    for clause in reversed(clauses(text)):
        if _REJECTED.search(clause):
            continue
        if letter := option_letter(clause):
            return letter
        if len(re.findall(r"(?<![\w'])[A-Z](?![\w'])", clause)) > 1:
            return None  # two options at once
    return None
