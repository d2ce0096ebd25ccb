"""Where a run stands while it waits: in the page's line of runs, or in the engine's for a slot of the batch.

Both are told as `{"what", "place", "of", "seconds"}`: place counted from 1 among those who wait, seconds until the turn
comes at the pace of the last minute, or None while too little has ended to know one.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mi_explorer.ui.access.limits import LimitError, Limits, Visitor

THROUGHPUT_WINDOW_S, MIN_ENDED_RUNS = 60.0, 3  # seconds over which a pace is measured, and how many ends make one


class Throughput:
    """How many things end in a second, by those of the last minute."""

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
    """One visitor's place in a line."""

    def __init__(self, who: Visitor) -> None:
        self.who = who
        self._call = asyncio.Event()

    def call(self) -> None:
        """It is this visitor's turn."""
        self._call.set()

    async def called(self, within: float) -> bool:
        """Whether the turn comes within so many seconds."""
        with suppress(TimeoutError):
            if not self._call.is_set():
                await asyncio.wait_for(self._call.wait(), within)
        return self._call.is_set()


class RunQueue:
    """Runs in turn: `places` go on at once, more wait in the order they came, `most` at most. Of one event loop; nothing blocks.

    `pace` gives runs per second, by which the wait is estimated.
    """

    def __init__(self, places: int, most: int, limits: Limits, pace: Callable[[], float]) -> None:
        self.places, self.most, self.limits, self.pace = places, most, limits, pace
        self._going: set[Ticket] = set()
        self._waiting: deque[Ticket] = deque()

    @contextmanager
    def join(self, who: Visitor) -> Iterator[Ticket]:
        """A place at the end of the line, held until its turn is over. Raises `LimitError` when there is none for this visitor."""
        if len(self._going) >= self.places:
            self.limits.waiting(who, [place.who for place in self._waiting])
            if len(self._waiting) >= self.most:
                raise LimitError(
                    f"{self.most:,} runs are waiting for a turn already, which is all that this page takes. Try again in a moment."
                )
        place = Ticket(who)
        self._waiting.append(place)
        self._next()
        try:
            yield place
        finally:
            self._going.discard(place)
            if place in self._waiting:
                self._waiting.remove(place)
            self._next()

    def _next(self) -> None:
        while self._waiting and len(self._going) < self.places:
            place = self._waiting.popleft()
            self._going.add(place)
            place.call()

    def stands(self, place: Ticket) -> dict[str, Any]:
        """Where a waiting visitor stands."""
        return _turn(self._waiting.index(place), len(self._waiting), self.pace())


def _turn(before: int, of: int, pace: float) -> dict[str, Any]:
    return {"what": "turn", "place": before + 1, "of": of, "seconds": round((before + 1) / pace) if pace else None}


def slot_wait(waits: Any) -> dict[str, Any]:
    """What the engine says of a run that waits for a slot (`engine.stream.Waits`), for the page."""
    return {
        "what": "slot",
        "place": waits.place,
        "of": waits.of,
        "rows": waits.rows,
        "ahead": waits.ahead,
        "seconds": waits.seconds,
    }


def turn_in_gradio_queue(queue: Any, token: str, pace: float) -> dict[str, Any] | None:
    """Where the run of this token stands in the queue of a `gr.Blocks`; None when it does not wait there. `pace`: runs per second."""
    for line in list(getattr(queue, "event_queue_per_concurrency_id", {}).values()):
        waiting = list(line.queue)
        for i, event in enumerate(waiting):
            sent = getattr(event.data, "event_data", None)
            if isinstance(sent, dict) and sent.get("token") == token:
                return _turn(i, len(waiting), pace)
    return None
