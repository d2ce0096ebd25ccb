"""What a step costs: seconds by way and slots, from measured step times."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

HORIZON_STEPS = 48  # steps over which a fold is expected to pay for itself


Table = list[tuple[int, float]]
"""Sorted [(size, seconds)]."""


@dataclass
class Costs:
    """Measured seconds: `steps[mode]` of a decode step by its slots, `read[mode]` of a pass over prompts by its tokens (nothing where
    it is not known), `fold` of a fold."""

    steps: dict[str, Table]
    fold: float = 0.0
    read: dict[str, Table] = field(default_factory=dict)

    def step(self, mode: str, slots: int) -> float:
        """Interpolated between the measured sizes; beyond the last, in proportion to the last slope."""
        table = self.steps.get(mode)
        return interpolated(table, slots) if table else float("inf")

    def read_pass(self, mode: str, tokens: float) -> float:
        """A pass over so many tokens of prompts; one of hardly any takes a step of one slot."""
        return interpolated([(0, self.step(mode, 1)), *self.read[mode]], tokens)

    def token_each(self, mode: str, slots: int, capacity: int) -> float:
        """Time for one token of each of `slots` slots, in steps of at most `capacity`."""
        return self.step(mode, min(slots, capacity)) * max(1.0, slots / capacity)

    def reads_by_fold(self, tokens: Sequence[float]) -> list[bool]:
        """Which prompts are read sooner by a fold of their recipe: `tokens` to read for each recipe that decodes row-wise.

        The best of three: none, all, and those whose fold takes less than their share of a row-wise pass over all.
        """
        if len(self.read) < 2 or not sum(tokens):
            return [False] * len(tokens)
        apart = [self._read_folded(n, 1) for n in tokens]
        together = self.read_pass("rowwise", sum(tokens)) / sum(tokens)

        def seconds(folded: list[bool]) -> float:
            rest = sum(n for n, fold in zip(tokens, folded) if not fold)
            alone = sum(time for time, fold in zip(apart, folded) if fold)
            return alone + (self.read_pass("rowwise", rest) if rest else 0.0)

        cheap = [time < n * together for n, time in zip(tokens, apart)]
        return min([False] * len(tokens), [True] * len(tokens), cheap, key=seconds)

    def reading(self, mode: str, tokens: float, recipes: float = 1.0) -> float:
        """Time a step to read so many tokens of prompts, of so many recipes, spread over the steps that follow."""
        if not tokens or mode not in self.read:
            return 0.0
        time = self.read_pass(mode, tokens)
        if mode == "rowwise" and "folded" in self.read:
            time = min(time, self._read_folded(tokens, recipes))
        return time / HORIZON_STEPS

    def _read_folded(self, tokens: float, recipes: float) -> float:
        """Time to read so many tokens by a fold of each of so many recipes."""
        return recipes * (self.fold + self.read_pass("folded", tokens / recipes))


def interpolated(table: Table, size: float) -> float:
    """Between the sizes of a table; before the first as there, beyond the last in proportion to the last slope."""
    i = bisect_left(table, (size,))
    if i < len(table) and table[i][0] == size:
        return table[i][1]
    if i == 0:
        return table[0][1]
    if i == len(table):
        if i == 1:
            return table[0][1] * size / table[0][0]
        i -= 1
    (n0, t0), (n1, t1) = table[i - 1], table[i]
    return max(t0 + (t1 - t0) * (size - n0) / (n1 - n0), 1e-9)
