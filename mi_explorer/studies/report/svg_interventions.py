"""Interventions of a study as still pictures (SVG): the frontiers of λ and of a thought budget, and heat maps of grids."""

from collections.abc import Sequence

from mi_explorer.errors import UserError
from mi_explorer.studies.report.palette import BLUE, VERMILION, lambda_colour
from mi_explorer.studies.report.results import measures_of
from mi_explorer.studies.report.svg_cells import PARETO_HEIGHT, begin_svg, end_svg, pareto_axes
from mi_explorer.studies.report.svg_curves import INK, LEFT, PAPER, RIGHT, SOFT, TOP, WIDTH, label
from mi_explorer.studies.stats.intervention_grid import InterventionGrid
from mi_explorer.studies.stats.summary import Summary

BOX_HEIGHT, SIDE = 30, 96  # of a heat map's cells; pixels left of them
LEAST_LABEL_GAP = 13  # pixels between two labels of a frontier


def frontiers_svg(summary: Summary) -> str:
    """Tokens against accuracy: the line of λ, the line of budgets on Thinking, and the frontier of both. `UserError` without budgets."""
    found = summary.frontiers
    if found is None:
        raise UserError(f"The study {summary.info.name!r} has no λ beside thought budgets, so there are no frontiers.")
    x, y, axes = pareto_axes(summary.cells)
    out = [*begin_svg(summary, PARETO_HEIGHT), *axes]

    def place(i: int) -> tuple[float, float]:
        return x(summary.cells[i]["tokens"]), y(100 * summary.cells[i]["mean"])

    def path(indices: Sequence[int], look: str) -> str:
        points = " ".join("{:.1f},{:.1f}".format(*place(i)) for i in indices)
        return f'<polyline points="{points}" fill="none" {look}/>'

    own = {*found.lams, *found.budgets}
    for i in range(len(summary.cells)):
        if i not in own:
            a, b = place(i)
            fill = lambda_colour(summary.cells[i]["lambda"])
            out.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{fill}" opacity=".45" class="grid"/>')
    out.append(path(found.both, f'stroke="{INK}" stroke-width="1.2" stroke-dasharray="2 3" class="both"'))
    out.append(path(found.lams, f'stroke="{BLUE}" stroke-width="2" class="lambda"'))
    out.append(path(found.budgets, f'stroke="{VERMILION}" stroke-width="2" stroke-dasharray="6 3" class="budget"'))
    for i in found.budgets:
        a, b = place(i)
        budget = summary.rows[i].cell.decoding.think_budget
        out.append(
            f'<rect x="{a - 4:.1f}" y="{b - 4:.1f}" width="8" height="8" fill="{PAPER}" stroke="{VERMILION}" stroke-width="2"/>'
        )
        if budget is not None:
            out.append(label(a + 8, b + 14, f"{budget}", VERMILION, size=11))
    last = -1e9
    for i in found.lams:
        a, b = place(i)
        out.append(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4.5" fill="{lambda_colour(summary.cells[i]["lambda"])}" stroke="{BLUE}"/>'
        )
        if a > last + LEAST_LABEL_GAP:
            out.append(label(a - 6, b - 9, f"λ {summary.cells[i]['lambda']:g}", BLUE, anchor="end", size=11))
            last = a
    names = (
        (BLUE, "", "λ without a budget"),
        (VERMILION, "6 3", "thought budget on Thinking"),
        (INK, "2 3", "no cell of λ × budget beats these"),
    )
    for k, (colour, dash, words) in enumerate(names):
        at = PARETO_HEIGHT - 130 + 18 * k
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        out.append(f'<path d="M{WIDTH - 290} {at - 4}h26" stroke="{colour}" stroke-width="2"{dashes}/>')
        out.append(label(WIDTH - 258, at, words, INK))
    return end_svg(out, summary, PARETO_HEIGHT)


def grid_svg(summary: Summary, grid: InterventionGrid) -> str:
    """A heat map each of accuracy and of tokens: λ down, budgets or λs of the answer across; every box has its number."""
    measures = measures_of(summary)
    panels = [
        (title, scale, measures.values(metric) * scale, digits)
        for metric, title, scale, digits in (("mean", "accuracy, %", 100, 1), ("tokens", "tokens", 1, 0))
        if (metric != "mean" or measures.grid.judged)
    ]
    height = TOP + len(panels) * (BOX_HEIGHT * len(grid.lams) + 62) + 20
    width = (WIDTH - SIDE - RIGHT) / len(grid.values)
    out = begin_svg(summary, height)
    for k, (title, _, values, digits) in enumerate(panels):
        top = TOP + k * (BOX_HEIGHT * len(grid.lams) + 62)
        low, high = values[list(grid.places.values())].min(), values[list(grid.places.values())].max()
        out.append(label(LEFT - 40, top - 10, f"{title}; columns: {grid.what}", SOFT))
        for row, lam in enumerate(grid.lams):
            out.append(label(SIDE - 10, top + BOX_HEIGHT * row + 20, f"λ {lam:g}", INK, anchor="end"))
            for column, value in enumerate(grid.values):
                place = grid.places.get((lam, value))
                if place is None:
                    continue
                share = float((values[place] - low) / (high - low)) if high > low else 0.5
                a, b = SIDE + column * width, top + BOX_HEIGHT * row
                out.append(
                    f'<rect x="{a + 1:.1f}" y="{b + 1}" width="{width - 2:.1f}" height="{BOX_HEIGHT - 2}" rx="3" fill="{BLUE}" '
                    f'opacity="{0.06 + 0.5 * share:.3f}"/>'
                )
                out.append(label(a + width / 2, b + 20, f"{values[place]:.{digits}f}", INK, anchor="middle"))
        for column, value in enumerate(grid.values):
            at = SIDE + (column + 0.5) * width
            out.append(label(at, top + BOX_HEIGHT * len(grid.lams) + 16, grid.word(value), SOFT, anchor="middle"))
    return end_svg(out, summary, height)
