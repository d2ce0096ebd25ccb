"""A study's λ curves as a still picture (SVG): accuracy, tokens and think ratio with intervals, one λ axis, stage bands.

For README files and papers; the page draws its own figures. Text goes in escaped, equal studies give equal pictures.
"""

import math
from collections.abc import Callable, Sequence
from html import escape

from mi_explorer.errors import UserError
from mi_explorer.pair_names import short_names
from mi_explorer.studies.plan import describe
from mi_explorer.studies.report.palette import ACCURACY, CURVES, SLATE, THINK_RATIO, TOKENS
from mi_explorer.studies.report.table import UNPRINTABLE
from mi_explorer.studies.stats.curve import curve_names
from mi_explorer.studies.stats.curve import curves as curves_of
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.untyped import JsonMapping

WIDTH, PANEL, GAP, LEFT, RIGHT, TOP = 760, 150, 26, 64, 24, 64
INK, SOFT, GRID, BAND, PAPER = "#16181d", SLATE, "#e2e4ea", "#f1effb", "#ffffff"
MEASURES = (
    ("mean", "accuracy, %", 100, ACCURACY),
    ("tokens", "tokens", 1, TOKENS),
    ("think_ratio", "think ratio, %", 100, THINK_RATIO),
)
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4", "10 4", "4 2")
FONT = "font-family=\"'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif\""
Scale = Callable[[float], float]  # a value to a place


def curves_svg(summary: Summary) -> str:
    """The picture of every curve of a study: a sweep's one, a methods grid's one a method. `UserError` if there is none."""
    groups = _groups(summary)
    if not groups:
        raise UserError(
            f"The study {summary.info.name!r} has no curve over λ to draw. 'study table' shows it as a table."
        )
    lams = [cell["lambda"] for cells in groups.values() for cell in cells]
    low, high = min(lams), max(lams)
    measures = [m for m in MEASURES if any(cell[m[0]] is not None for cells in groups.values() for cell in cells)]
    top = TOP + (20 if len(groups) > 1 else 0)
    bottom = top + len(measures) * (PANEL + GAP) - GAP
    height = bottom + 64

    def x(lam: float) -> float:
        return float(LEFT + (lam - low) / (high - low) * (WIDTH - LEFT - RIGHT))

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" {FONT} font-size="13">',
        f"<title>{escaped(heading(summary))}</title>",
        f"<desc>{escaped(' '.join(found['message'] for found in summary.stages.values()))}</desc>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{PAPER}"/>',
        label(LEFT, 24, heading(summary), INK, size=15, weight=700),
    ]
    if len(groups) > 1:
        out += _legend(list(groups), top - 26)
    else:
        out += _stages(next(iter(summary.stages.values()), {}), x, (low, high), top, bottom)
    for place, (measure, name, scale, colour) in enumerate(measures):
        y0 = top + place * (PANEL + GAP)
        values = [
            scale * v
            for cells in groups.values()
            for cell in cells
            for v in (cell[measure], *_ends(cell, measure))
            if v is not None
        ]
        ticks = ticks_of(0.0, max(values, default=1.0))
        y = scale_of(0.0, ticks[-1], y0 + PANEL, y0)
        out += [f'<path d="M{LEFT} {y(t):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>' for t in ticks]
        out += [label(LEFT - 8, y(t) + 4, f"{t:g}", SOFT, anchor="end") for t in ticks]
        out.append(label(LEFT, y0 - 7, name, SOFT))
        for i, cells in enumerate(groups.values()):
            ink = CURVES[i % len(CURVES)] if len(groups) > 1 else colour
            known = [c for c in cells if c[measure] is not None]
            out += curve_parts(known, measure, scale, x, y, ink, DASHES[i % len(DASHES)])
    out += [
        label(x(t), bottom + 20, f"{t:g}", SOFT, anchor="middle")
        for t in ticks_of(low, high, 10)
        if low - 1e-9 <= t <= high + 1e-9
    ]
    out.append(label((LEFT + WIDTH - RIGHT) / 2, bottom + 38, _axis(summary), SOFT, anchor="middle"))
    out.append(label(LEFT, height - 8, conditions(summary), SOFT, size=11))
    return "\n".join([*out, "</svg>", ""])


def _groups(summary: Summary) -> dict[str, list[JsonMapping]]:
    """The cells of each curve by λ, by the curve's name."""
    cells = [row.cell for row in summary.rows]
    names = curve_names(cells)
    return {names[key]: [summary.cells[i] for i in indices] for key, indices in curves_of(cells).items()}


