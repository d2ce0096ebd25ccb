"""Which pairs this page may show: judge one before loading, load it in numbered phases, keep the one it started with.

Judging reads configs and headers only. A pair that does not fit into memory is refused before a weight is read. One other
pair may be resident beside the first; it makes room when nobody runs on it.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair
from mi_explorer.ui.access.access_policy import PAIR_POLICIES, AccessPolicy
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.page_setup import pair_summary

log = logging.getLogger(__name__)
PROGRESS_INTERVAL_S = 0.1  # seconds between two words about a load
PHASES = {
    "check": "Checking",
    "open": "Opening the files",
    "read": "Reading",
    "bind": "Binding",
    "measure": "Measuring steps",
}
ReportPhase = Callable[[str, int, int], None]


class OpenPairError(UserError):
    """A pair that this page may not or cannot open now."""


class LoadStopped(OpenPairError):
    """Whoever asked for a pair no longer wants it."""

    def __init__(self) -> None:
        super().__init__("Stopped. The pair was not loaded.")


class OpenPairs:
    """The pairs of one page; `first` is resident from the start.

    `make(pair, report)` gives a ready `(Explore, setup)` and calls `report(phase, done, total)` meanwhile (see `Workbench.open`).

    `policy` is a policy on pairs, or a whole `Guard`: what visitors may name.
    """

    def __init__(
        self,
        first: Explore,
        fixed: dict[str, Any],
        make: Callable[[Pair, ReportPhase], tuple[Explore, dict[str, Any]]],
        policy: str | AccessPolicy = "fixed",
    ) -> None:
        if isinstance(policy, str) and policy not in PAIR_POLICIES:
            raise OpenPairError(f"The policy on pairs must be one of {', '.join(PAIR_POLICIES)}, not {policy[:40]!r}.")
        guard = AccessPolicy(policy) if isinstance(policy, str) else policy
        self.guard = replace(guard, first=first.bench.pair.name)
        self.first, self.policy, self._make = first.bench.pair.name, guard.policy, make
        self._rooms: dict[str, tuple[Explore, dict[str, Any]]] = {self.first: (first, fixed)}
        self._lock = threading.Lock()  # around the dict
        self._loading = threading.Lock()  # one load at a time
        self._going: tuple[str, threading.Event] | None = None  # its token, and whether it is to stop
        self.held: Callable[[str], bool] = lambda name: (
            False
        )  # whether something beside Explore, such as a sweep, runs on a pair

    def at(self, name: Any) -> tuple[Explore, dict[str, Any]]:
        """The handlers and the fixed part of a resident pair; of the first one for any other name."""
        with self._lock:
            return self._rooms.get(str(name)) or self._rooms[self.first]

    def rooms(self) -> list[Explore]:
        with self._lock:
            return [explore for explore, _ in self._rooms.values()]

    def pace(self) -> float:
        """Runs of all pairs that end in a second (see `waiting.Pace`)."""
        return sum(explore.pace.per_second() for explore in self.rooms())

    def offered(self) -> list[dict[str, str]]:
        """The pairs to choose from: `[{"name", "title", "size"}]`, the first one first."""
        first = self.at(self.first)[0].bench.pair
        known = self.guard.offered()
        return [{"name": p.name, "title": p.title or p.name, "size": p.size} for p in (first, *known)]

    def pair(self, spec: Any) -> Pair:
        """The pair of a name or spec that this page may open. Raises `UserError` otherwise."""
        text = str(spec).strip()[:1000]
        return self.at(text)[0].bench.pair if text == self.first else self.guard.pair(text)

    def judge(self, spec: Any) -> dict[str, Any]:
        """Preflight in words: `{"name", "title", "ok", "facts", "rows", "findings"}`, or `{"error"}`."""
        from mi_explorer.checkpoints.preflight import preflight

        try:
            pair = self.pair(spec)
            judged = preflight(pair)
        except UserError as error:
            return {"error": str(error)}
        return {"name": pair.name, "title": pair.title or pair.name, "ok": judged.ok, **pair_summary(judged)}

    def load(self, spec: Any, token: str = "") -> Iterator[dict[str, Any]]:
        """Open a pair: yields `{"phase", "of", "text", "done", "total"}` and at last `{"loaded": name}` or `{"error"}`.

        A load goes on when its visitor leaves; the pair is there when they come back. Whoever knows the `token` may `stop` it.
        """
        from mi_explorer.checkpoints.preflight import preflight

        try:
            pair = self.pair(spec)
            if self.at(pair.name)[0].bench.pair.name != pair.name:
                yield load_step("check", 0, 0, pair.title or pair.name)
                judged = preflight(pair)
                if not judged.ok:
                    raise OpenPairError(" ".join(f.text() for f in judged.findings if f.level == "refused"))
                if not self._loading.acquire(blocking=False):
                    raise OpenPairError("Another pair is being loaded. Try again when it is there.")
                told: queue.Queue[tuple[str, int, int]] = queue.Queue()
                failed: list[Exception] = []
                self._going = (token, threading.Event())
                loader = threading.Thread(
                    target=self._load, args=(pair, lambda *what: told.put(what), failed, self._going[1]), daemon=True
                )
                loader.start()
                yield from _steps(loader, told, sum(judged.facts["disk"].values()))
                if failed:
                    raise failed[0]
            yield {"loaded": pair.name}
        except UserError as error:
            yield {"error": str(error)}
        except Exception as error:
            log.exception("A pair could not be loaded")
            yield {"error": f"The pair could not be loaded ({type(error).__name__}). The server's log says more."}

    def stop(self, token: Any) -> bool:
        """Stop the load of this token, at its next tensor or step; False if there is none."""
        going = self._going
        if going is None or not token or going[0] != token:
            return False
        going[1].set()
        return True

    def _load(self, pair: Pair, tell: ReportPhase, failed: list[Exception], stop: threading.Event) -> None:
        def report(phase: str, done: int, total: int) -> None:
            if stop.is_set():
                raise LoadStopped
            tell(phase, done, total)

        try:
            self._make_room()
            room = self._make(pair, report)
            if stop.is_set():  # in the engine's thread, where it ends no more than the reading
                room[0].bench.close()
                raise LoadStopped
            with self._lock:
                self._rooms[pair.name] = room
        except Exception as error:  # told by whoever waits for it
            failed.append(error)
        finally:
            self._going = None
            self._loading.release()

    def _make_room(self) -> None:
        with self._lock:
            others = [name for name in self._rooms if name != self.first]
            busy = [name for name in others if self._rooms[name][0].busy() or self.held(name)]
            if busy:
                raise OpenPairError(f"{busy[0]!r} is loaded and something runs on it. Try again when it is idle.")
            gone = [self._rooms.pop(name)[0] for name in others]
        for explore in gone:
            explore.bench.close()

    def close(self) -> None:
        """Close every pair but the first, which its owner closes."""
        for explore in self.rooms():
            if explore.bench.pair.name != self.first:
                explore.bench.close()


def load_step(phase: str, done: int, total: int, about: str = "") -> dict[str, Any]:
    """One word about a load: "Reading 212/398 tensors of each parent (8.0 GB on disk)", as phase 3 of 5."""
    amount = f" {done:,}/{total:,}" if total else ""
    noun = f" tensors{about}" if phase == "read" else f" {about}" if about else ""
    text = PHASES[phase] + amount + noun
    return {"phase": list(PHASES).index(phase) + 1, "of": len(PHASES), "text": text, "done": done, "total": total}


def _steps(
    loader: threading.Thread, told: "queue.Queue[tuple[str, int, int]]", disk: float
) -> Iterator[dict[str, Any]]:
    """What the loader tells until it ends: at most once a `TICK` within a phase, every phase at least once."""
    last: tuple[str, int, int] | None = None
    while loader.is_alive() or not told.empty():
        loader.join(PROGRESS_INTERVAL_S)
        news = []
        while not told.empty():
            news.append(told.get_nowait())
        for what, after in zip(news, [*news[1:], ("", 0, 0)]):
            if (
                what[0] != after[0] and what != last and what[0] in PHASES and what[0] != "check"
            ):  # that was told before
                last = what
                yield load_step(*what, f" of each parent ({disk / 1e9:.1f} GB on disk)" if what[0] == "read" else "")
