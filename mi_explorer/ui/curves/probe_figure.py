"""Probe measures over λ, a panel each: sufficient, verbose, harmful, switches, forced beside free, with interval bands.

Pure: a summary in, `(figure, columns, rows)` out. The panels and their points are those of the report (`report/probe_curve.py`).
"""

from collections.abc import Sequence

from mi_explorer.studies.report.palette import AMBER, GREEN, PURPLE, SKY, VERMILION
from mi_explorer.studies.report.probe_curve import probe_curve, probe_panels
from mi_explorer.studies.stats.probe_measures import MEASURES
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.ui.curves.curve_marks import Figure, band, legend_above
from mi_explorer.ui.curves.curve_marks import line as marked_line
from mi_explorer.ui.curves.curve_table import rounded
from mi_explorer.untyped import Json, JsonMapping, JsonObject

COLOURS = {"sufficient": SKY, "verbose": AMBER, "harmful": VERMILION, "switches": PURPLE, "free": GREEN}
SHARES = ("sufficient_share", "verbose", "harmful", "forced", "forced_beside_free", "free", "free_minus_forced")
PANEL_GAP = 0.035  # between panels, of the height


def probe_figure(summary: Summary) -> Figure | None:
    """The first setting's probes of a study; None where fewer than two λs were probed."""
    curves = ((probed, probe_curve(summary.rows, probed)) for probed in summary.probes)
    probed, points = next(((p, found) for p, found in curves if found), (None, ()))
    if probed is None:
        return None
    panels = probe_panels(points)
    height = (1 - PANEL_GAP * (len(panels) - 1)) / len(panels)
    lams = [point["lambda"] for point in points]
    pad = 0.02 * (lams[-1] - lams[0])
    layout: JsonObject = {
        "xaxis": {
            "title": {"text": "λ (1 Thinking)", "standoff": 6},
            "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
            "range": [lams[0] - pad, lams[-1] + pad],
            "zeroline": False,
        },
        "legend": legend_above(1.01),
        "margin": {"l": 62, "r": 16, "t": 46, "b": 54},
    }
    data: list[JsonObject] = []
    for place, panel in enumerate(panels):
        top, number = 1 - place * (height + PANEL_GAP), f"{place + 1}" if place else ""
        layout[f"yaxis{number}"] = {
            "domain": [max(top - height, 0), top],
            "anchor": "x",
            "title": {"text": panel.title.replace(" after, ", "<br>after, ")},
            "rangemode": "tozero",
        }
        for name, words in panel.lines:
            known = [point for point in points if point[name] is not None]
            colour = COLOURS.get(name, VERMILION)
            spans = [
                (p["lambda"], *(panel.scale * x for x in p[f"{name}_ci"])) for p in known if None not in p[f"{name}_ci"]
            ]
            dash, symbol = ("dash", "square") if name == "free" else ("solid", "circle")
            values = [(p["lambda"], panel.scale * p[name]) for p in known]
            data.append(band(spans, words, colour, f"y{number}"))
            data.append(
                {
                    **marked_line(values, words, colour, f"y{number}", dash, symbol),
                    "showlegend": len(panel.lines) > 1,
                    "customdata": [[summary.info.name, p["key"]] for p in known],
                    "hovertext": [_hover(p, name, words, panel.scale) for p in known],
                    "cliponaxis": False,
                }
            )
    return {"data": data, "layout": layout}, *_table(points)


def _hover(point: JsonMapping, name: str, words: str, scale: float) -> str:
    low, high = point[f"{name}_ci"]
    digits, unit = (
        (1, " %") if scale == 100 else (2 if name == "switches" else 0, " tokens" if name == "sufficient" else "")
    )
    ends = "" if low is None else f" [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"
    return (
        f"<b>λ {point['lambda']:g}</b><br>{words}: {scale * point[name]:.{digits}f}{unit}{ends}"
        f"<br>n = {point['samples']:,} samples with a thought of {point['questions']:,} questions"
    )


def _table(points: Sequence[JsonMapping]) -> tuple[list[str], list[list[object]]]:
    """Every measure with its interval; shares in percent."""
    names = [name for name in MEASURES if any(point[name] is not None for point in points)]
    units = {name: " (%)" if name in (*SHARES, "forced_fails", "confidence") else "" for name in names}
    columns = ["λ"]
    for name in names:
        title = name.replace("_", " ").capitalize()
        columns += [f"{title}{units[name]}", f"{title} low", f"{title} high"]
    rows = []
    for point in points:
        row: list[Json] = [point["lambda"]]
        for name in names:
            row += [rounded(x, 100 if units[name] else 1) for x in (point[name], *point[f"{name}_ci"])]
        rows.append([*row, point["samples"], point["questions"]])
    return [*columns, "Samples with a thought", "Questions"], rows
