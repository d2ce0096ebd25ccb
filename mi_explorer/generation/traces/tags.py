"""Think tags: how one pair marks where a thought begins and ends."""

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from mi_explorer.prompts.think_tags import CLOSING, OPENING, TOOL_CALLS

QUOTES = "`'\"“”‘’«»"


@dataclass(frozen=True)
class ThinkTags:
    """The tags of a pair. `close` closes strictly, anything of `lenient` leniently; `prefilled`: the prompt ends inside a thought.

    `close_id` is the token id of `close` where the tokenizer has one: then a thought counts as strictly closed only by that
    id (the paper's Think #R), and the same characters spelt in ordinary tokens close it leniently.
    """

    open: str = "<think>"
    close: str = "</think>"
    open_id: int | None = None
    close_id: int | None = None
    prefilled: bool = False
    lenient: tuple[str, ...] = field(default=CLOSING)

    @cached_property
    def closers(self) -> frozenset[str]:
        """Every text that ends a thought."""
        return frozenset((self.close, *self.lenient))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches any opening or closing tag; longest first, so that no tag hides another."""
        return _pattern(frozenset((self.open, self.close, *OPENING, *self.lenient)))

    @cached_property
    def only_when_open(self) -> frozenset[str]:
        """Tags that end a thought where one is open, and mean something else where none is: tool calls."""
        return frozenset(TOOL_CALLS) - {self.close}

    def named_at(self, text: str, start: int, end: int) -> bool:
        """Whether the tag at characters [start, end) is spoken of ("closed by `</think>` tags") and closes nothing."""
        before, after = text[:start][-2:], text[end:][:2]
        # An opening quote follows no word and a closing one precedes none: `a`</think>`b` quotes nothing.
        quoted = re.fullmatch(rf"[^\w{QUOTES}]?[{QUOTES}]", before) and re.match(rf"[{QUOTES}](?!\w)", after)
        inline = re.fullmatch(r"[\w,;] ", before) and re.fullmatch(r"( [a-z(]|[.,;:!?)]).*", after, re.DOTALL)
        return bool(quoted or inline)

    def without_last(self, text: str) -> str:
        """The text without closing tags at its end."""
        text, cut = text.rstrip(), True
        while cut:
            cut = False
            for tag in self.closers:
                if tag and text.endswith(tag):
                    text, cut = text[: -len(tag)].rstrip(), True
        return text

    @cached_property
    def longest(self) -> int:
        """Length of the longest tag in characters."""
        return max(map(len, (self.open, self.close, *OPENING, *self.lenient)))


@lru_cache(maxsize=64)  # every response has tags of its own, mostly the same ones
def _pattern(tags: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(tags - {""}, key=lambda tag: (-len(tag), tag))
    return re.compile("|".join(map(re.escape, longest_first)))
