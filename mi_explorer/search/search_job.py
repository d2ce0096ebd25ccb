"""Searches in the background: one goes on when the tab that started it is closed, and anyone may look at it again.

job = SearchJobs().start(search)
state = job.wait(version)            # `SearchState` as soon as there is something newer; `job.error` says why it broke off
"""

import threading
from collections.abc import Callable

from mi_explorer.background import BackgroundTask
from mi_explorer.search.search import Search
from mi_explorer.search.search_events import SearchProgress, SearchState
from mi_explorer.search.space import SearchError


class SearchJob:
    """One background search; `SearchJobs.start` makes it."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self._first = SearchState(search.name, SearchProgress("line", 0, search.settings.evaluations))
        self._task: BackgroundTask[SearchState, SearchState] = BackgroundTask(f"search {search.name}", self._run)

    def start(self) -> None:
        self._task.start()

    @property
    def state(self) -> SearchState:
        """What it has found so far; cheap, from any thread."""
        return self._task.state.progress or self._first

    @property
    def error(self) -> str:
        """Why it broke off, in a sentence; "" where it did not."""
        return self._task.state.error

    @property
    def version(self) -> int:
        """Counts the changes of the state."""
        return self._task.state.version

    @property
    def running(self) -> bool:
        return not self._task.state.ended

    def wait(self, version: int, timeout: float | None = None) -> tuple[SearchState, int]:
        """The state and its version once it is newer than `version`, or as it is after `timeout` seconds or at the end."""
        found = self._task.wait(version, timeout)
        return found.progress or self._first, found.version

    def stop(self) -> None:
        """Stop within a moment; the same search goes on from there when it is started again."""
        self.search.stop()

    def join(self, timeout: float | None = None) -> SearchState:
        """Wait for the end."""
        return self._task.join(timeout).progress or self._first

    def _run(self, publish: Callable[[SearchState], None]) -> SearchState:
        state = self._first
        for event in self.search.run():
            state = state.after(event)
            publish(state)
        return state


class SearchJobs:
    """The background searches of one process, by name."""

    def __init__(self) -> None:
        self._jobs: dict[str, SearchJob] = {}
        self._lock = threading.Lock()

    def start(self, search: Search) -> SearchJob:
        """Run in the background; a search of that name that has ended is replaced, one that is running is refused."""
        with self._lock:
            old = self._jobs.get(search.name)
            if old is not None and old.running:
                raise SearchError(
                    f"The search {search.name!r} is running already. Stop it first, or name the new one otherwise."
                )
            job = self._jobs[search.name] = SearchJob(search)
            job.start()
            return job

    def get(self, name: str) -> SearchJob | None:
        """The search of this name in this process, running or ended."""
        with self._lock:
            return self._jobs.get(name)

    def all(self) -> list[SearchJob]:
        """Every search of this process, the oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def close(self, timeout: float = 10.0) -> None:
        """Stop every search and wait for them."""
        for job in self.all():
            job.stop()
        for job in self.all():
            job.join(timeout)
