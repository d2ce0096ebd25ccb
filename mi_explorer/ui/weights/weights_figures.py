"""Distances as figures and tables: the heat map layer × module, the gauge beside published pairs, one row a tensor.

Pure: `weights.distance.Distances` in, plotly figures with their data tables out. Distances are computed from every element, so
they have no interval; hovers carry the number of elements instead.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

import plotly.graph_objects as go

from mi_explorer.merging.distances import GAUGE, DistanceRow, Distances, slerp_against_linear
from mi_explorer.recipe import MODULES
from mi_explorer.studies.report.palette import AMBER, GREEN, VERMILION
from mi_explorer.studies.report.published import published, source
from mi_explorer.ui.plotly_component import label_text

NO_LAYER = "no layer"  # embedding, head and final norm
SEQUENTIAL = [[0.0, "#eef4fa"], [0.5, "#5aa0cf"], [1.0, "#003f66"]]
DIVERGING = [[0.0, "#a3427f"], [0.5, "#f4f4f4"], [1.0, "#00704f"]]  # purple against, green along
BF16 = 2.0**-8  # the most that rounding to bf16 changes a number, as a share of it
GAUGE_COLOURS = {"green": GREEN, "amber": AMBER, "orange": VERMILION, "red": "#a0153e"}
NAMES = {
    "attention": "attention",
    "mlp": "MLP",
    "norm": "norms",
    "embedding": "embedding",
    "lm_head": "LM head",
    "other": "other",
}


@dataclass(frozen=True)
class Measure:
    """One way to colour the heat map: how a row's number is shown, and on which scale."""

    title: str
    unit: str
    value: Callable[[DistanceRow], float | None]
    about: str
    digits: str = ".2f"
    diverging: bool = False
    ceiling: float | None = None


MEASURES: dict[str, Measure] = {
    "sigma": Measure(
        "σ",
        "%",
        lambda r: 100 * r.sigma,
        "Σ|A−B| / (Σ|A|+Σ|B|), the unweighted mean over a cell's tensors, as published",
    ),
    "relative_l2": Measure("Relative L2", "%", lambda r: 100 * r.relative_l2, "‖Thinking − Instruct‖ / ‖Instruct‖"),
    "cosine": Measure(
        "Cosine", "", lambda r: r.cosine, "of the two parents' weights; 1 is the same direction", ".5f", ceiling=1.0
    ),
    "kin_cosine": Measure(
        "Kinship", "", lambda r: r.kin_cosine, "cosine of the two task vectors, parent − base, signed", ".3f", True
    ),
}


def offered_measures(found: Distances | None) -> list[tuple[str, str]]:
    """(label, name) of the measures; kinship only where a base was measured."""
    return [
        (f"{m.title}, {m.unit}" if m.unit else m.title, k)
        for k, m in MEASURES.items()
        if k != "kin_cosine" or (found and found.base)
    ]


def short_name(label: str | None) -> str:
    """A checkpoint as the page names it: a hub id as it is, of a folder its last part."""
    path = PurePath(label or "")
    return path.name if path.is_absolute() or len(path.parts) > 2 else str(label or "")


