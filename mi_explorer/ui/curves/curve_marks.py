"""How curves look: colours, dashes and symbols of lines, interval bands, the λ axis. Plotly's traces and axes as dicts."""

from collections.abc import Sequence

from mi_explorer.studies.report.palette import AMBER, GREEN, PURPLE, SKY, SLATE, VERMILION, lambda_colour
from mi_explorer.ui.curves.curve import Curve
from mi_explorer.untyped import Json, JsonObject

Figure = tuple[JsonObject, list[str], list[list[Json]]]
"""A plotly figure, and columns and rows of the table behind it."""

CURVE_COLOURS = (GREEN, AMBER, SKY, PURPLE, "#6a5ab4", "#a08000", VERMILION, SLATE)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "2px,6px", "12px,3px")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "star", "x", "pentagon")


def lambda_axis(curves: Sequence[Curve]) -> JsonObject:
    """The λ axis over all points of these curves."""
    lams = [p["lambda"] for c in curves for p in c.points] or [0.0, 1.0]
    low, high = min(lams), max(lams)
    pad = 0.02 * ((high - low) or 1)
    return {"range": [low - pad, high + pad], "zeroline": False}


def legend_above(y: float) -> JsonObject:
    """A legend in one row above the panels."""
    return {"orientation": "h", "y": y, "yanchor": "bottom", "x": 0}


def transparent(colour: str, alpha: float) -> str:
    return "rgba({},{},{},{})".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)), alpha)


def band(
    spans: Sequence[tuple[float, float, float]], name: str, colour: str, axis: str, alpha: float = 0.16
) -> JsonObject:
    """The interval band through (λ, low, high)s, of the curve `name`."""
    lams = [lam for lam, _, _ in spans]
    return {
        "type": "scatter",
        "x": [*lams, *reversed(lams)],
        "y": [*(high for _, _, high in spans), *(low for _, low, _ in reversed(spans))],
        "yaxis": axis,
        "fill": "toself",
        "mode": "lines",
        "fillcolor": transparent(colour, alpha),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": name,
        "name": f"{name}, 95 % interval",
    }


def line(
    values: Sequence[tuple[float, float | None]],
    name: str,
    colour: str,
    axis: str,
    dash: str,
    symbol: str,
    size: int = 8,
) -> JsonObject:
    """A line with points through (λ, value)s; every point has the colour of its λ."""
    lams = [lam for lam, _ in values]
    return {
        "type": "scatter",
        "x": lams,
        "y": [value for _, value in values],
        "yaxis": axis,
        "mode": "lines+markers",
        "name": name,
        "legendgroup": name,
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {
            "color": [lambda_colour(lam) for lam in lams],
            "size": size,
            "symbol": symbol,
            "line": {"color": colour, "width": 1},
        },
        "hoverinfo": "text",
    }
