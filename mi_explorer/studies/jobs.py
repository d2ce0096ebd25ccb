"""Studies that run in the background: a study goes on when the tab that started it is closed, and anyone may look at it again.

All runs share the pair's engine, which serves people first. A `Job` is watched by its version: `wait(version)` returns as soon as
there is something newer.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mi_explorer.background import BackgroundTask, NamedRuns, TaskState
from mi_explorer.errors import UserError
from mi_explorer.studies.plan import Plan
from mi_explorer.studies.progress import CellDone, Progress
from mi_explorer.studies.refine import Refined
from mi_explorer.studies.runner import Event

log = logging.getLogger(__name__)


class JobError(UserError):
    """A run that broke off."""


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


class JobRunner(Protocol):
    """What a job runs: a study's `Runner`, or other work on a study."""

    name: str
    plan: Plan

    def run(self) -> Iterable[Event]: ...
    @property
    def stop(self) -> Callable[[], None]: ...


class Job:
    """One background run; `Jobs.start` makes it."""

    runner: Any  # a `JobRunner`; whoever started it knows which

    def __init__(self, runner: JobRunner) -> None:
        self.runner = runner
        self._begin = JobState(runner.name, Progress(runner.name, "running", 0, cells=len(runner.plan.cells)))
        self._task: BackgroundTask[JobState, None] = BackgroundTask(f"study {runner.name}", self._run)

    @property
    def name(self) -> str:
        return str(self.runner.name)

    @property
    def running(self) -> bool:
        return self.state.running

    def start(self) -> None:
        self._task.start()

    def stop(self) -> None:
        """Stop within a moment; what is finished is saved."""
        self.runner.stop()

    @property
    def state(self) -> JobState:
        """A snapshot; cheap, from any thread."""
        return self._state(self._task.state)

    def wait(self, version: int, timeout: float | None = None) -> JobState:
        """The state once it is newer than `version`, or as it is after `timeout` seconds or at the end."""
        return self._state(self._task.wait(version, timeout))

    def join(self, timeout: float | None = None) -> JobState:
        """Wait for the end."""
        return self._state(self._task.join(timeout))

    def _state(self, found: TaskState[JobState, None]) -> JobState:
        return replace(found.progress or self._begin, error=found.error, version=found.version)

    def _run(self, publish: Callable[[JobState], None]) -> None:
        try:
            self._follow(publish)
        except UserError:  # a full disk, a closed engine: what is finished is saved
            raise
        except Exception as error:
            log.exception("The study %s broke off", self.runner.name)
            why = f"{type(error).__name__}: {error}"
            raise JobError(
                f"The run broke off ({why}). What was finished is saved; start it again to go on."
            ) from error

    def _follow(self, publish: Callable[[JobState], None]) -> None:
        state = self._begin
        for event in self.runner.run():
            if isinstance(event, Progress):
                state = replace(state, progress=event)
            elif isinstance(event, CellDone):
                state = replace(state, cells=(*state.cells, event.key))
            elif isinstance(event, Refined):
                state = replace(state, refined=(*state.refined, event))
            else:
                continue
            publish(state)


class Jobs(NamedRuns[Job]):
    """The background runs of one process, by study name."""

    def __init__(self) -> None:
        super().__init__("study")

    def start(self, runner: JobRunner) -> Job:
        """Run in the background. Raises `RunningError` where a run of that name is running."""
        return self.begin(Job(runner))
