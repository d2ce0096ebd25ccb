"""A study in figures: every cell's measures with intervals, the stages of each curve. What tables, JSON and charts show.

The unit is the share (0 to 1) and the token; printing turns shares into per cent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mi_explorer.study import stages
from mi_explorer.study.grid import Grid
from mi_explorer.study.metrics import Measures
from mi_explorer.study.plan import Cell, Item
from mi_explorer.study.store import CellRow, Store, StudyInfo

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

    def json(self) -> dict[str, Any]:
        """The object that `sweep --json` ends with; `stages` is the first curve's, `curves` has all of several."""
        first = next(iter(self.stages.values()), {"kind": "none", "lambda50": None, "s": None, "stage2": [None, None]})
        decodings = {row.cell.decoding for row in self.rows}
        out = {
            "study": self.info.name,
            "kind": self.info.plan.kind,
            "task": self.info.plan.task,
            "pairs": list(self.info.plan.pairs),
            "fingerprints": list(dict.fromkeys(row.fingerprint for row in self.rows)),
            "origin": self.info.origin,
            "decoding": asdict(min(decodings, key=repr)) if len(decodings) == 1 else None,
            "cells": list(self.cells),
            "stages": first,
        }
        return out | ({"curves": self.stages} if len(self.stages) > 1 else {})


def summarise(
    store: Store, name: str, keys: Sequence[str] | None = None, items: Sequence[Item] | None = None, samples: int | None = None
) -> Summary:
    """A study, or the part of it that has these cell keys, questions and sample numbers."""
    info = store.study(name)
    wanted = set(keys) if keys is not None else None
    asked = {item.key for item in items} if items is not None else None
    have = [
        s
        for s in store.samples(info.id)
        if (wanted is None or s.cell in wanted) and (asked is None or s.item in asked) and (samples is None or s.number < samples)
    ]
    filled = {s.cell for s in have}
    rows = [row for row in store.cells(info.id) if row.key in filled]
    if info.plan.kind == "sweep":
        rows.sort(key=lambda row: (row.cell.group, row.cell.recipe.lam))
    if not rows:
        return Summary(info, (), None, (), {})
    kinds = {item.key: item.kind for item in store.items(info.id)}
    order = [row.key for row in rows]
    measures = Measures(Grid.of(have, order, kinds))
    return Summary(info, tuple(rows), measures, tuple(_cell(row, measures) for row in rows), _stages(rows, have, kinds))


def next_cells(store: Store, study: int, rows: Sequence[CellRow]) -> tuple[tuple[Cell, ...], str]:
    """Cells worth measuring next: each curve's own, at the λs where its transition is; and why."""
    new: list[Cell] = []
    why = []
    for curve in _curves(rows):
        keys = {row.key for row in curve}
        have = [s for s in store.samples(study) if s.cell in keys]
        found = stages.of_measures(Measures(Grid.of(have, [row.key for row in curve])), [row.cell.recipe.lam for row in curve])
        new += [replace(curve[0].cell, recipe=curve[0].cell.recipe.at(lam)) for lam in found.next]
        why.append(found.message)
    return tuple(new), " ".join(why)


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
