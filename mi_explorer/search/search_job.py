"""Searches in the background: one goes on when the tab that started it is closed, and anyone may look at it again.

job = SearchJobs().start(search)
state = job.wait(version)            # `SearchState` as soon as there is something newer; `job.error` says why it broke off
"""

from collections.abc import Callable

from mi_explorer.background import BackgroundTask, NamedRuns
from mi_explorer.search.search import Search
from mi_explorer.search.search_events import SearchProgress, SearchState


class SearchJob:
    """One background search; `SearchJobs.start` makes it."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self._first = SearchState(search.name, SearchProgress("line", 0, search.settings.evaluations))
        self._task: BackgroundTask[SearchState, SearchState] = BackgroundTask(f"search {search.name}", self._run)

    @property
    def name(self) -> str:
        return self.search.name

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


class SearchJobs(NamedRuns[SearchJob]):
    """The background searches of one process, by name."""

    def __init__(self) -> None:
        super().__init__("search")

    def start(self, search: Search) -> SearchJob:
        """Run in the background. Raises `RunningError` where a search of that name is running."""
        return self.begin(SearchJob(search))
