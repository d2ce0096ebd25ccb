"""The runner: a plan's missing units go through the engine, each finished sample into the store, then its event out.

    for event in Runner(store, plan, items, bench_for).run(): ...      # SampleDone, CellDone, Refined, Progress

Nothing that the store has is made again, so running a plan a second time resumes it, and running a larger plan under the
same name extends it. `pause`, `resume`, `stop` and `prefer` may be called from any thread.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from mi_explorer.errors import UserError
from mi_explorer.generation.generate import TextGenerator
from mi_explorer.generation.running_trace import RunningTrace
from mi_explorer.recipe import Recipe
from mi_explorer.studies.plan import Cell, Item, Plan, PlanError, Unit, units
from mi_explorer.studies.progress import CellDone, Progress, RunMeter, RunState, SampleDone, WorkerNews, WorkerStatus
from mi_explorer.studies.refine import NextCells, Refined
from mi_explorer.studies.store.sample import body_of, pack, sample_of
from mi_explorer.studies.store.store import CellRow, Store
from mi_explorer.studies.unit_feed import UnitFeed
from mi_explorer.studies.versions import versions
from mi_explorer.tasks.task import Task

# Units in the engine's hands: enough for it to choose what runs together, few enough to pause soon.
MAX_UNITS_IN_ENGINE = 512
PROGRESS_EVERY_S = 0.5  # seconds between two progress events
MAX_FAILURES = 50  # failures without one success


class RunError(UserError):
    """A run that cannot go on: everything fails, or the shard was asked to refine."""


class RunnerWorkbench(Protocol):
    """What the runner needs of a workbench."""

    generator: TextGenerator
    dtype: str
    device: str

    @property
    def fingerprint(self) -> str: ...
    def check(self, recipe: Recipe) -> None: ...


Event = SampleDone | CellDone | Refined | Progress | WorkerNews


def items_of(task: Task) -> tuple[Item, ...]:
    """A task's questions as a study stores them."""
    return tuple(
        Item(task.name, q.id, task.prompt(q), q.gold, q.kind, q.family, q.level, not task.republish)
        for q in task.questions
    )


