"""What the curves say in words: the best λ within a budget of tokens, and what agrees with the paper."""

from mi_explorer.studies.stats.efficiency import best_within
from mi_explorer.ui.curves.curve import Curve
from mi_explorer.ui.curves.curve_table import sample_sizes, value_text


def default_budget(curve: Curve) -> int | None:
    """A budget to begin with: 85 % of the tokens at λ = 1."""
    return round(0.85 * curve.full) if curve.full and not curve.published else None


def budget_sentence(curve: Curve, tokens: float) -> str:
    """The most accurate λ of at most `tokens` mean tokens against λ = 1 with the paired interval, or that none can be told apart."""
    return "" if curve.published else f"{curve.name}: {_best_within(curve, tokens)}"


def _best_within(curve: Curve, tokens: float) -> str:
    if all(p["mean"] is None for p in curve.points):
        return "these questions have no known answers, so no λ can be called best."
    thinking = curve.at(1.0)
    best = best_within(tokens, [p["tokens"] for p in curve.points], [p["mean"] for p in curve.points])
    if best is None:
        least = min(curve.points, key=lambda p: p["tokens"])
        cheapest = f"the cheapest, λ {least['lambda']:g}, takes {least['tokens']:,.1f}"
        return f"no measured λ stays within {tokens:,.0f} tokens; {cheapest}."
    at = curve.points[best]
    gap = at["minus_thinking"]
    found = f"λ {at['lambda']:g}: {value_text(at, 'mean')} right with {value_text(at, 'tokens', False)}"
    if thinking is None or gap is None:
        sizes = f"({sample_sizes(at)}). λ = 1 was not measured, so nothing is compared with it"
        return f"best within {tokens:,.0f} tokens is {found} {sizes}."
    if best == thinking:
        right = f"{value_text(at, 'mean')} right ({sample_sizes(at)})"
        return f"within {tokens:,.0f} tokens nothing beats λ 1 itself: {right}."
    interval = f"{100 * gap.value:+.1f} points [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    paired = f"{interval} against λ = 1, paired over {gap.questions:,} questions"
    able = [i for i, p in enumerate(curve.points) if p["tokens"] <= tokens and i != thinking and p["mean"] is not None]
    gaps = [curve.points[i]["minus_thinking"] for i in able]
    if all(g is None or g.low <= 0 <= g.high for g in gaps):
        least = min((curve.points[i] for i in able), key=lambda p: p["tokens"])
        cheapest = f"; the cheapest of them is λ {least['lambda']:g} with {least['tokens']:,.1f} tokens"
        none = f"no λ within {tokens:,.0f} tokens is distinguishable from λ = 1 in accuracy"
        return f"{none}. Highest is {found}, {paired}{'' if least is at else cheapest}."
    unsure = "" if gap.low > 0 or gap.high < 0 else ", not distinguishable from it"
    return f"best within {tokens:,.0f} tokens is {found}; {paired}{unsure}."
