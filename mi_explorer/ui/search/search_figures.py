"""The two figures of a search: accuracy against tokens, and the dominated area against evaluations and tokens.

Pure: a `ShownSearch` in, `(figure, columns, rows, narrow figure)` out. A point's `customdata` is JSON text: what Explore's view is set
to (see `explore_patch`).
"""

import json
from collections.abc import Callable, Sequence

from mi_explorer.recipe import MODULES, Decoding, Recipe
from mi_explorer.recipe_io import to_dict
from mi_explorer.search.frontier import VolumePoint
from mi_explorer.search.result import Finalist
from mi_explorer.search.search_events import CandidateScore
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.report.palette import BLUE, GREEN, GREY, PURPLE, VERMILION, lambda_colour
from mi_explorer.ui.plotly_component import label_text
from mi_explorer.ui.search.shown_search import SAMPLER_TITLES, ShownSearch
from mi_explorer.untyped import JsonObject

CANDIDATE_COLUMNS = ("Recipe", "Kind", "Measured on", "Accuracy (%)", "Low", "High", "Tokens", "Questions")
AREA_COLUMNS = ("Search", "Evaluations", "Tokens of candidates", "Area dominated")
BARS = {"type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": "rgba(138,143,155,.6)"}
GRID_NAME = "λ grid"
FLOOR = 0.7  # of the largest area, where its axis begins: what is below is the first few evaluations
Drawn = tuple[JsonObject, list[str], list[list[object]], JsonObject]


def explore_patch(cell: Cell) -> JsonObject:
    """What Explore's view is set to, to run this cell: the recipe and the decoding, its seed apart."""
    recipe, d = to_dict(cell.recipe), cell.decoding
    return {
        "lam": cell.recipe.lam,
        "method": cell.recipe.method,
        "params": dict(cell.recipe.params),
        "layers": recipe["layers"],
        "modules": list(recipe.get("modules", MODULES)),
        "template": cell.recipe.template,
        "answer_lam": cell.recipe.answer_lam,
        "t": d.temperature,
        "top_p": d.top_p,
        "top_k": d.top_k,
        "min_p": d.min_p,
        "rep": d.repetition_penalty,
        "cap": d.cap,
        "budget": d.think_budget,
    }


# -- accuracy against tokens ----------------------------------------------------------------------------------------------


def candidates_figure(shown: ShownSearch) -> Drawn:
    """Every candidate at its search score, the plain λ line, and the frontier or, once there are finalists, their held-out scores."""
    result = shown.result
    finalists = [f for f in result.finalists if not f.on_line] if result else []
    data = [*_cloud(shown, bool(finalists)), *_line(shown)]
    if result is None:
        data += _frontier(shown)
    else:
        data += _finalists(finalists)
    layout = {
        "xaxis": {"title": {"text": "mean tokens", "standoff": 6}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "accuracy"}, "tickformat": ".0%"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "margin": {"l": 62, "r": 16, "t": 70, "b": 54},
    }
    narrow = {"data": data, "layout": {**layout, "height": 520, "margin": {"l": 56, "r": 8, "t": 120, "b": 50}}}
    return {"data": data, "layout": layout}, list(CANDIDATE_COLUMNS), _candidate_rows(shown), narrow


def _cloud(shown: ShownSearch, faint: bool) -> list[JsonObject]:
    out = []
    for stopped, name, symbol in ((False, "candidates, search score", "circle"), (True, "stopped early", "x")):
        found = [c for c in shown.searched if c.stopped == stopped]
        if found:
            out.append({
                **_points([c.tokens for c in found], [c.right for c in found], [c.cell for c in found], name),
                "hovertext": [_candidate_hover(c) for c in found],
                "marker": {"color": GREY, "size": 6, "symbol": symbol, "opacity": 0.4 if faint else 0.7},
            })  # fmt: skip
    return out


def _line(shown: ShownSearch) -> list[JsonObject]:
    points: list[tuple[float, float, float]]  # λ, tokens, accuracy
    if shown.result is not None and shown.result.line:
        held = shown.result.line
        points = [(p.lam, p.tokens, p.right) for p in held]
        bars = {"error_y": _reach([p.right for p in held], [p.right_ci for p in held])}
        n, k = shown.result.heldout_questions
        kind, on = "held-out score", f"{n} held-out questions × {k}"
    else:
        points = sorted((c.cell.recipe.lam, c.tokens, c.right) for c in shown.line)
        bars, kind, on = {}, "search score", "the search questions"
    if not points:
        return []
    plain = Recipe(shown.pair, template=shown.settings.get("recipe", {}).get("template", "own"))
    decoding = Decoding(**shown.settings["decoding"])
    lams, xs, ys = ([p[i] for p in points] for i in range(3))
    cells = [Cell(plain.at(lam), decoding, f"λ {lam:g}") for lam in lams]
    return [{
        **_points(xs, ys, cells, f"plain λ line, {kind}"),
        "mode": "lines+markers+text",
        "text": [f"{lam:g}" if i % 2 == 0 or len(lams) < 8 else "" for i, lam in enumerate(lams)],
        "textposition": "bottom right",
        "textfont": {"size": 11},
        "line": {"color": GREY, "width": 2, "dash": "dot"},
        "marker": {"color": [lambda_colour(lam) for lam in lams], "size": 8},
        "hovertext": [f"<b>λ {lam:g}</b>, plain<br>{100 * y:.1f} % at {x:,.1f} tokens on {on}<br>click: open in Explore"
                      for lam, x, y in points],
        **bars,
    }]  # fmt: skip


