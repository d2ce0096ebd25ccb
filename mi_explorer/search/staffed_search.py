"""A search that brings its own crew and lets it go at the end: for searches in the background."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from mi_explorer.cluster.crew_workbench import CrewWorkbench
from mi_explorer.cluster.staffing import Staff, open_crew
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.search.search import Search
from mi_explorer.search.search_events import SearchEvent
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchSpace
from mi_explorer.studies.plan import Cell, Item
from mi_explorer.studies.runner import PROGRESS_EVERY_S
from mi_explorer.studies.store.store import Store
from mi_explorer.untyped import JsonObject


class StaffedSearch(Search):
    """Workers load the pair when it runs. Raises a `UserError` at once for workers that cannot be had (no cluster, no vLLM). Whoever
    does not run it closes its crew."""

    def __init__(
        self,
        store: Store,
        items: Sequence[Item],
        space: SearchSpace,
        settings: SearchSettings,
        staff: Staff,
        setup: Callable[[str], EngineSetup],
        *,
        task: str,
        task_seed: int = 0,
        name: str | None = None,
    ) -> None:
        self.crew = open_crew(staff, setup)
        try:
            self._staffed = bench = CrewWorkbench(self.crew, space.recipe.pair)
            more: JsonObject = {"task": task, "task_seed": task_seed, "name": name}
            super().__init__(store, bench, items, space, settings, **more, runner_for=bench.runner)
        except BaseException:
            self.crew.close()
            raise

    def run(self) -> Iterator[SearchEvent]:
        try:
            yield from super().run()
        finally:
            self.crew.close()

    def _opening(self) -> Iterator[SearchEvent]:
        ticked = time.monotonic()
        for workers in self._staffed.loading(first_cells(self.space), lambda: self.stopped):
            if time.monotonic() >= ticked + PROGRESS_EVERY_S:
                ticked = time.monotonic()
                yield replace(self._progress("loading"), workers=workers)


def first_cells(space: SearchSpace) -> tuple[Cell, ...]:
    """A cell for each kind that a search may propose: what workers check before it begins. A varied thought budget asks for tags."""
    recipe, decoding = space.recipe, space.decoding
    if "budget" in space.vary and decoding.think_budget is None:
        decoding = replace(decoding, think_budget=decoding.cap)
    methods = space.methods if "method" in space.vary else (recipe.method,)
    recipes = (replace(recipe, method=m, params=recipe.params if m == recipe.method else ()) for m in methods)
    return tuple(Cell(one, decoding) for one in recipes)
