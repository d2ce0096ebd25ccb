"""Whose turn it is: runs that the page streams at once, and those that wait, in the order they came.

A run waits in one of two places, and each says so in the same form, `{"what", "place", "of", "seconds"}`: here for its turn
("turn"), or in the engine for a slot of the batch ("slot"). `place` counts from 1; `seconds` is None while it is unknown.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from mi_explorer.ui.access.limits import LimitError, Limits, Visitor
from mi_explorer.untyped import JsonObject

if TYPE_CHECKING:
    from mi_explorer.engine.stream import QueuePosition

THROUGHPUT_WINDOW_S = 60.0
MIN_ENDED_RUNS = 3  # fewer in the window tell no rate


class Throughput:
    """How many runs end in a second, by those of the last minute."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=256)

    def ended(self) -> None:
        """One ended now."""
        self._ends.append(time.monotonic())

    def per_second(self) -> float:
        """0 while it cannot be told."""
        now = time.monotonic()
        recent = [t for t in list(self._ends) if t > now - THROUGHPUT_WINDOW_S]
        return len(recent) / max(now - recent[0], 1.0) if len(recent) >= MIN_ENDED_RUNS else 0.0


class Ticket:
    """One visitor's place in the queue."""

    def __init__(self, who: Visitor) -> None:
        self.who = who
        self._turn = asyncio.Event()

    def call(self) -> None:
        """It is this visitor's turn."""
        self._turn.set()

    async def called(self, within: float) -> bool:
        """Whether the turn comes within so many seconds."""
        with suppress(TimeoutError):
            if not self._turn.is_set():
                await asyncio.wait_for(self._turn.wait(), within)
        return self._turn.is_set()


class RunQueue:
    """`max_running` runs go on at once, at most `max_waiting` more wait. Of one event loop; nothing blocks.

    `runs_per_second` is what the wait is estimated by.
    """

    def __init__(
        self, max_running: int, max_waiting: int, limits: Limits, runs_per_second: Callable[[], float]
    ) -> None:
        self.max_running, self.max_waiting, self.limits = max_running, max_waiting, limits
        self.runs_per_second = runs_per_second
        self._running: set[Ticket] = set()
        self._waiting: deque[Ticket] = deque()

    @contextmanager
    def join(self, who: Visitor) -> Iterator[Ticket]:
        """A ticket at the end of the queue, held until the run is over. Raises `LimitError` when there is none for this visitor."""
        if len(self._running) >= self.max_running:
            self.limits.check_waiting(who, [ticket.who for ticket in self._waiting])
            if len(self._waiting) >= self.max_waiting:
                raise LimitError(
                    f"{self.max_waiting:,} runs are waiting for a turn already, which is all that this page takes. "
                    "Try again in a moment."
                )
        ticket = Ticket(who)
        self._waiting.append(ticket)
        self._call_next()
        try:
            yield ticket
        finally:
            self._running.discard(ticket)
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            self._call_next()

    def is_busy(self) -> bool:
        """Whether any run waits, goes on, or has a state that is not sent yet."""
        return bool(self._running or self._waiting)

    def _call_next(self) -> None:
        while self._waiting and len(self._running) < self.max_running:
            ticket = self._waiting.popleft()
            self._running.add(ticket)
            ticket.call()

    def wait_of(self, ticket: Ticket) -> JsonObject:
        """Where a waiting visitor stands."""
        return turn_wait(self._waiting.index(ticket), len(self._waiting), self.runs_per_second())


def turn_wait(before: int, waiting: int, runs_per_second: float) -> JsonObject:
    """The wait of a run with so many `before` it, among so many that are `waiting`."""
    seconds = round((before + 1) / runs_per_second) if runs_per_second else None
    return {"what": "turn", "place": before + 1, "of": waiting, "seconds": seconds}


def slot_wait(waits: "QueuePosition") -> JsonObject:
    """The wait of a run for a slot of the engine's batch."""
    return {"what": "slot", **asdict(waits)}