def _frontier(shown: ShownSearch) -> list[JsonObject]:
    front = shown.frontier
    if not shown.searched:
        return []
    return [{
        **_points([c.tokens for c in front], [c.right for c in front], [c.cell for c in front], "frontier so far"),
        "mode": "lines+markers",
        "line": {"color": GREEN, "width": 2, "shape": "hv"},
        "marker": {"color": GREEN, "size": 9, "symbol": "diamond"},
        "hovertext": [_candidate_hover(c) for c in front],
    }]  # fmt: skip


def _finalists(found: Sequence[Finalist]) -> list[JsonObject]:
    """Each finalist where the search saw it (hollow) and where the held-out questions put it, joined."""
    if not found:
        return []
    out: list[JsonObject] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for f in found for x in (f.tokens, f.heldout.tokens, None)],
            "y": [y for f in found for y in (f.right, f.heldout.right, None)],
            "line": {"color": GREY, "width": 1},
            "hoverinfo": "skip",
            "showlegend": False,
        },
        {
            **_points([f.tokens for f in found], [f.right for f in found], [f.cell for f in found], "finalists, search score"),
            "marker": {"color": PURPLE, "size": 9, "symbol": "diamond-open", "line": {"width": 2}},
            "hovertext": [_finalist_hover(f) for f in found],
        },
    ]  # fmt: skip
    for better, name, symbol, colour in (
        (True, "held-out: better than the line", "star", GREEN),
        (False, "held-out: no better than the line", "diamond", VERMILION),
    ):
        some = [f for f in found if f.heldout.surely == better]
        if some:
            ys = [f.heldout.right for f in some]
            out.append({
                **_points([f.heldout.tokens for f in some], ys, [f.cell for f in some], name),
                "marker": {"color": colour, "size": 15 if better else 11, "symbol": symbol},
                "hovertext": [_finalist_hover(f) for f in some],
                "error_y": _reach(ys, [f.heldout.right_ci for f in some]),
            })  # fmt: skip
    return out


def _points(xs: Sequence[float], ys: Sequence[float], cells: Sequence[Cell], name: str) -> JsonObject:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": list(xs),
        "y": list(ys),
        "customdata": [json.dumps(explore_patch(cell), separators=(",", ":")) for cell in cells],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _reach(values: Sequence[float], intervals: Sequence[tuple[float, float]]) -> JsonObject:
    pairs = list(zip(values, intervals, strict=True))
    return {**BARS, "array": [max(0, hi - v) for v, (_, hi) in pairs], "arrayminus": [max(0, v - lo) for v, (lo, _) in pairs]}  # fmt: skip


def _wrapped(text: str) -> str:
    return label_text(text).replace(", ", ",<br>")


def _candidate_hover(c: CandidateScore) -> str:
    number = "the λ line" if c.on_line else f"candidate {c.number}"
    early = ", stopped early: clearly dominated" if c.stopped else ""
    return (
        f"<b>{_wrapped(c.cell.label)}</b><br>{100 * c.right:.1f} % at {c.tokens:,.1f} tokens on the search questions"
        f"<br>{number}, {c.questions} questions{early}<br>click: open in Explore"
    )


def _finalist_hover(f: Finalist) -> str:
    h = f.heldout
    return (
        f"<b>{_wrapped(f.cell.label)}</b><br>held-out {100 * h.right:.1f} % {_percent(h.right_ci)} at {h.tokens:,.1f} tokens"
        f"<br>search {100 * f.right:.1f} % at {f.tokens:,.1f}<br>against the line at equal tokens {100 * h.difference:+.1f} "
        f"{_percent(h.difference_ci, '+')}<br>click: open in Explore"
    )


def _percent(interval: tuple[float, float], sign: str = "") -> str:
    return "[" + ", ".join(f"{100 * x:{sign}.1f}" for x in interval) + "]"


