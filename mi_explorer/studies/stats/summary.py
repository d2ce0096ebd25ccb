"""A study in figures: every cell's measures with intervals, the stages of each curve. What tables, JSON and charts show.

In: a store and a study's name. Out: a `Summary`. The unit is the share (0 to 1) and the token; printing turns shares into
per cent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from mi_explorer.studies.plan import Cell, Item
from mi_explorer.studies.stats import stages
from mi_explorer.studies.stats.against_parents import AgainstParents, against_parents
from mi_explorer.studies.stats.budgets import BudgetGap, Frontiers, budget_gaps, budget_gaps_sentence, frontiers
from mi_explorer.studies.stats.claims import Claim, claims_sentence, tested_claims
from mi_explorer.studies.stats.curve import curve_names, curves
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.intervention_grid import InterventionGrid, intervention_grids
from mi_explorer.studies.stats.metrics import Measures
from mi_explorer.studies.stats.probe_measures import ProbedStudy, probed_studies
from mi_explorer.studies.stats.useful_end import end_of_useful_stage_3
from mi_explorer.studies.store.store import CellRow, Store, StudyInfo
from mi_explorer.tasks.registry import split_of
from mi_explorer.untyped import Json, JsonObject, LibraryObject

KEYS = (
    "mean",
    "mean_ci",
    "pass",
    "pass_ci",
    "vote",
    "vote_ci",
    "tokens",
    "tokens_ci",
    "think_ratio",
    "think_ratio_ci",
    "think_lenient",
    "think_tokens",
    "truncated",
    "truncated_ci",
    "no_answer",
    "looped",
    "overthinking",
    "overthinking_ci",
    "underthinking",
    "tokens_per_correct",
    "questions",
    "samples",
    "total",
)


@dataclass(frozen=True)
class Summary:
    """Measures of the cells that have samples, in the plan's order (a sweep's by λ), and the transition of each curve by name.

    `rows[i]`, `cells[i]`, `parents[i]` and cell i of `measures` are one cell: as stored, as JSON values, beside its parents, as samples.
    `measures` is None where the study has no samples, and of a summary that was kept (`kept_summary`).
    """

    info: StudyInfo
    rows: tuple[CellRow, ...]
    measures: Measures | None
    cells: tuple[JsonObject, ...]
    stages: dict[str, JsonObject]
    claims: tuple[Claim, ...] = ()
    runs: tuple[JsonObject, ...] = ()
    probes: tuple[ProbedStudy, ...] = ()
    budgets: tuple[BudgetGap, ...] = ()
    frontiers: Frontiers | None = None
    grids: tuple[InterventionGrid, ...] = ()
    parents: tuple[AgainstParents, ...] = ()

    @property
    def budget_sentence(self) -> str:
        """Whether λ beats a plain thought budget at equal tokens; "" where nothing can be compared."""
        return budget_gaps_sentence(self.budgets)

    @property
    def sentence(self) -> str:
        """What agrees with the paper, what does not and what is undecided; "" where nothing can be compared."""
        return claims_sentence(self.claims) if self.claims else ""

    @property
    def settings(self) -> JsonObject:
        """What the figures depend on: task, split, questions, samples, decoding, seed, versions; lists where runs or cells differ."""
        plan = self.info.plan
        decodings = list(dict.fromkeys(row.cell.decoding for row in self.rows))
        versions: dict[str, list[str]] = {}
        for run in self.runs:
            for name, version in run["versions"].items():
                versions[name] = [*versions.get(name, []), version]
        return {
            "task": plan.task,
            "split": split_of(plan.task),
            "task_seed": plan.task_seed,
            "questions": max((cell["questions"] for cell in self.cells), default=0),
            "samples": max((cell["samples"] for cell in self.cells), default=0),
            "decoding": _one([asdict(decoding) for decoding in decodings]),
            "seed": _one([decoding.seed for decoding in decodings]),
            "dtype": _one([row.dtype for row in self.rows]),
            "versions": {name: _one(found) for name, found in versions.items()},
            "command": plan.command,
        }

    def json(self) -> JsonObject:
        """The object that `sweep --json` ends with; `stages` is the first curve's, `curves` has all of several."""
        first = next(iter(self.stages.values()), {"kind": "none", "lambda50": None, "s": None, "stage2": [None, None]})
        settings = self.settings
        out = {
            "study": self.info.name,
            "kind": self.info.plan.kind,
            "task": self.info.plan.task,
            "pairs": list(self.info.plan.pairs),
            "fingerprints": list(dict.fromkeys(row.fingerprint for row in self.rows)),
            "origin": self.info.origin,
            "decoding": settings["decoding"] if isinstance(settings["decoding"], dict) else None,
            "settings": settings,
            "cells": list(self.cells),
            "stages": first,
            "claims": [asdict(claim) for claim in self.claims],
            "sentence": self.sentence,
        }
        out |= {"budget_sentence": self.budget_sentence} if self.budgets else {}
        out |= {"probes": [probed.json() for probed in self.probes]} if self.probes else {}
        return out | ({"curves": self.stages} if len(self.stages) > 1 else {})


