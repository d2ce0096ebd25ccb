"""Snapshot → dict for the board: everything the page shows of one trace, in JSON types, text as text.

Pure functions. The page never sees a `Snapshot`; it sees frames, and a strip is the frames of one question over λ.
"""

from collections.abc import Sequence

from mi_explorer.generation.schedule import schedule_text
from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.generation.traces import Trace
from mi_explorer.ui.explore.token_check import token_check
from mi_explorer.untyped import Json, JsonObject

STRIP_LAMBDAS = tuple(round(i / 10, 1) for i in range(11))
MAX_FRAMES = 24


def strip_lambdas(lam: float, pins: Sequence[float]) -> tuple[float, ...]:
    """The λs of a strip: 0, 0.1 … 1, the one looked at, and the pins; sorted, without repeats."""
    return tuple(sorted({*STRIP_LAMBDAS, lam, *pins}))[:MAX_FRAMES]


def frame_id(lam: float) -> str:
    """The name of a frame within its strip."""
    return f"{lam:.15g}"


def trace_frame(snapshot: Snapshot, shared: int = 0) -> JsonObject:
    """One trace as the board draws it.

    `thought` and `answer` are plain text; `first` counts the tokens until the answer was first right (None: never, or no
    known answer); `mark` is the same place as `{"part", "at"}` in characters, and `spots` are the reflection markers as
    `[start, end, group]` per part; both are given once the trace has ended. `steps` are what happened on the way (see
    `change_steps`), `schedule` what of it somebody asked for, as text, and `check` the tokens at the end (`token_check`). A branch
    has `shared`: how many tokens another trace wrote (so far), and the place where they end, as `{"tokens", "part", "at"}`.
    """
    trace = snapshot.trace
    ended = not snapshot.live
    return {
        "id": snapshot.id,
        "lam": snapshot.recipe.lam,
        "state": snapshot.state,
        "message": snapshot.message,
        "thought": trace.thought.strip(),  # what only separates the parts from their tags is not shown
        "answer": trace.answer_text.strip(),
        "tokens": trace.tokens,
        "think": trace.think_tokens,
        "closed": trace.think_closed,
        "lenient": trace.think_lenient,
        "truncated": trace.truncated,
        "looped": trace.looped,
        "verdict": snapshot.verdict,
        "first": trace.first_correct,
        "mark": first_correct_mark(trace) if ended else None,
        "spots": marker_spans(trace) if ended else None,
        "markers": dict(trace.markers),
        "tps": round(snapshot.tokens_per_second, 1),
        "finish": trace.finish,
        "parted": None,
        "steps": change_steps(snapshot),
        "schedule": schedule_text(snapshot.schedule),
        "check": token_check(trace.ids) if ended else "",
        **({"shared": token_place(trace, min(shared, trace.tokens))} if shared else {}),
    }


def change_steps(snapshot: Snapshot) -> list[JsonObject]:
    """What happened to a response: `{"at": token, "cause", "lam" or None, "tokens", "part", "from", "to"}` each, in order.

    From token `at` on `lam` wrote, or so many `tokens` were put there; they are characters `from` to `to` of the `part` as shown.
    """
    trace, steps = snapshot.trace, []
    for change in snapshot.changes:
        if change.cause == "given":  # what a branch begins with is shown as its lineage
            continue
        start, end = (
            trace.ends[t - 1] if 0 < t <= len(trace.ends) else 0 for t in (change.at, change.at + change.tokens)
        )
        part, at = place_in_part(trace, start) or ("thought" if start < trace.answer_start else "answer", 0)
        if start > trace.thought_span[1] and part == "thought":
            at = len(trace.thought.strip())
        same = place_in_part(trace, end)
        to = same[1] if same and same[0] == part else at
        steps.append(
            {
                "at": change.at,
                "cause": change.cause,
                "lam": change.lam,
                "tokens": change.tokens,
                "part": part,
                "from": at,
                "to": max(at, to),
            }
        )
    return steps


