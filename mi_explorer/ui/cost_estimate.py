"""What a run would cost on this page: lengths from the studies that the page can read, the rate from what it ran last."""

from collections.abc import Iterator, Sequence

from mi_explorer.recipe import Recipe
from mi_explorer.studies import cost
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.plan import Item, Plan, units
from mi_explorer.ui.study_library import StudyLibrary
from mi_explorer.workbench import Workbench

RATE_SAMPLES = 2000  # samples of a study that tell the throughput
ENOUGH = 500, 1.0  # tokens and seconds of a run that tell its rate


def page_cost(
    plan: Plan, items: Sequence[Item], bench: Workbench, library: StudyLibrary, jobs: Jobs, by_workers: bool = False
) -> cost.Cost:
    """The cost of what is missing of a plan, on a loaded pair's workbench. `by_workers`: that engine's step times tell nothing."""
    keys = [cell.key(getattr(bench, "fingerprint", ""), getattr(bench, "dtype", "")) for cell in plan.cells]
    wanted = [unit.key for unit in units(plan, items, keys)]
    own = library.own
    missing = len(wanted) - (len(own.have(wanted)) if own is not None else 0)
    rate = _rate(plan, library, jobs) or (None if by_workers else _engine_rate(bench))
    return cost.estimate(plan, len(wanted), missing, cost.learn(_counted(plan, library)), rate)


def _counted(plan: Plan, library: StudyLibrary) -> Iterator[tuple[Recipe, int, int]]:
    for info in library.studies():
        if info.samples and info.plan.task == plan.task and set(info.plan.pairs) & set(plan.pairs):
            with library.open(info.name) as (store, opened):
                counts = store.tokens(opened.id)
                for row in store.cells(opened.id):
                    if row.key in counts:
                        yield row.cell.recipe, *counts[row.key]


def _rate(plan: Plan, library: StudyLibrary, jobs: Jobs) -> float | None:
    """Tokens a second of this process's latest run of the pair, else of its latest own study."""
    for job in reversed(jobs.all()):
        p = job.state.progress
        if p.tokens > ENOUGH[0] and p.seconds > ENOUGH[1] and job.runner.plan.pairs[0] == plan.pairs[0]:
            return p.tokens / p.seconds
    own = library.own
    mine = sorted(own.studies(), key=lambda i: -i.updated) if own is not None else []
    for info in [i for i in mine if i.origin == "live" and i.plan.pairs == plan.pairs and i.samples]:
        if own is not None and (found := cost.throughput(own.samples(info.id)[-RATE_SAMPLES:])):
            return found
    return None


def _engine_rate(bench: Workbench) -> float | None:
    """Tokens a second by the engine's step times."""
    rate = getattr(getattr(bench, "engine", None), "rate", None)
    return (rate() or None) if callable(rate) else None
