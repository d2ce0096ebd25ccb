"""Ablations as the paper draws them, ours beside the published: rows of cells with intervals, or heat maps for decoding.

Pure: `lines.Line` in, plotly figures and table columns with rows out. Ours are filled marks with 95 % intervals, published ones
hollow diamonds. The models and tasks differ, so tokens are drawn in percent of Thinking's, and decoding against each panel's mean.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mi_explorer.studies.report.palette import lambda_colour
from mi_explorer.ui.ablations.ablation_rows import AblationRow
from mi_explorer.ui.plotly_component import label_text
from mi_explorer.untyped import Json, JsonMapping, JsonObject, LibraryObject

PANELS = (("mean", "Accuracy, %"), ("think", "Think ratio, %"), ("length", "Tokens, % of {}"))
GREY = "#767c89"
PANEL_GAP_PX = 75  # pixels between panels that stand one below the other
CENTRED = [[0.0, "#b3681c"], [0.5, "#f4f4f4"], [1.0, "#2b6ca3"]]  # below and above the panel's mean
Numbers = tuple[float | None, float | None, float | None]  # value and interval


def own_value(cell: JsonMapping | None, metric: str, full: float | None = None) -> Numbers:
    """A measure of ours as (value, low, high): shares in percent, `length` in percent of `full` tokens; None where there is none."""
    if cell is None:
        return None, None, None
    name = {"think": "think_ratio", "length": "tokens"}.get(metric, metric)
    scale = 100 / full if metric == "length" and full else 1.0 if name == "tokens" else 100.0
    if cell.get(name) is None or (metric == "length" and not full):
        return None, None, None
    low, high = cell.get(f"{name}_ci") or (None, None)
    return tuple(None if x is None else scale * x for x in (cell[name], low, high))  # type: ignore[return-value]


def reference_tokens(kind: str, lines: Sequence[AblationRow]) -> float | None:
    """The mean tokens of ours that lengths are compared with: Thinking's, of backbones Instruct's; None if not measured."""
    for line in lines:
        cell = line.ours
        if cell and (
            cell["label"] == "into Instruct"
            if kind == "backbone"
            else cell["lambda"] == 1 and cell["method"] == "linear"
        ):
            return float(cell["tokens"])
    return None


def length_reference(kind: str) -> str:
    """What lengths are compared with, in words."""
    return "the blend into Instruct" if kind == "backbone" else "Thinking's"


def dots_figure(kind: str, lines: Sequence[AblationRow], cite: str, narrow: bool = False) -> go.Figure:
    """Three panels that share their rows: accuracy, think ratio, length; `narrow` puts them one below the other."""
    full = reference_tokens(kind, lines)
    names = [label_text(line.label) for line in lines]
    titles = [title.format(length_reference(kind)) for _, title in PANELS]
    height = 3 * (90 + 26 * len(lines))
    drawn, at = _panels(
        titles, narrow, shared_yaxes=True, horizontal_spacing=0.03, vertical_spacing=PANEL_GAP_PX / height
    )
    for column, (metric, title) in enumerate(PANELS, start=1):
        mine: list[Json] = [
            (name, line, *own_value(line.ours, metric, full)) for name, line in zip(names, lines, strict=True)
        ]
        mine = [m for m in mine if m[2] is not None]
        drawn.add_scatter(
            x=[m[2] for m in mine], y=[m[0] for m in mine], mode="markers",
            name="measured here", legendgroup="ours", showlegend=column == 1, cliponaxis=False,
            marker={"size": 10, "color": [lambda_colour(m[1].lam or 0.0) for m in mine]},
            error_x={
                "type": "data", "symmetric": False, "thickness": 1.5, "width": 3, "color": GREY,
                "array": [0 if m[4] is None else m[4] - m[2] for m in mine],
                "arrayminus": [0 if m[3] is None else m[2] - m[3] for m in mine],
            },
            text=[_hover(m[1], metric, m[2:]) for m in mine], hovertemplate="%{text}<extra>measured here</extra>", **at(column),
        )  # fmt: skip
        theirs = [
            (name, line.theirs[metric])
            for name, line in zip(names, lines, strict=True)
            if line.theirs and line.theirs.get(metric) is not None
        ]
        drawn.add_scatter(
            x=[t[1] for t in theirs], y=[t[0] for t in theirs], mode="markers",
            name="published", legendgroup="theirs", showlegend=column == 1, cliponaxis=False,
            marker={"size": 11, "symbol": "diamond-open", "color": GREY, "line": {"width": 1.6}},
            hovertemplate=f"%{{y}}<br><b>{title.split(',')[0]} %{{x:.1f}} %</b><br>{label_text(cite)}<extra>published</extra>",
            **at(column),
        )  # fmt: skip
        drawn.update_xaxes(rangemode="tozero", ticksuffix=" %", **at(column))
    drawn.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], type="category", ticklabelstandoff=8
    )  # room for a mark at 0
    drawn.update_layout(
        legend={"orientation": "h", "y": -0.12, "x": 0}, margin={"l": 150, "r": 16, "t": 34, "b": 60}, hoverlabel={"align": "left"},
        uirevision=f"{kind} {len(lines)} {narrow}",
    )  # fmt: skip
    if narrow:
        drawn.update_layout(height=height, margin={"l": 8}, legend={"y": -55 / height})
    drawn.update_annotations(font_size=13)
    return drawn


def _panels(
    titles: Sequence[str], narrow: bool, **more: LibraryObject
) -> tuple[go.Figure, Callable[[int], dict[str, int]]]:
    """Panels side by side, or one below the other; and which row and column of them panel n (from 1) is."""
    n = max(1, len(titles))
    drawn = make_subplots(rows=n if narrow else 1, cols=1 if narrow else n, subplot_titles=titles, **more)
    return drawn, lambda panel: {"row": panel if narrow else 1, "col": 1 if narrow else panel}


def _hover(line: AblationRow, metric: str, numbers: Sequence[float]) -> str:
    value, low, high = numbers
    cell = line.ours or {}
    band = "" if low is None else f" [{low:.1f}, {high:.1f}]"
    tokens = f"<br>{cell['tokens']:,.1f} tokens" if metric == "length" else ""
    return f"{label_text(line.label)}<br><b>{value:.1f} %{band}</b>{tokens}<br>{cell['questions']} questions × {cell['samples']} samples"


def grid_figure(
    ours_: Sequence[AblationRow],
    papers: Mapping[str, Sequence[AblationRow]],
    cites: Mapping[str, str],
    narrow: bool = False,
) -> go.Figure:
    """Figure 4's form: temperature × top-p, one panel ours and one a published benchmark, each coloured against its own mean."""
    panels: list[tuple[str, dict[tuple[float, float], tuple[float, str]]]] = []
    mine = {}
    for line in ours_:
        value, low, high = own_value(line.ours, "mean")
        if line.ours and value is not None:
            band = "" if low is None else f" [{low:.1f}, {high:.1f}]"
            n = f"{line.ours['questions']} questions × {line.ours['samples']} samples"
            mine[line.ours["temperature"], line.ours["top_p"]] = (
                value,
                f"<b>{value:.1f} %{band}</b><br>{n}<br>measured here",
            )
    if mine:
        panels.append(("measured here", mine))
    for name, lines in papers.items():
        cells = {}
        for line in lines:
            t, p = (float(x) for x in line.label.removeprefix("T ").split(", top-p "))
            if line.theirs and line.theirs["mean"] is not None:
                cells[t, p] = (line.theirs["mean"], f"<b>{line.theirs['mean']:.1f} %</b><br>{label_text(cites[name])}")
        panels.append((f"published: {name.rpartition(' on ')[2]}", cells))
    height = 300 * max(1, len(panels))
    drawn, place = _panels(
        [name for name, _ in panels], narrow, horizontal_spacing=0.06, vertical_spacing=PANEL_GAP_PX / height
    )
    bar: JsonObject = {"title": {"text": "points from<br>the mean"}, "thickness": 12, "outlinewidth": 0}
    if narrow:
        bar |= {
            "orientation": "h",
            "y": -70 / height,
            "yanchor": "top",
            "title": {"text": "points from the mean", "side": "bottom"},
        }
    means = [sum(v for v, _ in cells.values()) / max(len(cells), 1) for _, cells in panels]
    reach = (
        max(
            (abs(v - mean) for (_, cells), mean in zip(panels, means, strict=True) for v, _ in cells.values()),
            default=1.0,
        )
        or 1.0
    )
    for column, ((_, cells), mean) in enumerate(zip(panels, means, strict=True), start=1):
        ts, ps = sorted({t for t, _ in cells}), sorted({p for _, p in cells}, reverse=True)
        at = [[cells.get((t, p)) for t in ts] for p in ps]
        drawn.add_heatmap(
            z=[[None if c is None else c[0] - mean for c in row] for row in at], x=[f"{t:g}" for t in ts], y=[f"{p:g}" for p in ps],
            text=[["" if c is None else f"{c[0]:.1f}" for c in row] for row in at], texttemplate="%{text}",
            hovertext=[["" if c is None else c[1] for c in row] for row in at],
            hovertemplate="T %{x}, top-p %{y}<br>%{hovertext}<br>%{z:+.1f} points from the panel's mean<extra></extra>",
            colorscale=CENTRED, zmin=-reach, zmax=reach, xgap=2, ygap=2, showscale=column == len(panels),
            colorbar=bar, **place(column),
        )  # fmt: skip
        across, down = (column == len(panels), True) if narrow else (True, column == 1)  # axes that carry their title
        drawn.update_xaxes(
            type="category", title_text="temperature" if across else "", showgrid=False, tickangle=0, **place(column)
        )
        drawn.update_yaxes(
            type="category", autorange="reversed", title_text="top-p" if down else "", showgrid=False, **place(column)
        )
    drawn.update_layout(margin={"l": 60, "r": 8, "t": 34, "b": 48}, uirevision=f"decoding {len(panels)} {narrow}")
    if narrow:
        drawn.update_layout(height=height, margin={"b": 110})
    drawn.update_annotations(font_size=13)
    return drawn


