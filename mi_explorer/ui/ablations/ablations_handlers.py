"""What the Ablations tab does: plan an ablation, estimate its cost, run it in the background, and show what there is.

No gradio here: plain values in and out, so that tests call it directly. Runs belong to the process (`study.jobs.Jobs`), not to a
visitor: whoever comes back finds theirs, running or ended, by the study's name.
"""

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.pair_names import pair_name
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies import ablations
from mi_explorer.studies.cost import roughly
from mi_explorer.studies.jobs import Job
from mi_explorer.studies.plan import Cell, Item, Plan, describe
from mi_explorer.studies.runner import items_of
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.ui import cost_estimate, plotly_component
from mi_explorer.ui.ablations import ablation_rows, ablations_figures
from mi_explorer.ui.ablations.ablation_setup import ABOUT, AblationError, AblationSetup, ablation_command
from mi_explorer.ui.ablations.workbenches import BackboneBenches
from mi_explorer.ui.access.limits import MAX_BACKGROUND_RUNS, check_sample_count
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.study_library import StudyLibrary, study_label
from mi_explorer.untyped import JsonObject, LibraryObject

log = logging.getLogger(__name__)
NOTHING = "Nothing of this kind is measured in this study yet. Run it; until then, the paper's numbers alone."


class AblationHandlers:
    """The handlers of one page. `folder` holds the precomputed studies (default: those of the checkout)."""

    def __init__(self, page: PageContext, folder: Path | None = None) -> None:
        self.page = page
        self.library = StudyLibrary(lambda: page.bench().store, folder)
        self._starting = threading.Lock()

    # -- planning ----------------------------------------------------------------------------------------------------
    def plan(self, pair: str, setup: AblationSetup) -> tuple[Plan, Sequence[Item]]:
        """The plan and its questions. Raises `UserError` for a pair without layers or base, or a task that cannot be had."""
        from mi_explorer.tasks.registry import load_task

        bench = self.page.bench(pair)
        name = bench.pair.name
        task = self.page.pairs.access.task(setup.task)
        items = items_of(load_task(task, setup.questions, 0))
        recipe, decoding = Recipe(name, lam=setup.lam), Decoding(cap=setup.cap)
        cells: Sequence[Cell]
        if setup.kind == "layers":
            cells = ablations.layers(recipe, decoding, bench.layers or 0)
        elif setup.kind == "modules":
            cells = ablations.modules(recipe, decoding)
        elif setup.kind == "decoding":
            cells = ablations.decoding_grid(recipe, decoding)
        elif setup.kind == "backbone":
            if not bench.pair.base:
                raise AblationError(
                    f"The pair “{name}” names no base model, so there is no other backbone to compare. Choose a pair that has one."
                )
            cells = ablations.backbone(recipe, decoding)
        else:
            cells = ablations.methods(
                lambda method: Recipe(name, method), decoding, (), None, bench.pair.base is not None
            )
        plan = Plan(task, tuple(cells), len(items), setup.samples, setup.kind, command=ablation_command(name, setup))
        return plan, items

    def name_of(self, pair: str, plan: Plan, setup: AblationSetup) -> str:
        """The study's name: the same run finds its study again; another λ, other weights or another dtype make another one."""
        bench = self.page.bench(pair)
        lam = "" if setup.kind == "methods" else f"-{setup.lam:g}"
        return f"{plan.name}{lam}-{bench.fingerprint[:6]}-{bench.dtype}"

    def estimate(self, pair: str, setup: AblationSetup) -> str:
        """What a run would cost, in words: samples, tokens, time."""
        plan, items = self.plan(pair, setup)
        self._check_size(plan)
        by_workers = self.page.workers.staff.any
        bench, jobs = self.page.bench(pair), self.page.jobs
        cost = cost_estimate.page_cost(plan, items, bench, self.library, jobs, by_workers).text
        return f"{len(plan.cells)} blends × {len(items)} questions × {plan.samples} samples = {cost}"

    def _check_size(self, plan: Plan) -> None:
        """Raise `LimitError` for more than a page that is open to the network runs."""
        if self.page.settings.open:
            check_sample_count(len(plan.cells) * plan.questions * plan.samples, plan.command)

    # -- running -----------------------------------------------------------------------------------------------------
    def start(self, pair: str, setup: AblationSetup) -> str:
        """Run it in the background; the study's name. What the study has already is not made again. Raises `UserError`."""
        bench = self.page.bench(pair)
        if not hasattr(bench, "generator"):
            raise AblationError("This page serves a scripted pair; there is nothing to measure.")
        plan, items = self.plan(pair, setup)
        self._check_size(plan)
        self.page.explore(pair).limits.check(plan.cells[0].decoding)
        for cell in plan.cells:
            if cell.recipe.pair == bench.pair.name:
                bench.check(cell.recipe)
        benches = BackboneBenches(bench)
        name = self.name_of(pair, plan, setup)
        with self._starting:
            if (
                sum(j.state.running for j in self.page.jobs.all() if j.runner.plan.kind != "sweep")
                >= MAX_BACKGROUND_RUNS
            ):
                raise AblationError(
                    f"{MAX_BACKGROUND_RUNS} ablations are running already. Stop one, or wait for its end."
                )
            job = self.page.workers.start_study(self.page.jobs, bench.store, plan, items, benches.get, name=name)
        threading.Thread(target=benches.close_after, args=(job,), name="backbones", daemon=True).start()
        return name

    def stop(self, name: str) -> None:
        """Stop a run; what is finished is saved, and running it again goes on from there."""
        job = self.page.jobs.get(str(name))
        if job is not None:
            job.runner.stop()

    def running(self, name: str) -> bool:
        """Whether this study is being made in this process."""
        job = self.page.jobs.get(str(name))
        return job is not None and job.state.running

    # -- looking -----------------------------------------------------------------------------------------------------
    def choices(self, kind: str, pair: str) -> list[tuple[str, str]]:
        """The studies of a kind as (label, name), those of this pair first; "" stands for the paper's numbers alone."""
        name = self.page.bench(pair).pair.name
        found = sorted(
            (i for i in self.library.studies() if i.plan.kind == kind), key=lambda i: name not in i.plan.pairs
        )
        out = [(study_label(info), info.name) for info in found]
        waiting = [j.runner.name for j in self.page.jobs.all() if j.state.running and j.runner.plan.kind == kind]
        out = [(f"{n} · being made", n) for n in waiting if n not in {name for _, name in out}] + out
        return [*out, ("the published numbers alone", "")]

    def first(self, kind: str, pair: str) -> str:
        """Which study to open with: one that runs, else this pair's latest, else a precomputed one, else none."""
        names = [name for _, name in self.choices(kind, pair)]
        return next((n for n in names if n and self.running(n)), names[0])

    def show(self, kind: str, name: str, beside: str, message: str = "", error: str = "") -> JsonObject:
        """Everything about a study of this kind: `figure` (content), `board` (JSON text), `running`, `samples` (how many there are).

        The board: `{"about", "caption", "sentence", "cite", "status", "done", "total", "error", "columns", "rows", "name"}`.
        """
        running = self.running(name)  # asked before the samples are read: once it says no, all of them are there
        status, job = self._status(name)
        summary: Summary | None = None
        try:
            summary = self.library.summary(name) if name and self._there(name) else None
        except UserError as fault:
            error = error or str(fault)
        except Exception as fault:
            log.exception("A study could not be read")
            error = error or f"The study could not be read ({type(fault).__name__})."
        beside = beside if beside in ablation_rows.BESIDE[kind] else ablation_rows.BESIDE[kind][0]
        cells = summary.cells if summary and summary.info.plan.kind == kind else ()
        found = ablation_rows.ablation_rows(kind, cells, beside)
        columns, rows = ablations_figures.ablation_table(kind, found)
        file = f"{kind}-{summary.info.name}" if summary else f"{kind}-published"
        drawn, narrow = (
            decoding_figure(found, small)
            if kind == "decoding"
            else ablations_figures.dots_figure(kind, found, ablation_rows.citation_of(kind, beside), small)
            for small in (False, True)
        )
        board = {
            "about": ABOUT[kind][1],
            "caption": measured_caption(summary) if cells and summary else NOTHING,
            "sentence": summary.sentence if cells and summary else "",
            "cite": citation_sentence(kind, beside),
            "status": message or status,
            "error": error or (job.state.error if job else ""),
            "done": job.state.progress.done + job.state.progress.reused if job and running else 0,
            "total": job.state.progress.total if job and running else 0,
            "columns": columns,
            "rows": rows,
            "name": file,
        }
        return {
            "figure": plotly_component.figure_content(drawn, columns, rows, file, narrow),
            "board": json.dumps(board, ensure_ascii=False, separators=(",", ":")),
            "running": running,
            "samples": summary.info.samples if summary else 0,
        }

    def _there(self, name: str) -> bool:
        """Whether a study is saved already (a run registers it a moment after its start)."""
        own = self.library.own
        return not self.running(name) or bool(own and own.find(name))

    def _status(self, name: str) -> tuple[str, Job | None]:
        """Where the run of a study stands, in words."""
        job = self.page.jobs.get(name)
        if job is None:
            return "", None
        p, state = job.state.progress, job.state
        made = f"{p.done + p.reused:,} of {p.total:,} samples"
        if state.error:
            return "", job
        if not state.running:
            failed = f"; {p.failed:,} failed ({p.message})" if p.failed else ""
            ended = "Stopped; run it again to go on" if p.state == "stopped" else f"Done in {roughly(p.seconds)}"
            return f"{ended}: {made} are saved{failed}.", job
        if not p.total:
            return "Opening…", job
        eta = f", about {roughly(p.eta)} left" if p.eta is not None else ""
        return f"Running: {made}, {p.tokens_per_second:,.0f} tokens/s{eta}. It goes on when this tab is closed.", job


