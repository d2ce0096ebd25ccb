"""Curves against the first one, λ by λ: paired differences over the questions that both were asked.

Samples of one question and number share their seed across recipes, so most of the noise cancels in the difference. Curves
that share no question (other tasks) are not subtracted; that is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Estimate, Measures
from mi_explorer.studies.store.sample import Sample
from mi_explorer.ui.curves.curve import Curve
from mi_explorer.ui.curves.curve_marks import (
    CURVE_COLOURS,
    DASHES,
    SYMBOLS,
    Figure,
    band,
    lambda_axis,
    legend_above,
    line,
)
from mi_explorer.ui.plotly_component import label_text
from mi_explorer.untyped import JsonMapping, JsonObject

METRICS = ("mean", "think_ratio", "tokens")
COLUMNS = (
    *("Curve", "Minus", "λ", "Δ accuracy (points)", "Accuracy low", "Accuracy high", "Δ think ratio (points)"),
    *("Think low", "Think high", "Δ tokens", "Tokens low", "Tokens high", "Shared questions"),
)
PANELS = (("mean", "Δ accuracy (points)", 100.0), ("tokens", "Δ tokens", 1.0))


@dataclass(frozen=True)
class Difference:
    """`curve` minus `reference` at the λs of both: `points[i]` holds `lambda` and an `Estimate` per metric of `METRICS`.

    `message` says why there are none, if so. `place` is the curve's place among all that are shown, which fixes its look.
    """

    curve: Curve
    reference: Curve
    place: int
    points: tuple[JsonMapping, ...] = ()
    message: str = ""


def differences(
    curves: Sequence[Curve], samples: Mapping[str, Sequence[Sample]], kinds: Mapping[str, str]
) -> tuple[Difference, ...]:
    """Every measured curve against the first. `samples` are those of each study by name, `kinds` the kind of answer by question."""
    measured = [(place, c) for place, c in enumerate(curves) if not c.published]
    if len(measured) < 2:
        return ()
    cells: list[str] = []
    found: list[Sample] = []
    for place, c in measured:
        names = {row.key: f"{place} {row.key}" for row in c.rows}
        cells += names.values()
        found += [replace(s, cell=names[s.cell]) for s in samples[c.study] if s.cell in names]
    measures = Measures(Grid.of(found, cells, kinds))
    first_place, reference = measured[0]
    return tuple(_difference(measures, c, place, reference, first_place) for place, c in measured[1:])


def _difference(measures: Measures, curve: Curve, place: int, reference: Curve, first: int) -> Difference:
    points = []
    for i, row in enumerate(curve.rows):
        j = reference.at(curve.points[i]["lambda"])
        if j is None:
            continue
        names = f"{place} {row.key}", f"{first} {reference.rows[j].key}"
        estimates = {metric: measures.paired(*names, metric) for metric in METRICS}
        if estimates["tokens"].questions:
            points.append({"lambda": curve.points[i]["lambda"], **estimates})
    message = ""
    if not points:
        same = any(reference.at(p["lambda"]) is not None for p in curve.points)
        why = "they share no question" if same else "they share no λ"
        message = f"“{curve.name}” cannot be subtracted from “{reference.name}”: {why}."
    return Difference(curve, reference, place, tuple(points), message)


def difference_figure(found: Sequence[Difference]) -> Figure | None:
    """Differences over λ with 95 % bands of the paired difference; None where there is nothing to draw."""
    found = [d for d in found if d.points]
    if not found:
        return None
    data: list[JsonObject] = []
    for d in found:
        look = d.place % len(DASHES)
        name, colour = label_text(d.curve.name), CURVE_COLOURS[look]
        for panel, (metric, _, scale) in enumerate(PANELS):
            axis = f"y{panel + 1}" if panel else "y"
            points = [p for p in d.points if p[metric].value == p[metric].value]
            spans = [(p["lambda"], scale * p[metric].low, scale * p[metric].high) for p in points]
            values = [(p["lambda"], scale * p[metric].value) for p in points]
            hovers = [f"<b>λ {p['lambda']:g}</b> · {name}<br>{_words(p[metric], scale)}" for p in points]
            drawn = line(values, name, colour, axis, DASHES[look], SYMBOLS[look])
            data.append(band([s for s in spans if s[1] == s[1]], name, colour, axis))
            data.append({**drawn, "showlegend": not panel, "hovertext": hovers})
    reference = label_text(found[0].reference.name)
    axis_line = {"anchor": "x", "zeroline": True, "zerolinewidth": 2}
    layout = {
        "title": {"text": f"Minus “{reference}”, paired", "font": {"size": 14}},
        "xaxis": {"title": {"text": "λ"}, "anchor": "y2", **lambda_axis([d.curve for d in found])},
        "yaxis": {"title": {"text": PANELS[0][1]}, "domain": [0.54, 1], **axis_line},
        "yaxis2": {"title": {"text": PANELS[1][1]}, "domain": [0, 0.48], **axis_line},
        "legend": legend_above(1.0),
        "margin": {"l": 62, "r": 16, "t": 70, "b": 54},
    }
    rows = [
        [
            *(d.curve.name, d.reference.name, p["lambda"]),
            *_cells(p["mean"], 100),
            *_cells(p["think_ratio"], 100),
            *_cells(p["tokens"], 1),
            p["tokens"].questions,
        ]
        for d in found
        for p in d.points
    ]
    return {"data": data, "layout": layout}, list(COLUMNS), rows


def _words(e: Estimate, scale: float) -> str:
    unit = "points" if scale == 100 else "tokens"
    return f"{scale * e.value:+,.1f} {unit} [{scale * e.low:+,.1f}, {scale * e.high:+,.1f}]<br>n = {e.questions:,} shared questions"


def _cells(e: Estimate, scale: float) -> list[float | None]:
    return [None if x != x else round(scale * x, 2) for x in (e.value, e.low, e.high)]
