"""Which units wait, and which are set aside: the driver's account of a pair's units. Pure; a unit is in one place at a time.

A unit that fails is tried again, three times in all. When a worker is lost nobody knows which of its units was to blame: each goes
back, and one that was in the hands of two lost workers is asked alone, so that a third loss is its own.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable

from mi_explorer.studies.plan import Unit

MAX_TRIES = 3


class UnitLedger:
    """`units` in the order in which they are to be made."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self._waiting: dict[int, deque[Unit]] = {}  # by cell
        self._alone: deque[Unit] = deque()
        self._tries: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()
        for unit in units:
            self._waiting.setdefault(unit.cell, deque()).append(unit)

    def __len__(self) -> int:
        """Units that wait."""
        return len(self._alone) + sum(map(len, self._waiting.values()))

    def take(self, most: int, own: int | None, others: Collection[int]) -> list[Unit]:
        """Up to `most` units of one cell for a worker: of `own`, its cell so far, while there are some (each change of cell is a fold);
        else of the first cell that no other worker has (`others`), else of the one with the most units left."""
        open_ = [cell for cell, units in self._waiting.items() if units]
        if not open_ or most < 1:
            return []
        if own not in open_:
            free = [cell for cell in open_ if cell not in others]
            own = free[0] if free else max(open_, key=lambda cell: len(self._waiting[cell]))
        assert own is not None
        units = self._waiting[own]
        return [units.popleft() for _ in range(min(most, len(units)))]

    def take_alone(self) -> Unit | None:
        """A unit to be asked without company."""
        return self._alone.popleft() if self._alone else None

    def prefer(self, order: Iterable[int]) -> None:
        """Cells in this order from now on."""
        self._waiting = {cell: self._waiting[cell] for cell in order if cell in self._waiting}

    def give_back(self, units: Iterable[Unit]) -> None:
        """Units that did not begin."""
        for unit in units:
            self._waiting.setdefault(unit.cell, deque()).appendleft(unit)

    def broke(self, unit: Unit) -> bool:
        """A unit failed; whether it is set aside now. If not, it waits for another try."""
        self._tries[unit.key] += 1
        if self._tries[unit.key] >= MAX_TRIES:
            return True
        self._waiting.setdefault(unit.cell, deque()).append(unit)
        return False

    def lost(self, units: Collection[Unit]) -> list[Unit]:
        """A worker was lost with these units in hand; returns those that are set aside now, the others wait again."""
        aside = []
        for unit in units:
            self._losses[unit.key] += 1
            if self._losses[unit.key] < MAX_TRIES - 1:
                self.give_back([unit])
            elif self._losses[unit.key] < MAX_TRIES or len(units) > 1:
                self._alone.append(unit)
            else:
                aside.append(unit)
        return aside
