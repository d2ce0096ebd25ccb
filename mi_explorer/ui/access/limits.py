"""How much one visitor may have going: runs at a time, by browser tab and by network address, and tokens per response.

A visitor over the limit is told so at once; nobody else notices. Counting is by what has been let in and not yet let go, so
a closed tab, a failure and a normal end all give the place back.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding

MAX_BACKGROUND_SAMPLES = (
    5_000  # samples of one sweep or ablation on a page that is open to the network; more belong to the command line
)
MAX_WAITING_REQUESTS = 24  # requests of one visitor that may wait for a turn, whatever they are
MAX_BACKGROUND_RUNS = 2  # such runs that it keeps going at a time


class LimitError(UserError):
    """A visitor asks for more than the operator gives to one."""


@dataclass(frozen=True)
class Visitor:
    """Who asks: one browser tab (or API client), and the network address it comes from. Empty parts are not limited."""

    session: str = ""
    address: str = ""


def visitor_of(request: Any, session: Any = None) -> Visitor:
    """The visitor of a request with `client.host`; of the session that is given, or that the request knows (`gr.Request`)."""
    known = session if session is not None else getattr(request, "session_hash", None)
    return Visitor(str(known or "")[:64], str(getattr(getattr(request, "client", None), "host", None) or ""))


class Limits:
    """The limits of one page. `runs` per visitor, `address_runs` per address (0: no limit), `tokens` per response."""

    def __init__(self, runs: int = 1000, address_runs: int = 0, tokens: int = 1_000_000) -> None:
        self.runs, self.address_runs, self.tokens = runs, address_runs, tokens
        self._held: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def run(self, who: Visitor | None) -> Iterator[None]:
        """One place for a run, given back at the end. Raises `LimitError` when the visitor holds all of theirs."""
        self.take(who)
        try:
            yield
        finally:
            self.give(who)

    def take(self, who: Visitor | None) -> None:
        """Take a place (`give` it back yourself); for work that outlives the call."""
        with self._lock:
            for key, most in self._keys(who):
                if most and self._held[key] >= most:
                    whose = "from your network address" if key[0] == "address" else "of yours"
                    raise LimitError(f"{most} run{'s' if most > 1 else ''} {whose} {'are' if most > 1 else 'is'} going on already, which is all that "
                                     "this page gives to one visitor. Wait for one to end, or stop it.")  # fmt: skip
            for key, _ in self._keys(who):
                self._held[key] += 1

    def give(self, who: Visitor | None) -> None:
        """Give a place back."""
        with self._lock:
            for key, _ in self._keys(who):
                self._held[key] -= 1
                if self._held[key] <= 0:
                    del self._held[key]

    def waiting(self, who: Visitor, others: Iterable[Visitor]) -> None:
        """Raise `LimitError` when too many of those who wait for a turn are this visitor."""
        others = list(others)
        mine = sum(other.session == who.session for other in others) if who.session else 0
        near = sum(other.address == who.address for other in others) if who.address and self.address_runs else 0
        if mine >= MAX_WAITING_REQUESTS or near >= max(MAX_WAITING_REQUESTS, self.address_runs):
            raise LimitError("Many requests of yours are waiting already. Try again when they are done.")

    def held(self, who: Visitor) -> int:
        """How many places this visitor's tab holds."""
        with self._lock:
            return self._held["session", who.session]

    def check(self, decoding: Decoding) -> None:
        """Raise `LimitError` for a response that may become longer than allowed."""
        if decoding.cap > self.tokens:
            raise LimitError(
                f"A token limit of {decoding.cap:,} was asked for; this page allows at most {self.tokens:,}. Set it lower."
            )

    def _keys(self, who: Visitor | None) -> list[tuple[tuple[str, str], int]]:
        if who is None:
            return []
        keys = [(("session", who.session), self.runs), (("address", who.address), self.address_runs)]
        return [(key, most) for key, most in keys if key[1]]
