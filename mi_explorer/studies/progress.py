"""How far a run is and when it will be done: counts, token rate, and an ETA that knows that high λ writes more.

Tokens still to come = units left × mean tokens of their cell (of the nearest λ that has been seen, else of all); divided by
the rate of the last half minute. Pure bookkeeping: the caller gives the clock.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mi_explorer.studies.plan import Cell, Item
from mi_explorer.studies.store.sample import Sample

RATE_WINDOW_S = 30.0  # seconds over which the rate is taken

RunState = Literal["running", "paused", "stopped", "done"]


@dataclass(frozen=True)
class WorkerStatus:
    """One worker of a run. `state`: "waiting" for a place, "loading", "ready", "busy", "leaving" or "lost" (then `note` says why)."""

    name: str
    host: str
    state: str
    done: int = 0
    in_hand: int = 0
    tokens_per_second: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `done` counts units finished here, `reused` those found in the store; `eta` in seconds, or None.

    `workers` is empty where the run has none but its own engine.
    """

    study: str
    state: RunState
    total: int
    done: int = 0
    reused: int = 0
    failed: int = 0
    cells_done: int = 0
    cells: int = 0
    tokens: int = 0
    tokens_per_second: float = 0.0
    seconds: float = 0.0
    eta: float | None = None
    message: str = ""
    workers: tuple[WorkerStatus, ...] = ()

    @property
    def left(self) -> int:
        return self.total - self.done - self.reused - self.failed


class RunMeter:
    """Counts for one run. `lams[i]` is cell i's λ, `left[i]` its units still to make, `seen[i]` = (samples, tokens) of before."""

    def __init__(
        self, lams: Sequence[float], left: Sequence[int], seen: Mapping[int, tuple[int, int]], now: float
    ) -> None:
        self.lams, self.left = list(lams), list(left)
        self.samples = [seen.get(i, (0, 0))[0] for i in range(len(lams))]
        self.mass = [seen.get(i, (0, 0))[1] for i in range(len(lams))]
        self.began, self.tokens = now, 0
        self._marks: deque[tuple[float, int]] = deque([(now, 0)])

    def token(self, count: int = 1) -> None:
        """Tokens came (of any row)."""
        self.tokens += count

    def finished(self, cell: int, tokens: int) -> None:
        """A unit of `cell` ended with `tokens` tokens."""
        self.left[cell] -= 1
        self.samples[cell] += 1
        self.mass[cell] += tokens

    def dropped(self, cell: int) -> None:
        """A unit of `cell` failed and will not come."""
        self.left[cell] -= 1

    def rate(self, now: float) -> float:
        """Tokens per second over the last `RATE_WINDOW_S` seconds."""
        if now - self._marks[-1][0] >= 0.25:
            self._marks.append((now, self.tokens))
        while len(self._marks) > 2 and self._marks[1][0] < now - RATE_WINDOW_S:
            self._marks.popleft()
        start, count = self._marks[0]
        return (self.tokens - count) / (now - start) if now > start else 0.0

    def paused(self, now: float) -> None:
        """Time without work does not count into the rate."""
        self._marks = deque([(now, self.tokens)])

    def expected(self) -> float | None:
        """Tokens still to come; None before the first finished sample."""
        known = [i for i, n in enumerate(self.samples) if n]
        if not known:
            return None
        total = 0.0
        for i, left in enumerate(self.left):
            if left > 0:
                near = i if self.samples[i] else min(known, key=lambda j: abs(self.lams[j] - self.lams[i]))
                total += left * self.mass[near] / self.samples[near]
        return total

    def eta(self, now: float) -> float | None:
        """Seconds until everything is made; None while it cannot be told."""
        if not any(n > 0 for n in self.left):
            return 0.0
        expected, rate = self.expected(), self.rate(now)
        return expected / rate if expected is not None and rate > 0 else None


@dataclass(frozen=True)
class SampleDone:
    """A sample is finished and saved."""

    study: str
    cell: Cell
    item: Item
    sample: Sample


@dataclass(frozen=True)
class CellDone:
    """Every unit of a cell (of this shard) is in the store."""

    study: str
    key: str
    cell: Cell


@dataclass(frozen=True)
class WorkerNews:
    """Something about the workers that the user should read: one is lost, one has come."""

    text: str
