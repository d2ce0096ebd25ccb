"""A study in figures: every cell's measures with intervals, the stages of each curve. What tables, JSON and charts show.

The unit is the share (0 to 1) and the token; printing turns shares into per cent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mi_explorer.recipe import Decoding
from mi_explorer.studies.plan import Cell, Item
from mi_explorer.studies.report.claims import Claim, sentence
from mi_explorer.studies.stats import stages
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Measures
from mi_explorer.studies.store.store import CellRow, Store, StudyInfo
from mi_explorer.tasks.registry import split_of

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
    """Measures of the cells that have samples, in the plan's order (a sweep's by λ), and one transition per curve (`group`)."""

    info: StudyInfo
    rows: tuple[CellRow, ...]
    measures: Measures | None
    cells: tuple[dict[str, Any], ...]
    stages: dict[str, dict[str, Any]]
    claims: tuple[Claim, ...] = ()
    runs: tuple[dict[str, Any], ...] = ()

    @property
    def sentence(self) -> str:
        """What agrees with the paper, what does not and what is undecided; "" where nothing can be compared."""
        return sentence(self.claims) if self.claims else ""

    @property
    def settings(self) -> dict[str, Any]:
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

    def json(self) -> dict[str, Any]:
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
    filled = {s.cell for s in have}
    rows = [row for row in store.cells(info.id) if row.key in filled]
    if info.plan.kind == "sweep":
        rows.sort(key=lambda row: (row.cell.group, row.cell.recipe.lam))
    if not rows:
        return Summary(info, (), None, (), {})
    kinds = {item.key: item.kind for item in store.items(info.id)}
    from mi_explorer.studies.report.table import Report

    order = [row.key for row in rows]
    measures = Measures(Grid.of(have, order, kinds))
    claims = Report(info.plan.kind, tuple(row.cell for row in rows), measures).claims
    cells = tuple(_cell(row, measures) for row in rows)
    return Summary(info, tuple(rows), measures, cells, _stages(rows, have, kinds), claims, tuple(store.runs(info.id)))


def describe(decoding: Decoding) -> str:
    """A decoding in words."""
    if decoding.temperature == 0:
        return f"greedy, cap {decoding.cap}, seed {decoding.seed}"
    off = {"top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1}
    words = [
        f"{name.replace('_', '-')} {getattr(decoding, name):g}"
        for name, value in off.items()
        if getattr(decoding, name) != value
    ]
    return ", ".join([f"T {decoding.temperature:g}", *words, f"cap {decoding.cap}", f"seed {decoding.seed}"])


def next_cells(store: Store, study: int, rows: Sequence[CellRow]) -> tuple[tuple[Cell, ...], str]:
    """Cells worth measuring next: each curve's own, at the λs where its transition is; and why."""
    new: list[Cell] = []
    why = []
    for curve in _curves(rows):
        keys = {row.key for row in curve}
        have = [s for s in store.samples(study) if s.cell in keys]
        found = stages.of_measures(
            Measures(Grid.of(have, [row.key for row in curve])), [row.cell.recipe.lam for row in curve]
        )
        wanted = worth_measuring(found, [row.cell.recipe.lam for row in curve])
        new += [replace(curve[0].cell, recipe=curve[0].cell.recipe.at(lam)) for lam in wanted]
        why.append(found.message)
    return tuple(new), " ".join(why)


def worth_measuring(found: stages.Transition, known: Sequence[float]) -> tuple[float, ...]:
    """The λs that a refinement adds: D-optimal ones (λ50 ± 1.54 s), or what an isotonic curve asks for, between measured ones.

    Where a neighbour is measured already, the middle of the gap on the transition's side tells more than a twin of it.
    """
    centre, s = found.lambda50, found.s
    if centre is None:
        return ()
    out: list[float] = []
    for lam in found.next if s is None else (centre - stages.OPTIMAL * s, centre + stages.OPTIMAL * s):
        lams = sorted({*known, *out})
        near = min(lams, key=lambda x: abs(x - lam))
        towards = [x for x in lams if x != near and (x > near) == (centre > near)]
        after = min(towards, key=lambda x: abs(x - near), default=near)
        if abs(lam - near) < abs(after - near) / 4:
            lam = (near + after) / 2
        lam = round(lam, 3)
        if lams[0] < lam < lams[-1] and all(abs(lam - x) >= stages.MIN_STEP for x in lams):
            out.append(lam)
    return tuple(out)


def _one(values: Sequence[Any]) -> Any:
    """The value, if there is one only; else the different ones; None without any."""
    different = [value for i, value in enumerate(values) if value not in values[:i]]
    return different[0] if len(different) == 1 else different or None


def _curves(rows: Sequence[CellRow]) -> Iterator[list[CellRow]]:
    """The groups that are curves, by λ: two λs or more, each once (the parents alone are none)."""
    for group in dict.fromkeys(row.cell.group for row in rows if row.cell.group != "ends"):
        curve = sorted((row for row in rows if row.cell.group == group), key=lambda row: row.cell.recipe.lam)
        lams = {row.cell.recipe.lam for row in curve}
        if len(lams) > 1 and len(lams) == len(curve):
            yield curve


def _cell(row: CellRow, measures: Measures) -> dict[str, Any]:
    values = measures.row(row.key)
    recipe = row.cell.recipe
    return {
        "lambda": recipe.lam,
        "method": recipe.method,
        "label": row.cell.label,
        "group": row.cell.group,
        "scope": {"layers": recipe.scope.layers, "modules": list(recipe.scope.modules)},
        "temperature": row.cell.decoding.temperature,
        "top_p": row.cell.decoding.top_p,
        "key": row.key,
        **{key: values.get(key) for key in KEYS},
    }


def _stages(rows: Sequence[CellRow], have: Sequence[Any], kinds: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The transition of each curve."""
    out = {}
    for curve in _curves(rows):
        lams = [row.cell.recipe.lam for row in curve]
        keys = {row.key for row in curve}
        measures = Measures(Grid.of([s for s in have if s.cell in keys], [row.key for row in curve], kinds))
        found = stages.of_measures(measures, lams)
        useful = stages.end_of_useful_stage_3(measures, lams, found)
        out[curve[0].cell.group] = {**found.json(), "useful_until": useful.lam, "useful": useful.message}
    return out
