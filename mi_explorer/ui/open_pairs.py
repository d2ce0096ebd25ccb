"""The pairs of a page: which may be opened, which are in memory, and loading another one in numbered phases.

Judging a pair reads configs and headers only. One other pair may be in memory beside the first; it is closed for the next one
when nothing runs on it.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mi_explorer.errors import UserError
from mi_explorer.pair_names import pair_name
from mi_explorer.pairs import Pair
from mi_explorer.ui.access.access_policy import PAIR_POLICIES, AccessPolicy
from mi_explorer.ui.access.limits import Visitor
from mi_explorer.ui.explore.demo_strip import preview_strip
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.page_setup import pair_summary
from mi_explorer.ui.handler_errors import errors_as_dict
from mi_explorer.ui.pair_gallery import PageMachine, memory_refusal, pair_card
from mi_explorer.untyped import JsonMapping, JsonObject

if TYPE_CHECKING:
    from mi_explorer.checkpoints.preflight import Preflight
    from mi_explorer.workbench import Workbench

log = logging.getLogger(__name__)
PROGRESS_INTERVAL_S = 0.1
PHASES = {
    "check": "Checking",
    "open": "Opening the files",
    "read": "Reading",
    "bind": "Binding",
    "measure": "Measuring steps",
}
ReportPhase = Callable[[str, int, int], None]  # phase, done, total


class OpenPairError(UserError):
    """A pair that this page may not or cannot open now."""


class LoadStopped(OpenPairError):
    """Whoever asked for a pair no longer wants it."""

    def __init__(self) -> None:
        super().__init__("Stopped. The pair was not loaded.")


@dataclass(frozen=True)
class OpenPair:
    """A pair in memory: Explore's handlers on its workbench, and the fixed part of the page for it (see `page_setup`)."""

    explore: Explore
    setup: JsonObject

    @property
    def bench(self) -> "Workbench":
        return self.explore.bench

    @property
    def name(self) -> str:
        name: str = self.bench.pair.name
        return name


@dataclass(eq=False)
class _Load:
    """A load that is going on, from its check on. `phases` holds what the page was not shown yet."""

    token: str
    stop: threading.Event = field(default_factory=threading.Event)
    phases: "queue.Queue[tuple[str, int, int]]" = field(default_factory=queue.Queue)
    error: Exception | None = None


