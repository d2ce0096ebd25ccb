"""The reader's end of what one user submitted: a thread-safe queue of events that ends when every request has ended."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mi_explorer.engine.events import Change, Event, Failed, Finished
from mi_explorer.recipe import Recipe

Cancel = Callable[["EventStream", frozenset[str] | None], None]
Intervene = Callable[["EventStream", str, Change | Literal["pause", "resume"]], None]
GATHER_S = 0.005  # seconds in which events gather for whoever iterates


@dataclass(frozen=True)
class QueuePosition:
    """Where a submission stands: `place` (from 1) among the `of` submissions that have requests waiting; `rows` of its own and
    `ahead` of others that get a slot before its next one does. `seconds` until that, at the rate at which requests ended in
    the last minute; None while too few have.
    """

    place: int
    of: int
    rows: int
    ahead: int
    seconds: float | None


class EventStream:
    """Events of a user's requests, in order per request. Iterating blocks and ends after every request has finished or failed; what
    comes within `GATHER_S` seconds of the events before is handed out together.

    `waits` is set by the engine while requests of people (not of sweeps) wait for a slot, and None otherwise. `cancel` is the
    engine's function to cancel requests of a stream, `intervene` the one to change a response that is under way.
    """

    def __init__(self, cancel: Cancel, intervene: Intervene | None = None):
        self.waits: QueuePosition | None = None
        self._cancel, self._intervene = cancel, intervene
        self._open: set[str] = set()
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()
        self._all_ended = threading.Event()
        self._taken = 0.0  # when iteration took events last (monotonic seconds)

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event; None when there will be no more, or when none came within `timeout` seconds (None: wait)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._events:
                left = None if deadline is None else deadline - time.monotonic()
                if not self._open or (left is not None and left <= 0):
                    return None
                self._changed.wait(left)
            return self._events.popleft()

    def drain(self, within: float = 0.0) -> list[Event]:
        """Every event that is here after `within` seconds, or when every request has ended."""
        if within:
            self._all_ended.wait(within)
        with self._changed:
            events = list(self._events)
            self._events.clear()
            return events

    @property
    def done(self) -> bool:
        """Whether every request has ended and every event was read."""
        with self._changed:
            return not self._open and not self._events

    def __iter__(self) -> Iterator[Event]:
        while events := self._take_all():
            try:
                while events:
                    yield events.popleft()
            finally:  # whoever stops reading here finds the rest in the next loop, `get` or `drain`
                if events:
                    with self._changed:
                        self._events.extendleft(reversed(events))

    def _take_all(self) -> deque[Event]:
        """All events at once, waiting for the first; empty at the end.

        A reader that wakes at every step of the engine takes the interpreter from the engine's thread each time.
        """
        if (left := self._taken + GATHER_S - time.monotonic()) > 0:
            self._all_ended.wait(left)
        with self._changed:
            while not self._events and self._open:
                self._changed.wait()
            events, self._events = self._events, deque()
            self._taken = time.monotonic()
            return events

    def cancel(self, ids: Iterable[str] | None = None) -> None:
        """Cancel some requests, or all; each ends with `Finished(reason="cancelled")` within one step."""
        self._cancel(self, None if ids is None else frozenset(ids))

    def change(self, id: str, recipe: Recipe | None = None, insert: tuple[int, ...] = (), close: bool = False) -> None:
        """Change a response within one step: from its next token on it is another blend's, tokens are put there, or its thought is
        closed (see `Change`). `Changed` says where; `Refused` why it cannot be. Nothing happens if the request has ended.
        """
        if self._intervene is not None:
            self._intervene(self, id, Change(0, recipe, insert, close))

    def pause(self, id: str) -> None:
        """Take a response out of its slot until `resume`; `Paused` says that it is out. It keeps its tokens, and may be changed."""
        if self._intervene is not None:
            self._intervene(self, id, "pause")

    def resume(self, id: str) -> None:
        """Let a paused response wait for a slot again, where it reads what it has so far."""
        if self._intervene is not None:
            self._intervene(self, id, "resume")

    def expect(self, ids: Iterable[str]) -> None:
        """For the engine: requests that are coming; raises `ValueError` for an id that has not ended yet."""
        with self._changed:
            if not self._open.isdisjoint(ids):
                raise ValueError("a request of this id is still running in this stream")
            self._open.update(ids)
            if self._open:
                self._all_ended.clear()

    def put(self, events: Iterable[Event]) -> None:
        """For the engine: what happened."""
        with self._changed:
            for event in events:
                if isinstance(event, (Finished, Failed)):
                    self._open.discard(event.id)
                self._events.append(event)
            if not self._open:
                self._all_ended.set()
            self._changed.notify_all()
