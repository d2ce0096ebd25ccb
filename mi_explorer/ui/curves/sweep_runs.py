"""Background sweeps of the page: start, stop, go on (also after the server was restarted), extend, refine, and how they stand.

A run belongs to the server, not to the tab that started it. On the loopback address everybody may steer everything; on a page
that is open to the network only whoever started a run (by an unguessable word that the browser keeps) may stop it, and sizes
are bounded as for programs.
"""

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mi_explorer.errors import UserError
from mi_explorer.pair_names import pair_name
from mi_explorer.studies.jobs import Job, Jobs
from mi_explorer.studies.plan import Item, Plan
from mi_explorer.studies.refine import Refined, next_cells
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.stats.curve import curves
from mi_explorer.studies.store.store import Store
from mi_explorer.ui import cost_estimate
from mi_explorer.ui.access.limits import MAX_BACKGROUND_RUNS, check_sample_count
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.curves import sweep_request as sweep
from mi_explorer.ui.open_pairs import PagePairs
from mi_explorer.ui.page_workers import PageWorkers, worker_entries
from mi_explorer.ui.spaces.space_bench import SpaceBench
from mi_explorer.ui.study_library import StudyLibrary
from mi_explorer.untyped import Json, JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

log = logging.getLogger(__name__)
STUDY_APPEARS_S = 10.0  # seconds that a new study may take to appear in the store
WORKERS_APPEAR_S = 300.0  # and where workers load the pair first
MAX_UNFINISHED = 8  # unfinished studies that are offered
KIND = "sweep"


def probes_name(study: str) -> str:
    """The name of the job that probes a study."""
    return f"probes of {study}"


class SweepError(UserError):
    """A sweep that cannot be started or steered."""


