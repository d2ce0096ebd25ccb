"""Curves as plotly figures and the tables behind them. Pure: values in, `(figure, columns, rows)` out, for `ui.figure.content`.

One λ axis under all panels, never a second y axis. A line's colour is its metric (one curve) or its curve (several, told
apart by dash and symbol too); a point's colour is its λ. Tokens of curves that cannot share an axis are shown relative to λ = 1.
A point's `customdata` is `[study, cell key]`; published points have none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mi_explorer.studies.report.palette import AMBER, GREEN, GREY, PURPLE, SKY, lambda_colour
from mi_explorer.ui.curves.curve import Curve
from mi_explorer.ui.explore.rail import stage_bands
from mi_explorer.ui.plotly_component import label_text

Figure = tuple[dict[str, Any], list[str], list[list[Any]]]

METRIC_COLOUR = {
    "mean": GREEN,
    "pass": GREEN,
    "vote": GREEN,
    "think_ratio": PURPLE,
    "think_lenient": PURPLE,
    "tokens": SKY,
    "overthinking": AMBER,
}
CURVE_COLOURS = (GREEN, AMBER, SKY, PURPLE, "#6a5ab4", "#a08000")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "star")
PANELS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("accuracy", (("mean", "mean", "solid"), ("pass", "pass@k", "dash"), ("vote", "vote@k", "dot"))),
    ("think ratio", (("think_ratio", "closes with </think>", "solid"), ("think_lenient", "closes in any way", "dot"))),
    ("tokens", (("tokens", "tokens", "solid"),)),
    ("overthinking", (("overthinking", "share of tokens after the first right answer", "solid"),)),
)
STAGE_FILL = {1: "rgba(0,114,178,.05)", 2: "rgba(204,121,167,.13)", 3: "rgba(213,94,0,.05)"}
PANEL_GAP = 0.035  # between panels, of the height
MIN_RATIO_DIFFERENCE = 0.005  # strict and lenient think ratios that differ by less are one
SURE_PROBABILITY = 0.95


def needs_relative_tokens(curves: Sequence[Curve]) -> bool:
    """Whether tokens must be shown relative to λ = 1: several pairs, tasks or papers have no common scale."""
    return len({curve.what for curve in curves}) > 1


def panels_figure(curves: Sequence[Curve]) -> Figure:
    """Accuracy, think ratio, tokens and overthinking over λ: lines with interval bands, and the first curve's stages."""
    relate = needs_relative_tokens(curves)
    panels = [(title, metrics) for title, metrics in PANELS if any(_value(c, p.get(metrics[0][0]), metrics[0][0], relate) is not None
                                                                   for c in curves for p in c.points)]  # fmt: skip
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "xaxis": {
            "title": {"text": "λ (0 Instruct, 1 Thinking)"},
            "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
            **lambda_axis(curves),
        },
        "legend": {"orientation": "h", "y": 1.03, "yanchor": "bottom", "x": 0},
        "margin": {"l": 62, "r": 16, "t": 64, "b": 46},
    }
    height = (1 - PANEL_GAP * (len(panels) - 1)) / max(len(panels), 1)
    for place, (title, metrics) in enumerate(panels):
        top = 1 - place * (height + PANEL_GAP)
        axis = {"domain": [max(top - height, 0), top], "anchor": "x", "title": {"text": title}, "rangemode": "tozero"}
        if title == "tokens":
            axis["title"] = {"text": "tokens ÷ tokens at λ 1" if relate else "tokens"}
        else:
            axis |= {"tickformat": ".0%"}
        layout[f"yaxis{place + 1 if place else ''}"] = axis
        for index, curve in enumerate(curves):
            for metric, words, dash in metrics if len(curves) == 1 else metrics[:1]:
                if metric == "think_lenient" and not _differs(curve):
                    continue
                data += _line(
                    curve, index, metric, words, dash, f"y{place + 1}" if place else "y", len(curves) > 1, relate
                )
    layout |= _stages(curves)
    return {"data": data, "layout": layout}, *curve_table(curves)


def lambda_axis(curves: Sequence[Curve]) -> dict[str, Any]:
    lams = [p["lambda"] for c in curves for p in c.points] or [0.0, 1.0]
    low, high = min(lams), max(lams)
    pad = 0.02 * ((high - low) or 1)
    return {"range": [low - pad, high + pad], "zeroline": False}


