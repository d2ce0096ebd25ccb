"""Our engine as a worker: a workbench, and the feed that the runner uses as well."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import mi_explorer
from mi_explorer.cluster.worker_engine import (
    EngineFacts,
    EngineSetup,
    Outcome,
    UnitBroke,
    UnitMade,
    UnitReturned,
    WorkPlan,
    WorkReport,
)
from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe
from mi_explorer.studies.plan import Cell, Unit
from mi_explorer.studies.runner import MAX_UNITS_IN_ENGINE
from mi_explorer.studies.store.sample import body_of, pack, sample_of
from mi_explorer.studies.unit_feed import UnitFeed
from mi_explorer.studies.versions import versions

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

PROOF_LAMS = (0.0, 0.5, 1.0)
PROOF_IDS = tuple(range(3, 19))  # any vocabulary has them; what they say does not matter


class OwnWorkerEngine:
    """Implements `WorkerEngine`. `open_bench(setup)` is `open_own` but in tests."""

    def __init__(self, open_bench: "Callable[[EngineSetup], Workbench] | None" = None) -> None:
        self._open = open_bench or open_own
        self._bench: Workbench | None = None
        self._work: WorkPlan | None = None
        self._feed: UnitFeed | None = None
        self._outcomes: list[Outcome] = []

    @property
    def bench(self) -> "Workbench":
        if self._bench is None:
            raise UserError("This worker has no pair; it must load one first.")
        return self._bench

    def load(self, setup: EngineSetup) -> EngineFacts:
        self.close()
        bench = self._bench = self._open(setup)
        return EngineFacts(
            "own",
            mi_explorer.__version__,
            bench.fingerprint,
            bench.dtype,
            bench.device,
            versions(),
            weights_proof(bench),
        )

    def check(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            self.bench.check(cell.recipe)
            self.bench.generator.check_cap(cell.decoding.cap)
            if cell.decoding.think_budget is not None:
                self.bench.generator.check_tags()

    def begin(self, work: WorkPlan) -> None:
        if self._feed is not None:
            self._feed.cancel()
        self._work, self._outcomes = work, []
        self._feed = UnitFeed(
            self.bench.generator,
            work.plan,
            work.items,
            deque(),
            MAX_UNITS_IN_ENGINE,
            lambda unit, why: self._outcomes.append(UnitBroke(unit, why)),
        )

    def exchange(self, units: Sequence[Unit], seconds: float, order: Literal["run", "drain"]) -> WorkReport:
        feed, end, tokens = self._feed, time.monotonic() + seconds, 0
        if feed is None:
            raise UserError("This worker has no plan yet.")
        feed.pending.extend(units)
        if order == "drain":
            self._outcomes += map(UnitReturned, feed.pending)
            feed.pending.clear()
            feed.cancel(queued_only=True)
        while feed.busy or feed.pending:
            feed.submit()
            tokens += feed.advance()
            self._collect(feed)
            if time.monotonic() >= end:
                break
        told, self._outcomes = tuple(self._outcomes), []
        return WorkReport(told, tokens, max(0, MAX_UNITS_IN_ENGINE - feed.in_hand))

    def _collect(self, feed: UnitFeed) -> None:
        assert self._work is not None
        for unit, row in feed.ended():
            if row.state == "cancelled":
                self._outcomes.append(UnitReturned(unit))
            elif row.state == "failed":
                self._outcomes.append(UnitBroke(unit, row.message))
            else:
                snapshot = row.snapshot(time.monotonic())
                cell, item = self._work.cell_keys[unit.cell], self._work.items[unit.item].key
                sample = sample_of(snapshot, key=unit.key, cell=cell, item=item, number=unit.number)
                self._outcomes.append(UnitMade(unit, sample, pack(body_of(snapshot))))

    def close(self) -> None:
        if self._feed is not None:
            self._feed.cancel()
        if self._bench is not None:
            self._bench.close()
        self._bench = self._feed = self._work = None


def open_own(setup: EngineSetup) -> "Workbench":
    """The workbench of a setup."""
    import torch

    from mi_explorer.workbench import Workbench

    if setup.threads is not None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(setup.threads)
    return Workbench.open(
        setup.pair, device=setup.device, dtype=setup.dtype, max_rows=setup.rows, max_context=setup.context
    )


def weights_proof(bench: "Workbench") -> tuple[float, ...]:
    """Log-probs of fixed tokens under both parents and their middle; () where the weights are not at hand.

    Once a load is enough for our engine: every blend comes from the resident parents and none from the blend before it.
    """
    if bench.resident is None:
        return ()
    from mi_explorer.generation.scores import score

    recipes = [Recipe(bench.pair.name, lam=lam) for lam in PROOF_LAMS]
    return tuple(x for recipe in recipes for x in score(bench.resident, recipe, PROOF_IDS[:4], PROOF_IDS[4:]).logprob)
