"""What a step costs: seconds by way and slots, from measured step times."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

HORIZON_STEPS = 48  # steps over which a fold is expected to pay for itself


@dataclass
class Costs:
    """Seconds of a step by its number of slots, measured: `steps[mode]` is sorted [(slots, seconds)]; `fold` the time of a fold.

    A pass over prompts takes a step of one slot and `read[mode]` seconds more for every token; nothing where it is not known.
    """

    steps: dict[str, list[tuple[int, float]]]
    fold: float = 0.0
    read: dict[str, float] = field(default_factory=dict)

    def step(self, mode: str, slots: int) -> float:
        """Interpolated between the measured sizes; beyond the last, in proportion to the last slope."""
        table = self.steps.get(mode)
        if not table:
            return float("inf")
        i = bisect_left(table, (slots,))
        if i < len(table) and table[i][0] == slots:
            return table[i][1]
        if i == 0:
            return table[0][1]
        if i == len(table):
            if i == 1:
                return table[0][1] * slots / table[0][0]
            i -= 1
        (n0, t0), (n1, t1) = table[i - 1], table[i]
        return max(t0 + (t1 - t0) * (slots - n0) / (n1 - n0), 1e-9)

    def token_each(self, mode: str, slots: int, capacity: int) -> float:
        """Time for one token of each of `slots` slots, in steps of at most `capacity`."""
        return self.step(mode, min(slots, capacity)) * max(1.0, slots / capacity)

    def reads_by_fold(self, tokens: Sequence[float]) -> list[bool]:
        """Which prompts are read sooner by a fold of their recipe: `tokens` to read for each recipe that decodes row-wise."""
        if len(self.read) < 2:
            return [False] * len(tokens)
        gains = [n * self.read["rowwise"] - self._read_folded(n, 1) for n in tokens]
        losses = sum(gain for gain in gains if gain <= 0)
        all_folded = (
            losses + self.step("rowwise", 1) > 0
        )  # then nothing is left to read row-wise, and that pass is saved
        return [all_folded or gain > 0 for gain in gains]

    def reading(self, mode: str, tokens: float, recipes: float = 1.0) -> float:
        """Time a step to read so many tokens of prompts, of so many recipes, spread over the steps that follow."""
        if not tokens or mode not in self.read:
            return 0.0
        time = self.step(mode, 1) + tokens * self.read[mode]
        if mode == "rowwise" and "folded" in self.read:
            time = min(time, self._read_folded(tokens, recipes))
        return time / HORIZON_STEPS

    def _read_folded(self, tokens: float, recipes: float) -> float:
        """Time to read so many tokens by a fold of each of so many recipes."""
        return recipes * (self.fold + self.step("folded", 1)) + tokens * self.read["folded"]