def _differs(curve: Curve) -> bool:
    return any(
        abs((p.get("think_lenient") or 0) - (p["think_ratio"] or 0)) >= MIN_RATIO_DIFFERENCE
        for p in curve.points
        if not curve.published
    )


def _value(curve: Curve, value: float | None, metric: str, relate: bool) -> float | None:
    """What is drawn: the value, or its share of the tokens at λ = 1."""
    if metric != "tokens" or not relate or value is None:
        return value
    return value / curve.full if curve.full else None


def _line(
    curve: Curve, index: int, metric: str, words: str, dash: str, axis: str, several: bool, relate: bool
) -> list[dict[str, Any]]:
    points = [p for p in curve.points if _value(curve, p.get(metric), metric, relate) is not None]
    if not points:
        return []
    look = index % len(DASHES)
    colour = GREY if curve.published else CURVE_COLOURS[look] if several else METRIC_COLOUR[metric]
    name = label_text(curve.name if several else words)
    lams = [p["lambda"] for p in points]
    sure = [p for p in points if (p.get(f"{metric}_ci") or [None])[0] is not None]
    out: list[dict[str, Any]] = []
    if len(sure) > 1:
        highs = [_value(curve, p[f"{metric}_ci"][1], metric, relate) for p in sure]
        lows = [_value(curve, p[f"{metric}_ci"][0], metric, relate) for p in sure]
        xs = [p["lambda"] for p in sure]
        out.append({
            "type": "scatter", "x": [*xs, *reversed(xs)], "y": [*highs, *reversed(lows)], "yaxis": axis, "fill": "toself", "mode": "lines",
            "fillcolor": transparent(colour, 0.16 if dash == "solid" or several else 0.06), "line": {"width": 0}, "hoverinfo": "skip",
            "showlegend": False, "legendgroup": name,
            "name": f"{name}, 95 % interval",
        })  # fmt: skip
    out.append({
        "type": "scatter", "x": lams, "y": [_value(curve, p[metric], metric, relate) for p in points], "yaxis": axis, "mode": "lines+markers",
        "name": name, "legendgroup": name, "showlegend": metric == "mean" if several else _named(curve, metric),
        "line": {"color": colour, "width": 2, "dash": DASHES[look] if several else dash},
        "marker": {
            "color": [lambda_colour(x) for x in lams], "size": 8 if metric in ("mean", "think_ratio", "tokens", "overthinking") else 6,
            "symbol": SYMBOLS[look] + ("-open" if curve.published else "") if several else "circle", "line": {"color": colour, "width": 1},
        },
        "customdata": [None if curve.published else [curve.study, p["key"]] for p in points],
        "hovertext": [hover_text(curve, p, metric, words) for p in points], "hoverinfo": "text",
        "cliponaxis": False,
    })  # fmt: skip
    return out


def _named(curve: Curve, metric: str) -> bool:
    """Whether a single curve's line needs a name: its panel shows several."""
    return metric in ("mean", "pass", "vote") or metric in ("think_ratio", "think_lenient") and _differs(curve)


def transparent(colour: str, alpha: float) -> str:
    return "rgba({},{},{},{})".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)), alpha)


def _stages(curves: Sequence[Curve]) -> dict[str, Any]:
    """The stages of the first curve that has a transition, as bands behind all panels."""
    curve = next((c for c in curves if c.stages.get("lambda50") is not None), None)
    if curve is None:
        return {}
    spans = stage_bands(curve.stages, curve.points[0]["lambda"], curve.points[-1]["lambda"])
    frame = {"yref": "paper", "xref": "x"}
    return {
        "shapes": [{"type": "rect", **frame, "x0": s["from"], "x1": s["to"], "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0},
                    "fillcolor": STAGE_FILL[s["stage"]]} for s in spans],
        "annotations": [{"text": f"stage {s['stage']}", **frame, "x": (s["from"] + s["to"]) / 2, "y": 1, "yanchor": "bottom", "showarrow": False,
                         "font": {"size": 11}} for s in spans if s["to"] - s["from"] > 0.06],
    }  # fmt: skip