def _ends(cell: JsonMapping, measure: str) -> Sequence[float | None]:
    return cell.get(f"{measure}_ci") or (None, None)


def curve_parts(
    cells: Sequence[JsonMapping], measure: str, scale: float, x: Scale, y: Scale, colour: str, dash: str
) -> list[str]:
    """Interval band, line and points of one curve."""
    points = [(x(c["lambda"]), y(scale * c[measure])) for c in cells]
    intervals = [(c["lambda"], *_ends(c, measure)) for c in cells]
    band = [
        (x(lam), y(scale * low), y(scale * high))
        for lam, low, high in intervals
        if low is not None and high is not None
    ]
    out = []
    if len(band) > 1:
        around = [f"{a:.1f},{high:.1f}" for a, _, high in band] + [f"{a:.1f},{low:.1f}" for a, low, _ in reversed(band)]
        out.append(f'<polygon points="{" ".join(around)}" fill="{colour}" opacity=".16"/>')
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    out.append(
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"{dashes}/>'
    )
    return out + [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]


def _stages(found: JsonMapping, x: Scale, span: tuple[float, float], top: int, bottom: int) -> list[str]:
    """Stage 2 as a band behind the panels, the stages' numbers above; nothing where no transition was observed."""
    low, high = found.get("stage2") or (None, None)
    if found.get("lambda50") is None or low is None:
        return []
    a, b = max(low, span[0]), min(high if high is not None else span[1], span[1])
    out = [
        f'<rect x="{x(a):.1f}" y="{top - 22}" width="{x(b) - x(a):.1f}" height="{bottom - top + 22}" fill="{BAND}"/>'
    ]
    for name, left, right in (("stage 1", span[0], a), ("stage 2", a, b), ("stage 3", b, span[1])):
        if x(right) - x(left) > 50:
            out.append(
                label(
                    (x(left) + x(right)) / 2 + (24 if name == "stage 1" else 0),
                    top - 8,
                    name,
                    SOFT,
                    anchor="middle",
                    size=11,
                )
            )
    return out


def _legend(names: Sequence[str], at: int) -> list[str]:
    out, left = [], float(LEFT)
    for i, name in enumerate(names):
        dash = f' stroke-dasharray="{DASHES[i % len(DASHES)]}"' if DASHES[i % len(DASHES)] else ""
        out.append(f'<path d="M{left:.0f} {at - 4}h24" stroke="{CURVES[i % len(CURVES)]}" stroke-width="2"{dash}/>')
        out.append(label(left + 30, at, name, INK))
        left += 46 + 7.5 * len(name)
    return out


def ticks_of(low: float, high: float, most: int = 4) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, about `most` steps."""
    if high - low < 1e-9:  # one value: an axis has a length all the same
        high = low + 1.0
    span = high - low
    unit = 10.0 ** math.floor(math.log10(span / most))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m * most >= span - 1e-9)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def scale_of(low: float, high: float, bottom: float, top: float) -> Scale:
    return lambda v: bottom + (v - low) / (high - low) * (top - bottom)


def heading(summary: Summary) -> str:
    plan = summary.info.plan
    made = "" if summary.info.origin in ("live", "imported") else f" ({summary.info.origin})"
    return f"Pair {', '.join(short_names(plan.pairs).values())}, task {plan.task}{made}"


def _axis(summary: Summary) -> str:
    plain = all(row.cell.recipe.method in ("linear", "slerp") for row in summary.rows if row.cell.group != "ends")
    return "λ (0 = Instruct, 1 = Thinking)" if plain else "λ"


def conditions(summary: Summary) -> str:
    settings = summary.settings
    decodings = list(dict.fromkeys(row.cell.decoding for row in summary.rows))
    how = describe(decodings[0]) if len(decodings) == 1 else "decoding as named"
    return f"{settings['questions']} questions × {settings['samples']} samples, {how}; bands: 95 % intervals, bootstrap over questions"


def label(
    x: float, y: float, text: str, colour: str, *, anchor: str = "start", size: int = 12, weight: int = 400
) -> str:
    look = f'fill="{colour}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escaped(text)}</text>'


def escaped(text: str) -> str:
    """Text that XML can hold."""
    return escape(UNPRINTABLE.sub("", text))
