"""Think tags: how one pair marks where a thought begins and ends."""

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

# Anything that models of this kind were seen to end a thought with. Blends in stage 1-2 write whole thoughts and close
# them with a tag of their other parent (table 6 of 2510.10977: `<tool_call>`), so the strict tag alone undercounts.
LENIENT_CLOSE = (
    "</think>", "</thinking>", "</thought>", "</thoughts>", "</reasoning>", "</reason>", "</reflection>",
    "[/THINK]", "<|end_of_thought|>", "<|/think|>", "<tool_call>", "</tool_call>", "◁/think▷",
)  # fmt: skip
OPEN = ("<think>", "<thinking>", "<thought>", "<reasoning>", "[THINK]", "<|begin_of_thought|>", "◁think▷")


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
    lenient: tuple[str, ...] = field(default=LENIENT_CLOSE)

    @cached_property
    def closers(self) -> frozenset[str]:
        """Every text that ends a thought."""
        return frozenset((self.close, *self.lenient))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches any opening or closing tag; longest first, so that no tag hides another."""
        return _pattern(frozenset((self.open, self.close, *OPEN, *self.lenient)))

    @cached_property
    def longest(self) -> int:
        """Length of the longest tag in characters."""
        return max(map(len, (self.open, self.close, *OPEN, *self.lenient)))


@lru_cache(maxsize=64)  # every response has tags of its own, mostly the same ones
def _pattern(tags: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(tags - {""}, key=lambda tag: (-len(tag), tag))
    return re.compile("|".join(map(re.escape, longest_first)))
