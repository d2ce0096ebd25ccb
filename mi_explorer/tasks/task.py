"""Task: questions, how they are asked, and how answers are judged. `registry.load_task(name_or_path)` is the way in."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mi_explorer import paths
from mi_explorer.errors import UserError, unknown
from mi_explorer.input_limits import InputLimitError, regular_size
from mi_explorer.tasks.verify import KINDS, MAX_ANSWER, verify

ASSETS = paths.ASSETS / "tasks"
# Other spellings of the columns, as benchmarks have them.
COLUMNS = {
    **dict.fromkeys(("question", "prompt", "problem", "input", "query"), "question"),
    **dict.fromkeys(("answer", "solution_answer", "target", "gold", "label", "expected", "final_answer"), "answer"),
    **dict.fromkeys(("choices", "options"), "choices"),
    **dict.fromkeys(("family", "subject", "category", "type"), "family"),
    **dict.fromkeys(("id", "unique_id", "question_id"), "id"),
}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BOXED = "\n\nPlease reason step by step, and put your final answer within \\boxed{}."
LETTER = '\n\nPlease reason step by step, and end with the letter of your choice: "The answer is (X)".'
MAX_FILE, MAX_TEXT = 64 * 2**20, 100_000  # bytes of a task file, characters of a question
MAX_QUESTIONS = 200_000


class TaskError(UserError):
    """A task that cannot be loaded: what is missing, why, and how to get it."""


@dataclass(frozen=True)
class Question:
    """One question. With `choices`, `answer` is the right option's letter and the options are asked in the order given."""

    id: str
    text: str
    answer: str
    family: str = ""
    level: int = 0
    choices: tuple[str, ...] = ()
    kind: str = "auto"
    meta: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def gold(self) -> str:
        """What `verify` compares with: the answer, or `B) its text` for a choice."""
        if self.choices and len(self.answer) == 1 and self.answer in LETTERS[: len(self.choices)]:
            return f"{self.answer}) {self.choices[LETTERS.index(self.answer)]}"
        return self.answer


@dataclass(frozen=True)
class Task:
    """A named set of questions. `suffix` is the prompt policy: what is said after each question; `system` is said before all.

    `republish` is False where items must never reach an export (GPQA). `licence` and `source` are shown beside results.
    """

    name: str
    questions: tuple[Question, ...]
    suffix: str = ""
    licence: str = ""
    source: str = ""
    republish: bool = True
    title: str = ""

    def prompt(self, question: Question) -> str:
        """The user's message for a question."""
        options = "".join(f"\n{LETTERS[i]}) {choice}" for i, choice in enumerate(question.choices))
        return question.text + ("\n" + options if options else "") + self.suffix

    def verify(self, question: Question, answer: str | None) -> bool:
        """Whether the answer extracted from a response is right."""
        return verify(question.gold, answer, question.kind)

    def by_id(self, id: str) -> Question:
        for question in self.questions:
            if question.id == id:
                return question
        raise unknown("question", id, [q.id for q in self.questions[:20]])

    def where(self, keep: Callable[[Question], bool]) -> "Task":
        """The task with fewer questions."""
        return replace(self, questions=tuple(filter(keep, self.questions)))


def choose(questions: Iterable[Question], limit: int | None, seed: int) -> tuple[Question, ...]:
    """`limit` questions in an order drawn from the seed. Nested: the first 100 of 200 are the 100 of `limit=100`."""
    if limit is not None and limit < 1:
        raise TaskError(f"A task needs at least one question, not {limit}.")
    ranked = sorted(questions, key=lambda q: hashlib.sha256(f"{seed}:{q.id}".encode()).digest())
    return tuple(ranked[:limit])


