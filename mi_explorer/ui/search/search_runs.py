"""Background searches of the page: cost, start, stop, go on.

As with sweeps, a search belongs to the server. On a page that is open to the network only whoever started it (by a word that the
browser keeps) may steer it, and sizes are bounded.
"""

import threading
from typing import TYPE_CHECKING

from mi_explorer.errors import UserError
from mi_explorer.search.search import Search
from mi_explorer.search.search_cost import SearchCost
from mi_explorer.search.search_job import SearchJobs
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.limits import MAX_BACKGROUND_RUNS, check_sample_count
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.open_pairs import PagePairs
from mi_explorer.ui.page_workers import PageWorkers
from mi_explorer.ui.search.search_request import SearchRequest, search_request
from mi_explorer.ui.spaces.space_bench import SpaceBench
from mi_explorer.untyped import Json, JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench


class SearchRunError(UserError):
    """A search that cannot be started or steered on this page."""


class SearchRuns:
    """The background searches of one page."""

    def __init__(
        self,
        pairs: PagePairs,
        jobs: SearchJobs,
        settings: Settings | None = None,
        workers: PageWorkers | None = None,
    ) -> None:
        self.pairs, self.jobs, self.workers = pairs, jobs, workers or PageWorkers(settings)
        self.public = bool(settings and settings.open)
        self._owners: dict[str, str] = {}
        self._lock = threading.Lock()

    def bench(self, pair: str) -> "Workbench":
        """The workbench of a loaded pair that can search. Raises `UserError`."""
        bench = self.pairs.at(pair).bench
        if isinstance(bench, SpaceBench):
            raise SearchRunError(
                "A search needs a device of its own, and this page only borrows one for the time of an answer. "
                "Run it on the command line."
            )
        if not hasattr(bench, "generator"):
            raise SearchRunError("This page serves a scripted pair; there is nothing to search.")
        return bench

    def store(self, pair: str) -> Store:
        """Where the samples of a search go. Raises `UserError` on a page without a store."""
        try:
            found: Store = self.pairs.at(pair).bench.store
            return found
        except AttributeError:
            raise SearchRunError("There is no store on this page, so a search could not be saved.") from None

    def prepared(self, form: JsonObject, pair: str) -> tuple[SearchRequest, Search, SearchCost]:
        """The search of a form, checked, with its cost. Raises `UserError`."""
        asked = search_request(form, self.bench(pair), self.pairs.access.task)
        return asked, *self._checked(asked, pair)

    def _checked(self, asked: SearchRequest, pair: str) -> tuple[Search, SearchCost]:
        self.pairs.at(pair).explore.limits.check(asked.space.decoding)
        search = Search(
            self.store(pair),
            self.bench(pair),
            asked.items,
            asked.space,
            asked.settings,
            task=asked.task,
            task_seed=asked.task_seed,
            name=asked.name or None,
        )
        cost = search.cost()
        if self.public:
            check_sample_count(cost.line.units + cost.search.units + cost.heldout.units, asked.command)
        return search, cost.by_others() if self.workers.staff.any else cost

    def start(self, form: JsonObject, pair: str, owner: str = "") -> str:
        """Run the search of a form in the background; its name. The same one goes on where it was."""
        asked, search, _ = self.prepared(form, pair)
        return self._start(asked, search, owner)

    def resume(self, asked: SearchRequest, pair: str, owner: str = "") -> str:
        """Go on with a search that was stopped or killed."""
        search, _ = self._checked(asked, pair)
        return self._start(asked, search, owner)

    def _start(self, asked: SearchRequest, search: Search, owner: str) -> str:
        with self._lock:
            if self.jobs.get(search.name) is not None or search.name in self._owners:
                self.check_owner(search.name, owner)
            running = sum(job.running for job in self.jobs.all())
            if self.public and running >= MAX_BACKGROUND_RUNS:
                raise SearchRunError(f"{running} searches are running already. Try again when one of them is done.")
            more: JsonObject = {"task": asked.task, "task_seed": asked.task_seed, "name": search.name}
            self.workers.start_search(
                self.jobs, search.store, search.bench, asked.items, asked.space, asked.settings, **more
            )
            self._owners.setdefault(search.name, owner)
        return search.name

    def stop(self, name: str, owner: str = "") -> bool:
        """Stop a search within a moment; what is finished is saved. False if it does not run (any more)."""
        job = self.jobs.get(name)
        if job is None or not job.running:
            return False
        self.check_owner(name, owner)
        job.stop()
        return True

    def resize(self, name: str, change: Json) -> str:
        """Add a worker to a search, or let one go; see `PageWorkers.resize`. Its name."""
        self.workers.resize(self.jobs.get(name), change)
        return name

    def controls(self, name: str, owner: str) -> JsonObject:
        """What of its workers a visitor may see and change; see `PageWorkers.controls`."""
        job = self.jobs.get(name)
        return self.workers.controls(job, self.mine(name, owner)) if job else {"dashboard": "", "resizable": False}

    def mine(self, name: str, owner: str) -> bool:
        """Whether this visitor may steer a search."""
        return not self.public or bool(owner) and self._owners.get(name, owner) == owner

    def check_owner(self, name: str, owner: str) -> None:
        """Raise `SearchRunError` for a search that this visitor may not steer."""
        if not self.mine(name, owner):
            raise SearchRunError(
                f"The search {name!r} was started by somebody else, who alone may steer it on this page."
            )