class SweepRuns:
    """The background sweeps of one page."""

    def __init__(
        self,
        pairs: PagePairs,
        jobs: Jobs,
        library: StudyLibrary,
        settings: Settings | None = None,
        workers: PageWorkers | None = None,
    ) -> None:
        self.pairs, self.jobs, self.library = pairs, jobs, library
        self.workers, self.public = workers or PageWorkers(settings), bool(settings and settings.open)
        self._owners: dict[str, str] = {}
        self._lock = threading.Lock()

    # -- beginning ---------------------------------------------------------------------------------------------------
    def read(self, form: JsonObject, pair: str) -> sweep.SweepRequest:
        """The sweep of a form on a loaded pair, checked. Raises `UserError`."""
        found = sweep.sweep_request(form, self.bench(pair).pair.name, self.pairs.access.task)
        self._check(found.plan)
        return found

    def start(self, form: JsonObject, pair: str, owner: str = "") -> str:
        """Run the sweep of a form in the background; returns the study's name. A study of that name is extended."""
        found = self.read(form, pair)
        if found.name and self.store.find(found.name) is not None:
            self.check_owner(found.name, owner)
        return self._start(found.plan, found.items, found.name or None, found.refine, owner)

    def resume(self, name: str, owner: str = "") -> str:
        """Make what is missing of one of the user's own studies."""
        store = self.store
        info = store.study(name)
        return self._start(info.plan, store.items(info.id), name, 0, owner)

    def extend(self, name: str, questions: Json, samples: Json, lams: str, owner: str = "") -> str:
        """Add questions, samples or λs to one of the user's own studies, and run what is missing."""
        self.check_owner(name, owner)
        store = self.store
        info = store.study(name)
        plan, items = sweep.extended_plan(
            info.plan, store.items(info.id), questions, samples, lams, self.pairs.access.task
        )
        return self._start(plan, items, name, 0, owner)

    def refine(self, name: str, owner: str = "") -> str:
        """Add λs where the transition is, and run them."""
        self.check_owner(name, owner)
        store = self.store
        info = store.study(name)
        return self._start(info.plan, store.items(info.id), name, sweep.REFINE_ROUNDS, owner)

    def _start(self, plan: Plan, items: Sequence[Item], name: str | None, refine: int, owner: str) -> str:
        self._check(plan)
        for pair in plan.pairs:
            bench = self.bench(pair)
            for cell in plan.cells:
                if cell.recipe.pair == pair:
                    bench.check(cell.recipe)
        more: JsonObject = {"name": name, "refine": refine, "next_cells": next_cells}
        with self._lock:
            running = sum(job.state.running for job in self.jobs.all())
            if self.public and running >= MAX_BACKGROUND_RUNS:
                raise SweepError(f"{running} sweeps are running already. Try again when one of them is done.")
            job = self.workers.start_study(self.jobs, self.store, plan, items, self.bench, **more)
            self._owners.setdefault(job.name, owner)
        self._wait(job, job.name)
        return job.name

    def _wait(self, job: Job, name: str) -> None:
        """Return once the study is in the store, so that it can be shown; raise what broke the run before that."""
        version = -1
        limit = WORKERS_APPEAR_S if self.workers.staff.any else STUDY_APPEARS_S
        for _ in range(round(limit / 0.2)):
            state = job.wait(version, 0.2)
            version = state.version
            if state.error:
                raise SweepError(state.error)
            if not state.running or self.store.find(name) is not None:
                return

    def _check(self, plan: Plan) -> None:
        if self.public:
            check_sample_count(len(plan.cells) * plan.questions * plan.samples)
        for cell in plan.cells:
            self.pairs.at(cell.recipe.pair).explore.limits.check(cell.decoding)

    def bench(self, pair: str) -> "Workbench":
        """The workbench of a loaded pair that can sweep. Raises `UserError`."""
        bench = self.pairs.at(pair).bench
        if bench.pair.name != pair:
            raise SweepError(f"The pair “{pair_name(pair)}” is not loaded here. Load it in Explore, then go on.")
        if isinstance(bench, SpaceBench) or not hasattr(bench, "generator"):
            raise SweepError(
                "Sweeps need a device of their own, and this page only borrows one for the time of an answer. "
                "Run the sweep on the command line, and import its file here."
            )
        return bench

    @property
    def store(self) -> Store:
        own = self.library.own
        if own is None:
            raise SweepError(
                "There is no store on this page, so a sweep could not be saved. Start it with a home folder (--home)."
            )
        return own

    # -- cost --------------------------------------------------------------------------------------------------------
    def cost(self, form: JsonObject, pair: str) -> str:
        """What the sweep of a form takes, in words; what is wrong with the form, if something is."""
        try:
            found = self.read(form, pair)
            bench = self.pairs.at(pair).bench
            by_workers = self.workers.staff.any
            cost = cost_estimate.page_cost(found.plan, found.items, bench, self.library, self.jobs, by_workers).text
            name, own = found.name or found.plan.name, self.library.own
            return cost + (f" It extends the study {name!r}." if own is not None and own.find(name) else "")
        except UserError as error:
            return str(error)

    # -- steering ----------------------------------------------------------------------------------------------------
    def stop(self, name: str, owner: str = "") -> bool:
        """Stop a run within a moment; what is finished is saved. False if it does not run (any more)."""
        job = self.jobs.get(name)
        if job is None or not job.state.running:
            return False
        self.check_owner(name, owner)
        job.stop()
        return True

    def resize(self, name: str, change: Json) -> None:
        """Add a worker to a run, or let one go; see `PageWorkers.resize`."""
        self.workers.resize(self.jobs.get(name), change)

    def rename(self, name: str, new: str, owner: str = "") -> str:
        """Give one of the user's own studies another name; returns it."""
        self._idle(name, owner)
        self.library.rename(name, new)
        new = str(new).strip()
        self._owners[new] = self._owners.pop(name, owner)
        return new

    def delete(self, name: str, owner: str = "") -> int:
        """Delete one of the user's own studies with the samples that no other needs."""
        self._idle(name, owner)
        gone = self.library.delete(name)
        self._owners.pop(name, None)
        return gone

    def _idle(self, name: str, owner: str) -> None:
        self.check_owner(name, owner)
        if any((job := self.jobs.get(known)) is not None and job.state.running for known in (name, probes_name(name))):
            raise SweepError(f"The study {name!r} is running. Stop it first.")

    def mine(self, name: str, owner: str) -> bool:
        """Whether this visitor may steer a study."""
        return not self.public or bool(owner) and self._owners.get(name) == owner

    def check_owner(self, name: str, owner: str) -> None:
        """Raise `SweepError` for a study that this visitor may not steer."""
        if not self.mine(name, owner):
            raise SweepError(f"The study {name!r} was started by somebody else, who alone may change it on this page.")

    # -- how they stand ----------------------------------------------------------------------------------------------
    def states(self, owner: str = "") -> list[JsonObject]:
        """Every sweep of this process that runs or ended, and the user's own studies that are not complete, the latest first.

        `{"kind", "study", "state", "done", "total", "cells", "cells_done", "rate", "eta", "seconds", "message", "version", "mine",
        "workers", "dashboard", "resizable"}`; `state` is running, paused, stopped, done, failed, or unfinished (nothing runs; it can
        go on).
        """
        out, seen = [], set()
        own = self.library.own
        for job in reversed(self.jobs.all()):
            known = own is None or own.find(job.state.name)
            if isinstance(job.runner, Runner) and curves(job.runner.plan.cells) and (job.state.running or known):
                seen.add(job.state.name)
                mine = self.mine(job.state.name, owner)
                out.append({**job_state(job), "mine": mine, **self.workers.controls(job, mine)})
        open_ = (
            [i for i in sorted(own.studies(), key=lambda i: -i.updated) if i.name not in seen and i.samples < i.units]
            if own
            else []
        )
        for info in [i for i in open_ if i.origin == "live" and i.plan.kind != "search" and curves(i.plan.cells)][
            :MAX_UNFINISHED
        ]:
            out.append({
                "kind": KIND, "study": info.name, "state": "unfinished", "done": info.samples, "total": info.units,
                "cells": len(info.plan.cells), "cells_done": None, "rate": 0.0, "eta": None, "seconds": 0.0, "message": "", "version": 0,
                "mine": True, "workers": [], "dashboard": "", "resizable": False,
            })  # fmt: skip
        return out


def job_state(job: Job) -> JsonObject:
    """How a run stands, as the page has it; see `SweepRuns.states`."""
    state = job.state
    p = state.progress
    return {
        "kind": KIND,
        "study": state.name,
        "state": "failed" if state.error else p.state,
        "done": p.done + p.reused,
        "total": p.total,
        "cells": p.cells,
        "cells_done": p.cells_done,
        "rate": round(p.tokens_per_second, 1),
        "eta": p.eta,
        "seconds": round(p.seconds, 1),
        "workers": worker_entries(p.workers),
        "message": state.error
        or (f"{p.failed:,} samples failed: {p.message}" if p.failed else "")
        or " ".join(_refinement(r) for r in state.refined),
        "version": state.version,
    }


def _refinement(refined: Refined) -> str:
    return f"{refined.why} Added λ {', '.join(f'{x:g}' for x in refined.lams)}."
