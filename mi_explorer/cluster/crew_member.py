"""One worker from the driver's side: its link, what it is doing, what it has in hand, and how long it has been silent."""

import time
from collections import deque

from mi_explorer.cluster.links import WorkerLink
from mi_explorer.cluster.worker_engine import EngineFacts
from mi_explorer.studies.plan import Unit
from mi_explorer.studies.progress import WorkerStatus

RATE_WINDOW_S = 30.0
MAX_LOSSES = 5  # in a row, without one outcome between them
BACKOFF_S = 1.0  # before the third start in a row, then twice as long each time


class CrewMember:
    """A place in the crew. A worker that is lost is started anew in the same place."""

    def __init__(self, index: int) -> None:
        self.index, self.name = index, f"worker {index + 1}"
        self.link: WorkerLink | None = None
        self.calling = ""  # the call in flight
        self.about = ""  # the pair or plan that the call is about
        self.called = self.heard = 0.0  # monotonic seconds: when the call began, when it last got on
        self.host = ""
        self.pair = self.work = ""  # what it has loaded; which plan it has been given
        self.facts: EngineFacts | None = None
        self.run: int | None = None  # the store's run of its samples
        self.hand: dict[str, Unit] = {}
        self.cell: int | None = None  # the cell it works at
        self.alone = False  # it has a unit that wants no company
        self.room = 1
        self.done = 0
        self.losses = 0
        self.not_before = 0.0
        self.refused = ""  # why it is not to be started again
        self.leaving = False
        self._tokens: deque[tuple[float, int]] = deque()

    @property
    def alive(self) -> bool:
        return self.link is not None

    def call(self, method: str, *args: object) -> None:
        """Ask the worker; `WorkerLost` goes to the caller."""
        assert self.link is not None and not self.calling
        self.calling, self.called = method, time.monotonic()
        if method != "exchange":
            self.heard = self.called
        self.link.call(method, *args)

    def forget(self) -> list[Unit]:
        """The worker is gone; returns what it had in hand."""
        units = list(self.hand.values())
        if self.link is not None:
            self.link.kill()
        self.link, self.calling, self.pair, self.work, self.facts, self.run = None, "", "", "", None, None
        self.hand, self.alone, self.cell = {}, False, None
        self._tokens.clear()
        return units

    def lose(self) -> bool:
        """Count a loss; whether the place is given up."""
        self.losses += 1
        self.not_before = time.monotonic() + (0 if self.losses < 3 else BACKOFF_S * 2 ** (self.losses - 3))
        return self.losses >= MAX_LOSSES

    def made(self, tokens: int, outcomes: int) -> None:
        """It got on."""
        now = time.monotonic()
        if tokens or outcomes:
            self.heard = now
        if outcomes:
            self.losses = 0
        self._tokens.append((now, tokens))
        while self._tokens[0][0] < now - RATE_WINDOW_S:
            self._tokens.popleft()

    def status(self) -> WorkerStatus:
        """As a value for terminal and page."""
        now = time.monotonic()
        span = now - self._tokens[0][0] if self._tokens else 0.0
        rate = sum(n for _, n in self._tokens) / span if span > 0.5 else 0.0
        return WorkerStatus(
            self.name, self.host, self._state(), self.done, len(self.hand), rate if self.hand else 0.0, self.refused
        )

    def _state(self) -> str:
        if self.link is None:
            return "lost" if self.refused else "waiting"
        if self.leaving:
            return "leaving"
        if not self.host:
            return "waiting"
        if self.calling in ("load", "check", "begin"):
            return "loading"
        return "busy" if self.hand else "ready"