class PagePairs:
    """The pairs of one page; `first` is in memory from the start.

    `open_pair(pair, report)` opens another one and calls `report(phase, done, total)` meanwhile (see `Workbench.open`).
    `access` says what visitors may name: a policy on pairs, or a whole `AccessPolicy`; `machine` what pairs run on.
    """

    def __init__(
        self,
        first: OpenPair,
        open_pair: Callable[[Pair, ReportPhase], OpenPair],
        access: str | AccessPolicy = "fixed",
        machine: PageMachine | None = None,
    ) -> None:
        if isinstance(access, str) and access not in PAIR_POLICIES:
            raise OpenPairError(f"The policy on pairs must be one of {', '.join(PAIR_POLICIES)}, not {access[:40]!r}.")
        self.access = replace(AccessPolicy(access) if isinstance(access, str) else access, first_pair=first.name)
        self.first, self.open_pair, self.machine = first.name, open_pair, machine or PageMachine()
        self.in_use: Callable[[str], bool] = lambda name: False  # whether a study runs on a pair
        self._open: dict[str, OpenPair] = {self.first: first}
        self._lock = threading.Lock()  # around the dict
        self._loading = threading.Lock()  # one load at a time
        self._loads: set[_Load] = set()

    def at(self, name: object) -> OpenPair:
        """The open pair of this name; the first one for any other name."""
        with self._lock:
            return self._open.get(str(name)) or self._open[self.first]

    def is_open(self, name: str) -> bool:
        return self.at(name).name == name

    def all(self) -> list[OpenPair]:
        with self._lock:
            return list(self._open.values())

    # -- runs --------------------------------------------------------------------------------------------------------
    def run(self, request: object, who: Visitor) -> Iterator[JsonObject]:
        """The states of a run on the pair that its view names (see `Explore.run`)."""
        view = request.get("view") if isinstance(request, dict) else None
        return self.at(view.get("pair") if isinstance(view, dict) else "").explore.run(request, who)

    def stop(self, token: object) -> bool:
        """Stop the run or the load of this token; a load ends at its next tensor or step. False if there is none."""
        for load in list(self._loads):
            if token and load.token == token:
                load.stop.set()
                return True
        stopped = [pair.explore.runs.stop(token) for pair in self.all()]  # each of them notes the token
        return any(stopped)

    def steer(self, request: JsonMapping, who: Visitor) -> None:
        """Do something to a run of this visitor (see `SteeredRuns.act`). Raises `UserError`."""
        pairs = self.all()
        mine = next((pair for pair in pairs if pair.explore.steered.has(request.get("token"))), pairs[0])
        mine.explore.steered.act(request, who)

    def stop_all(self) -> None:
        """Stop every run and load; what is there is kept. For the end of the server."""
        for load in list(self._loads):
            load.stop.set()
        for pair in self.all():
            pair.explore.runs.stop_all()

    def is_running(self, token: object) -> bool:
        return any(pair.explore.runs.is_running(token) for pair in self.all())

    def runs_per_second(self) -> float:
        """How many runs ended in a second of late, over all pairs; 0 while that is unknown."""
        return sum(pair.explore.runs.throughput.per_second() for pair in self.all())

    # -- choosing and loading ----------------------------------------------------------------------------------------
    def offered(self) -> list[dict[str, str]]:
        """The pairs to choose from: `[{"name", "title", "size"}]`, the first one first."""
        return [{"name": p.name, "title": title_of(p), "size": p.size} for p in self._offered()]

    def _offered(self) -> tuple[Pair, ...]:
        return (self.at(self.first).bench.pair, *self.access.offered())

    @errors_as_dict
    def gallery(self, _: object = None) -> JsonObject:
        """`{"cards", "usable"}`: the pairs to choose from (see `pair_card`), the first one first; `open`: whether it is in memory."""
        usable = self.machine.usable()
        cards = [pair_card(p, self.machine, usable) | {"open": self.is_open(p.name)} for p in self._offered()]
        return {"cards": cards, "usable": usable}

    @errors_as_dict
    def preview(self, name: object) -> JsonObject:
        """The precomputed strip of a pair of the gallery (see `demo_strip.demo_state`), or `{"error"}`. Nothing is loaded for it."""
        strip = preview_strip(str(name)) if str(name) in {p.name for p in self._offered()} else None
        if strip is None:
            raise OpenPairError("There is no precomputed strip of this pair.")
        return strip

    def _allowed(self, spec: object) -> Pair:
        text = str(spec).strip()[:1000]
        return self.at(text).bench.pair if text == self.first else self.access.pair(text)

    @errors_as_dict
    def judge(self, spec: object) -> JsonObject:
        """Preflight in words: `{"name", "title", "ok", "facts", "rows", "findings"}`, or `{"error"}`."""
        from mi_explorer.checkpoints.preflight import preflight

        pair = self._allowed(spec)
        judged = preflight(pair)
        return {"name": pair.name, "title": title_of(pair), "ok": not judged.obstacles, **pair_summary(judged)}

    def load(self, spec: object, token: str = "") -> Iterator[JsonObject]:
        """Open a pair: yields `{"phase", "of", "text", "done", "total"}` and at last `{"loaded": name}` or `{"error"}`.

        A load goes on when its visitor leaves; the pair is there when they come back. Whoever knows the `token` may `stop` it.
        """
        from mi_explorer.checkpoints.preflight import preflight

        try:
            pair = self._allowed(spec)
            if not self.is_open(pair.name):
                load = _Load(token)
                self._loads.add(load)
                try:
                    yield load_step("check", 0, 0, title_of(pair))
                    judged = preflight(pair)
                    self._begin(pair, load, judged)
                except BaseException:  # a visitor who leaves during the check, too
                    self._loads.discard(load)
                    raise
                thread = threading.Thread(target=self._load_pair, args=(pair, load), name="load pair", daemon=True)
                thread.start()
                yield from _steps(thread, load.phases, sum(judged.facts["disk"].values()))
                if load.error is not None:
                    raise load.error
            yield {"loaded": pair.name}
        except UserError as error:
            yield {"error": str(error)}
        except Exception as error:
            log.exception("A pair could not be loaded")
            yield {"error": f"The pair could not be loaded ({type(error).__name__}). The server's log says more."}

    def _begin(self, pair: Pair, load: _Load, judged: "Preflight") -> None:
        """Take the place of the one load, if this pair may be loaded and is still wanted. Raises `OpenPairError`."""
        if judged.obstacles:
            raise OpenPairError(judged.obstacles)
        if too_large := memory_refusal(pair, judged.facts.get("parameters", 0), self.machine):
            raise OpenPairError(too_large)  # before its files are fetched
        if load.stop.is_set():
            raise LoadStopped
        if not self._loading.acquire(blocking=False):
            raise OpenPairError("Another pair is being loaded. Try again when it is there.")

    def _load_pair(self, pair: Pair, load: _Load) -> None:
        def report(phase: str, done: int, total: int) -> None:
            if load.stop.is_set():
                raise LoadStopped
            load.phases.put((phase, done, total))

        try:
            self._close_others()
            opened = self.open_pair(pair, report)
            if load.stop.is_set():  # a stop in the engine's thread does not end the reading
                opened.bench.close()
                raise LoadStopped
            with self._lock:
                self._open[pair.name] = opened
        except Exception as error:  # shown by `load`, if its visitor is still there
            load.error = error
        finally:
            self._loads.discard(load)
            self._loading.release()

    def _close_others(self) -> None:
        with self._lock:
            others = [name for name in self._open if name != self.first]
            busy = [name for name in others if self._open[name].explore.runs.is_busy() or self.in_use(name)]
            if busy:
                raise OpenPairError(
                    f"“{pair_name(busy[0])}” is loaded and something runs on it. Try again when it is idle."
                )
            gone = [self._open.pop(name) for name in others]
        for pair in gone:
            pair.bench.close()

    def close(self) -> None:
        """Close every pair but the first, which its owner closes."""
        for pair in self.all():
            if pair.name != self.first:
                pair.bench.close()


