"""Runs in the background: a study goes on when the tab that started it is closed, and anyone may look at it again.

One thread per run; all of them share the pair's engine, which serves people first. A `Job` is watched by its version:
`wait(version)` returns as soon as there is something newer.
"""

import threading
from dataclasses import dataclass, replace

from mi_explorer.errors import UserError
from mi_explorer.studies.progress import Progress
from mi_explorer.studies.refine import Refined
from mi_explorer.studies.runner import CellDone, Runner


class JobError(UserError):
    """A run that cannot be started: it is running already."""


@dataclass(frozen=True)
class JobState:
    """Where a background run stands. `cells` are the keys of finished cells, `error` why it broke off."""

    name: str
    progress: Progress
    cells: tuple[str, ...] = ()
    refined: tuple[Refined, ...] = ()
    error: str = ""
    version: int = 0

    @property
    def running(self) -> bool:
        return self.progress.state in ("running", "paused") and not self.error


class Job:
    """One background run; `Jobs.start` makes it."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._changed = threading.Condition()
        self._state = JobState(runner.name, Progress(runner.name, "running", 0, cells=len(runner.plan.cells)))
        self._thread = threading.Thread(target=self._run, name=f"study {runner.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def state(self) -> JobState:
        """A snapshot; cheap, from any thread."""
        with self._changed:
            return self._state

    def wait(self, version: int, timeout: float | None = None) -> JobState:
        """The state once it is newer than `version`, or as it is after `timeout` seconds or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.version > version or not self._state.running, timeout)
            return self._state

    def join(self, timeout: float | None = None) -> JobState:
        """Wait for the end."""
        self._thread.join(timeout)
        return self.state

    def _run(self) -> None:
        try:
            for event in self.runner.run():
                if isinstance(event, Progress):
                    self._set(progress=event)
                elif isinstance(event, CellDone):
                    self._set(cells=(*self._state.cells, event.key))
                elif isinstance(event, Refined):
                    self._set(refined=(*self._state.refined, event))
        except UserError as error:  # a full disk, a closed engine: what is finished is saved
            self._set(error=str(error))
        except Exception as error:
            self._set(
                error=f"The run broke off ({type(error).__name__}: {error}). What was finished is saved; start it again to go on."
            )
            raise

    def _set(self, **values: object) -> None:
        with self._changed:
            self._state = replace(self._state, version=self._state.version + 1, **values)  # type: ignore[arg-type]
            self._changed.notify_all()


class Jobs:
    """The background runs of one process, by study name."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, runner: Runner) -> Job:
        """Run in the background; a run of that name that has ended is replaced, one that is running is refused."""
        with self._lock:
            old = self._jobs.get(runner.name)
            if old is not None and old.state.running:
                raise JobError(
                    f"The study {runner.name!r} is running already. Stop it first, or give the new one another name."
                )
            job = self._jobs[runner.name] = Job(runner)
            job.start()
            return job

    def get(self, name: str) -> Job | None:
        """The run of a study in this process, running or ended."""
        with self._lock:
            return self._jobs.get(name)

    def all(self) -> list[Job]:
        """Every run of this process, the oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def close(self, timeout: float = 10.0) -> None:
        """Stop every run and wait for them; unfinished samples are made anew next time."""
        for job in self.all():
            job.runner.stop()
        for job in self.all():
            job.join(timeout)
