"""Stated answers: "the answer is …", `#### …`, a heading "Answer", and the same in other languages."""

import re

from mi_explorer.generation.traces.boxes import FoundAnswer, boxed_answer
from mi_explorer.generation.traces.sentences import first_sentence

MAX_LINES = 2_000  # characters behind an empty statement in which its answer is sought
QUANTITY = r"[-+−]?\s?[$€£]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s?/\s?\d+)?\s?%?"
_STATED = re.compile(
    r"(?:\banswers?\b(?:\s*\([^()\n]{1,30}\))?\W{0,6}(?:to\s[^.\n]{0,80}?)?"
    r"\s*(?:(?:is|are|would be|must be|should be|equals)\b|[:=])|^\s*####|\s####(?=\s)"
    r"|(?:答案|结果)\s*(?:】|是|为|為|等于)?\s*[:：]?(?=\s*[^\s:：不])|^\s*答\s*[:：]|^A\s*:|\b(?:solutions?|roots?)\s+(?:is|are)\b"
    r"|\b(?:Antwort|Ergebnis|Lösung|réponse|résultat|respuesta|resultado|resposta|risposta|risultato|ответ)\s*"
    r"(?:correct[ae]\s+|exacte\s+|corretta\s+)?(?:(?:ist|lautet|est|es|é|è)(?=\s)|:)"
    r"|(?:答え|解答)\s*[はがわ:：]|(?:정답|답)\s*[은는:]"
    r")"
    r"[ \t]*[:*]*[ \t]*(?=(?P<answer>[^\n]{0,400}))",
    re.IGNORECASE | re.MULTILINE,
)
HEADING = re.compile(
    r"^[\s>]*(?:#{1,6}\s*)?[*_✅ ]*(?:final\s+|the\s+)?answer[*_ ]*:?[*_ ]*$", re.IGNORECASE | re.MULTILINE
)
_CHOSEN = re.compile(
    r"\b(?:(?:option|choice|answer)\s+(?:is|must be|should be|would be)"
    r"|i(?:\s+would|'d|\s+will)?\s+(?:choose|pick|select|go with))\s+(?=(?P<answer>[^\n]{1,200}))",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(  # x = 1, y = 2
    r"^\$?\\?[a-zA-Z]\w{0,2}\s*=\s*[^=,;]{1,40}?(?:[,;]\s*(?:and\b|or\b)?|\b(?:and|or)\b)"
    r"\s*\$?\\?[a-zA-Z]\w{0,2}\s*=[^=]{1,60}(?:=[^=]{1,60})?$"
)
_CONCLUDED_CHINESE = re.compile(
    rf"(?:是|为|有|等于|得|剩下?|共|需要?|花了?|用了?|付|合计)\s*(?P<answer>{QUANTITY}\s*[\u3400-\u9fff]{{0,6}})\s*[。．.!！]?\s*$"
)
_BOUND_CHINESE = re.compile(r"不|非|没|至少|至多|最多|最少|超过|大于|小于|多于|少于|或")
_DISPLAY = re.compile(r"^\s*(?:\\\[|\$\$|\\\(|\$)\s*(.+?)\s*(?:\\\]|\$\$|\\\)|\$)", re.DOTALL)


def stated_answer(text: str, kind: str = "auto") -> FoundAnswer | None:
    """The last "answer is …" with what follows, up to the end of its sentence; on the next line where its own is empty."""
    every = list(_STATED.finditer(text))
    if kind == "choice":
        every = sorted([*every, *_CHOSEN.finditer(text)], key=lambda match: match.start())
    for match in reversed(every):
        if raw := match["answer"].strip(" \t*:_："):
            if re.match(r"(?:not|nicht|pas)\s|不", raw) and not re.search(r"\bbut\b", first_sentence(raw)):
                continue  # what the answer is not
            start = match.start("answer")
            return _statement(raw, match.start(), start + len(match["answer"]), kind, first_sentence(raw))
        if found := answer_below(text, match.end("answer"), match.start(), kind):
            return found
    return None


def chinese_conclusion(sentence: str) -> str | None:
    """The quantity that a Chinese sentence ends with, 小明一共有 12 个苹果; None where its last clause has a "not" or a bound."""
    clause = re.split(r"[，,；：:]", sentence)[-1]
    match = _CONCLUDED_CHINESE.search(clause)
    return match["answer"].strip() if match and not _BOUND_CHINESE.search(clause) else None


def _statement(raw: str, start: int, end: int, kind: str, sentence: str) -> FoundAnswer | None:
    answer = _said(raw, sentence, kind)
    found_at = raw.find(answer)
    stop = end - len(raw) + found_at + len(answer) if found_at >= 0 else end
    return FoundAnswer(answer, start, max(stop, start + 1), "stated") if answer else None


def _said(raw: str, sentence: str, kind: str) -> str:
    """The answer in what follows "the answer is": without the reasons and contrasts behind it."""
    if raw[:1] in "\"'" or raw.endswith("}") and raw.count("}") > raw.count("{"):
        raw = sentence = raw.rstrip("}").strip().strip("\"'")
    if sentence.count("**") % 2 and not sentence.startswith("**"):  # the bold began before it
        sentence = sentence.replace("**", "", 1)
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
        r"(\*\*[^*]+\*\*|\$[^$]+\$|\\\(.+?\\\)|\\\[.+?\\\])(?!\s*(?:or|and|,|=|-|\+)\s*(?:and\s*)?[$\\\d*])", sentence
    ):
        marked = inner[1]
        if not (marked.startswith("$") and re.search(r"[-+=,]\s*\$$|because|which", marked)):
            return marked.strip("*") if not marked.startswith("**$") else marked
    sentence = re.sub(r"\s*\((?:not|and not|rather than)\b[^()]*\)", "", sentence)
    sentence = re.split(
        r",?\s+(?:so|because|since|which|as|while|where|when)\s|,\s+(?:not|rather than|and not)\s|\s+(?:not|rather than|instead of)\s",
        sentence, maxsplit=1,
    )[0] if not sentence.lower().startswith("not ") else sentence  # fmt: skip
    if concluded := chinese_conclusion(sentence):
        return concluded
    left, equals, right = sentence.rpartition("=")
    if equals and not _ASSIGNED.match(sentence) and re.search(r"\d", left) and not re.search(r"\\[a-z]|\^", sentence):
        sentence = right
    return re.sub(r"[\s*_✅✔✓🎉]+$", "", sentence.strip().strip("*").strip())


def answer_below(text: str, at: int, start: int, kind: str) -> FoundAnswer | None:
    """The answer in the lines that follow a statement or heading which is empty itself."""
    rest = text[at : at + MAX_LINES]
    lead = len(rest) - len(rest.lstrip(" \n\r\t*:_"))
    body = rest[lead:]
    if not body:
        return None
    if display := _DISPLAY.match(body):
        box = boxed_answer(display[1])
        return FoundAnswer(box.answer if box else display[1], start, at + lead + display.end(), "stated")
    line = body.split("\n", 1)[0].strip()
    return _statement(line, start, at + lead + len(line), kind, first_sentence(line)) if line else None
