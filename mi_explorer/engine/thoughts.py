"""Whether a response is inside a thought, in token ids: what a thought budget, a λ of the answer and "stop thinking" need to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class ThoughtTags(Protocol):
    """How thoughts are tagged. `opened`: the prompt ends inside a thought."""

    @property
    def opened(self) -> bool: ...

    def tag_at(self, tokens: Sequence[int], i: int, is_open: bool) -> bool | None:
        """Whether token i completes an opening tag (True) or one that closes (False); None: neither. `is_open`: as it was before."""
        ...

    def closing(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The tokens that close a thought after these."""
        ...


@dataclass(frozen=True)
class TagIds:
    """Tags of one token each. `written`: the tokens that close a thought by force (default: the first of `close`)."""

    open: tuple[int, ...]
    close: tuple[int, ...]
    opened: bool = False
    written: tuple[int, ...] = ()

    def tag_at(self, tokens: Sequence[int], i: int, is_open: bool) -> bool | None:
        return True if tokens[i] in self.open else False if tokens[i] in self.close else None

    def closing(self, tokens: Sequence[int]) -> tuple[int, ...]:
        return self.written or self.close[:1]


class ThoughtState:
    """Follows the tokens of one response. `closed`: a thought has ended, whether it is followed by another one or not."""

    def __init__(self, tags: ThoughtTags):
        self.tags, self.is_open, self.closed = tags, tags.opened, False
        self._seen = 0

    def follow(self, tokens: Sequence[int]) -> None:
        """Look at the tokens that have come since the last call."""
        for i in range(self._seen, len(tokens)):
            tag = self.tags.tag_at(tokens, i, self.is_open)
            if tag is not None:
                self.is_open = tag
                self.closed |= not tag
        self._seen = len(tokens)

    def close(self, tokens: Sequence[int]) -> None:
        """The last of these tokens closed the thought, however they read."""
        self._seen, self.is_open, self.closed = len(tokens), False, True
