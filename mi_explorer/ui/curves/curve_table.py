"""The numbers of curves as text and as a table: hovers, intervals, n."""

from collections.abc import Sequence

from mi_explorer.ui.curves.curve import Curve
from mi_explorer.ui.plotly_component import label_text
from mi_explorer.untyped import Json, JsonMapping

COLUMNS = (
    *("Curve", "Origin", "λ", "Mean (%)", "Mean low", "Mean high", "Pass@k (%)", "Pass low", "Pass high"),
    *("Vote@k (%)", "Vote low", "Vote high", "Think ratio (%)", "Think low", "Think high", "Think, any closing (%)"),
    *("Tokens", "Tokens low", "Tokens high", "Overthinking (%)", "Overthinking low", "Overthinking high"),
    *("Truncated (%)", "Questions", "Samples (k)"),
)


def curve_table(curves: Sequence[Curve]) -> tuple[list[str], list[list[Json]]]:
    """Every number of the curves: percentages, tokens, both ends of the 95 % intervals, n."""
    rows = []
    for curve in curves:
        for p in curve.points:
            row: list[Json] = [curve.name, curve.origin, p["lambda"]]
            for metric in ("mean", "pass", "vote", "think_ratio"):
                row += interval_cells(p, metric)
            row += [
                rounded(p.get("think_lenient"), 100),
                *interval_cells(p, "tokens", 1),
                *interval_cells(p, "overthinking"),
                rounded(p.get("truncated"), 100),
            ]
            rows.append([*row, p.get("questions"), p.get("samples")])
    return list(COLUMNS), rows


def interval_cells(point: JsonMapping, metric: str, scale: float = 100) -> list[float | None]:
    """Value, low and high end of a metric as table cells."""
    low, high = point.get(f"{metric}_ci") or (None, None)
    return [rounded(x, scale) for x in (point.get(metric), low, high)]


def rounded(value: float | None, scale: float) -> float | None:
    return None if value is None else round(scale * value, 2)


def point_title(curve: Curve, point: JsonMapping) -> str:
    """The first line of a hover."""
    return f"<b>λ {point['lambda']:g}</b> · {label_text(curve.name)}"


def hover_text(curve: Curve, point: JsonMapping, metric: str, words: str) -> str:
    """A point in words: curve, λ, the value with its interval, n."""
    lines = [point_title(curve, point), f"{label_text(words)}: {value_text(point, metric, metric != 'tokens')}"]
    if curve.published:
        return "<br>".join([*lines, label_text(curve.about)])
    if metric == "mean" and point.get("truncated"):
        lines.append(f"cut at the token limit: {100 * point['truncated']:.1f} %")
    return "<br>".join([*lines, sample_sizes(point)])


def sample_sizes(point: JsonMapping) -> str:
    return f"n = {point['questions']:,} questions × {point['samples']} samples"


def value_text(point: JsonMapping, metric: str, share: bool = True) -> str:
    """`61.2 % [55.0, 67.0]`, `143 tokens [120, 160]`; a dash where there is none."""
    value, ci = point.get(metric), point.get(f"{metric}_ci") or (None, None)
    if value is None:
        return "–"
    scale, digits, unit = (100, 1, " %") if share else (1, 1 if value < 1000 else 0, " tokens")
    low, high = ci
    text = f"{scale * value:,.{digits}f}{unit}"
    return text if low is None or high is None else f"{text} [{scale * low:,.{digits}f}, {scale * high:,.{digits}f}]"
