"""Work in the background: one thread a task, watched by its version, stopped by asking.

A task belongs to the process, not to whoever started it: it goes on when a tab is closed, and anyone with its key may look again.
In: `work(publish) -> result`, which calls `publish(progress)` as it goes. Out: `TaskState`s. `NamedRuns` keeps the runs of one kind
that a user knows by name: studies, searches.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, Literal, Protocol, TypeVar

from mi_explorer.errors import UserError
from mi_explorer.untyped import Json

P = TypeVar("P")  # progress
R = TypeVar("R")  # result
Work = Callable[[Callable[[P], None]], R]
log = logging.getLogger(__name__)


class TaskStopped(Exception):
    """Nobody wants the result any more. `publish` raises it in the work."""


@dataclass(frozen=True)
class Step:
    """Progress in words: what is being done, how much of it, of how much in all (0: unknown)."""

    text: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class TaskState(Generic[P, R]):
    """Where a task stands. `error` says in a sentence why it failed; `version` counts the changes."""

    status: Literal["waiting", "running", "done", "failed", "stopped"] = "waiting"
    progress: P | None = None
    result: R | None = None
    error: str = ""
    version: int = 0

    @property
    def ended(self) -> bool:
        return self.status not in ("waiting", "running")


class BackgroundTask(Generic[P, R]):
    """One piece of work. Starts when `turn`, a semaphore shared with others, lets it; at once without one."""

    def __init__(self, name: str, work: Work[P, R], turn: threading.Semaphore | None = None) -> None:
        self.name, self._work, self._turn = name, work, turn
        self._changed = threading.Condition()
        self._state: TaskState[P, R] = TaskState()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def state(self) -> TaskState[P, R]:
        """A snapshot; cheap, from any thread."""
        with self._changed:
            return self._state

    def wait(self, version: int, timeout: float | None = None) -> TaskState[P, R]:
        """The state once it is newer than `version`, or as it is after `timeout` seconds or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.version > version or self._state.ended, timeout)
            return self._state

    def watch(self, interval: float) -> Iterator[TaskState[P, R]]:
        """The states until the end, one every `interval` seconds; the last one has ended."""
        while not (state := self.join(interval)).ended:
            yield state
        yield state

    def join(self, timeout: float | None = None) -> TaskState[P, R]:
        """Wait for the end."""
        self._thread.join(timeout)
        return self.state

    def stop(self) -> None:
        """Ask the work to end at its next `publish`."""
        self._stop.set()

    def publish(self, progress: P) -> None:
        """Note progress. Raises `TaskStopped` when the task is to end."""
        if self._stop.is_set():
            raise TaskStopped
        self._set(progress=progress)

    def _run(self) -> None:
        turn = self._turn or threading.Semaphore()
        with turn:
            try:
                if self._stop.is_set():
                    raise TaskStopped
                self._set(status="running")
                result = self._work(self.publish)
            except TaskStopped:
                self._set(status="stopped")
            except UserError as error:
                self._set(status="failed", error=str(error))
            except Exception as error:
                log.exception("%s failed", self.name)
                self._set(
                    status="failed", error=f"Something broke on the server ({type(error).__name__}). Its log says more."
                )
            else:
                self._set(status="done", result=result)

    def _set(self, **values: Json) -> None:
        with self._changed:
            self._state = replace(self._state, version=self._state.version + 1, **values)
            self._changed.notify_all()


class BackgroundTasks(Generic[P, R]):
    """The tasks of one kind by key. At most `max_running` run, the others wait; without a number all run."""

    def __init__(self, max_running: int | None = None) -> None:
        self._turn = threading.Semaphore(max_running) if max_running else None
        self._tasks: dict[str, BackgroundTask[P, R]] = {}
        self._lock = threading.Lock()

    def start(self, key: str, name: str, work: Work[P, R]) -> BackgroundTask[P, R]:
        """Begin the work of this key. The task that is there, if it runs or has its result; a failed or stopped one is replaced."""
        with self._lock:
            task = self._tasks.get(key)
            if task is None or task.state.status in ("failed", "stopped"):
                task = self._tasks[key] = BackgroundTask(name, work, self._turn)
                task.start()
            return task

    def get(self, key: str) -> BackgroundTask[P, R] | None:
        with self._lock:
            return self._tasks.get(key)

    def items(self) -> list[tuple[str, BackgroundTask[P, R]]]:
        """Every task with its key, the oldest first."""
        with self._lock:
            return list(self._tasks.items())

    def forget(self, key: str) -> None:
        with self._lock:
            self._tasks.pop(key, None)

    def stop_all(self) -> None:
        for _, task in self.items():
            task.stop()


class NamedRun(Protocol):
    """A run in the background that has a name, such as a study or a search. It begins with `start` and is then watched."""

    @property
    def name(self) -> str: ...
    @property
    def running(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def join(self, timeout: float | None = None) -> object: ...


N = TypeVar("N", bound=NamedRun)


class RunningError(UserError):
    """A run that cannot be started because one of its name is running."""


class NamedRuns(Generic[N]):
    """The runs of one kind of one process, by name. `kind` is what a user calls one: study, search."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._runs: dict[str, N] = {}
        self._lock = threading.Lock()

    def begin(self, run: N) -> N:
        """Start a run; one of that name that has ended is replaced, one that is running is refused with a `RunningError`."""
        with self._lock:
            old = self._runs.get(run.name)
            if old is not None and old.running:
                raise RunningError(
                    f"The {self.kind} {run.name!r} is running already. Stop it first, or give the new one another name."
                )
            self._runs[run.name] = run
            run.start()
            return run

    def get(self, name: str) -> N | None:
        """The run of this name in this process, running or ended."""
        with self._lock:
            return self._runs.get(name)

    def all(self) -> list[N]:
        """Every run of this process, the oldest first."""
        with self._lock:
            return list(self._runs.values())

    def close(self, timeout: float = 10.0) -> None:
        """Stop every run and wait for them; unfinished samples are made anew next time."""
        for run in self.all():
            run.stop()
        for run in self.all():
            run.join(timeout)
