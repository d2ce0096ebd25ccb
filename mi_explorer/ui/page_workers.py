"""Who makes the samples of studies and searches of the page: the page's own engine, or workers where the operator set some.

A page has one set of workers: they share the cores, cards or cluster, so that one study or search has them at a time.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from mi_explorer.cluster.crew import Crew
from mi_explorer.cluster.staffed_runner import StaffedRunner
from mi_explorer.cluster.staffing import Staff, StaffingError
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.search.measuring import SearchWorkbench
from mi_explorer.search.search import Search
from mi_explorer.search.search_job import SearchJob, SearchJobs
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchSpace
from mi_explorer.search.staffed_search import StaffedSearch
from mi_explorer.studies.jobs import Job, Jobs
from mi_explorer.studies.plan import Item, Plan
from mi_explorer.studies.progress import WorkerStatus
from mi_explorer.studies.refine import NextCells
from mi_explorer.studies.runner import Runner, RunnerWorkbench
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.settings import Settings
from mi_explorer.untyped import Json, JsonObject

J = TypeVar("J", Job, SearchJob)
LETTING_GO_S = 10.0  # seconds in which the workers of a run that has ended may still end
MOST_WORKERS = 4096


class PageWorkers:
    """The workers of one page. Thread-safe."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = s = settings or Settings()
        self.staff = Staff(s.workers or None, s.ray, s.engine, device=s.device)
        self._held: Job | SearchJob | None = None  # what had them last
        self._lock = threading.Lock()

    def start_study(
        self,
        jobs: Jobs,
        store: Store,
        plan: Plan,
        items: Sequence[Item],
        bench_for: Callable[[str], RunnerWorkbench],
        *,
        name: str | None = None,
        refine: int = 0,
        next_cells: NextCells | None = None,
    ) -> Job:
        """Begin a study in the background. Raises a `UserError` for workers that cannot be had, or that are busy."""
        if not self.staff.any:
            return jobs.start(Runner(store, plan, items, bench_for, name=name, refine=refine, next_cells=next_cells))
        with self._lock:
            self._check_free()
            more: JsonObject = {"name": name, "refine": refine, "next_cells": next_cells}
            runner = StaffedRunner(store, plan, items, self.staff, self._setup, **more)
            self._held = job = self._begun(runner.crew, lambda: jobs.start(runner))
            return job

    def start_search(
        self,
        searches: SearchJobs,
        store: Store,
        bench: SearchWorkbench,
        items: Sequence[Item],
        space: SearchSpace,
        settings: SearchSettings,
        *,
        task: str,
        task_seed: int = 0,
        name: str | None = None,
    ) -> SearchJob:
        """Begin a search in the background, as `start_study` does a study; `bench` is the page's own."""
        more: JsonObject = {"task": task, "task_seed": task_seed, "name": name}
        if not self.staff.any:
            return searches.start(Search(store, bench, items, space, settings, **more))
        with self._lock:
            self._check_free()
            search = StaffedSearch(store, items, space, settings, self.staff, self._setup, **more)
            self._held = job = self._begun(search.crew, lambda: searches.start(search))
            return job

    def _check_free(self) -> None:
        """Raise `StaffingError` while a study or search has the workers."""
        held = self._held
        if held is None:
            return
        if not held.running:
            held.join(LETTING_GO_S)  # its workers are on their way out
            return
        kind, tab = ("search", "Search") if isinstance(held, SearchJob) else ("study", "Curves or Ablations")
        raise StaffingError(
            f"The workers are busy with the {kind} {held.name!r}, and there is one set of them. Stop it (tab {tab}), or wait for its end; "
            "what is finished is kept."
        )

    def _begun(self, crew: Crew, start: Callable[[], J]) -> J:
        """Start a run; where that is refused its workers are let go."""
        try:
            return start()
        except BaseException:
            crew.close()
            raise

    def _setup(self, pair: str) -> EngineSetup:
        s = self.settings
        return EngineSetup(pair, s.device, s.dtype or None, s.rows)

    # -- what the page shows and may change --------------------------------------------------------------------------
    def controls(self, run: Job | SearchJob, mine: bool) -> JsonObject:
        """`{"dashboard", "resizable"}` of a run, for a visitor who may steer it or not (`mine`).

        The cluster's own page lets whoever reaches it run code there. So its address is for those who may steer the run, and on a page
        that is open to the network only where that asks for a password. How many workers there are is the operator's choice there.
        """
        crew, s = crew_of_run(run), self.settings
        shown = crew is not None and mine and (not s.open or bool(s.auth))
        return {"dashboard": crew.dashboard if crew and shown else "", "resizable": crew is not None and not s.open}

    def resize(self, run: Job | SearchJob | None, change: Json) -> None:
        """Add a worker to a run (`change` 1) or let one go after what it has in hand (-1). Raises `StaffingError`."""
        crew = crew_of_run(run) if run else None
        if crew is None:
            raise StaffingError("This run has no workers (any more).")
        if self.settings.open:
            raise StaffingError("On a page that is open to the network the number of workers is its operator's choice.")
        if change not in (1, -1):
            raise StaffingError("One worker is added or let go at a time.")
        crew.resize(min(crew.wanted + change, MOST_WORKERS))


def crew_of_run(run: Job | SearchJob) -> Crew | None:
    """The crew that makes a run's samples; None where it has ended, or has none but the page's engine."""
    work = run.search if isinstance(run, SearchJob) else run.runner
    return work.crew if isinstance(work, StaffedRunner | StaffedSearch) and run.running else None


def worker_entries(workers: Sequence[WorkerStatus]) -> list[JsonObject]:
    """Workers as the page has them (assets/web/shared/workers.js)."""
    return [
        {
            "name": w.name,
            "host": w.host,
            "state": w.state,
            "done": w.done,
            "rate": round(w.tokens_per_second, 1),
            "note": w.note,
        }
        for w in workers
    ]