def decoding_figure(found: Sequence[ablation_rows.AblationRow], narrow: bool = False) -> LibraryObject:
    """Our grid between both published ones, whatever stands beside it in the table."""
    names = ablation_rows.BESIDE["decoding"]
    papers = {name: ablation_rows.ablation_rows("decoding", (), name) for name in names}
    return ablations_figures.grid_figure(
        [line for line in found if line.ours],
        papers,
        {name: ablation_rows.citation_of("decoding", name) for name in names},
        narrow,
    )


def citation_sentence(kind: str, beside: str) -> str:
    """Whose the other numbers are, and how to read them."""
    shape = "Another model and another task: compare the shape, not the level."
    same = (
        " TA and TIES there have a base of their own; “-Base” is the base that the parents come from."
        if kind == "methods"
        else ""
    )
    return f"{ablation_rows.citation_of(kind, beside)}. {shape}{same}"


def measured_caption(summary: Summary) -> str:
    """What the figures depend on: pair, task, sizes, decoding, numbers, whose they are."""
    s, plan = summary.settings, summary.info.plan
    cell = summary.rows[0].cell
    grid = plan.kind == "decoding"
    decoding = (
        f"top-k {cell.decoding.top_k}, cap {cell.decoding.cap}, seed {cell.decoding.seed}"
        if grid
        else describe(cell.decoding)
    )
    inside = [row.cell.recipe.lam for row in summary.rows if row.cell.group != "ends"]
    lam = f" at λ {inside[0]:g}" if len(set(inside)) == 1 else ""
    dtype = s["dtype"] if isinstance(s["dtype"], str) else ", ".join(s["dtype"] or ())
    whose = "measured here" if summary.info.origin == "live" else summary.info.origin
    split = f" ({s['split']} split)" if s["split"] else ""
    size = f"{s['questions']} questions × {s['samples']} samples"
    parts = [f"{pair_name(plan.pairs[0])}{lam} on {plan.task}{split}", size, decoding, dtype, whose]
    return " · ".join([*parts, "brackets and bars are 95 % intervals by question bootstrap"])
