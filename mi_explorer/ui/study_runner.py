"""Who makes the samples of a study that was started on the page: the page's own engine, or workers where the operator set some."""

from collections.abc import Callable, Sequence

from mi_explorer.cluster.staffed_runner import StaffedRunner
from mi_explorer.cluster.staffing import Staff, StaffingError
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.plan import Item, Plan
from mi_explorer.studies.refine import NextCells
from mi_explorer.studies.runner import Runner, RunnerWorkbench
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.settings import Settings


def staff_of_page(settings: Settings) -> Staff:
    """The workers that an operator set."""
    return Staff(settings.workers or None, settings.ray, settings.engine, device=settings.device)


def study_runner(
    settings: Settings | None,
    jobs: Jobs,
    store: Store,
    plan: Plan,
    items: Sequence[Item],
    bench_for: Callable[[str], RunnerWorkbench],
    *,
    name: str | None = None,
    refine: int = 0,
    next_cells: NextCells | None = None,
) -> Runner:
    """A runner of this plan. Raises a `UserError` for workers that cannot be had, or that are busy with another study."""
    if settings is None or not staff_of_page(settings).any:
        return Runner(store, plan, items, bench_for, name=name, refine=refine, next_cells=next_cells)
    if busy := [job.state.name for job in jobs.all() if isinstance(job.runner, StaffedRunner) and job.state.running]:
        raise StaffingError(f"The workers are busy with the study {busy[0]!r}. Stop it, or wait for its end.")

    def setup(pair: str) -> EngineSetup:
        return EngineSetup(pair, settings.device, settings.dtype or None, settings.rows)

    staff = staff_of_page(settings)
    return StaffedRunner(store, plan, items, staff, setup, name=name, refine=refine, next_cells=next_cells)
