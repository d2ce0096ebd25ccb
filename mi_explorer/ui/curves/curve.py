"""A curve as a value: what was measured along λ for one recipe, of a study or of a paper. Everything that is drawn is one.

Shares lie in [0, 1], amounts are tokens, intervals are 95 %. A published curve has no samples: no intervals, no n of ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from mi_explorer.errors import unknown
from mi_explorer.pair_names import pair_name
from mi_explorer.studies.plan import describe
from mi_explorer.studies.report import published
from mi_explorer.studies.stats.curve import curve_names, curves, distinguishing_words, intervened
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.studies.store.store import CellRow
from mi_explorer.untyped import Json, JsonMapping, JsonObject

PUBLISHED = "published"


@dataclass(frozen=True)
class Curve:
    """`points` by λ: the cells of `Summary.cells`, with what `AgainstParents` says of each.

    `rows[i]` is the stored cell of `points[i]`.
    `stages` is the transition as `Summary.stages` has it, {} without one; `about` says how it was measured.
    """

    name: str
    study: str
    origin: str
    about: str
    points: tuple[JsonMapping, ...]
    stages: JsonMapping = field(default_factory=dict)
    rows: tuple[CellRow, ...] = ()

    @property
    def published(self) -> bool:
        return self.origin == PUBLISHED

    @property
    def what(self) -> tuple[Json, ...]:
        """What tokens depend on besides the recipe: curves of equal `what` share a token axis."""
        return (self.about,) if self.published else (self.rows[0].cell.recipe.pair, self.points[0].get("task"))

    @property
    def full(self) -> float | None:
        """Mean tokens at λ = 1, the measure of relative tokens; None if that was not measured."""
        return next((p["tokens"] for p in self.points if p["lambda"] == 1 and p["tokens"]), None)

    def drawn(self, metric: str, value: float | None, relative: bool) -> float | None:
        """A value as it is drawn: where tokens have no common scale (`relative`), they are a share of those at λ = 1."""
        if metric != "tokens" or not relative or value is None:
            return value
        return value / self.full if self.full else None

    def at(self, lam: float) -> int | None:
        """The point at this λ."""
        return next((i for i, p in enumerate(self.points) if abs(p["lambda"] - lam) < 1e-9), None)


def needs_relative_tokens(curves: Sequence[Curve]) -> bool:
    """Whether tokens must be shown relative to λ = 1: several pairs, tasks or papers have no common scale."""
    return len({curve.what for curve in curves}) > 1


def curves_of_summary(summary: Summary) -> tuple[Curve, ...]:
    """The curves of a study, in the plan's order; those that nobody intervened in come first."""
    cells = [row.cell for row in summary.rows]
    names, found = curve_names(cells), curves(cells)
    out = []
    for key, indices in found.items():
        rows = [summary.rows[i] for i in indices]
        points = ({**summary.cells[i], "task": summary.info.plan.task, **vars(summary.parents[i])} for i in indices)
        words = distinguishing_words(rows[0].cell, [cells[others[0]] for others in found.values()])
        own = [summary.info.name, *(words or [names[key] or rows[0].cell.label])]
        out.append(
            Curve(
                summary.info.name if len(found) < 2 else " · ".join(own),
                summary.info.name,
                summary.info.origin,
                about(summary, rows),
                tuple(points),
                summary.stages.get(names[key], {}),
                tuple(rows),
            )
        )
    return tuple(sorted(out, key=lambda c: intervened(c.rows[0].cell)))


def about(summary: Summary, rows: Sequence[CellRow]) -> str:
    """How a curve was measured, in one line: origin, pair, task, n, decoding, dtype."""
    plan, settings = summary.info.plan, summary.settings
    split = f" ({settings['split']} split)" if settings["split"] else ""
    keys = {row.key for row in rows}
    cells = [c for c in summary.cells if c["key"] in keys]
    low, high = min(c["questions"] for c in cells), max(c["questions"] for c in cells)
    n = f"{high:,}" if low == high else f"{low:,} to {high:,}"
    origin = "your own" if summary.info.origin == "live" else summary.info.origin
    return (
        f"{origin} · pair {pair_name(rows[0].cell.recipe.pair)} · task {plan.task}{split} · n = {n} questions × "
        f"{max(c['samples'] for c in cells)} samples · {describe(rows[0].cell.decoding)} · {rows[0].dtype}"
    )


# -- published curves --------------------------------------------------------------------------------------------------


def overlays() -> tuple[str, ...]:
    """The published curves by name: model, benchmark, method and source."""
    return tuple(_overlays())


def overlay(name: str) -> Curve:
    """A published curve. Raises `UserError` for a name that is none of `overlays()`."""
    known = _overlays()
    if name not in known:
        raise unknown("published curve", name, known)
    table, rows = known[name]
    return Curve(
        f"published: {name}",
        "",
        PUBLISHED,
        f"published · {published.source(table)}",
        tuple(_point(r) for r in rows.to_dict("records")),
    )


def _overlays() -> dict[str, tuple[str, pd.DataFrame]]:
    out: dict[str, tuple[str, pd.DataFrame]] = {}
    dynamics = published.published("mi_dynamics")
    for (model, benchmark), rows in dynamics[dynamics["method"] == "MI"].groupby(["model", "benchmark"]):
        out[f"{_short(model)} on {benchmark}, arXiv 2510.10977"] = ("mi_dynamics", rows.sort_values("lambda"))
    for (model, benchmark, method), rows in published.published("spectrum_curves").groupby(
        ["model", "benchmark", "method"]
    ):
        out[f"{_short(model)} on {benchmark}, {method}, arXiv 2509.22034"] = (
            "spectrum_curves",
            rows.sort_values("lambda"),
        )
    return dict(sorted(out.items(), key=lambda x: ("2510" not in x[0], "30B" in x[0], x[0])))


def _short(model: str) -> str:
    return model.removesuffix("-2507")


def _point(row: JsonMapping) -> JsonObject:
    """A published row as a point: percentages as shares, no intervals."""

    def share(*names: str) -> float | None:
        value = next((row[n] for n in names if n in row), None)
        return None if value is None or math.isnan(value) else value / 100

    return {
        "lambda": float(row["lambda"]), "mean": share("mean_at_k", "accuracy"), "pass": share("pass_at_k"), "vote": share("vote_at_k"),
        "think_ratio": share("think_ratio"), "tokens": float(row["tokens"]), "overthinking": None, "samples": int(row.get("k", 10)),
    }  # fmt: skip
