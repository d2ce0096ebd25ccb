"""Trace: one response with its parts and marks, as a frozen value. Offsets are characters of `text`, counts are tokens."""

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mi_explorer.generation.traces.markers import GROUPS, Mark

Finish = Literal["stop", "cap", "context", "memory", "cancelled", "failed"]
CUT = ("cap", "context", "memory")  # the model would have gone on


class RunningAnswer(NamedTuple):
    """An answer that the response gave on its way, complete with token number `token` (1-based: tokens used up to it)."""

    token: int
    answer: str
    sign: str
    correct: bool | None  # None: no gold answer is known


@dataclass(frozen=True)
class Trace:
    """A response, finished or still running (`finish` is None).

    `thought` and `answer_text` are exact slices of `text`: the tags themselves belong to neither. `think_tokens` counts up to
    and including the closing tag, or everything while the thought is open. `answer` is extracted after the last closing tag,
    only from a response that came to its own end. `ends[i]` is the length of the text once token i is decoded.
    """

    text: str = ""
    thought_span: tuple[int, int] = (0, 0)
    answer_start: int = 0
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    ends: tuple[int, ...] = ()
    think_tokens: int = 0
    think_open: bool = False  # a thought has begun and is not closed
    think_closed: bool = False  # strict: by the pair's own closing tag
    think_lenient: bool = False  # by any tag that ends a thought
    looped: bool = False
    answer: str | None = None
    finish: Finish | None = None
    marks: tuple[Mark, ...] = ()
    running_answers: tuple[RunningAnswer, ...] = ()
    first_correct: int | None = None  # tokens up to the first running answer that equals gold
    stable_from: int | None = None  # tokens up to the running answer that never changed again
    flips: int = 0  # how often the running answer changed
    gold: str | None = field(default=None, repr=False)

    @property
    def thought(self) -> str:
        return self.text[slice(*self.thought_span)]

    @property
    def answer_text(self) -> str:
        return self.text[self.answer_start :]

    @property
    def tokens(self) -> int:
        return len(self.ids)

    @property
    def answer_tokens(self) -> int:
        return len(self.ids) - self.think_tokens

    @property
    def truncated(self) -> bool:
        """Ran into the cap, the context or the memory with no end of turn: no answer, counts as wrong."""
        return self.finish in CUT

    def tokens_until(self, offset: int) -> int:
        """How many tokens it takes until the text up to `offset` is there."""
        return bisect_left(self.ends, offset) + 1 if offset > 0 else 0

    def token_at(self, offset: int) -> int:
        """The index of the token that gave the character at `offset`."""
        return min(bisect_right(self.ends, offset), max(len(self.ends) - 1, 0))

    @property
    def markers(self) -> dict[str, int]:
        """Reflection markers by group."""
        counts = Counter(mark.group for mark in self.marks)
        return {group: counts[group] for group in GROUPS}

    @property
    def overthinking(self) -> float | None:
        """Share of the tokens that came after the answer was first right, 1 − T̂/T; None if it never was."""
        return 1 - self.first_correct / self.tokens if self.first_correct is not None and self.tokens else None
