"""Accuracy against tokens under interventions: the line of λ, the line of thought budgets on Thinking, and the frontier of both.

Pure: a summary in, `(figure, columns, rows)` out; a point's `customdata` is `[study, cell key]`, as in `panels_figure`.
"""

from collections.abc import Callable, Sequence

from mi_explorer.studies.report.palette import BLUE, GREY, VERMILION, lambda_colour
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.ui.curves.curve_marks import Figure, legend_above
from mi_explorer.ui.curves.curve_table import interval_cells, sample_sizes, value_text
from mi_explorer.untyped import JsonObject

COLUMNS = (
    *("λ", "Thought budget", "Tokens", "Tokens low", "Tokens high", "Mean (%)", "Mean low", "Mean high"),
    *("No other cell beats it", "Questions", "Samples (k)"),
)
BARS = {"type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": "rgba(138,143,155,.55)"}


def frontier_figure(summary: Summary) -> Figure | None:
    """The three frontiers over all cells of λ × budget; None for a study without budgets."""
    found = summary.frontiers
    if found is None:
        return None
    own = {*found.lams, *found.budgets}
    every = [i for i in range(len(summary.cells)) if summary.rows[i].cell.recipe.answer_lam is None]
    others = [i for i in every if i not in own]
    top = summary.cells[found.budgets[-1]]["lambda"]
    on_line = {"mode": "lines+markers+text", "textfont": {"size": 11}}
    data = [
        {
            **_points(summary, others, "other λ × budget"),
            "mode": "markers",
            "opacity": 0.5,
            "marker": {"color": [lambda_colour(summary.cells[i]["lambda"]) for i in others], "size": 5},
        },
        {
            **_points(summary, found.both, "λ and budget: none beats these"),
            "mode": "lines",
            "line": {"color": GREY, "width": 1.5, "dash": "dot"},
            "hoverinfo": "skip",
        },
        {
            **_points(summary, found.budgets, f"budget at λ {top:g}", bars=True),
            **on_line,
            "text": [_budget(summary, i) if i != found.budgets[-1] else "" for i in found.budgets],
            "textposition": "bottom right",
            "line": {"color": VERMILION, "width": 2, "dash": "dash"},
            "marker": {"color": VERMILION, "size": 8, "symbol": "square"},
        },
        {
            **_points(summary, found.lams, "λ without a budget", bars=True),
            **on_line,
            "text": [f"{summary.cells[i]['lambda']:g}" for i in found.lams],
            "textposition": "top center",
            "line": {"color": BLUE, "width": 2},
            "marker": {
                "color": [lambda_colour(summary.cells[i]["lambda"]) for i in found.lams],
                "size": 9,
                "line": {"color": BLUE, "width": 1},
            },
        },
    ]
    layout = {
        "xaxis": {"title": {"text": "mean tokens", "standoff": 6}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "accuracy (mean)"}, "tickformat": ".0%"},
        "legend": legend_above(1.01),
        "margin": {"l": 62, "r": 16, "t": 70, "b": 54},
    }
    both = set(found.both)
    rows = [
        [
            *(summary.cells[i]["lambda"], _budget(summary, i)),
            *interval_cells(summary.cells[i], "tokens", 1),
            *interval_cells(summary.cells[i], "mean"),
            "yes" if i in both else "no",
            *(summary.cells[i]["questions"], summary.cells[i]["samples"]),
        ]
        for i in every
    ]
    return {"data": data, "layout": layout}, list(COLUMNS), rows


def _points(summary: Summary, indices: Sequence[int], name: str, bars: bool = False) -> JsonObject:
    """The points of these cells, with what a click and a hover need; `bars`: with their intervals."""
    cells = [summary.cells[i] for i in indices]
    return {
        "type": "scatter",
        "name": name,
        "x": [cell["tokens"] for cell in cells],
        "y": [cell["mean"] for cell in cells],
        "customdata": [[summary.info.name, cell["key"]] for cell in cells],
        "hovertext": [_hover(summary, i) for i in indices],
        "hoverinfo": "text",
        "cliponaxis": False,
        **({"error_x": _reach(cells, "tokens"), "error_y": _reach(cells, "mean")} if bars else {}),
    }


def _reach(cells: Sequence[JsonObject], metric: str) -> JsonObject:
    def reach(end: int, of: Callable[[float, float], float]) -> list[float]:
        ends = [(cell[metric], (cell.get(f"{metric}_ci") or (None, None))[end]) for cell in cells]
        return [0.0 if e is None else max(of(value, e), 0.0) for value, e in ends]

    return {**BARS, "array": reach(1, lambda value, high: high - value), "arrayminus": reach(0, lambda v, low: v - low)}


def _budget(summary: Summary, i: int) -> str:
    budget = summary.rows[i].cell.decoding.think_budget
    return "none" if budget is None else f"{budget}"


def _hover(summary: Summary, i: int) -> str:
    cell = summary.cells[i]
    return (
        f"<b>λ {cell['lambda']:g}</b> · thought budget {_budget(summary, i)}<br>accuracy: {value_text(cell, 'mean')}"
        f"<br>tokens: {value_text(cell, 'tokens', False)}<br>{sample_sizes(cell)}"
    )
