"""What the curves say in words: the best λ within a budget of tokens, and what agrees with the paper."""

from mi_explorer.studies.stats.efficiency import best_within
from mi_explorer.studies.stats.metrics import Measures
from mi_explorer.ui.curves.curve import Curve
from mi_explorer.ui.curves.curve_table import sample_sizes, value_text


def part(curve: Curve) -> Measures:
    """The measures of a curve's own cells, in the order of its points."""
    assert curve.measures is not None
    grid = curve.measures.grid
    return Measures(grid.pick(cells=[grid.index(row.key) for row in curve.rows]), curve.measures.k)


def default_budget(curve: Curve) -> int | None:
    """A budget to begin with: 85 % of the tokens at λ = 1."""
    return round(0.85 * curve.full) if curve.full and not curve.published else None


def budget_sentence(curve: Curve, tokens: float) -> str:
    """The most accurate λ of at most `tokens` mean tokens against λ = 1 with the paired interval, or that none can be told apart."""
    if curve.published:
        return ""
    measures = part(curve)
    if not measures.grid.judged:
        return f"{curve.name}: these questions have no known answers, so no λ can be called best."
    thinking = curve.at(1.0)
    best, gap = best_within(measures, tokens, thinking)
    if best is None:
        least = min(curve.points, key=lambda p: p["tokens"])
        return f"{curve.name}: no measured λ stays within {tokens:,.0f} tokens; the cheapest, λ {least['lambda']:g}, takes {least['tokens']:,.1f}."
    at = curve.points[best]
    found = f"λ {at['lambda']:g}: {value_text(at, 'mean')} right with {value_text(at, 'tokens', False)}"
    if thinking is None or gap is None:
        return f"{curve.name}: best within {tokens:,.0f} tokens is {found} ({sample_sizes(at)}). λ = 1 was not measured, so nothing is compared with it."
    if best == thinking:
        return f"{curve.name}: within {tokens:,.0f} tokens nothing beats λ 1 itself: {value_text(at, 'mean')} right ({sample_sizes(at)})."
    able = [i for i, p in enumerate(curve.points) if p["tokens"] <= tokens and i != thinking and p["mean"] is not None]
    gaps = {i: measures.paired(i, thinking, "mean") for i in able}
    paired = f"{100 * gap.value:+.1f} points [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}] against λ = 1, paired over {gap.questions:,} questions"
    if all(g.low <= 0 <= g.high for g in gaps.values()):
        least = curve.points[min(able, key=lambda i: curve.points[i]["tokens"])]
        cheap = (
            "" if least is at else f"; the cheapest of them is λ {least['lambda']:g} with {least['tokens']:,.1f} tokens"
        )
        return f"{curve.name}: no λ within {tokens:,.0f} tokens is distinguishable from λ = 1 in accuracy. Highest is {found}, {paired}{cheap}."
    told = "" if gap.low > 0 or gap.high < 0 else ", not distinguishable from it"
    return f"{curve.name}: best within {tokens:,.0f} tokens is {found}; {paired}{told}."
