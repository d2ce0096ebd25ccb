"""Candidates through the ordinary runner: all cells of a batch run side by side, every sample goes into the ordinary store."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from mi_explorer.recipe import Recipe
from mi_explorer.search.score_table import ScoreTable
from mi_explorer.search.search_events import SearchProgress
from mi_explorer.search.space import SearchError
from mi_explorer.search.warm_start import copy_bundled
from mi_explorer.studies.plan import Cell, Item, Plan, units
from mi_explorer.studies.progress import Progress, WorkerNews
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.sample import Sample
from mi_explorer.studies.store.store import CellRow, Store


class DecodingChecks(Protocol):
    """What is looked at of a decoding before anything runs; both raise a `UserError`."""

    def check_cap(self, cap: int, prompt_tokens: int = 1) -> None: ...
    def check_tags(self) -> None: ...


class SearchWorkbench(Protocol):
    """What a search needs of a workbench."""

    @property
    def dtype(self) -> str: ...
    @property
    def layers(self) -> int | None: ...
    @property
    def generator(self) -> DecodingChecks: ...
    @property
    def fingerprint(self) -> str: ...
    def check(self, recipe: Recipe) -> None: ...


RunnerFor = Callable[[Store, Plan, Sequence[Item], str], Runner]
"""A runner of a plan under a study's name: with the engine of a workbench, or with workers."""


class Measurer:
    """Measures cells on questions and puts their scores into `table`. Its samples make the study `study` of the store."""

    def __init__(
        self,
        store: Store,
        bench: SearchWorkbench,
        task: str,
        task_seed: int,
        study: str,
        table: ScoreTable,
        runner_for: RunnerFor,
    ) -> None:
        self.store, self.bench, self.task, self.task_seed, self.study = store, bench, task, task_seed, study
        self.table, self._runner_for = table, runner_for
        self.lost: set[str] = set()  # questions without a sample of some cell
        self._runner: Runner | None = None
        self._stopped = False

    def key(self, cell: Cell) -> str:
        """The cell's key in the store."""
        return cell.key(self.bench.fingerprint, self.bench.dtype)

    def stop(self) -> None:
        """Stop within a moment, and begin nothing more."""
        self._stopped = True
        if self._runner is not None:
            self._runner.stop()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def run(
        self,
        cells: Sequence[Cell],
        items: Sequence[Item],
        samples: int,
        progress: SearchProgress,
        may_fail: bool = False,
    ) -> Iterator[SearchProgress | WorkerNews]:
        """Make what is missing of these cells. Yields `progress` with what runs now filled in, and what workers have to tell.

        Raises `SearchError` where samples failed, unless they `may_fail`: then their questions are noted in `lost`.
        """
        plan = self._plan(cells, items, samples)
        runner = self._runner = self._runner_for(self.store, plan, items, self.study)
        last: Progress | None = None
        began = time.monotonic()
        if not self._stopped:
            for event in runner.run():
                if isinstance(event, Progress):
                    last = event
                    yield self._filled(progress, event, began)
                elif isinstance(event, WorkerNews):
                    yield event
        if self._stopped:
            return
        self._read(cells, items, samples)
        if last is not None and last.failed and not may_fail:
            raise SearchError(
                f"{last.failed:,} samples failed ({last.message}). What was finished is saved; run the same search to try again."
            )

    def begin(self, cells: Sequence[Cell], items: Sequence[Item], samples: int) -> None:
        """Make the study, if it is not there, with what bundled studies know of these cells."""
        if self.store.find(self.study) is not None:
            return
        plan = self._plan(cells, items, samples)
        keys = [self.key(cell) for cell in cells]
        rows = [
            CellRow(key, cell, self.bench.fingerprint, self.bench.dtype) for key, cell in zip(keys, cells, strict=True)
        ]
        self.store.put_study(self.study, plan, rows, items)
        copy_bundled(self.store, {u.key for u in units(plan, items, keys)}, self.task, cells[0].recipe.pair)

    def _plan(self, cells: Sequence[Cell], items: Sequence[Item], samples: int) -> Plan:
        command = f"search {self.study}"
        return Plan(self.task, tuple(cells), len(items), samples, "search", self.task_seed, command=command)

    def samples(self, cell: Cell, items: Sequence[Item], samples: int) -> list[Sample]:
        """The samples of a cell on these questions that are in the store."""
        wanted = {item.key for item in items}
        found = self.store.samples(self.store.study(self.study).id, cell=self.key(cell))
        return [s for s in found if s.item in wanted and s.number < samples]

    def tokens_since(self, moment: float) -> int:
        """Tokens of the study's samples that were finished since then (seconds since 1970)."""
        found = self.store.samples(self.store.study(self.study).id)
        return sum(s.tokens for s in found if s.finished >= moment)

    def _read(self, cells: Sequence[Cell], items: Sequence[Item], samples: int) -> None:
        for cell in cells:
            found = self.samples(cell, items, samples)
            self.table.put(self.key(cell), found)
            self.lost |= {item.key for item in items} - {s.item for s in found}

    def _filled(self, progress: SearchProgress, event: Progress, began: float) -> SearchProgress:
        return SearchProgress(
            progress.phase,
            progress.evaluations,
            progress.of,
            event.done + event.reused,
            event.total,
            progress.tokens,
            event.tokens_per_second,
            progress.seconds + time.monotonic() - began,
            event.workers,
        )
