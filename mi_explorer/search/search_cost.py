"""What a search takes before it runs: samples, tokens by the lengths that were measured, time by a rate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from mi_explorer.search.settings import SearchSettings
from mi_explorer.studies.cost import Cost, Lengths, estimate, roughly, token_count
from mi_explorer.studies.plan import Cell, Plan


@dataclass(frozen=True)
class SearchCost:
    """Upper bounds: nothing is counted as made, and no candidate as stopped early. `shortest`: mean tokens of the line's shortest point."""

    line: Cost
    search: Cost
    heldout: Cost
    shortest: float | None

    @property
    def tokens(self) -> float:
        return self.line.tokens + self.search.tokens + self.heldout.tokens

    def by_others(self) -> Self:
        """The same where others than this process's engine make the samples: how quick they are is not known."""
        line, search, heldout = (replace(cost, rate=None) for cost in (self.line, self.search, self.heldout))
        return replace(self, line=line, search=search, heldout=heldout)

    @property
    def text(self) -> str:
        """In words."""
        units = self.line.units + self.search.units + self.heldout.units
        rate = self.search.rate
        time = f", about {roughly(self.tokens / rate)} at {rate:,.0f} tokens/s" if rate else ""
        return (
            f"At most {units:,} samples and about {token_count(self.tokens)} tokens{time}: {token_count(self.line.tokens)} for the "
            f"line, {token_count(self.search.tokens)} for the candidates, {token_count(self.heldout.tokens)} to judge the finalists."
        )


def search_cost(
    settings: SearchSettings, line: Sequence[Cell], pool: int, heldout: int, known: Lengths, rate: float | None
) -> SearchCost:
    """The cost of a search that measures the line on `pool` questions and judges on `heldout`."""

    def cost(cells: int, questions: int, samples: int) -> Cost:
        units = cells * questions * samples
        return estimate(Plan("", tuple(line), questions, samples), units, units, known, rate)

    each = [estimate(Plan("", (cell,), 1, 1), 1, 1, known, rate) for cell in line]
    shortest = min(c.tokens for c in each) if all(c.measured for c in each) else None
    return SearchCost(
        cost(len(line), pool, settings.samples),
        cost(settings.evaluations, settings.questions, settings.samples),
        cost(len(line) + settings.finalists, heldout, settings.heldout_samples),
        shortest,
    )