def hover_text(curve: Curve, point: Mapping[str, Any], metric: str, words: str) -> str:
    """What a point says: curve, λ, the value with its interval, n."""
    shares = metric != "tokens"
    lines = [
        f"<b>λ {point['lambda']:g}</b> · {label_text(curve.name)}",
        f"{label_text(words)}: {value_text(point, metric, shares)}",
    ]
    if curve.published:
        return "<br>".join([*lines, label_text(curve.about)])
    if metric == "mean" and point.get("truncated"):
        lines.append(f"cut at the token limit: {100 * point['truncated']:.1f} %")
    return "<br>".join([*lines, sample_sizes(point)])


def sample_sizes(point: Mapping[str, Any]) -> str:
    return f"n = {point['questions']:,} questions × {point['samples']} samples"


def value_text(point: Mapping[str, Any], metric: str, share: bool = True) -> str:
    """`61.2 % [55.0, 67.0]`, `143 tokens [120, 160]`; a dash where there is none."""
    value, ci = point.get(metric), point.get(f"{metric}_ci") or (None, None)
    if value is None:
        return "–"
    scale, digits, unit = (100, 1, " %") if share else (1, 1 if value < 1000 else 0, " tokens")
    low, high = ci
    text = f"{scale * value:,.{digits}f}{unit}"
    return text if low is None or high is None else f"{text} [{scale * low:,.{digits}f}, {scale * high:,.{digits}f}]"


COLUMNS = ["Curve", "Origin", "λ", "Mean (%)", "Mean low", "Mean high", "Pass@k (%)", "Pass low", "Pass high", "Vote@k (%)", "Vote low", "Vote high",
           "Think ratio (%)", "Think low", "Think high", "Think, any closing (%)", "Tokens", "Tokens low", "Tokens high", "Overthinking (%)",
           "Overthinking low", "Overthinking high", "Truncated (%)", "Questions", "Samples (k)"]  # fmt: skip


def curve_table(curves: Sequence[Curve]) -> tuple[list[str], list[list[Any]]]:
    """Every number of the curves: percentages, tokens, both ends of the 95 % intervals, n."""
    rows = []
    for curve in curves:
        for p in curve.points:
            row: list[Any] = [curve.name, curve.origin, p["lambda"]]
            for metric in ("mean", "pass", "vote", "think_ratio"):
                row += _cells(p, metric)
            row += [
                _round(p.get("think_lenient"), 100),
                *_cells(p, "tokens", 1),
                *_cells(p, "overthinking"),
                _round(p.get("truncated"), 100),
            ]
            rows.append([*row, p.get("questions"), p.get("samples")])
    return list(COLUMNS), rows


def _cells(point: Mapping[str, Any], metric: str, scale: float = 100) -> list[float | None]:
    low, high = point.get(f"{metric}_ci") or (None, None)
    return [_round(x, scale) for x in (point.get(metric), low, high)]


def _round(value: float | None, scale: float) -> float | None:
    return None if value is None else round(scale * value, 2)


