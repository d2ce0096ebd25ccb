"""The candidates of a search and what is known of them: scores, frontier, areas, who is beaten, who goes to the final."""

from collections.abc import Sequence

from mi_explorer.search.frontier import ROOM, VolumePoint, spread_out, volume, volume_trace
from mi_explorer.search.score_table import ScoreTable, dominators
from mi_explorer.search.search_events import CandidateScore, FrontierMoved
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.split import ChosenQuestions
from mi_explorer.studies.plan import Cell, Item, running_order
from mi_explorer.studies.stats.efficiency import pareto


class Candidates:
    """`all` in the order in which they were measured, the line's points first. Scores are of the questions `chosen` for the search."""

    def __init__(self, settings: SearchSettings, table: ScoreTable, chosen: ChosenQuestions) -> None:
        self.settings, self.table, self.chosen = settings, table, chosen
        self.all: list[CandidateScore] = []
        self.worst = 0.0  # tokens at which the box of the areas ends

    def add_line(self, cells: Sequence[tuple[str, Cell]]) -> list[CandidateScore]:
        """The points of the line by key, which the table has."""
        questions = [item.key for item in self.chosen.items]
        right, tokens = self.table.matrix([key for key, _ in cells], questions).means(self.chosen.weights(questions))
        self.worst = ROOM * float(tokens.max())
        found = []
        for i, (key, cell) in enumerate(cells):
            spent = self.table.tokens(key, questions)
            found.append(CandidateScore(cell, key, 0, float(right[i]), float(tokens[i]), len(questions), spent))
        self.all += found
        return found

    @property
    def line(self) -> list[CandidateScore]:
        return [c for c in self.all if c.on_line]

    @property
    def searched(self) -> list[CandidateScore]:
        """Those that are no points of the line."""
        return [c for c in self.all if not c.on_line]

    @property
    def spent(self) -> int:
        """Tokens of all samples of what was searched."""
        return sum(c.spent for c in self.searched)

    def values(self, c: CandidateScore) -> tuple[float, ...]:
        """What the sampler is told: accuracy and tokens, or accuracy within the tokens, below 0 by how much these are too many."""
        within = self.settings.within
        if within is None:
            return c.right, c.tokens
        return (c.right if c.tokens <= within else -(c.tokens - within) / within,)

    def score(
        self, cell: Cell, key: str, items: Sequence[Item], beaten_by: CandidateScore | None, number: int
    ) -> CandidateScore:
        """The score of a cell that the table has on these questions.

        One that was beaten has fewer questions: it gets the score of who beat it plus the paired difference.
        """
        questions = [item.key for item in items]
        keys = [key, beaten_by.key] if beaten_by else [key]
        right, tokens = self.table.matrix(keys, questions).means(self.chosen.weights(questions))
        if beaten_by:
            right, tokens = right - right[1] + beaten_by.right, tokens - tokens[1] + beaten_by.tokens
        spent = self.table.tokens(key, questions)
        return CandidateScore(
            cell, key, number, float(right[0]), max(1.0, float(tokens[0])), len(questions), spent, beaten_by is not None
        )

    def beaten_by(self, key: str, items: Sequence[Item]) -> CandidateScore | None:
        """Who dominates this cell clearly on the first questions, if anyone does."""
        if not self.settings.race or len(items) == len(self.chosen.items):
            return None
        questions = [item.key for item in items]
        rivals = [c for c in self.frontier() if c.key != key and self.table.has(c.key, questions)]
        if not rivals:
            return None
        matrix = self.table.matrix([key, *(c.key for c in rivals)], questions)
        found = dominators(matrix, self.chosen.weights(questions), 0, range(1, len(rivals) + 1))
        return rivals[found[0] - 1] if found else None

    def frontier(self) -> list[CandidateScore]:
        """The Pareto set of all that were measured to the end, by tokens."""
        whole = [c for c in self.all if not c.stopped]
        kept = pareto([c.tokens for c in whole], [c.right for c in whole])
        return sorted((whole[i] for i in kept), key=lambda c: c.tokens)

    def moved(self) -> FrontierMoved:
        """The frontier as an event."""
        front = tuple(self.frontier())
        value = volume([c.right for c in front], [c.tokens for c in front], self.worst)
        return FrontierMoved(front, VolumePoint(len(self.searched), self.spent, value))

    def finalists(self) -> list[CandidateScore]:
        """Those that are worth a second measurement; a cold search's are its own."""
        s = self.settings
        whole = [c for c in self.all if not c.stopped and (s.warm or not c.on_line)]
        if s.within is not None:
            able = [c for c in whole if c.tokens <= s.within] or whole
            return sorted(able, key=lambda c: (-c.right, c.tokens))[: s.finalists]
        right, tokens = [c.right for c in whole], [c.tokens for c in whole]
        return [whole[i] for i in spread_out(right, tokens, s.finalists, self.worst)]

    def line_finalists(self) -> list[CandidateScore]:
        """The line's own, as many at most."""
        own = self.line
        right, tokens = [c.right for c in own], [c.tokens for c in own]
        return [own[i] for i in spread_out(right, tokens, self.settings.finalists, self.worst)]

    def volumes(self) -> tuple[VolumePoint, ...]:
        """The area that the searched candidates alone dominate, after each of them."""
        return self._trace(self.searched)

    def line_volumes(self) -> tuple[VolumePoint, ...]:
        """The same of the λ grid, from the ends inwards."""
        own = self.line
        return self._trace([own[i] for i in running_order([c.cell.recipe.lam for c in own])])

    def _trace(self, own: Sequence[CandidateScore]) -> tuple[VolumePoint, ...]:
        return volume_trace([c.right for c in own], [c.tokens for c in own], [c.spent for c in own], self.worst)
