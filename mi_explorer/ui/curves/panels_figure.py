"""Curves over λ, a panel for each kind of measure. Pure: values in, `(figure, columns, rows)` out.

One λ axis under all panels, never a second y axis. A line's colour is its metric (one curve) or its curve (several, told
apart by dash and symbol too); a point's colour is its λ. Tokens of curves that cannot share an axis are shown relative to λ = 1.
A point's `customdata` is `[study, cell key]`; published points have none.
"""

from collections.abc import Sequence

from mi_explorer.studies.report.palette import AMBER, GREEN, GREY, PURPLE, SKY
from mi_explorer.ui.curves.curve import Curve, needs_relative_tokens
from mi_explorer.ui.curves.curve_marks import CURVE_COLOURS, DASHES, SYMBOLS, Figure, band, lambda_axis, legend_above
from mi_explorer.ui.curves.curve_marks import line as marked_line
from mi_explorer.ui.curves.curve_table import curve_table, hover_text
from mi_explorer.ui.explore.rail import stage_bands
from mi_explorer.ui.plotly_component import label_text
from mi_explorer.untyped import GradioValue, JsonObject

# a panel: its title, its colour, and its lines as (metric, words, dash); with several curves only the first line is drawn
PANELS: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
    ("accuracy", GREEN, (("mean", "mean", "solid"), ("pass", "pass@k", "dash"), ("vote", "vote@k", "dot"))),
    (
        "think ratio",
        PURPLE,
        (("think_ratio", "closes with </think>", "solid"), ("think_lenient", "closes in any way", "dot")),
    ),
    ("tokens", SKY, (("tokens", "tokens", "solid"),)),
    ("overthinking", AMBER, (("overthinking", "share of tokens after the first right answer", "solid"),)),
)
STAGE_FILL = {1: "rgba(0,114,178,.05)", 2: "rgba(204,121,167,.13)", 3: "rgba(213,94,0,.05)"}
PANEL_GAP = 0.035  # between panels, of the height
CROWDED = 4  # curves above which interval bands are faint
MIN_STAGE_WIDTH = 0.06  # of λ, for a stage to be named
MIN_RATIO_DIFFERENCE = 0.005  # strict and lenient think ratios that differ by less are one


def panels_figure(curves: Sequence[Curve]) -> Figure:
    """Accuracy, think ratio, tokens and overthinking over λ: lines with interval bands, and the first curve's stages."""
    relative, several = needs_relative_tokens(curves), len(curves) > 1
    panels = [p for p in PANELS if any(_measured(c, p[2][0][0], relative) for c in curves)]
    data: list[JsonObject] = []
    layout: JsonObject = {
        "xaxis": {
            "title": {"text": "λ (0 Instruct, 1 Thinking)", "standoff": 6},
            "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
            **lambda_axis(curves),
        },
        "legend": legend_above(1.03),
        "margin": {"l": 62, "r": 16, "t": 64, "b": 54},
        **_stages(curves),
    }
    height = (1 - PANEL_GAP * (len(panels) - 1)) / max(len(panels), 1)
    for place, (title, panel_colour, lines) in enumerate(panels):
        top, number = 1 - place * (height + PANEL_GAP), f"{place + 1}" if place else ""
        words = "tokens ÷ tokens at λ 1" if title == "tokens" and relative else title
        axis = {"domain": [max(top - height, 0), top], "anchor": "x", "title": {"text": words}, "rangemode": "tozero"}
        layout[f"yaxis{number}"] = axis if title == "tokens" else {**axis, "tickformat": ".0%"}
        for index, curve in enumerate(curves):
            look = index % len(DASHES)
            colour = GREY if curve.published else CURVE_COLOURS[look] if several else panel_colour
            drawn = [x for x in lines if x[0] != "think_lenient" or _differs(curve)]
            for metric, words, dash in drawn[:1] if several else drawn:
                looks = {"colour": colour, "axis": f"y{number}", "dash": DASHES[look] if several else dash}
                named = metric == "mean" if several else len(drawn) > 1
                data += _line(
                    curve,
                    metric,
                    words,
                    relative,
                    SYMBOLS[look] if several else "",
                    named,
                    looks,
                    len(curves) > CROWDED,
                )
    return {"data": data, "layout": layout}, *curve_table(curves)


def _measured(curve: Curve, metric: str, relative: bool) -> list[GradioValue]:
    return [p for p in curve.points if curve.drawn(metric, p.get(metric), relative) is not None]


def _differs(curve: Curve) -> bool:
    return any(
        abs((p.get("think_lenient") or 0) - (p["think_ratio"] or 0)) >= MIN_RATIO_DIFFERENCE
        for p in curve.points
        if not curve.published
    )


def _line(
    curve: Curve,
    metric: str,
    words: str,
    relative: bool,
    symbol: str,
    named: bool,
    looks: dict[str, str],
    crowded: bool,
) -> list[JsonObject]:
    """A metric of a curve with its band; `symbol` is "" where it is the only curve, `named`: whether the legend has it,
    `crowded`: whether many bands lie on one another."""
    points = _measured(curve, metric, relative)
    if not points:
        return []
    name = label_text(curve.name if symbol else words)
    spans = [
        (p["lambda"], *(curve.drawn(metric, x, relative) for x in p[f"{metric}_ci"]))
        for p in points
        if (p.get(f"{metric}_ci") or [None])[0] is not None
    ]
    faint = 0.06 if crowded or not symbol and looks["dash"] != "solid" else 0.16
    bands = [band(spans, name, looks["colour"], looks["axis"], faint)] if len(spans) > 1 else []
    open_symbol = f"{symbol}-open" if symbol and curve.published else symbol or "circle"
    values = [(p["lambda"], curve.drawn(metric, p[metric], relative)) for p in points]
    size = 6 if metric in ("pass", "vote", "think_lenient") else 8
    return [
        *bands,
        {
            **marked_line(values, name, symbol=open_symbol, size=size, **looks),
            "showlegend": named,
            "customdata": [None if curve.published else [curve.study, p["key"]] for p in points],
            "hovertext": [hover_text(curve, p, metric, words) for p in points],
            "cliponaxis": False,
        },
    ]


def _stages(curves: Sequence[Curve]) -> JsonObject:
    """The stages of the first curve that has a transition, as bands behind all panels."""
    curve = next((c for c in curves if c.stages.get("lambda50") is not None), None)
    if curve is None:
        return {}
    spans = stage_bands(curve.stages, curve.points[0]["lambda"], curve.points[-1]["lambda"])
    frame = {"yref": "paper", "xref": "x"}
    shape = {"type": "rect", **frame, "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0}}
    label = {**frame, "y": 1, "yanchor": "bottom", "showarrow": False, "font": {"size": 11}}
    return {
        "shapes": [{**shape, "x0": s["from"], "x1": s["to"], "fillcolor": STAGE_FILL[s["stage"]]} for s in spans],
        "annotations": [
            {**label, "text": f"stage {s['stage']}", "x": (s["from"] + s["to"]) / 2}
            for s in spans
            if s["to"] - s["from"] > MIN_STAGE_WIDTH
        ],
    }