class Runner:
    """Runs one plan. `bench_for(pair)` gives the workbench of a pair; it is asked once per pair, one pair after the other.

    `refine` is the most rounds of λ added at the transition by `next_cells(store, study, rows) -> (cells, why)`.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        items: Sequence[Item],
        bench_for: Callable[[str], RunnerWorkbench],
        *,
        name: str | None = None,
        shard: tuple[int, int] = (1, 1),
        refine: int = 0,
        next_cells: NextCells | None = None,
        window: int = MAX_UNITS_IN_ENGINE,
    ) -> None:
        if refine and shard != (1, 1):
            raise RunError(
                "A shard does not see the other shards' results, so it cannot refine. Run the shards without "
                "--refine, merge them, then run the same sweep with --refine: it makes only what is missing."
            )
        self.store, self.plan, self.items, self.bench_for = store, plan, tuple(items), bench_for
        self.name, self.shard, self.refine, self.window = name or plan.name, shard, refine, window
        self._next_cells, self._stop, self._pause = next_cells, threading.Event(), threading.Event()
        self.cells: list[CellRow] = []
        self._preferred: deque[float] = deque(maxlen=1)
        self._counts: Counter[str] = Counter()
        self._runs: dict[str, int] = {}  # by pair: the run of the store that its samples belong to
        self._message = ""
        self._meter = RunMeter([], [], {}, 0.0)
        self._total = 0

    # -- control -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop within a moment. What is finished is saved; what was running is made anew next time."""
        self._stop.set()

    def pause(self) -> None:
        """Let running samples finish, begin no others."""
        self._pause.set()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._pause.clear()

    def prefer(self, lam: float) -> None:
        """Make the units nearest to this λ first: the user is waiting for them."""
        self._preferred.append(lam)

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self) -> Iterator[Event]:
        """Make what is missing. Raises a `UserError` before the first unit if some recipe cannot run; ends with a `Progress`."""
        began = time.monotonic()
        benches = {}
        for pair in reversed(self.plan.pairs):  # the first pair last: it is the one that stays loaded
            found = yield from self._checked(pair)
            if found is None:
                yield self._progress("stopped", began)
                return
            benches[pair] = found
        self._register(benches)
        info = self.store.study(self.name)
        todo = self._missing(info.id)
        yield self._progress("running", began)
        for pair in self.plan.pairs:
            mine = deque(u for u in todo if self.plan.cells[u.cell].recipe.pair == pair)
            if mine and not self._stop.is_set():
                yield from self._feed(pair, mine, began)
        for _ in range(self.refine):
            if self._stop.is_set() or self._next_cells is None:
                break
            proposed, why = self._next_cells(self.store, info.id, self.cells)
            new = tuple(cell for cell in proposed if cell not in self.plan.cells)
            if not new:
                break
            self.plan = replace(self.plan, cells=self.plan.cells + new)
            self._register(benches)
            yield Refined(self.name, tuple(dict.fromkeys(cell.recipe.lam for cell in new)), why)
            for pair in dict.fromkeys(cell.recipe.pair for cell in new):
                mine = deque(u for u in self._missing(info.id) if self.plan.cells[u.cell].recipe.pair == pair)
                yield from self._feed(pair, mine, began)
        yield self._progress("stopped" if self._stop.is_set() else "done", began)

    def _checked(self, pair: str) -> Generator[Progress, None, tuple[str, str] | None]:
        """Fingerprint and dtype of a pair; None if stopped while it was opened. Raises a `UserError` for a cell that it cannot run."""
        yield from ()  # a pair of this process is open
        bench = self.bench_for(pair)
        for cell in (c for c in self.plan.cells if c.recipe.pair == pair):
            bench.check(cell.recipe)
            bench.generator.check_cap(cell.decoding.cap)
            if cell.decoding.think_budget is not None:
                bench.generator.check_tags()
        return bench.fingerprint, bench.dtype

    def _register(self, benches: dict[str, tuple[str, str]]) -> None:
        """Note plan, cells and questions in the store; a study of this name grows to hold both plans."""

        def row(cell: Cell) -> CellRow:
            fingerprint, dtype = benches[cell.recipe.pair]
            return CellRow(cell.key(fingerprint, dtype), cell, fingerprint, dtype)

        self.cells = [row(cell) for cell in self.plan.cells]
        old = self.store.find(self.name)
        whole = old.plan.extended(self.plan) if old else self.plan
        rows, items = self.cells, self.items
        if old:
            kept = self.store.cells(old.id)
            for known in kept:
                fingerprint, dtype = benches.get(known.cell.recipe.pair, (known.fingerprint, known.dtype))
                if (known.fingerprint, known.dtype) != (fingerprint, dtype):
                    if known.fingerprint == fingerprint:
                        what, instead = f"in {known.dtype}, not {dtype}", f"Go on in it (--dtype {known.dtype}), give"
                    else:
                        what = f"with other weights of {known.cell.recipe.pair} (the files have changed since)"
                        instead = "Give"
                    raise PlanError(
                        f"The study {self.name!r} was made {what}, so its samples cannot be mixed with new ones. {instead} "
                        "the new study another name (--name), or delete the old one."
                    )
            rows = kept + [r for r in rows if r.key not in {k.key for k in kept}]
            asked = self.store.items(old.id)
            items = tuple(asked) + tuple(i for i in items if i.key not in {k.key for k in asked})
        self.store.put_study(self.name, whole, rows, items)

    def _missing(self, study: int) -> list[Unit]:
        """The units of this shard that the store does not have; also resets the counts."""
        keys = [row.key for row in self.cells]
        mine = list(units(self.plan, self.items, keys, self.shard))
        have = self.store.have(u.key for u in mine)
        todo = [u for u in mine if u.key not in have]
        self._total = len(mine)
        self._counts["reused"] = len(have) - self._counts["done"]
        left = Counter(u.cell for u in todo)
        known = self.store.tokens(study)
        seen = {i: known[key] for i, key in enumerate(keys) if key in known}
        lams = [c.recipe.lam for c in self.plan.cells]
        meter = RunMeter(lams, [left[i] for i in range(len(keys))], seen, time.monotonic())
        meter.tokens, self._meter = self._meter.tokens, meter
        meter.paused(meter.began)
        return todo

    def _feed(self, pair: str, pending: deque[Unit], began: float) -> Iterator[Event]:
        """Run a pair's `pending` units, save what is finished."""
        bench = self.bench_for(pair)
        if pair not in self._runs:
            self._runs[pair] = self.store.begin_run(bench.device, bench.dtype, versions(), self.plan.command)
        run, left = self._runs[pair], Counter(u.cell for u in pending)
        feed = UnitFeed(bench.generator, self.plan, self.items, pending, self.window, self._fail)
        ticked, stopping, pausing = time.monotonic(), False, False
        try:
            while feed.busy or (pending and not self._stop.is_set()):
                if self._stop.is_set() and not stopping:
                    stopping = True
                    feed.cancel()
                if self._pause.is_set() and not stopping:
                    if not pausing:
                        pausing = True
                        feed.cancel(queued_only=True)
                else:
                    pausing = False
                    self._reorder(pending)
                    if not stopping:
                        feed.submit()
                self._meter.token(feed.advance())
                for unit, row in feed.ended():
                    if row.state == "cancelled":
                        if not stopping:
                            pending.appendleft(unit)
                        continue
                    if row.state == "failed":
                        self._fail(unit, row.message)
                        continue
                    left[unit.cell] -= 1
                    yield self._save(unit, row, run)
                    if left[unit.cell] == 0:  # a cell with a failure stays open
                        yield CellDone(self.name, self.cells[unit.cell].key, self.plan.cells[unit.cell])
                if time.monotonic() >= ticked + PROGRESS_EVERY_S:
                    ticked = time.monotonic()
                    if pausing and not feed.busy:
                        self._meter.paused(ticked)
                    yield self._progress("paused" if pausing else "running", began)
        finally:
            feed.cancel()

    def _reorder(self, pending: deque[Unit]) -> None:
        """Bring the units nearest to a preferred λ to the front."""
        if self._preferred:
            cells, lam = self.plan.cells, self._preferred.pop()
            ordered = sorted(pending, key=lambda u: abs(cells[u.cell].recipe.lam - lam))  # stable within a cell
            pending.clear()
            pending.extend(ordered)

    def _fail(self, unit: Unit, message: str) -> None:
        """Count a unit that did not work; it stays missing and is tried again by the next run."""
        self._counts["failed"] += 1
        self._message = message
        self._meter.dropped(unit.cell)
        if self._counts["failed"] >= MAX_FAILURES and not self._counts["done"]:
            raise RunError(
                f"Nothing works: {MAX_FAILURES} samples failed and none succeeded. The last one said: {message}"
            )

    def _save(self, unit: Unit, row: RunningTrace, run: int) -> SampleDone:
        """Save a finished row, then tell of it."""
        cell, item = self.plan.cells[unit.cell], self.items[unit.item]
        snapshot = row.snapshot(time.monotonic())
        sample = sample_of(snapshot, key=unit.key, cell=self.cells[unit.cell].key, item=item.key, number=unit.number)
        self.store.add(sample, pack(body_of(snapshot)), run)
        self._counts["done"] += 1
        self._meter.finished(unit.cell, sample.tokens)
        return SampleDone(self.name, cell, item, sample)

    def _progress(self, state: RunState, began: float) -> Progress:
        now = time.monotonic()
        c = self._counts
        return Progress(
            self.name,
            state,
            self._total,
            c["done"],
            c["reused"],
            c["failed"],
            sum(1 for n in self._meter.left if n == 0),
            len(self.plan.cells),
            self._meter.tokens,
            self._meter.rate(now),
            now - began,
            self._meter.eta(now) if state == "running" else None,
            self._message,
            self._workers(),
        )

    def _workers(self) -> tuple[WorkerStatus, ...]:
        return ()  # of a run that has some
