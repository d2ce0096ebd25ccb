"""Think tags of a response in token ids, for the engine: which token completes a tag, and which tokens close a thought.

A tag may be one token, or be spelt in ordinary ones (lenient closing tags often are); the latter are found in the text of the last
few tokens, looked at only where the newest one holds a character with which a tag may end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mi_explorer.engine.thoughts import TagIds
from mi_explorer.generation.traces import ThinkTags
from mi_explorer.prompts.think_tags import OPENING
from mi_explorer.prompts.token_codec import TokenCodec

WINDOW = 24  # tokens in which a spelt tag is sought


@dataclass(frozen=True, eq=False)
class ResponseTags:
    """See `engine.thoughts.ThoughtTags`. `close_ids`: the tokens of the pair's own closing tag."""

    tags: ThinkTags
    codec: TokenCodec
    close_ids: tuple[int, ...]

    @property
    def opened(self) -> bool:
        return self.tags.prefilled

    def closing(self, tokens: Sequence[int]) -> tuple[int, ...]:
        return self.close_ids

    def tag_at(self, tokens: Sequence[int], i: int, is_open: bool) -> bool | None:
        token = tokens[i]
        if token == self.tags.close_id:
            return False
        if token == self.tags.open_id:
            return True
        last = self.codec.decode((token,))
        if not self._last_characters.intersection(last):
            return None
        start = max(0, i + 1 - WINDOW)
        text = self.codec.decode(tuple(tokens[start : i + 1]))
        before = len(text) - len(last)  # the tag must end within the newest token
        found = None
        for match in self.tags.pattern.finditer(text):
            if match.end() > before:
                closes = match[0] in self.tags.closers and (is_open or match[0] not in self.tags.only_when_open)
                found = False if closes else True if match[0] in self._openers else found
        return found

    def __reduce__(self) -> tuple[type[TagIds], tuple[object, ...]]:
        """In another process: the tags that are one token; spelt ones are not found there, for a tokenizer is too much to send."""
        find = self.codec.token_id
        opening = [self.tags.open_id, *map(find, sorted(self._openers))]
        closing = [self.tags.close_id, *map(find, sorted(self.tags.closers - self.tags.only_when_open))]
        known = (tuple(dict.fromkeys(i for i in ids if i is not None)) for ids in (opening, closing))
        return TagIds, (*known, self.opened, self.close_ids)

    @cached_property
    def _openers(self) -> frozenset[str]:
        return frozenset((self.tags.open, *OPENING))

    @cached_property
    def _last_characters(self) -> frozenset[str]:
        return frozenset(tag[-1] for tag in (*self.tags.closers, *self._openers) if tag)
