"""A user's own questions from a file: which column is what, in the spellings and forms that people and benchmarks have.

In: rows of columns and values, untrusted. Out: a `Task` whose questions have unique ids, or a `TaskError` that names the row.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from mi_explorer.tasks.rows import read_rows
from mi_explorer.tasks.task import LETTERS, Question, Task, TaskError
from mi_explorer.tasks.verify import KINDS, MAX_ANSWER
from mi_explorer.untyped import Json, JsonMapping, JsonObject

MAX_TEXT = 100_000  # characters of a question
MAX_QUESTIONS = 200_000
# Other spellings of the columns, as benchmarks have them; of several in one row the first counts, and the plain name before all.
COLUMNS = {
    **dict.fromkeys(("prompt", "problem", "input", "query"), "question"),
    **dict.fromkeys(
        ("solution_answer", "target", "gold", "label", "expected", "final_answer", "answerkey", "answer_key", "correct_answer"),
        "answer",
    ),
    "options": "choices",
    **dict.fromkeys(("subject", "category", "type"), "family"),
    **dict.fromkeys(("unique_id", "question_id"), "id"),
}  # fmt: skip
FIELDS = ("id", "question", "answer", "family", "level", "choices", "kind")
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
SHORT = 200  # characters of a solution that is nothing but the answer


def from_file(path: Path, **about: Json) -> Task:
    """The task of a file in any form that `read_rows` reads; `about` are fields of the `Task`.

    Ids are texts: `1` and `"1"` are one id. A row without an id gets its number, counted from 0 (`row-NUMBER` where another row
    has that id); two rows with one id are an error.
    """
    rows = read_rows(path)
    if len(rows) > MAX_QUESTIONS:
        raise TaskError(
            f"The task file {path.name} holds {len(rows):,} questions; at most {MAX_QUESTIONS:,} are read. Split it."
        )
    if not rows:
        raise TaskError(f"The task file {path.name} holds no questions.")
    columns = [_columns(row, f"{path.name}, row {i + 1}") for i, row in enumerate(rows)]
    ids = _ids(path.name, columns)
    questions = tuple(
        read_question(row, f"{path.name}, row {i + 1}", id) for i, (row, id) in enumerate(zip(columns, ids))
    )
    return Task(**{"name": path.stem, "questions": questions, "source": path.name, **about})


def _columns(row: object, where: str) -> JsonObject:
    """A row under the names of `FIELDS`; other columns keep their own."""
    if not isinstance(row, Mapping):
        raise TaskError(f"{where} is not an object with the fields question and answer.")
    named: JsonObject = {}
    for name, value in row.items():
        named.setdefault(str(name).strip().lower(), value)
    found = {name: value for name, value in named.items() if name not in COLUMNS}
    for name in [n for n in named if n in COLUMNS]:
        free = _as_text(found.get(COLUMNS[name])) == ""
        found[COLUMNS[name] if free else name] = named[name]
    if found.get("answer") is None and found.get("solution") is not None:
        found["answer"] = _answer_of_solution(str(found.pop("solution")), where)
    if found.get("question") is None or found.get("answer") is None:
        have = ", ".join(str(name)[:40] for name in list(row)[:12])
        raise TaskError(f"{where} needs the columns question and answer; it has {have or 'none'}.")
    return found


def _ids(file: str, rows: Sequence[JsonMapping]) -> list[str]:
    """An id for each row, all different."""
    given = [_as_text(row.get("id")).strip() for row in rows]
    first: dict[str, int] = {}
    for i, id in enumerate(given):
        if id and first.setdefault(id, i) != i:
            raise TaskError(
                f"{file}: rows {first[id] + 1} and {i + 1} have the same id {id[:40]!r}. Ids must differ (as text: 1 and "
                '"1" are one id); leave the column out to number the rows.'
            )
    found = []
    for i, id in enumerate(given):
        if not id:
            id = str(i)
            while id in first:
                id = f"row-{id}"
            first[id] = i
        found.append(id)
    return found


def read_question(row: JsonMapping, where: str, id: str) -> Question:
    """A question from an untrusted row of `FIELDS`; `where` names it in errors."""
    text, answer = row["question"], _as_text(row["answer"]).strip()
    if isinstance(row["answer"], str) and "####" in answer:  # a row of GSM8K as it is published
        answer = answer.rpartition("####")[2].strip().replace(",", "")
    if isinstance(row["answer"], (float, Decimal)) and not math.isfinite(row["answer"]):
        raise TaskError(f"{where}: the answer is no number ({row['answer']}).")
    if (
        not isinstance(text, str)
        or not text.strip()
        or not answer
        or isinstance(row["answer"], (list, dict, bytes, tuple))
    ):
        raise TaskError(f"{where} needs a question and an answer, both as text.")
    if len(text) > MAX_TEXT:
        raise TaskError(f"{where}: the question has more than {MAX_TEXT:,} characters.")
    if len(answer) > MAX_ANSWER:
        raise TaskError(
            f"{where}: the answer has more than {MAX_ANSWER:,} characters, more than any response may give."
        )
    kind = str(row.get("kind") or "auto")
    if kind not in KINDS:
        raise TaskError(f"{where}: unknown kind {kind[:40]!r}. Known: {', '.join(KINDS)}.")
    labels, choices = _choices(row.get("choices"), where)
    if choices:
        kind, answer = "choice", _letter(answer, labels, choices, where)
    family, level = _as_text(row.get("family")), _level(row.get("level"), where)
    if any("\ud800" <= c <= "\udfff" for words in (id, text, answer, family, *choices) for c in words):
        raise TaskError(f"{where} holds half a character (a lone surrogate). Save the file again as UTF-8.")
    meta = MappingProxyType({k: v for k, v in row.items() if k not in FIELDS})
    return Question(id, text.strip(), answer, family, level, choices, kind, meta)


def _as_text(value: object) -> str:
    """A value as people write it; "" for none. Table readers make 1.0 of a whole number where a column has gaps, and NaN of a gap."""
    if value is None or isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else f"{Decimal(repr(value)):f}"
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    return str(value)


def _answer_of_solution(text: str, where: str) -> str:
    """The answer in a worked solution: in its last `\\boxed{…}`, after `####`, or the whole of a short line."""
    boxes = list(BOX.finditer(text))
    if boxes:
        depth = 1
        for at in range(start := boxes[-1].end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if depth == 0:
                return text[start:at]
    if "####" in text or (len(text) <= SHORT and "\n" not in text.strip()):
        return text
    raise TaskError(
        f"{where}: the solution names no answer (\\boxed{{…}} or ####). Give the answer in a column of its own."
    )


def _level(value: object, where: str) -> int:
    """A whole number, also as "Level 3"; 0 where it is not known."""
    text = _as_text(value).strip()
    if text.lower().removeprefix("level").strip() in ("", "?"):
        return 0
    if not re.fullmatch(r"(?i)(level\s*)?[+-]?\d{1,9}(\.0*)?", text, re.ASCII):
        raise TaskError(f"{where}: the level must be a whole number, not {text[:40]!r}.")
    return int(re.sub(r"(?i)^level\s*|\.0*$", "", text))


def _choices(value: object, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(labels, options) of a row; no labels where none are given.

    The options are a list of texts or of `{"label": "A", "text": …}`, a mapping from A, B, … to texts or of lists `label` and
    `text`, or text with the options separated by `|` or as JSON.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text, parse_float=str) if text[:1] in ("[", "{") else text.split("|") if text else []
        except (ValueError, RecursionError):
            raise TaskError(f"{where}: the choices are not a JSON list.") from None
    if isinstance(value, Mapping):
        columns = [value.get(name) for name in ("label", "text")]
        if all(isinstance(c, list) for c in columns):
            value = [{"label": label, "text": text} for label, text in zip(*columns)]
        elif "".join(map(str, value)) == LETTERS[: len(value)]:
            value = [{"label": label, "text": text} for label, text in value.items()]
    if not value or value != value:  # noqa: PLR0124 - a gap may be NaN
        return (), ()
    if not isinstance(value, Sequence) or not 2 <= len(value) <= len(LETTERS):
        raise TaskError(f"{where}: choices must be a list of 2 to {len(LETTERS)} options.")
    labels: tuple[str, ...] = ()
    if all(isinstance(option, Mapping) and "text" in option for option in value):
        labels = tuple(_as_text(option.get("label")).strip() for option in value)
        value = [option["text"] for option in value]
    if any(isinstance(option, (Mapping, list, bytes)) or not _as_text(option).strip() for option in value):
        raise TaskError(f"{where}: an option is empty or no text.")
    return (labels if all(labels) else ()), tuple(_as_text(option).strip() for option in value)


def _letter(answer: str, labels: Sequence[str], choices: Sequence[str], where: str) -> str:
    """The letter of the right option, given as its label, its text or its letter."""
    for named in (labels, choices):
        if answer in named:
            if len(set(named)) < len(named) and list(named).count(answer) > 1:
                raise TaskError(f"{where}: the answer {answer[:40]!r} stands for two options.")
            return LETTERS[list(named).index(answer)]
    letter = answer.strip("() .").upper()
    if labels and letter in labels:
        return LETTERS[list(labels).index(letter)]
    if not labels and len(letter) == 1 and letter in LETTERS[: len(choices)]:
        return letter
    raise TaskError(f"{where}: the answer {answer[:40]!r} is none of the choices, nor the letter of one.")
