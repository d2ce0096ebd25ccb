"""The runs that go on, by their tokens, and the way to end them; finished traces that can still be scored."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.ui.explore.run_queue import Throughput
from mi_explorer.untyped import Json

MAX_KEPT_TRACES = 400
MAX_EARLY_STOPS = 1000  # runs stopped before they began that are remembered


class ActiveRuns:
    """The runs of one pair. A run may be stopped before it begins: then it ends at once when it does."""

    def __init__(self) -> None:
        self.throughput = Throughput()
        self._stops: dict[str, threading.Event] = {}
        self._ending = False
        self._early_stops: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def stoppable(self, token: str) -> Iterator[threading.Event]:
        """Count a run as going on; gives the event that ends it, which is set at the end in any case."""
        stop = threading.Event()
        with self._lock:
            self._stops[token] = stop
            if self._ending or token in self._early_stops:
                stop.set()
        try:
            yield stop
        finally:
            stop.set()
            with self._lock:
                self._stops.pop(token, None)
            self.throughput.ended()

    def stop(self, token: Json) -> bool:
        """End a run; its traces keep what they have. False if there is no such run (yet)."""
        with self._lock:
            event = self._stops.get(str(token))
            if event is not None:
                event.set()
                return True
            self._early_stops[str(token)[:64]] = None
            while len(self._early_stops) > MAX_EARLY_STOPS:
                self._early_stops.popitem(last=False)
        return False

    def stop_all(self) -> None:
        """End every run that is going on or begins later: the server ends."""
        with self._lock:
            self._ending = True
            for event in self._stops.values():
                event.set()

    def is_busy(self) -> bool:
        """Whether any run is going on."""
        with self._lock:
            return bool(self._stops)

    def is_running(self, token: Json) -> bool:
        with self._lock:
            return str(token) in self._stops


class FinishedTraces:
    """The latest finished traces, by run and frame."""

    def __init__(self) -> None:
        self._traces: OrderedDict[tuple[str, str], Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, token: Json, frame_id: Json) -> Snapshot | None:
        """The trace, as long as it is held."""
        with self._lock:
            return self._traces.get((str(token), str(frame_id)))

    def keep(self, token: str, snapshot: Snapshot) -> None:
        """Hold a trace, if it has ended with tokens."""
        if snapshot.live or not snapshot.trace.ids:
            return
        with self._lock:
            self._traces[token, snapshot.id] = snapshot
            while len(self._traces) > MAX_KEPT_TRACES:
                self._traces.popitem(last=False)
