"""Interventions of a study as rows of tables: grids of λ and budget or answer, and λ against a plain budget at equal tokens."""

from mi_explorer.studies.report.results import measures_of, print_amount, print_share
from mi_explorer.studies.stats.claims import paired_difference
from mi_explorer.studies.stats.intervention_grid import ANSWER, InterventionGrid
from mi_explorer.studies.stats.metrics import SHARES
from mi_explorer.studies.stats.summary import Summary

GRID_MEASURES = (("mean", "accuracy, %"), ("tokens", "tokens"))


def grid_rows(summary: Summary, grid: InterventionGrid, metric: str) -> list[dict[str, str]]:
    """One record a λ, one column a budget or a λ of the answer: the metric with its interval, shares in per cent."""
    measures = measures_of(summary)
    printed = print_share if metric in SHARES else print_amount
    records = []
    for lam in grid.lams:
        record = {"λ": f"{lam:g}"}
        for value in grid.values:
            place = grid.places.get((lam, value))
            record[grid.word(value)] = "–" if place is None else printed(measures.estimate(place, metric))
        records.append(record)
    return records


def grid_caption(summary: Summary, grid: InterventionGrid, title: str) -> str:
    """What a grid's table shows, in words, with its n."""
    measures, places = measures_of(summary), list(grid.places.values())
    n = measures.grid.n[places]
    return (
        f"{title} by λ (rows) and {grid.what} (columns): {int((n > 0).sum(axis=1).max())} questions × {int(n.max())} samples a cell; "
        "brackets are 95 % intervals (bootstrap over questions)."
    )


def answer_rows(summary: Summary) -> list[dict[str, str]]:
    """One record a λ of the thought and another of the answer: what that changes against an answer at the thought's own λ, paired over
    questions; [] where a study has not both."""
    grid = next((grid for grid in summary.grids if grid.what == ANSWER and None in grid.values), None)
    if grid is None:
        return []
    measures = measures_of(summary)
    records = []
    for (lam, value), i in grid.places.items():
        own = grid.places.get((lam, None))
        if value is None or own is None:
            continue
        right, tokens = (paired_difference(measures, i, own, metric) for metric in ("mean", "tokens"))
        records.append(
            {
                "λ of the thought": f"{lam:g}",
                "λ of the answer": f"{value:g}",
                "Δ accuracy, points": f"{100 * right.value:+.1f} [{100 * right.low:+.1f}, {100 * right.high:+.1f}]",
                "Δ tokens": f"{tokens.value:+.1f} [{tokens.low:+.1f}, {tokens.high:+.1f}]",
                "questions": f"{tokens.questions:,}",
            }
        )
    return sorted(records, key=lambda record: (float(record["λ of the thought"]), float(record["λ of the answer"])))


def gap_rows(summary: Summary) -> list[dict[str, str]]:
    """One record a λ: its tokens and accuracy, and what it has over a budget of as many tokens, in points; [] without budgets."""
    found = summary.frontiers
    if found is None:
        return []
    measures = measures_of(summary)
    at = {summary.rows[i].cell.recipe.lam: i for i in found.lams}
    words = {1: "λ", 0: "neither", -1: "budget"}
    return [
        {
            "λ": f"{gap.lam:g}",
            "tokens": print_amount(measures.estimate(at[gap.lam], "tokens")),
            "accuracy %": print_share(measures.estimate(at[gap.lam], "mean")),
            "λ − budget, points": f"{100 * gap.gap.value:+.1f} [{100 * gap.gap.low:+.1f}, {100 * gap.gap.high:+.1f}]",
            "better": words[gap.verdict],
            "questions": f"{gap.gap.questions:,}",
        }
        for gap in summary.budgets
    ]


def frontier_rows(summary: Summary) -> list[dict[str, str]]:
    """One record a budget of the highest λ, none last: accuracy and tokens; [] without budgets."""
    found = summary.frontiers
    if found is None:
        return []
    measures = measures_of(summary)
    records = []
    for i in found.budgets:
        budget, n = summary.rows[i].cell.decoding.think_budget, measures.grid.n[i]
        records.append(
            {
                "budget": "none" if budget is None else f"{budget}",
                "accuracy %": print_share(measures.estimate(i, "mean")),
                "tokens": print_amount(measures.estimate(i, "tokens")),
                "n": f"{int((n > 0).sum())} × {int(n.max())}",
            }
        )
    return records