def title_of(pair: Pair) -> str:
    """A pair as the page calls it: its title, or its short name."""
    return pair.title or pair_name(pair.name)


def load_step(phase: str, done: int, total: int, about: str = "") -> JsonObject:
    """A step of a load: "Reading 212/398 tensors of each parent (8.0 GB on disk)", as phase 3 of 5."""
    amount = f" {done:,}/{total:,}" if total else ""
    noun = f" tensors{about}" if phase == "read" else f" {about}" if about else ""
    text = PHASES[phase] + amount + noun
    return {"phase": list(PHASES).index(phase) + 1, "of": len(PHASES), "text": text, "done": done, "total": total}


def _steps(
    thread: threading.Thread, phases: "queue.Queue[tuple[str, int, int]]", disk_bytes: float
) -> Iterator[JsonObject]:
    """The steps of a load until its thread ends: one per `PROGRESS_INTERVAL_S` within a phase, every phase at least once."""
    last: tuple[str, int, int] | None = None
    while thread.is_alive() or not phases.empty():
        thread.join(PROGRESS_INTERVAL_S)
        latest: dict[str, tuple[str, int, int]] = {}
        while not phases.empty():
            step = phases.get_nowait()
            latest[step[0]] = step
        for phase, step in latest.items():
            if step != last and phase in PHASES and phase != "check":  # the check was shown before the thread began
                last = step
                yield load_step(
                    *step, f" of each parent ({disk_bytes / 1e9:.1f} GB on disk)" if phase == "read" else ""
                )
