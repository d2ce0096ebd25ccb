"""Heat maps of a grid of interventions: accuracy and tokens by λ and thought budget, or by λ of the thought and of the answer.

Pure: a summary in, `(figure, columns, rows)` out. The second λ axis is a category axis: values stand at equal distances.
"""

from mi_explorer.studies.stats.intervention_grid import ANSWER, InterventionGrid
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.ui.curves.curve_marks import Figure
from mi_explorer.ui.curves.curve_table import interval_cells, sample_sizes, value_text
from mi_explorer.untyped import JsonObject

PANELS = (("mean", "accuracy, %", 100, 1, "#66c2a4"), ("tokens", "tokens", 1, 0, "#74b9e6"))
PALE, INK = "#f4f4f4", "#16181d"  # of boxes and of the numbers in them, in light and dark alike
GAP = 0.16  # between the panels, of the height


def intervention_figure(summary: Summary) -> Figure | None:
    """The first grid of a study; None where it has none."""
    if not summary.grids:
        return None
    grid = summary.grids[0]
    panels = [p for p in PANELS if any(summary.cells[i][p[0]] is not None for i in grid.places.values())]
    height = (1 - GAP * (len(panels) - 1)) / len(panels)
    across = [grid.word(value) for value in grid.values]
    down = "λ of the thought" if grid.what == ANSWER else "λ"
    layout: JsonObject = {"margin": {"l": 62, "r": 16, "t": 34, "b": 54}, "annotations": []}
    data = []
    for place, (metric, title, scale, digits, colour) in enumerate(panels):
        number, top = f"{place + 1}" if place else "", 1 - place * (height + GAP)
        layout[f"yaxis{number}"] = {
            "title": {"text": down},
            "type": "category",
            "domain": [max(top - height, 0), top],
            "anchor": f"x{number}",
            "showgrid": False,
        }
        layout[f"xaxis{number}"] = {
            "title": {"text": grid.what if place == len(panels) - 1 else "", "standoff": 6},
            "type": "category",
            "anchor": f"y{number}",
            "showgrid": False,
        }
        layout["annotations"].append(
            {"text": title, "x": 0, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom",
             "showarrow": False, "font": {"size": 13}}
        )  # fmt: skip
        at = [[_cell(summary, grid, lam, value) for value in grid.values] for lam in grid.lams]
        shown = [[None if c is None or c[metric] is None else scale * c[metric] for c in row] for row in at]
        data.append(
            {
                "type": "heatmap",
                "name": title,
                "x": across,
                "y": [f"{lam:g}" for lam in grid.lams],
                "z": shown,
                "xaxis": f"x{number}",
                "yaxis": f"y{number}",
                "text": [["" if v is None else f"{v:.{digits}f}" for v in row] for row in shown],
                "texttemplate": "%{text}",
                "textfont": {"color": INK},
                "hovertext": [["" if c is None else _hover(grid, c) for c in row] for row in at],
                "hoverinfo": "text",
                "customdata": [[None if c is None else [summary.info.name, c["key"]] for c in row] for row in at],
                "colorscale": [[0, PALE], [1, colour]],
                "showscale": False,
                "xgap": 2,
                "ygap": 2,
            }
        )
    columns = [down, grid.what.capitalize(), "Mean (%)", "Mean low", "Mean high", "Tokens", "Tokens low", "Tokens high"]
    rows = [
        [
            lam,
            grid.word(value),
            *interval_cells(c, "mean"),
            *interval_cells(c, "tokens", 1),
            c["questions"],
            c["samples"],
        ]
        for lam in grid.lams
        for value in grid.values
        if (c := _cell(summary, grid, lam, value)) is not None
    ]
    return {"data": data, "layout": layout}, [*columns, "Questions", "Samples (k)"], rows


def _cell(summary: Summary, grid: InterventionGrid, lam: float, value: float | None) -> JsonObject | None:
    place = grid.places.get((lam, value))
    return None if place is None else summary.cells[place]


def _hover(grid: InterventionGrid, cell: JsonObject) -> str:
    budget, answer = cell.get("think_budget"), cell.get("answer_lambda")
    other = grid.word(answer if grid.what == ANSWER else budget)
    return (
        f"<b>λ {cell['lambda']:g}</b> · {grid.what} {other}<br>accuracy: {value_text(cell, 'mean')}"
        f"<br>tokens: {value_text(cell, 'tokens', False)}<br>{sample_sizes(cell)}"
    )
