"""Boxed answers: `\\boxed{…}`, `\\boxed2`, `\\boxed\\frac12`, and several boxes that are one answer."""

import re
from dataclasses import dataclass

MAX_BOX = 2_000  # characters
_BOX = re.compile(r"\\?\b(?:boxed|fbox|framebox)\s*(?=[{\\\d])|\\(?:boxed|fbox|framebox)\s*(?=[{\\\d])")
_BOX_JOIN = re.compile(
    r"^[\s$.]*(?:,|;|and|or|(?:and|or)\s+\$?[a-z]\s*=|\\text\{\s*(?:and|or)\s*\})?[\s$]*(?:and|or)?[\s$]*$",
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
    for i in range(at, min(len(text), at + MAX_BOX)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return i
    return None