def pareto_figure(curves: Sequence[Curve]) -> Figure:
    """Accuracy against tokens, λ by λ. A ring marks what improves on a parent (fewer tokens and more right answers) in at least
    one half of the bootstrap draws, a bold one in 95 %; the label gives the larger probability.
    """
    relate, data = needs_relative_tokens(curves), []
    for index, curve in enumerate(curves):
        points = [
            p
            for p in curve.points
            if p.get("mean") is not None and _value(curve, p["tokens"], "tokens", relate) is not None
        ]
        if not points:
            continue
        look, several = index % len(DASHES), len(curves) > 1
        chances = [_chance(p) for p in points]
        data.append({
            "type": "scatter", "mode": "lines+markers+text", "name": label_text(curve.name), "showlegend": several,
            "x": [_value(curve, p["tokens"], "tokens", relate) for p in points], "y": [p["mean"] for p in points],
            "text": [_label(p, chance) for p, chance in zip(points, chances, strict=True)], "textposition": "top center", "textfont": {"size": 11},
            "line": {"color": GREY if curve.published or not several else CURVE_COLOURS[look], "width": 1, "dash": DASHES[look]},
            "marker": {
                "color": [lambda_colour(p["lambda"]) for p in points], "size": [13 if (c or 0) >= 0.5 else 9 for c in chances],
                "symbol": SYMBOLS[look] + ("-open" if curve.published else ""),
                "line": {"color": GREEN, "width": [0 if (c or 0) < 0.5 else 4 if (c or 0) >= SURE_PROBABILITY else 2 for c in chances]},
            },
            "error_x": _bars(curve, points, "tokens", relate), "error_y": _bars(curve, points, "mean", False),
            "customdata": [None if curve.published else [curve.study, p["key"]] for p in points],
            "hovertext": [_pareto_hover(curve, p) for p in points], "hoverinfo": "text", "cliponaxis": False,
        })  # fmt: skip
    title = "tokens ÷ tokens at λ 1" if relate else "mean tokens"
    layout = {
        "xaxis": {"title": {"text": title}, "rangemode": "tozero"}, "yaxis": {"title": {"text": "accuracy (mean)"}, "tickformat": ".0%"},
        "legend": {"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0}, "margin": {"l": 62, "r": 16, "t": 40, "b": 46},
    }  # fmt: skip
    columns = ["Curve", "Origin", "λ", "Tokens", "Tokens low", "Tokens high", "Mean (%)", "Mean low", "Mean high", "On the Pareto front",
               "P(improves on Instruct)", "P(improves on Thinking)", "Questions", "Samples (k)"]  # fmt: skip
    rows = []
    for curve in curves:
        front = _front(curve)
        rows += [
            [curve.name, curve.origin, p["lambda"], *_cells(p, "tokens", 1), *_cells(p, "mean"), "yes" if i in front else "no",
             _round(p.get("improves_instruct"), 1), _round(p.get("improves_thinking"), 1), p.get("questions"), p.get("samples")]
            for i, p in enumerate(curve.points)
        ]  # fmt: skip
    return {"data": data, "layout": layout}, columns, rows


def _front(curve: Curve) -> set[int]:
    from mi_explorer.studies.stats.efficiency import pareto as front

    nan = float("nan")
    return set(
        front(
            [p["tokens"] or nan for p in curve.points], [nan if p["mean"] is None else p["mean"] for p in curve.points]
        )
    )


def _chance(point: Mapping[str, Any]) -> float | None:
    known = [x for x in (point.get("improves_instruct"), point.get("improves_thinking")) if x is not None]
    return max(known) if known else None


def _label(point: Mapping[str, Any], chance: float | None) -> str:
    label = f"{point['lambda']:g}"
    return (
        label if chance is None or chance < 0.5 else f"{label} ▲{min(round(100 * chance), 99) if chance < 1 else 100} %"
    )


def _pareto_hover(curve: Curve, point: Mapping[str, Any]) -> str:
    lines = [
        f"<b>λ {point['lambda']:g}</b> · {label_text(curve.name)}",
        f"accuracy: {value_text(point, 'mean')}",
        f"tokens: {value_text(point, 'tokens', False)}",
    ]
    if curve.published:
        return "<br>".join([*lines, label_text(curve.about)])
    for key, parent in (("improves_instruct", "Instruct"), ("improves_thinking", "Thinking")):
        if point.get(key) is not None:
            lines.append(f"improves on {parent} (more right, fewer tokens): {100 * point[key]:.1f} % of draws")
    return "<br>".join([*lines, sample_sizes(point)])


def _bars(curve: Curve, points: Sequence[Mapping[str, Any]], metric: str, relate: bool) -> dict[str, Any]:
    """Interval bars, asymmetric; none where a point has no interval."""

    def reach(p: Mapping[str, Any], end: int) -> float:
        ci = p.get(f"{metric}_ci") or (None, None)
        if ci[end] is None:
            return 0.0
        a, b = (_value(curve, x, metric, relate) or 0.0 for x in (p[metric], ci[end]))
        return max(b - a if end else a - b, 0.0)

    ends = {"array": [reach(p, 1) for p in points], "arrayminus": [reach(p, 0) for p in points]}
    return {"type": "data", "symmetric": False, **ends, "thickness": 1, "width": 0, "color": "rgba(138,143,155,.55)"}
