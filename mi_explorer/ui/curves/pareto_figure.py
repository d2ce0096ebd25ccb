"""Accuracy against tokens, λ by λ. Pure: values in, `(figure, columns, rows)` out; points carry what `panels_figure` gives them."""

from collections.abc import Sequence

from mi_explorer.search.routing import RoutingResult
from mi_explorer.studies.report.palette import GREEN, GREY, lambda_colour
from mi_explorer.studies.stats.efficiency import pareto
from mi_explorer.ui.curves.curve import Curve, needs_relative_tokens
from mi_explorer.ui.curves.curve_marks import CURVE_COLOURS, DASHES, SYMBOLS, Figure, legend_above
from mi_explorer.ui.curves.curve_table import interval_cells, point_title, rounded, sample_sizes, value_text
from mi_explorer.ui.curves.router_lines import router_lines
from mi_explorer.ui.plotly_component import label_text
from mi_explorer.untyped import Json, JsonMapping, JsonObject

LIKELY, SURE = 0.5, 0.95  # shares of the bootstrap draws from which an improvement gets a ring, and a bold one
LABEL_WIDTH, LABEL_HEIGHT = 0.08, 0.04  # the room of a label: a share of the most tokens, and of accuracy
PARENTS = (("improves_instruct", "Instruct"), ("improves_thinking", "Thinking"))
COLUMNS = (
    *("Curve", "Origin", "λ", "Tokens", "Tokens low", "Tokens high", "Mean (%)", "Mean low", "Mean high"),
    *("On the Pareto front", "P(improves on Instruct)", "P(improves on Thinking)", "Questions", "Samples (k)"),
)


def pareto_figure(curves: Sequence[Curve], routing: RoutingResult | None = None) -> Figure:
    """A ring marks what improves on a parent (fewer tokens and more right answers) in at least one half of the bootstrap
    draws, a bold one in 95 %; the label gives the larger probability. `routing`: what routers did on the one study that is shown.
    """
    relative, several = needs_relative_tokens(curves), len(curves) > 1
    data = [trace for i, curve in enumerate(curves) if (trace := _trace(curve, i % len(DASHES), relative, several))]
    if routing is not None and not relative:
        data += router_lines(routing)
    layout = {
        "xaxis": {
            "title": {"text": "tokens ÷ tokens at λ 1" if relative else "mean tokens", "standoff": 6},
            "rangemode": "tozero",
        },
        "yaxis": {"title": {"text": "accuracy (mean)"}, "tickformat": ".0%"},
        "legend": legend_above(1.01),
        "margin": {"l": 62, "r": 16, "t": 40, "b": 54},
    }
    return {"data": data, "layout": layout}, list(COLUMNS), [row for curve in curves for row in _rows(curve)]


def _trace(curve: Curve, look: int, relative: bool, several: bool) -> JsonObject | None:
    points = [p for p in curve.points if p.get("mean") is not None]
    points = [p for p in points if curve.drawn("tokens", p["tokens"], relative) is not None]
    if not points:
        return None
    chances = [_chance(p) for p in points]
    return {
        "type": "scatter",
        "mode": "lines+markers+text",
        "name": label_text(curve.name),
        "showlegend": several,
        "x": [curve.drawn("tokens", p["tokens"], relative) for p in points],
        "y": [p["mean"] for p in points],
        "text": _labels(points, chances),
        "textposition": "top center",
        "textfont": {"size": 11},
        "line": {
            "color": CURVE_COLOURS[look] if several and not curve.published else GREY,
            "width": 1,
            "dash": DASHES[look],
        },
        "marker": {
            "color": [lambda_colour(p["lambda"]) for p in points],
            "size": [13 if c >= LIKELY else 9 for c in chances],
            "symbol": SYMBOLS[look] + ("-open" if curve.published else ""),
            "line": {"color": GREEN, "width": [4 if c >= SURE else 2 if c >= LIKELY else 0 for c in chances]},
        },
        "error_x": _bars(curve, points, "tokens", relative),
        "error_y": _bars(curve, points, "mean", False),
        "customdata": [None if curve.published else [curve.study, p["key"]] for p in points],
        "hovertext": [_hover(curve, p) for p in points],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _rows(curve: Curve) -> list[list[Json]]:
    nan = float("nan")
    tokens = [p["tokens"] or nan for p in curve.points]
    front = set(pareto(tokens, [nan if p["mean"] is None else p["mean"] for p in curve.points]))
    return [
        [
            *(curve.name, curve.origin, p["lambda"]),
            *interval_cells(p, "tokens", 1),
            *interval_cells(p, "mean"),
            "yes" if i in front else "no",
            *(rounded(p.get(key), 1) for key, _ in PARENTS),
            *(p.get("questions"), p.get("samples")),
        ]
        for i, p in enumerate(curve.points)
    ]


def _chance(point: JsonMapping) -> float:
    """The larger probability to improve on a parent; 0 where none is known."""
    return max(point.get(key) or 0.0 for key, _ in PARENTS)


def _labels(points: Sequence[JsonMapping], chances: Sequence[float]) -> list[str]:
    """λ at each point, "" where it would lie on the label before it; what improves on a parent keeps its own."""
    most = max(p["tokens"] for p in points)
    labels: list[str] = []
    last = None
    for p, chance in zip(points, chances, strict=True):
        hidden = (
            last
            and abs(p["tokens"] - last["tokens"]) < LABEL_WIDTH * most
            and abs(p["mean"] - last["mean"]) < LABEL_HEIGHT
        )
        if chance >= LIKELY:
            percent = 100 if chance == 1 else min(round(100 * chance), 99)
            labels.append(f"{p['lambda']:g} ▲{percent} %")
        else:
            labels.append("" if hidden else f"{p['lambda']:g}")
        last = p if labels[-1] else last
    return labels


def _hover(curve: Curve, point: JsonMapping) -> str:
    accuracy, tokens = value_text(point, "mean"), value_text(point, "tokens", False)
    lines = [point_title(curve, point), f"accuracy: {accuracy}", f"tokens: {tokens}"]
    if curve.published:
        return "<br>".join([*lines, label_text(curve.about)])
    for key, parent in PARENTS:
        if point.get(key) is not None:
            lines.append(f"improves on {parent} (more right, fewer tokens): {100 * point[key]:.1f} % of draws")
    return "<br>".join([*lines, sample_sizes(point)])


def _bars(curve: Curve, points: Sequence[JsonMapping], metric: str, relative: bool) -> JsonObject:
    """Interval bars, asymmetric; none where a point has no interval."""

    def reach(p: JsonMapping, end: int) -> float:
        ci = p.get(f"{metric}_ci") or (None, None)
        if ci[end] is None:
            return 0.0
        a, b = (curve.drawn(metric, x, relative) or 0.0 for x in (p[metric], ci[end]))
        return max(b - a if end else a - b, 0.0)

    ends = {"array": [reach(p, 1) for p in points], "arrayminus": [reach(p, 0) for p in points]}
    return {"type": "data", "symmetric": False, **ends, "thickness": 1, "width": 0, "color": "rgba(138,143,155,.55)"}