def heat_map_figure(found: Distances, measure: str) -> tuple[go.Figure, list[str], list[list[object]]]:
    """The heat map of one of `MEASURES` with its table; `customdata` of a cell is "module|layer" (no layer: "")."""
    m = MEASURES[measure]
    columns: list[int | None] = [*sorted({r.layer for r in found.groups if r.layer is not None})]
    columns += [None] if any(r.layer is None for r in found.groups) else []
    modules = [x for x in MODULES if any(r.module == x for r in found.groups)]
    at = {(r.module, r.layer): r for r in found.groups}

    def value(row: DistanceRow | None) -> float | None:
        x = None if row is None else m.value(row)
        return None if x is None or not math.isfinite(x) else x

    cells = [[at.get((module, layer)) for layer in columns] for module in modules]
    z = [[value(row) for row in line] for line in cells]
    shown = [x for line in z for x in line if x is not None]
    unit = f" {m.unit}" if m.unit else ""
    hover = [
        [
            ""
            if r is None
            else f"{r.numel:,} numbers in {r.tensors} tensor{'s' if r.tensors > 1 else ''}<br>angle {_angle(r):.2f}°"
            for r in line
        ]
        for line in cells
    ]
    reach = max((abs(x) for x in shown), default=1.0) or 1.0
    span = (
        {"zmin": -reach, "zmax": reach}
        if m.diverging
        else {"zmax": m.ceiling}
        if m.ceiling is not None
        else {"zmin": 0}
    )
    drawn = go.Figure(
        go.Heatmap(
            z=z,
            x=[NO_LAYER if layer is None else str(layer) for layer in columns],
            y=[NAMES[module] for module in modules],
            customdata=[[f"{module}|{'' if layer is None else layer}" for layer in columns] for module in modules],
            text=hover,
            hovertemplate=f"%{{y}}, layer %{{x}}<br><b>{m.title} %{{z:{m.digits}}}{unit}</b><br>%{{text}}<extra></extra>",
            texttemplate=f"%{{z:{m.digits}}}" if len(columns) <= 14 else "",
            colorscale=DIVERGING if m.diverging else SEQUENTIAL,
            reversescale=m.ceiling is not None,
            colorbar={"title": {"text": f"{m.title}{unit and ','}{unit}"}, "thickness": 12, "outlinewidth": 0},
            xgap=2,
            ygap=2,
            hoverongaps=False,
            **span,
        ),
        go.Layout(
            xaxis={"title": {"text": "layer"}, "type": "category", "showgrid": False},
            yaxis={"type": "category", "autorange": "reversed", "showgrid": False},
            margin={"l": 80, "r": 8, "t": 12, "b": 44},
        ),
    )
    names, rows = distance_table(found, found.groups)
    return drawn, names, rows


def _angle(row: DistanceRow) -> float:
    return 0.0 if math.isnan(row.cosine) else math.degrees(math.acos(row.cosine))


def distance_table(found: Distances, rows: tuple[DistanceRow, ...]) -> tuple[list[str], list[list[object]]]:
    """Columns (units in the headers) and one line per row: where it is, its size, and every distance."""
    columns = [
        "tensor" if rows is found.tensors else "group",
        "module",
        "layer",
        "numbers",
        "σ (%)",
        "relative L2 (%)",
        "cosine",
        "angle (°)",
    ]
    if found.base:
        columns += ["kinship cosine", "kinship Pearson"]

    def line(r: DistanceRow) -> list[object]:
        values = [100 * r.sigma, 100 * r.relative_l2, r.cosine, _angle(r)] + (
            [r.kin_cosine, r.kin_pearson] if found.base else []
        )
        return [
            r.name,
            r.module,
            r.layer,
            r.numel,
            *(None if v is None or not math.isfinite(v) else round(v, 6) for v in values),
        ]

    return columns, [line(r) for r in rows]


