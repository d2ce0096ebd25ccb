"""How much one visitor may have going: runs at a time, by browser tab and by network address, and tokens per response.

Whoever asks for more than that gets a sentence at once, and nobody else notices. A run counts from its start until it is over,
however it ends.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding

# On a page that is open to the network; more belong to the command line.
MAX_BACKGROUND_SAMPLES = 5_000  # of one sweep or ablation
MAX_BACKGROUND_RUNS = 2  # sweeps at a time, and as many ablations
MAX_WAITING_REQUESTS = 24  # of one visitor, whatever they are


class LimitError(UserError):
    """A visitor asks for more than the operator gives to one."""


@dataclass(frozen=True)
class Visitor:
    """Who asks: one browser tab (or API client), and the network address it comes from. Empty parts are not limited."""

    session: str = ""
    address: str = ""


def visitor_of(request: object, session: object = None) -> Visitor:
    """The visitor of a request with `client.host`; of the session that is given, or that the request knows (`gr.Request`)."""
    known = session if session is not None else getattr(request, "session_hash", None)
    return Visitor(str(known or "")[:64], str(getattr(getattr(request, "client", None), "host", None) or ""))


def check_sample_count(samples: int, command: str = "") -> None:
    """Raise `LimitError` for a background run that is too large for a page open to the network. `command` makes it in a terminal."""
    if samples > MAX_BACKGROUND_SAMPLES:
        where = f": {command}" if command else ", where they can be resumed."
        raise LimitError(
            f"{samples:,} samples were asked for; this page makes at most {MAX_BACKGROUND_SAMPLES:,} at a time. "
            f"Larger runs are made on the command line{where}"
        )


class Limits:
    """The limits of one page. `runs` per visitor, `address_runs` per address (0: no limit), `tokens` per response."""

    def __init__(self, runs: int = 1000, address_runs: int = 0, tokens: int = 1_000_000) -> None:
        self.runs, self.address_runs, self.tokens = runs, address_runs, tokens
        self._going: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def run(self, who: Visitor | None) -> Iterator[None]:
        """Count a run while it goes on. Raises `LimitError` when the visitor has as many as allowed."""
        keys = [] if who is None else [("session", who.session), ("address", who.address)]
        keys = [key for key in keys if key[1]]
        with self._lock:
            for key in keys:
                limit = self.runs if key[0] == "session" else self.address_runs
                if limit and self._going[key] >= limit:
                    whose = "of yours" if key[0] == "session" else "from your network address"
                    raise LimitError(
                        f"{limit} run{'s' if limit > 1 else ''} {whose} {'are' if limit > 1 else 'is'} going on already, which is "
                        "all that this page gives to one visitor. Wait for one to end, or stop it."
                    )
            self._going.update(keys)
        try:
            yield
        finally:
            with self._lock:
                self._going.subtract(keys)
                self._going = +self._going

    def going(self, who: Visitor) -> int:
        """How many runs of this visitor's tab go on."""
        with self._lock:
            return self._going["session", who.session]

    def check_waiting(self, who: Visitor, others: Iterable[Visitor]) -> None:
        """Raise `LimitError` when too many of those who wait for a turn are this visitor."""
        others = list(others)
        mine = sum(other.session == who.session for other in others) if who.session else 0
        near = sum(other.address == who.address for other in others) if who.address and self.address_runs else 0
        if mine >= MAX_WAITING_REQUESTS or near >= max(MAX_WAITING_REQUESTS, self.address_runs):
            raise LimitError("Many requests of yours are waiting already. Try again when they are done.")

    def check(self, decoding: Decoding) -> None:
        """Raise `LimitError` for a response that may become longer than allowed."""
        if decoding.cap > self.tokens:
            raise LimitError(
                f"A token limit of {decoding.cap:,} was asked for; this page allows at most {self.tokens:,}. Set it lower."
            )
