"""A runner whose units go to a crew of workers instead of an engine of its own; plan, store and events are the runner's.

for event in ClusterRunner(store, plan, items, Crew(launcher, 4, setup)).run(): ...      # and WorkerNews
"""

import secrets
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence

from mi_explorer.cluster.crew import Crew
from mi_explorer.cluster.crew_member import CrewMember
from mi_explorer.cluster.unit_ledger import UnitLedger
from mi_explorer.cluster.worker_engine import UnitBroke, UnitMade, UnitReturned, WorkPlan, WorkReport
from mi_explorer.studies.plan import Item, Plan, Unit, running_order
from mi_explorer.studies.progress import CellDone, Progress, SampleDone, WorkerNews, WorkerStatus
from mi_explorer.studies.runner import PROGRESS_EVERY_S, Event, RunError, Runner, RunnerWorkbench
from mi_explorer.studies.store.store import Store
from mi_explorer.untyped import Json

TURN_S = 0.2  # seconds to wait for an answer
LAST_WORDS_S = 2.0  # seconds in which workers may still hand in what is finished when a run is stopped


class ClusterRunner(Runner):
    """`options` as for `Runner`. The crew is the caller's to close."""

    def __init__(self, store: Store, plan: Plan, items: Sequence[Item], crew: Crew, **options: Json) -> None:
        def no_bench(pair: str) -> RunnerWorkbench:
            raise RunError(f"The pair {pair!r} is with the workers, not in this process.")

        super().__init__(store, plan, items, no_bench, **options)
        self.crew = crew

    def _checked(self, pair: str) -> Generator[Progress, None, tuple[str, str] | None]:
        """Fingerprint and dtype as the first worker tells them."""
        cells, began = [cell for cell in self.plan.cells if cell.recipe.pair == pair], time.monotonic()
        ticked = began
        for workers in self.crew.opening(pair, cells, self._stop.is_set):
            if time.monotonic() >= ticked + PROGRESS_EVERY_S:
                ticked = time.monotonic()
                seconds = ticked - began
                yield Progress(self.name, "running", 0, cells=len(self.plan.cells), seconds=seconds, workers=workers)
        facts = self.crew.facts
        return (facts.fingerprint, facts.dtype) if facts else None

    def _feed(self, pair: str, pending: deque[Unit], began: float) -> Iterator[Event]:
        """Have a pair's `pending` units made, save what comes."""
        crew, left, ledger = self.crew, Counter(u.cell for u in pending), UnitLedger(pending)
        pending.clear()
        cells = [cell for cell in self.plan.cells if cell.recipe.pair == pair]
        if crew.pair != pair and crew.open_pair(pair, cells, self._stop.is_set) is None:
            return
        crew.begin(WorkPlan(self.plan, tuple(row.key for row in self.cells), self.items), ledger)
        ticked, last_words = time.monotonic(), None
        while len(ledger) or crew.in_hand:
            now = time.monotonic()
            if self._stop.is_set():
                last_words = last_words or now + LAST_WORDS_S
                crew.order = "drain"
                if now > last_words:
                    break
            else:
                crew.order = "drain" if self._pause.is_set() else "run"
            self._prefer(ledger)
            for member, report in crew.turn(TURN_S):
                yield from self._reported(member, report, ledger, left)
            for broke in crew.lost_units:
                self._fail(broke.unit, broke.message)
            crew.lost_units.clear()
            yield from self._told()
            if time.monotonic() >= ticked + PROGRESS_EVERY_S:
                ticked = time.monotonic()
                pausing = self._pause.is_set() and not self._stop.is_set()
                if pausing and not crew.in_hand:
                    self._meter.paused(ticked)
                yield self._progress("paused" if pausing else "running", began)
            if self._stop.is_set() and not crew.in_hand:
                break

    def _told(self) -> Iterator[WorkerNews]:
        news, self.crew.news = self.crew.news, []
        yield from map(WorkerNews, news)

    def _prefer(self, ledger: UnitLedger) -> None:
        """Cells nearest to a preferred λ first."""
        if self._preferred:
            lam, lams = self._preferred.pop(), [cell.recipe.lam for cell in self.plan.cells]
            ledger.prefer(sorted(running_order(lams), key=lambda i: abs(lams[i] - lam)))

    def _reported(
        self, member: CrewMember, report: WorkReport, ledger: UnitLedger, left: Counter[int]
    ) -> Iterator[SampleDone | CellDone]:
        """Save a report's samples in one transaction, then tell of them."""
        self._meter.token(report.tokens)
        made = [outcome for outcome in report.outcomes if isinstance(outcome, UnitMade)]
        if made:
            self.store.add_many(((one.sample, one.body) for one in made), self._run_for(member))
        for one in report.outcomes:
            if isinstance(one, UnitReturned):
                ledger.give_back([one.unit])
            elif isinstance(one, UnitBroke) and ledger.broke(one.unit):
                self._fail(one.unit, one.message)
        for one in made:
            cell = one.unit.cell
            self._counts["done"] += 1
            self._meter.finished(cell, one.sample.tokens)
            left[cell] -= 1
            yield SampleDone(self.name, self.plan.cells[cell], self.items[one.unit.item], one.sample)
            if left[cell] == 0:
                yield CellDone(self.name, self.cells[cell].key, self.plan.cells[cell])

    def _run_for(self, member: CrewMember) -> int:
        """The store's run of a worker: its host, device, dtype, engine and versions."""
        if member.run is None:
            facts = member.facts
            assert facts is not None  # it has made a sample
            member.run = self.store.put_run(
                {
                    "token": secrets.token_hex(8),
                    "started": time.time(),
                    "host": member.host,
                    "device": facts.device,
                    "dtype": facts.dtype,
                    "versions": {**facts.versions, "engine": f"{facts.engine} {facts.version}"},
                    "command": self.plan.command,
                }
            )
        return member.run

    def _workers(self) -> tuple[WorkerStatus, ...]:
        return self.crew.status()