def gauge_figure(found: Distances, name: str) -> tuple[go.Figure, list[str], list[list[object]]]:
    """This pair's relative L2 on the gauge's bands, published pairs beside it (hollow, named on hover)."""
    mine = 100 * found.overall.relative_l2
    theirs = published("spectrum_weights")
    low, high = min(1.0, max(mine, 0.02) / 2), max(200.0, min(mine, 1e6) * 1.5)
    drawn, edge = go.Figure(), low
    for limit, colour, _ in GAUGE:
        end = min(100 * limit, high)
        drawn.add_shape(
            type="rect",
            x0=edge,
            x1=end,
            y0=0,
            y1=1,
            yref="paper",
            fillcolor=GAUGE_COLOURS[colour],
            opacity=0.16,
            line_width=0,
            layer="below",
        )
        edge = end
    pairs = [f"{a} and {b}" for a, b in zip(theirs["model_a"], theirs["model_b"], strict=True)]
    drawn.add_scatter(
        x=theirs["relative_l2_percent"].tolist(), y=["published"] * len(pairs), text=[label_text(p) for p in pairs], mode="markers",
        marker={"symbol": "circle-open", "size": 10, "color": "#767c89", "line": {"width": 2}},
        hovertemplate=f"%{{text}}<br><b>%{{x:.3g}} %</b><br>published, {source('spectrum_weights')}<extra></extra>",
    )  # fmt: skip
    drawn.add_scatter(
        x=[max(mine, low)], y=["this pair"], mode="markers+text", text=[f"{mine:.1f} %"], textposition="middle right",
        marker={"symbol": "diamond", "size": 14, "color": GAUGE_COLOURS[found.gauge]},
        hovertemplate=f"{label_text(name)}<br><b>%{{text}}</b> of {found.overall.numel:,} numbers<extra></extra>",
    )  # fmt: skip
    ticks = [x for x in (0.1, 1, 3, 10, 25, 50, 100) if low <= x <= high]
    drawn.update_layout(
        showlegend=False,
        xaxis={
            "type": "log",
            "range": [math.log10(low), math.log10(high)],
            "title": {"text": "relative L2, %"},
            "tickvals": ticks,
            "ticktext": ticks,
        },
        yaxis={"type": "category", "showgrid": False},
        margin={"l": 80, "r": 16, "t": 8, "b": 54},
    )
    rows: list[list[object]] = [[name, round(mine, 4), "measured here"]]
    rows += [
        [p, float(x), f"published, {source('spectrum_weights')}"]
        for p, x in zip(pairs, theirs["relative_l2_percent"], strict=True)
    ]
    return drawn, ["pair", "relative L2 (%)", "source"], rows


def distance_facts(found: Distances) -> list[list[str]]:
    """The whole pair in lines of (name, value)."""
    o = found.overall
    ours = (
        published("mi_similarity")
        .query("model_a == 'Qwen3-4B-Instruct-2507' and model_b == 'Qwen3-4B-Thinking-2507'")["sigma"]
        .iloc[0]
    )
    lines = [
        ["Relative L2", f"{100 * o.relative_l2:.2f} %"],
        ["σ", f"{100 * o.sigma:.2f} % (mean over {o.tensors} tensors, norms included) · {100 * o.sigma_global:.2f} % over all numbers · "
              f"Qwen3-4B-2507 has {100 * ours:.2f} % (published, {source('mi_similarity')})"],
        ["Cosine", f"{o.cosine:.5f}, an angle of {_angle(o):.2f}°"],
    ]  # fmt: skip
    if found.base and o.kin_cosine is not None and o.kin_pearson is not None:
        base = short_name(found.base)
        a, b = o.instruct_to_base_l2 or 0.0, o.thinking_to_base_l2 or 0.0
        lines += [
            [
                f"Kinship with “{base}”",
                f"cosine {o.kin_cosine:+.3f}, Pearson {o.kin_pearson:+.3f} of the two task vectors",
            ],
            [
                "Distance to it",
                f"Instruct {a:.3g}, Thinking {b:.3g} (L2)" + (f"; Thinking went {b / a:.1f} times as far" if a else ""),
            ],
        ]
    return lines


def slerp_note(found: Distances) -> str:
    """What SLERP would change on this pair against linear, in words with numbers."""
    s = slerp_against_linear(found)
    if not s.tensors:
        return ""
    if s.linear == s.tensors:
        widest = f"the widest angle between the parents is {s.angle:.2f}° ({s.name})"
        return f"SLERP would change nothing here: {widest}, and below 1.81° SLERP itself blends linearly."
    verdict = f"{'less' if s.longer < BF16 else 'more'} than rounding to bf16 changes a number"
    return (
        f"SLERP would change {s.tensors - s.linear} of {s.tensors} tensors; the others are nearly parallel, and SLERP itself "
        f"blends them linearly. The widest angle is {s.angle:.1f}° ({s.name}). There a coefficient differs from linear's by at "
        f"most {s.coefficient:.4f}, and at λ 0.5 the blend is {100 * s.longer:.2f} % longer: {verdict} ({100 * BF16:.2f} %)."
    )