def strip_frames(snapshots: Sequence[Snapshot]) -> list[JsonObject]:
    """The frames of one strip; each says where it parts from λ = 0, where that can be said (see `first_difference`)."""
    base = next((s for s in snapshots if s.recipe.lam == 0), None)
    return [trace_frame(s) | {"parted": first_difference(s, base) if base else None} for s in snapshots]


def first_difference(snapshot: Snapshot, base: Snapshot) -> JsonObject | None:
    """The first token where λ matters: `{"tokens", "part", "at"}`, tokens that both wrote alike and the place of the next one.

    Exact, because a trace depends on recipe, prompt, decoding and seed alone: with all but the recipe equal, the first other token
    is the first that the recipe changed, the same that the engine finds when it verifies a draft. None where prompt or decoding
    differ, or a trace has not ended; `part` is None where the traces are the same to the end.
    """
    a, b = snapshot.trace, base.trace
    if snapshot.live or base.live or not snapshot.prompt_ids or snapshot is base:
        return None
    if (snapshot.prompt_ids, snapshot.decoding) != (base.prompt_ids, base.decoding) or not (a.ids and b.ids):
        return None
    kept = next((i for i, (x, y) in enumerate(zip(a.ids, b.ids)) if x != y), min(len(a.ids), len(b.ids)))
    if "cancelled" in (snapshot.state, base.state) and kept == min(len(a.ids), len(b.ids)):
        return None  # one of them was stopped before they parted
    if kept == len(a.ids) == len(b.ids):
        return {"tokens": kept, "part": None, "at": 0}
    return token_place(a, kept)


def token_place(trace: Trace, tokens: int) -> JsonObject:
    """Where the first `tokens` tokens of a trace end: `{"tokens", "part": "thought" | "answer", "at": characters of the part}`."""
    at = trace.ends[tokens - 1] if tokens else 0
    place = place_in_part(trace, at) or (("thought", 0) if at < trace.thought_span[1] else ("answer", 0))
    return {"tokens": tokens, "part": place[0], "at": place[1]}


def place_in_part(trace: Trace, at: int) -> tuple[str, int] | None:
    """The part that character `at` of the text falls into, and its place in the part as shown; None for the tags between."""
    start, end = trace.thought_span
    if start <= at <= end and end > start:
        return "thought", max(0, at - start - _lead(trace.thought))
    if at >= trace.answer_start:
        return "answer", max(0, at - trace.answer_start - _lead(trace.answer_text))
    return None


def _lead(text: str) -> int:
    return len(text) - len(text.lstrip())


def first_correct_mark(trace: Trace) -> JsonObject | None:
    """Where the answer was first right: `{"part": "thought" | "answer", "at": characters}`."""
    if not trace.first_correct or trace.first_correct > len(trace.ends):
        return None
    place = place_in_part(trace, trace.ends[trace.first_correct - 1])
    return {"part": place[0], "at": place[1]} if place else None


def marker_spans(trace: Trace) -> dict[str, list[list[Json]]]:
    """Reflection markers per part, as `[start, end, group]` in characters of the part."""
    found: dict[str, list[list[Json]]] = {"thought": [], "answer": []}
    for m in trace.marks:
        if place := place_in_part(trace, m.start):
            found[place[0]].append([place[1], place[1] + m.end - m.start, m.group])
    return found


def frame_summary(value: Json) -> JsonObject | None:
    """The few fields of a frame that the sentence needs, out of what a page sent; None if it is not such a thing."""
    if not isinstance(value, dict):
        return None
    numbers = {k: value.get(k) for k in ("lam", "tokens")}
    if any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in numbers.values()):
        return None
    first = value.get("first")
    return {
        **numbers,
        "state": "done" if value.get("state") == "done" else "failed",
        "first": first if isinstance(first, int) else None,
        "verdict": value.get("verdict") if value.get("verdict") in ("correct", "wrong", "no_answer") else None,
        **{k: bool(value.get(k)) for k in ("closed", "lenient", "truncated")},
    }