def from_file(path: Path, **about: Any) -> Task:
    """A task from a user's JSONL or CSV with the columns `question` and `answer`, optional `choices`, `kind`, `id`, `family`, `level`."""
    try:
        if regular_size(path) > MAX_FILE:
            raise TaskError(f"The task file {path.name} is larger than {MAX_FILE >> 20} MB. Split it.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TaskError(
            f"There is no task file {str(path)!r}. Give a .jsonl or .csv with the columns question and answer."
        ) from None
    except InputLimitError as error:
        raise TaskError(f"A task file cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise TaskError(f"The task file {path.name} is not UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise TaskError(f"The task file {path.name} cannot be read: {error.strerror}.") from None
    kind = path.suffix.lower()
    rows = _csv_rows(path.name, text) if kind in (".csv", ".tsv") else _json_rows(path.name, text)
    if len(rows) > MAX_QUESTIONS:
        raise TaskError(
            f"The task file {path.name} holds {len(rows):,} questions; at most {MAX_QUESTIONS:,} are read. Split it."
        )
    questions = tuple(question(row, f"{path.name}, row {i + 1}", str(i)) for i, row in enumerate(rows))
    if not questions:
        raise TaskError(f"The task file {path.name} holds no questions.")
    if len({q.id for q in questions}) < len(questions):
        raise TaskError(
            f"Two questions of {path.name} have the same id. Ids must differ; leave the column out to number them."
        )
    return Task(**{"name": path.stem, "questions": questions, "source": path.name, **about})


def _csv_rows(file: str, text: str) -> list[Any]:
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    try:
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise TaskError(f"The task file {file} cannot be read as CSV ({error}).") from None


def _json_rows(file: str, text: str) -> list[Any]:
    if text.lstrip().startswith("["):  # one JSON list
        try:
            listed = json.loads(text, parse_float=str)
        except (ValueError, RecursionError):
            raise TaskError(f"{file} is not JSON. It must be a list of objects with question and answer.") from None
        return list(listed)
    rows = []
    for i, line in enumerate(text.split("\n")):  # not at other line ends, which may stand in a text
        if line.strip():
            try:
                rows.append(json.loads(line, parse_float=str))  # 0.00005 stays as it is written
            except (ValueError, RecursionError):
                raise TaskError(
                    f"{file}, line {i + 1} is not JSON. Each line must be one object with question and answer."
                ) from None
    return rows


def question(row: Any, where: str, id: str) -> Question:
    """A question from an untrusted row; `where` names it in errors."""
    if not isinstance(row, Mapping):
        raise TaskError(f"{where} is not an object with the fields question and answer.")
    named = list(row)
    row = {
        COLUMNS.get(str(name).strip().lower(), str(name).strip().lower()): value
        for name, value in reversed(row.items())
    }
    text, answer = row.get("question"), row.get("answer")
    if text is None or answer is None:
        found = ", ".join(str(name)[:40] for name in named[:12])
        raise TaskError(f"{where} needs the columns question and answer; it has {found or 'none'}.")
    if isinstance(answer, str) and "####" in answer:  # a row of GSM8K as it is published
        answer = answer.rpartition("####")[2].strip().replace(",", "")
    if any("\ud800" <= c <= "\udfff" for c in f"{text}{answer}"):
        raise TaskError(f"{where} holds half a character (a lone surrogate). Save the file again as UTF-8.")
    if str(answer).strip().lower() in ("nan", "inf", "-inf", "infinity", "-infinity") and not isinstance(answer, str):
        raise TaskError(f"{where}: the answer is no number ({answer}).")
    if (
        not isinstance(text, str)
        or not text.strip()
        or answer is None
        or isinstance(answer, (list, dict))
        or not str(answer).strip()
    ):
        raise TaskError(f"{where} needs a question and an answer, both as text.")
    if len(text) > MAX_TEXT:
        raise TaskError(f"{where}: the question has more than {MAX_TEXT:,} characters.")
    if len(str(answer)) > MAX_ANSWER:
        raise TaskError(
            f"{where}: the answer has more than {MAX_ANSWER:,} characters, more than any response may give."
        )
    kind = str(row.get("kind") or "auto")
    if kind not in KINDS:
        raise TaskError(f"{where}: unknown kind {kind[:40]!r}. Known: {', '.join(KINDS)}.")
    choices = _choices(row.get("choices"), where)
    answer = str(answer).strip()
    if choices:
        kind = "choice"
        answer = _letter(answer, choices, where)
    try:
        level = int(row.get("level") or 0)
    except (TypeError, ValueError, OverflowError):
        raise TaskError(f"{where}: the level must be a whole number, not {str(row.get('level'))[:40]!r}.") from None
    known = ("id", "question", "answer", "family", "level", "choices", "kind")
    meta = MappingProxyType({str(k): v for k, v in row.items() if k not in known})
    return Question(
        id if row.get("id") in (None, "") else str(row["id"]),
        text.strip(),
        answer,
        str(row.get("family") or ""),
        level,
        choices,
        kind,
        meta,
    )


def _choices(value: Any, where: str) -> tuple[str, ...]:
    """The options of a row: a list, or text with the options separated by `|` or as a JSON list."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = (
                json.loads(text) if text.startswith("[") else [part.strip() for part in text.split("|")] if text else []
            )
        except (ValueError, RecursionError):
            raise TaskError(f"{where}: the choices are not a JSON list.") from None
    if not value:
        return ()
    if not isinstance(value, Sequence) or not 2 <= len(value) <= len(LETTERS):
        raise TaskError(f"{where}: choices must be a list of 2 to {len(LETTERS)} options.")
    if all(isinstance(option, Mapping) and "text" in option for option in value):  # labelled: {"label": "A", "text": …}
        value = [option["text"] for option in value]
    return tuple(str(option).strip() for option in value)


def _letter(answer: str, choices: Sequence[str], where: str) -> str:
    """The letter of the right option, given as its text or as a letter."""
    if answer in choices:
        return LETTERS[choices.index(answer)]
    letter = answer.strip("() .").upper()
    if len(letter) == 1 and letter in LETTERS[: len(choices)]:
        return letter
    raise TaskError(f"{where}: the answer {answer[:40]!r} is none of the choices, nor the letter of one.")
