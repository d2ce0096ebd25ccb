"""Routers on the chart of accuracy against tokens: a curve each as its threshold moves, beside the plain line and the oracle.

Pure: a `RoutingResult` in, plotly traces and rows of the table out. All of it is on the held-out half of the study's questions.
"""

from mi_explorer.search.router import Router
from mi_explorer.search.routing import RouterPoint, RoutingResult
from mi_explorer.studies.report.palette import AMBER, GREY, PURPLE, SKY
from mi_explorer.untyped import JsonObject

LOOKS = ((PURPLE, "diamond"), (AMBER, "square"))


def router_lines(result: RoutingResult) -> list[JsonObject]:
    """The line, the oracle and each router, on held-out questions; a star marks the threshold that was best in training."""
    n = result.questions[1]
    line = sorted(result.line)
    oracle = sorted((p.tokens, p.right) for p in result.oracle)
    out = [
        {
            **_curve(f"plain λ line, {n} held-out questions", [p[2] for p in line], [p[1] for p in line]),
            "mode": "lines",
            "line": {"color": GREY, "width": 1, "dash": "dot"},
            "hoverinfo": "skip",
        },
        {
            **_curve("oracle per question, cross-fitted", [x for x, _ in oracle], [y for _, y in oracle]),
            "mode": "lines",
            "line": {"color": SKY, "width": 1.5, "dash": "dash"},
            "hovertext": [f"<b>oracle</b>: the best λ for each question<br>{100 * y:.1f} % at {x:.1f} tokens" for x, y in oracle],
        },
    ]  # fmt: skip
    for (router, curve), (colour, symbol) in zip(result.routers, LOOKS, strict=False):
        points = sorted(curve, key=lambda p: p.tokens)
        own = [p.threshold == router.threshold for p in points]
        out.append({
            **_curve(f"router {router.kind}", [p.tokens for p in points], [p.right for p in points]),
            "mode": "lines+markers",
            "line": {"color": colour, "width": 2},
            "marker": {"color": colour, "size": [13 if x else 7 for x in own], "symbol": ["star" if x else symbol for x in own]},
            "hovertext": [_hover(router, p, n) for p in points],
        })  # fmt: skip
    return out


def router_note(result: RoutingResult) -> str:
    """What came out, in a sentence."""
    searched, n = result.questions
    words = []
    for router, curve in result.routers:
        own = next((p for p in curve if p.threshold == router.threshold), None)
        if own is not None:
            better = "better than" if own.difference_ci[0] > 0 else "no better than"
            words.append(
                f"{router.kind} {100 * own.difference:+.1f} points {_interval(own)}, {better} the line at equal tokens"
            )
    return f"Routers, trained on {searched} questions and judged on {n} others: {'; '.join(words)}." if words else ""


def _curve(name: str, x: list[float], y: list[float]) -> JsonObject:
    look = {"type": "scatter", "name": name, "showlegend": True, "hoverinfo": "text", "cliponaxis": False}
    return {**look, "x": x, "y": y}


def _interval(point: RouterPoint) -> str:
    low, high = (100 * x for x in point.difference_ci)
    return f"[{low:+.1f}, {high:+.1f}]"


def _hover(router: Router, point: RouterPoint, n: int) -> str:
    best = "<br>the threshold that was best in training" if point.threshold == router.threshold else ""
    return (
        f"<b>router {router.kind}</b>, threshold {point.threshold:.3f}<br>{100 * point.share:.0f} % of the questions at λ {router.low:g}, "
        f"the others at λ {router.high:g}<br>{100 * point.right:.1f} % at {point.tokens:.1f} tokens, {n} held-out questions"
        f"<br>against the line at equal tokens {100 * point.difference:+.1f} {_interval(point)}{best}"
    )
