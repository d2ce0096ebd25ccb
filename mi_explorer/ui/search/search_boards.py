"""What stands in words and tables beside a search's figures, as JSON values: where it stands, its verdict, its recipes.

No text here becomes markup: the scripts of assets/web/search show it through text nodes.
"""

from mi_explorer.pair_names import pair_name
from mi_explorer.search.result import Finalist
from mi_explorer.search.search_events import CandidateScore
from mi_explorer.studies.cost import roughly
from mi_explorer.studies.plan import Cell
from mi_explorer.ui.page_workers import worker_entries
from mi_explorer.ui.search.search_figures import explore_patch
from mi_explorer.ui.search.shown_search import PRECOMPUTED, ShownSearch
from mi_explorer.untyped import GradioValue, Json, JsonObject

RESULT_COLUMNS = [
    *("Recipe", "Verdict", "Difference, points", "95 % interval of it", "Against, at equal tokens"),
    *("Held-out %", "95 % interval", "Tokens, held-out", "Search %", "Tokens, search"),
]
SEARCH_COLUMNS = ["Recipe", "Search %", "Tokens", "Questions"]
NOT_BETTER, BETTER, ON_LINE = "no better than the line", "better than the line", "a point of the line"
PHASES = {
    "loading": "The workers load the pair",
    "line": "Measuring the plain λ line",
    "search": "Searching",
    "held-out": "Judging the finalists on held-out questions",
    "done": "Done",
    "stopped": "Stopped",
}
EMPTY = (
    "No search of this pair is here yet. Tick above what may vary, look at the cost, and run one: its frontier grows here, "
    "and what is measured is saved as it runs."
)


def bar_board(shown: ShownSearch | None, error: str = "", command: str = "") -> JsonObject:
    """`{"status", "done", "total", "error", "verdict", "better", "caption", "notes", "command", "empty", "state",
    "name", "workers"}`."""
    if shown is None:
        return {"error": error, "empty": EMPTY, "state": "none"}
    result, p = shown.result, shown.progress
    return {
        "state": shown.state,
        "status": _status(shown),
        "done": p.done if p and shown.state == "running" else 0,
        "total": p.total if p and shown.state == "running" else 0,
        "error": error or shown.error,
        "verdict": _upper(result.verdict) if result else "",
        "better": bool(result and any(f.heldout.surely and not f.on_line for f in result.finalists)),
        "caption": _caption(shown),
        "notes": _notes(shown),
        "command": command,
        "empty": "",
        "name": shown.name,
        "workers": worker_entries(p.workers) if p and shown.state == "running" else [],
    }


def _status(shown: ShownSearch) -> str:
    p = shown.progress
    if shown.origin == PRECOMPUTED:
        return ""
    if shown.state == "unfinished":
        wanted = shown.settings.get("evaluations", 0)
        return f"{shown.evaluations} of {wanted} evaluations are saved, not judged yet. Go on to make the rest."
    if p is None or shown.state == "failed":
        return ""
    made = f"{p.evaluations} of {p.of} evaluations, {p.tokens:,} tokens of candidates"
    if shown.state == "stopped":
        return f"Stopped: {made} are saved. Go on to make the rest."
    if shown.state == "done":
        return f"Done in {roughly(p.seconds)}: {made}."
    samples = f" · {p.done:,} of {p.total:,} samples" if p.total else ""
    rate = f" · {p.tokens_per_second:,.0f} tokens/s" if p.tokens_per_second else ""
    if p.phase == "stopped":
        return f"Stopped: {made} are saved."  # its workers are ending
    return f"{PHASES[p.phase]} · {made}{samples}{rate}. It goes on when this tab is closed."


def _caption(shown: ShownSearch) -> str:
    """Whose the figures are, and what they depend on."""
    s = shown.settings
    parts = [
        f"pair {pair_name(shown.pair)}, task {s.get('task', '?')}",
        "measured here" if shown.origin == "live" else shown.origin,
    ]
    result = shown.result
    if result is not None:
        (n, k), (m, j) = result.questions, result.heldout_questions
        parts.append(f"{n} questions × {k} for a candidate, {m} held-out questions × {j} for the finalists")
        parts.append(f"{result.evaluations} evaluations, {result.stopped_early} stopped early")
        parts.append(f"{result.tokens_used:,} tokens of candidates, {result.tokens_generated:,} generated in all")
    else:
        parts.append(f"{s.get('questions')} questions × {s.get('samples')} for a candidate")
    d = s.get("decoding", {})
    parts.append(f"T {d.get('temperature', 0):g}, cap {d.get('cap')}, seed {s.get('seed')}")
    return " · ".join(parts) + " · bars and brackets are 95 % intervals by question bootstrap"


def _notes(shown: ShownSearch) -> str:
    result = shown.result
    if result is None:
        return ""
    return (
        f"Area dominated on held-out questions: {result.heldout_volume:.3f} by the finalists, {result.heldout_line_volume:.3f} by as "
        "many points of the line. Search scores chose the finalists and flatter them. The difference is accuracy minus that of the best "
        "mix of the line’s λs at equal tokens, paired by question; “better” needs an interval above 0 for all finalists together."
    )


def recipes_board(shown: ShownSearch | None, layers: int) -> JsonObject:
    """`{"columns", "rows", "recipes", "layers", "name", "title"}`; each row has its recipe: a label and what Explore's view is set to."""
    rows: list[list[Json]] = []
    recipes: list[JsonObject] = []
    if shown is None:
        return {"columns": [], "rows": rows, "recipes": recipes, "layers": layers, "name": "", "title": ""}
    if shown.result is not None:
        for f in shown.result.finalists:
            rows.append(_finalist_row(f))
            recipes.append(recipe_entry(f.cell))
        columns, title = RESULT_COLUMNS, "What the search found"
    else:
        for c in shown.frontier:
            rows.append(_candidate_row(c))
            recipes.append(recipe_entry(c.cell))
        columns, title = SEARCH_COLUMNS, "The frontier so far, by search scores"
    name = f"search-{shown.name}"
    return {"columns": columns, "rows": rows, "recipes": recipes, "layers": layers, "name": name, "title": title}


def recipe_entry(cell: Cell) -> JsonObject:
    """A recipe to choose: its words, and what Explore's view is set to."""
    return {"label": cell.label, "patch": explore_patch(cell)}


def _finalist_row(f: Finalist) -> list[GradioValue]:
    h = f.heldout
    against = " + ".join(f"{weight:.2f}·λ {lam:g}" if weight < 1 else f"λ {lam:g}" for lam, weight in h.line)
    verdict = ON_LINE if f.on_line else BETTER if h.surely else NOT_BETTER
    return [
        *(f.cell.label, verdict, round(100 * h.difference, 1), _interval(h.difference_ci, "+"), against),
        *(round(100 * h.right, 1), _interval(h.right_ci), round(h.tokens, 1)),
        *(round(100 * f.right, 1), round(f.tokens, 1)),
    ]


def _candidate_row(c: CandidateScore) -> list[GradioValue]:
    label = f"{c.cell.label} (plain line)" if c.on_line else c.cell.label
    return [label, round(100 * c.right, 1), round(c.tokens, 1), c.questions]


def _interval(ends: tuple[float, float], sign: str = "") -> str:
    return "[" + ", ".join(f"{100 * x:{sign}.1f}" for x in ends) + "]"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