def summarise(
    store: Store,
    name: str,
    keys: Sequence[str] | None = None,
    items: Sequence[Item] | None = None,
    samples: int | None = None,
) -> Summary:
    """A study, or the part of it that has these cell keys, questions and sample numbers."""
    info = store.study(name)
    wanted = set(keys) if keys is not None else None
    asked = {item.key for item in items} if items is not None else None
    have = [
        s
        for s in store.samples(info.id)
        if (wanted is None or s.cell in wanted)
        and (asked is None or s.item in asked)
        and (samples is None or s.number < samples)
    ]
    kinds = {item.key: item.kind for item in store.items(info.id)}
    found = summary_of(info, store.cells(info.id), have, kinds, store.runs(info.id))
    return replace(found, probes=probed_studies(store, name))


def summary_of(
    info: StudyInfo,
    rows: Sequence[CellRow],
    samples: LibraryObject,
    kinds: Mapping[str, str] | None = None,
    runs: Sequence[JsonObject] = (),
) -> Summary:
    """The summary of samples (see `Grid.of`) of these cells; `kinds` gives the kind of answer by question key.

    Cells without samples are left out.
    """
    filled = {s["cell"] if isinstance(s, Mapping) else s.cell for s in samples}
    kept = [row for row in rows if row.key in filled]
    if not kept:
        return Summary(info, (), None, (), {})
    if info.plan.kind == "sweep":
        groups = list(dict.fromkeys(row.cell.group for row in kept))
        kept.sort(key=lambda row: (groups.index(row.cell.group), row.cell.recipe.lam))
    measures = Measures(Grid.of(samples, [row.key for row in kept], kinds))
    cells = [row.cell for row in kept]
    return Summary(
        info,
        tuple(kept),
        measures,
        tuple(_cell(row, measures) for row in kept),
        _stages(cells, measures),
        tested_claims(info.plan.kind, cells, measures),
        tuple(runs),
        budgets=budget_gaps(cells, measures),
        frontiers=frontiers(cells, measures),
        grids=intervention_grids(cells),
        parents=against_parents(cells, measures),
    )


def _one(values: Sequence[Json]) -> Json:
    """The value, if there is one only; else the different ones; None without any."""
    different = [value for i, value in enumerate(values) if value not in values[:i]]
    return different[0] if len(different) == 1 else different or None


def _cell(row: CellRow, measures: Measures) -> JsonObject:
    values = measures.row(row.key)
    recipe = row.cell.recipe
    interventions = {"think_budget": row.cell.decoding.think_budget, "answer_lambda": recipe.answer_lam}
    return {
        "lambda": recipe.lam,
        "method": recipe.method,
        "label": row.cell.label,
        "group": row.cell.group,
        "scope": {"layers": recipe.scope.layers, "modules": list(recipe.scope.modules)},
        "temperature": row.cell.decoding.temperature,
        "top_p": row.cell.decoding.top_p,
        **{name: value for name, value in interventions.items() if value is not None},
        "key": row.key,
        **{key: values.get(key) for key in KEYS},
    }


def _stages(cells: Sequence[Cell], measures: Measures) -> dict[str, JsonObject]:
    """The transition of each curve by the curve's name."""
    out = {}
    names = curve_names(cells)
    for key, indices in curves(cells).items():
        part, lams = measures.of_cells(indices), [cells[i].recipe.lam for i in indices]
        found = stages.of_measures(part, lams)
        useful = end_of_useful_stage_3(part, lams, found)
        out[names[key]] = {**found.json(), "useful_until": useful.lam, "useful": useful.message}
    return out