def _candidate_rows(shown: ShownSearch) -> list[list[object]]:
    rows: list[list[object]] = []
    if shown.result is not None:
        n = shown.result.heldout_questions[0]
        for p in shown.result.line:
            rows.append([f"λ {p.lam:g}", "line", "held-out", *_shares(p.right, p.right_ci), round(p.tokens, 1), n])
        for f in shown.result.finalists:
            h = f.heldout
            rows.append([f.cell.label, "finalist", "held-out", *_shares(h.right, h.right_ci), round(h.tokens, 1), n])
    for c in shown.candidates:
        kind = "line" if c.on_line else "stopped early" if c.stopped else "candidate"
        rows.append(
            [c.cell.label, kind, "search", round(100 * c.right, 2), None, None, round(c.tokens, 1), c.questions]
        )
    return rows


def _shares(value: float, interval: tuple[float, float]) -> list[float]:
    return [round(100 * x, 2) for x in (value, *interval)]


# -- the dominated area ---------------------------------------------------------------------------------------------------


def area_figure(shown: ShownSearch, beside: Sequence[ShownSearch]) -> Drawn:
    """The area of this search beside others and the λ grid: over evaluations, and over the tokens of the candidates."""
    lines: list[tuple[str, str, tuple[VolumePoint, ...], str, str, float]] = []
    for other in beside:
        who = SAMPLER_TITLES.get(other.sampler, other.sampler)
        colour, dash = (VERMILION, "dash") if other.sampler == "random" else (BLUE, "solid")
        lines.append(
            (f"{who}, other seeds", f"{who}, seed {other.settings.get('seed')}", other.areas(), colour, dash, 1)
        )
    lines.append((GRID_NAME, GRID_NAME, shown.line_areas(), GREY, "dot", 2))
    own = f"this search ({SAMPLER_TITLES.get(shown.sampler, shown.sampler)})"
    lines.append((own, own, shown.areas(), GREEN, "solid", 3))
    lines = [line for line in lines if line[2]]
    panels: tuple[tuple[str, Callable[[VolumePoint], float]], ...] = (
        ("evaluations", lambda p: p.evaluations),
        ("tokens of the candidates", lambda p: p.tokens),
    )
    data: list[JsonObject] = []
    named: set[str] = set()
    for group, title, points, colour, dash, width in lines:
        for i, (_, x_of) in enumerate(panels):
            last = [max(x_of(p) for _, _, others, *_ in lines for p in others)] if group == GRID_NAME else []
            data.append({
                "type": "scatter",
                "mode": "lines",
                "name": label_text(group),
                "legendgroup": group,
                "showlegend": group not in named,
                "x": [*(x_of(p) for p in points), *last],
                "y": [*(p.value for p in points), *(points[-1].value for _ in last)],
                "xaxis": f"x{i + 1 if i else ''}",
                "yaxis": f"y{i + 1 if i else ''}",
                "line": {"color": colour, "width": width, "dash": dash, "shape": "hv"},
                "hovertext": [f"{label_text(title)}<br>after {p.evaluations} evaluations, {p.tokens:,} tokens: <b>{p.value:.3f}</b>"
                              for p in (*points, *(points[-1] for _ in last))],
                "hoverinfo": "text",
            })  # fmt: skip
            named.add(group)
    rows = [[title, p.evaluations, p.tokens, round(p.value, 5)] for _, title, points, *_ in lines for p in points]
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}

    top = max((p.value for _, _, points, *_ in lines for p in points), default=1.0) or 1.0

    def axes(domains: Sequence[tuple[Sequence[float], Sequence[float]]]) -> JsonObject:
        out: JsonObject = {}
        for i, ((title, _), (across, up)) in enumerate(zip(panels, domains, strict=True)):
            n = f"{i + 1 if i else ''}"
            out[f"xaxis{n}"] = {
                "domain": across, "anchor": f"y{n}", "title": {"text": title, "standoff": 6}, "rangemode": "tozero"
            }  # fmt: skip
            out[f"yaxis{n}"] = {
                "domain": up,
                "anchor": f"x{n}",
                "range": [FLOOR * top, 1.01 * top],
                "tickformat": ".2f",
            }
        out["yaxis"]["title"] = {"text": "area dominated (share)"}
        return out

    wide = axes([([0, 0.47], [0, 1]), ([0.54, 1], [0, 1])])
    wide |= {"legend": legend, "margin": {"l": 62, "r": 16, "t": 70, "b": 54}}
    small = axes([([0, 1], [0.58, 1]), ([0, 1], [0, 0.42])])
    small |= {"legend": legend, "height": 520, "margin": {"l": 56, "r": 8, "t": 90, "b": 50}}
    return {"data": data, "layout": wide}, list(AREA_COLUMNS), rows, {"data": data, "layout": small}