def ablation_table(kind: str, lines: Sequence[AblationRow]) -> tuple[list[str], list[list[object]]]:
    """The paper's own columns, ours (with 95 % intervals) and the published ones in turn; columns without a number are left out."""
    full = reference_tokens(kind, lines)
    k = next((line.ours["samples"] for line in lines if line.ours), None)
    paper_k = next((int(line.theirs["k"] or 0) for line in lines if line.theirs), None)
    at, paper_at = f"@{k}" if k else "", f"@{paper_k}" if paper_k else ""
    wanted = [
        *((name.lower(), f"{name}{at}", f"{name}{paper_at}") for name in ("Mean", "Pass", "Vote")),
        *(
            (name, title, title)
            for name, title in (
                ("think", "Think ratio"),
                ("tokens", "Tokens"),
                ("length", f"Length of {length_reference(kind)}"),
            )
        ),
    ]
    columns = ["Blend"]
    data: list[list[object]] = [[line.label] for line in lines]
    for metric, here, there in wanted:
        unit = "" if metric == "tokens" else " (%)"
        mine = [own_value(line.ours, metric, full) for line in lines]
        theirs = [line.theirs.get(metric) if line.theirs else None for line in lines]
        if any(m[0] is not None for m in mine):
            columns += [f"{here}{unit}", "95 % interval"]
            for row, (value, low, high) in zip(data, mine, strict=True):
                row += [_round(value), "" if low is None or high is None else f"{low:.1f} to {high:.1f}"]
        if any(t is not None for t in theirs):
            columns.append(f"{there}{unit}, published")
            for row, x in zip(data, theirs, strict=True):
                row.append(_round(x))
    if any(line.ours for line in lines):
        columns.append("n (questions × samples)")
        for row, line in zip(data, lines, strict=True):
            row.append(f"{line.ours['questions']} × {line.ours['samples']}" if line.ours else "")
    return columns, data


def _round(x: float | None) -> float | None:
    return None if x is None or math.isnan(x) else round(x, 1)
