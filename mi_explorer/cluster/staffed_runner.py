"""A runner that brings its own crew and lets it go at the end: for studies in the background."""

from collections.abc import Callable, Iterator, Sequence

from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.cluster.staffing import Staff, open_crew
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.studies.plan import Item, Plan
from mi_explorer.studies.refine import NextCells
from mi_explorer.studies.runner import Event
from mi_explorer.studies.store.store import Store


class StaffedRunner(ClusterRunner):
    """Workers are started when it runs. Raises a `UserError` at once for workers that cannot be had (no cluster, no vLLM)."""

    def __init__(
        self,
        store: Store,
        plan: Plan,
        items: Sequence[Item],
        staff: Staff,
        setup: Callable[[str], EngineSetup],
        *,
        name: str | None = None,
        refine: int = 0,
        next_cells: NextCells | None = None,
    ) -> None:
        crew = open_crew(staff, setup)
        super().__init__(store, plan, items, crew, name=name, refine=refine, next_cells=next_cells)

    def run(self) -> Iterator[Event]:
        try:
            yield from super().run()
        finally:
            self.crew.close()
