"""Probe measures along λ as a still picture (SVG), a panel each: sufficient, verbose, harmful, switches, forced beside free."""

from mi_explorer.errors import UserError
from mi_explorer.studies.report.palette import AMBER, BLUE, GREEN, PURPLE, VERMILION
from mi_explorer.studies.report.probe_curve import probe_curve, probe_panels
from mi_explorer.studies.report.svg_curves import (
    DASHES,
    FONT,
    GRID,
    INK,
    LEFT,
    PAPER,
    RIGHT,
    SOFT,
    TOP,
    WIDTH,
    conditions,
    curve_parts,
    escaped,
    heading,
    label,
    scale_of,
    ticks_of,
)
from mi_explorer.studies.stats.probe_measures import ProbedStudy
from mi_explorer.studies.stats.summary import Summary

COLUMNS, PANEL, GAP_X, GAP_Y = 2, 120, 56, 58  # panels stand in two columns
COLOURS = {"sufficient": BLUE, "verbose": AMBER, "harmful": VERMILION, "switches": PURPLE, "free": GREEN}


def probes_svg(summary: Summary, probed: ProbedStudy) -> str:
    """The picture of one setting's probes. `UserError` where fewer than two λs had thoughts."""
    points = probe_curve(summary.rows, probed)
    if not points:
        raise UserError(f"The study {summary.info.name!r} has no probes at two λs, so there is no curve of them.")
    panels = probe_panels(points)
    width = (WIDTH - LEFT - RIGHT - GAP_X * (COLUMNS - 1)) / COLUMNS
    lines = -(-len(panels) // COLUMNS)
    height = TOP + lines * (PANEL + GAP_Y) + 16
    lams = [point["lambda"] for point in points]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" {FONT} font-size="13">',
        f"<title>{escaped(heading(summary))}, probes</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{PAPER}"/>',
        label(24, 24, f"{heading(summary)}: probes", INK, size=15, weight=700),
    ]
    for place, panel in enumerate(panels):
        left, top = LEFT + place % COLUMNS * (width + GAP_X), TOP + place // COLUMNS * (PANEL + GAP_Y)
        values = [
            panel.scale * v
            for point in points
            for name, _ in panel.lines
            for v in (point[name], *point[f"{name}_ci"])
            if v is not None
        ]
        ticks = ticks_of(0.0, max([*values, 1e-6]), 4)
        x = scale_of(lams[0], lams[-1], left, left + width)
        y = scale_of(0.0, ticks[-1], top + PANEL, top)
        out += [f'<path d="M{left:.1f} {y(t):.1f}H{left + width:.1f}" stroke="{GRID}"/>' for t in ticks]
        out += [label(left - 8, y(t) + 4, f"{t:g}", SOFT, anchor="end", size=11) for t in ticks]
        out += [label(x(lam), top + PANEL + 16, f"{lam:g}", SOFT, anchor="middle", size=11) for lam in lams]
        out.append(label(left + width / 2, top + PANEL + 31, "λ", SOFT, anchor="middle", size=11))
        out.append(label(left, top - 8, panel.title, SOFT))
        for i, (name, words) in enumerate(panel.lines):
            colour = COLOURS.get(name, VERMILION)
            known = [point for point in points if point[name] is not None]
            out += curve_parts(known, name, panel.scale, x, y, colour, DASHES[i])
            if len(panel.lines) > 1:
                dash = f' stroke-dasharray="{DASHES[i]}"' if DASHES[i] else ""
                at = left + width - 112
                out.append(
                    f'<path d="M{at - 26:.0f} {top - 12 + 14 * i - 14:.0f}h20" stroke="{colour}" stroke-width="2"{dash}/>'
                )
                out.append(label(at, top - 8 + 14 * i - 14, words, INK, size=11))
    return "\n".join([*out, label(24, height - 8, conditions(summary), SOFT, size=11), "</svg>", ""])
