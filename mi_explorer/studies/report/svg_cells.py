"""A study's cells as still pictures (SVG): bars with intervals for an ablation, and tokens against accuracy for any study.

Beside `svg_curves.curves_svg`, in the same look. Text goes in escaped, equal studies give equal pictures.
"""

import math
from collections.abc import Sequence

from mi_explorer.studies.report.palette import lambda_colour
from mi_explorer.studies.report.results import cell_name, efficiency_rows
from mi_explorer.studies.report.svg_curves import (
    BAND,
    FONT,
    GRID,
    INK,
    MEASURES,
    PAPER,
    SOFT,
    WIDTH,
    Scale,
    conditions,
    escaped,
    heading,
    label,
    scale_of,
    ticks_of,
)
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.untyped import JsonMapping

LEFT, RIGHT, TOP, SIDE = 64, 24, 64, 210
BAR, STEP = 12, 22
PARETO_HEIGHT = 400
SURE = 0.95  # the probability from which on an improvement has a star


def bars_svg(summary: Summary) -> str:
    """Every cell as a row with a bar for each measure: accuracy, tokens, think ratio, in the order of the study."""
    measures = [m for m in MEASURES if any(cell[m[0]] is not None for cell in summary.cells)]
    names = [cell_name(summary, i) for i in range(len(summary.cells))]
    width = (WIDTH - SIDE - RIGHT) / max(len(measures), 1)
    height = TOP + STEP * len(names) + 44
    out = begin_svg(summary, height)
    for i, name in enumerate(names):
        y = TOP + STEP * i
        if i % 2:
            out.append(f'<rect x="16" y="{y - 5}" width="{WIDTH - 32}" height="{STEP}" fill="{BAND}" opacity=".6"/>')
        out.append(label(24, y + 10, name if len(name) < 32 else name[:30] + "…", INK))
    for place, (measure, title, scale, fill) in enumerate(measures):
        left = SIDE + place * width
        cells = [(cell[measure], cell.get(f"{measure}_ci") or (None, None)) for cell in summary.cells]
        top = ticks_of(
            0.0, max((scale * x for value, ci in cells for x in (value, *ci) if x is not None), default=1.0)
        )[-1]
        x = scale_of(0.0, top, left, left + width - 22)
        out += [label(left, TOP - 14, title, SOFT), f'<path d="M{left:.1f} {TOP - 6}V{height - 40}" stroke="{GRID}"/>']
        for i, (value, (low, high)) in enumerate(cells):
            y = TOP + STEP * i
            if value is None:
                continue
            out.append(
                f'<rect x="{left:.1f}" y="{y}" width="{max(x(scale * value) - left, 0.5):.1f}" height="{BAR}" fill="{fill}" opacity=".75"/>'
            )
            if low is not None and high is not None:
                out.append(
                    f'<path d="M{x(scale * low):.1f} {y + BAR / 2}H{x(scale * high):.1f}" stroke="{INK}" stroke-width="1.5"/>'
                )
        out += [
            label(left, height - 28, "0", SOFT, size=11),
            label(left + width - 22, height - 28, f"{top:g}", SOFT, anchor="end", size=11),
        ]
    return end_svg(out, summary, height)


def pareto_svg(summary: Summary) -> str:
    """Tokens (x) against accuracy (y) of every cell with intervals, named; front and sure improvements over either parent marked."""
    scores = enumerate(zip(summary.cells, efficiency_rows(summary), strict=True))
    cells = [(cell, cell_name(summary, i), row) for i, (cell, row) in scores if cell["mean"] is not None]
    height = PARETO_HEIGHT
    x, y, axes = pareto_axes([cell for cell, *_ in cells])
    out = [*begin_svg(summary, height), *axes]
    front = sorted((cell["tokens"], 100 * cell["mean"]) for cell, _, row in cells if row["pareto"])
    if len(front) > 1:
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in front)
        out.append(f'<polyline points="{points}" fill="none" stroke="{SOFT}" stroke-dasharray="3 4"/>')
    taken: list[tuple[float, float]] = []
    for cell, name, row in cells:
        a, b, fill = x(cell["tokens"]), y(100 * cell["mean"]), lambda_colour(cell["lambda"])
        low, high = cell["tokens_ci"] or (None, None)
        if low is not None and high is not None:
            out.append(f'<path d="M{x(low):.1f} {b:.1f}H{x(high):.1f}" stroke="{fill}" opacity=".45"/>')
        low, high = cell["mean_ci"] or (None, None)
        if low is not None and high is not None:
            out.append(f'<path d="M{a:.1f} {y(100 * low):.1f}V{y(100 * high):.1f}" stroke="{fill}" opacity=".45"/>')
        size, inside = (7, PAPER) if row["pareto"] else (4, fill)
        out.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{size}" fill="{inside}" stroke="{fill}" stroke-width="2"/>')
        if (row["improves_either"] or 0) >= SURE:
            out.append(_star(a, b, fill))
        place = (a + 9, b - 8)
        while any(math.hypot(place[0] - p, (place[1] - q) * 3) < 34 for p, q in taken) and place[1] < b + 90:
            place = (place[0], place[1] + 12)
        taken.append(place)
        out.append(label(*place, name if len(name) < 24 else name[:22] + "…", INK, size=11))
    return end_svg(out, summary, height)


def pareto_axes(cells: Sequence[JsonMapping]) -> tuple[Scale, Scale, list[str]]:
    """Scales of tokens and of accuracy in per cent that hold these cells with their intervals, and the axes drawn."""
    top, bottom = TOP, PARETO_HEIGHT - 62
    xs = ticks_of(0.0, max(_most(cell, "tokens", 1) for cell in cells), 6)
    ys = ticks_of(0.0, max(_most(cell, "mean", 100) for cell in cells), 5)
    x, y = scale_of(xs[0], xs[-1], LEFT, WIDTH - RIGHT), scale_of(ys[0], ys[-1], bottom, top)
    out = [f'<path d="M{LEFT} {y(t):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>' for t in ys]
    out += [label(LEFT - 8, y(t) + 4, f"{t:g}", SOFT, anchor="end") for t in ys]
    out += [label(x(t), bottom + 18, f"{t:g}", SOFT, anchor="middle") for t in xs]
    out.append(label(LEFT, top - 10, "accuracy, %", SOFT))
    out.append(label((LEFT + WIDTH - RIGHT) / 2, bottom + 36, "tokens per response", SOFT, anchor="middle"))
    return x, y, out


def _most(cell: JsonMapping, measure: str, scale: float) -> float:
    return max((scale * v for v in (cell[measure], *(cell.get(f"{measure}_ci") or ())) if v is not None), default=1.0)


def _star(a: float, b: float, fill: str) -> str:
    points = [
        (a + r * math.sin(k * math.pi / 5), b - r * math.cos(k * math.pi / 5))
        for k in range(10)
        for r in ((5.0, 2.2)[k % 2],)
    ]
    return f'<polygon points="{" ".join(f"{p:.1f},{q:.1f}" for p, q in points)}" fill="{fill}" class="improves"/>'


def begin_svg(summary: Summary, height: int) -> list[str]:
    """The head of a picture: its frame and its title."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" {FONT} font-size="13">',
        f"<title>{escaped(heading(summary))}</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{PAPER}"/>',
        label(24, 24, heading(summary), INK, size=15, weight=700),
    ]


def end_svg(out: list[str], summary: Summary, height: int) -> str:
    """The picture with its conditions below."""
    return "\n".join([*out, label(24, height - 8, conditions(summary), SOFT, size=11), "</svg>", ""])
