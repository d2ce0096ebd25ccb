"""What a study knows about the λ axis that Explore stands on: stage bands and small curves for the rail, with name and n.

A study counts when it swept this very recipe (pair, method, parameters, scope, template) over λ, with this decoding but for
seed and token limit, on the weights that are loaded. Without one, the rail shows what the strip itself shows.
"""

import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.stats.curve import curve_key, curves
from mi_explorer.studies.stats.summary import Summary, summarise
from mi_explorer.studies.store.store import CellRow, StudyInfo
from mi_explorer.ui.explore.view import View
from mi_explorer.ui.study_library import StudyLibrary
from mi_explorer.untyped import Json, JsonMapping, JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

MIN_LAMBDAS = 3  # λs that make a curve
MAX_REMEMBERED = 64  # answers that are remembered
POINT_FIELDS = ("mean", "mean_ci", "think_ratio", "think_ratio_ci", "tokens", "questions", "samples")


class Rail:
    """The studies behind the rail of one workbench; answers are remembered until a study has more samples."""

    def __init__(self, bench: "Workbench", folder: Path | None = None) -> None:
        self.bench, self.library = bench, StudyLibrary(lambda: bench.store, folder)
        self._known: OrderedDict[tuple[Json, ...], JsonObject | None] = OrderedDict()
        self._lock = threading.Lock()

    def study(self, view: View) -> JsonObject | None:
        """`{"name", "origin", "task", "questions", "samples", "cap", "bands", "points", "message"}` of the study with the most
        samples a λ, or None. `points` by λ: `lam`, `mean`, `think_ratio` (with `…_ci`), `tokens`, `questions`, `samples`.
        """
        wanted, decoding = view.recipe(0.0), _like(view.decoding)
        found = [(info, n) for info in self.library.studies() if (n := _samples_a_lam(info, wanted, decoding))]
        for info, _ in sorted(found, key=lambda x: (-x[1], -x[0].updated)):
            if (curve := self._curve(info, wanted, decoding)) is not None:
                return curve
        return None

    def _curve(self, info: StudyInfo, wanted: Recipe, decoding: Decoding) -> JsonObject | None:
        key = (info.name, info.origin, info.updated, info.samples, wanted, decoding)
        with self._lock:
            if key in self._known:
                return self._known[key]
        kept = self.library.kept_summary(info.name)
        if kept is not None and all(self._is_meant(row, wanted, decoding) for row in kept.rows):
            curve = study_curve(kept)
        else:
            with self.library.open(info.name) as (store, opened):
                meant = [row for row in store.cells(opened.id) if self._is_meant(row, wanted, decoding)]
                curve = study_curve(summarise(store, info.name, [row.key for row in meant])) if meant else None
        with self._lock:
            self._known[key] = curve
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return curve

    def _is_meant(self, row: CellRow, wanted: Recipe, decoding: Decoding) -> bool:
        """Whether a stored cell is a point of this recipe's curve on these weights."""
        return row.fingerprint == self.bench.fingerprint and _meant(row.cell, wanted, decoding)


def study_curve(summary: Summary) -> JsonObject | None:
    """What a summary of one recipe's cells says of it over λ; None where fewer than `MIN_LAMBDAS` λs have samples."""
    info, cells = summary.info, [row.cell for row in summary.rows]
    if len(curves(cells, least=1)) != 1:  # with another token limit or seed it is another curve
        return None
    points = sorted(
        ({"lam": c["lambda"], **{k: c[k] for k in POINT_FIELDS}} for c in summary.cells), key=lambda p: p["lam"]
    )
    if len(points) < MIN_LAMBDAS:
        return None
    stages = next(iter(summary.stages.values()), {})
    return {
        "name": info.name,
        "origin": info.origin,
        "task": info.plan.task,
        "questions": max(p["questions"] for p in points),
        "samples": max(p["samples"] for p in points),
        "cap": cells[0].decoding.cap,
        "bands": stage_bands(stages, points[0]["lam"], points[-1]["lam"]),
        "points": points,
        "message": stages.get("message", ""),
    }


def stage_bands(stages: JsonMapping, low: float, high: float) -> list[JsonObject]:
    """The stages of a fitted transition as spans of the measured λs: `[{"stage": 1, "from": 0.0, "to": 0.41}, …]`; [] without one."""
    if stages.get("lambda50") is None:
        return []
    first, last = stages.get("stage2") or (None, None)
    a = low if first is None else min(max(first, low), high)
    b = high if last is None else min(max(last, low), high)
    return [{"stage": s, "from": x, "to": y} for s, x, y in ((1, low, a), (2, a, b), (3, b, high)) if y > x]


def _like(decoding: Decoding) -> Decoding:
    """The decoding without what a study of the same kind may choose differently: seed and token limit."""
    return replace(decoding, seed=0, cap=1)


def _samples_a_lam(info: StudyInfo, wanted: Recipe, decoding: Decoding) -> float:
    """How many samples a λ of this recipe has, as far as the plan tells; 0 where it is no sweep of it."""
    lams = {c.recipe.lam for c in info.plan.cells if _meant(c, wanted, decoding)}
    return info.samples / len(info.plan.cells) if len(lams) >= MIN_LAMBDAS else 0.0


def _meant(cell: Cell, wanted: Recipe, decoding: Decoding) -> bool:
    """Whether a cell is a point of this recipe's curve; `wanted` at λ = 0, `decoding` as `_like` gives it."""
    key = curve_key(cell)
    return key is not None and key[0] == wanted and _like(key[1]) == decoding
