"""Task: questions, how they are asked, and how answers are judged. `registry.load_task(name_or_path)` is the way in."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from mi_explorer import paths
from mi_explorer.errors import UserError, unknown
from mi_explorer.tasks.verify import verify
from mi_explorer.untyped import JsonMapping

ASSETS = paths.ASSETS / "tasks"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BOXED = "\n\nPlease reason step by step, and put your final answer within \\boxed{}."
LETTER = '\n\nPlease reason step by step, and end with the letter of your choice: "The answer is (X)".'
MAX_LEVEL = 1_000_000


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
    meta: JsonMapping = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __post_init__(self) -> None:
        """Refuse what no store can keep, whatever file it came from."""
        try:
            "".join((self.id, self.text, self.answer, self.family, *self.choices)).encode()
        except UnicodeEncodeError:
            raise TaskError(
                f"The question {self.id[:60]!r} holds half a character (a lone surrogate). Save the file again as UTF-8."
            ) from None
        if abs(self.level) > MAX_LEVEL:
            raise TaskError(f"The question {self.id[:60]!r}: the level is larger than {MAX_LEVEL:,}.")

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
