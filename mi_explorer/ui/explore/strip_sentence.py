"""One computed paragraph that says what happened on a strip: where thought appears, what it costs, when it was enough.

Pure: frames are the dicts that `board.frame` makes; only finished ones count. Nothing canned: a clause whose figures
are not there is left out.
"""

from collections.abc import Sequence

from mi_explorer.untyped import JsonObject

Frame = JsonObject


def finished_frames(frames: Sequence[Frame]) -> list[Frame]:
    """The finished frames in order of λ, one per λ (the last one given wins)."""
    by_lam = {f["lam"]: f for f in frames if f["state"] == "done"}
    return [by_lam[lam] for lam in sorted(by_lam)]


def strip_bands(frames: Sequence[Frame]) -> list[JsonObject]:
    """Stages as this one strip shows them: `[{"stage": 1, "from": 0.0, "to": 0.4}, …]`, or [] without a clean change.

    A single strip has one sample per λ, so the bands are where thought was first and last seen to change, not a fit.
    """
    done = finished_frames(frames)
    thinks = [bool(f["closed"]) for f in done]
    if len(done) < 3 or all(thinks) or not any(thinks):
        return []
    first = thinks.index(True)
    last = len(thinks) - 1 - thinks[::-1].index(False)
    if first == 0 or last == len(thinks) - 1:
        return []
    low, high = done[first - 1]["lam"], done[last + 1]["lam"]
    spans = [(1, done[0]["lam"], low), (2, low, high), (3, high, done[-1]["lam"])]
    return [{"stage": s, "from": a, "to": b} for s, a, b in spans if b > a]


def strip_sentence(frames: Sequence[Frame]) -> str:
    """What happened on this strip, in one to four short sentences; "" while nothing is finished."""
    done = finished_frames(frames)
    if len(done) < 2:
        return ""
    parts = [_thought(done), _verdicts(done), _tokens(done), _overthinking(done), _cut(done)]
    return " ".join(p for p in parts if p)


def _lam(lam: float) -> str:
    return f"{lam:g}"


def _thought(done: list[Frame]) -> str:
    thinks = [f["lam"] for f in done if f["closed"]]
    plain = [f["lam"] for f in done if not f["closed"]]
    open_thoughts = [f for f in done if f["lenient"] and not f["closed"]]
    if not thinks:
        if open_thoughts:
            return "No λ closes a thought, though some write one."
        return f"No thought at any of the {len(done)} λ."
    if not plain:
        return f"A thought at every λ from {_lam(thinks[0])} to {_lam(thinks[-1])}."
    if plain[-1] < thinks[0]:
        return f"Thought appears between λ {_lam(plain[-1])} and {_lam(thinks[0])}."
    if thinks[-1] < plain[0]:
        return f"Thought is there up to λ {_lam(thinks[-1])} and gone from {_lam(plain[0])} on."
    low, high = _lam(min(thinks[0], plain[0])), _lam(max(thinks[-1], plain[-1]))
    return f"Thought comes and goes between λ {low} and {high}: it is there at λ {_list(thinks)}."


def _list(lams: list[float]) -> str:
    shown = [_lam(x) for x in lams]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def _verdicts(done: list[Frame]) -> str:
    judged = [f for f in done if f["verdict"]]
    if not judged:
        return ""
    right = [f["lam"] for f in judged if f["verdict"] == "correct"]
    if len(right) == len(judged):
        return f"Every one of the {len(judged)} answers is right."
    if not right:
        return f"None of the {len(judged)} answers is right."
    cheapest = min((f for f in judged if f["verdict"] == "correct"), key=lambda f: f["tokens"])
    shortest = f"the shortest of them at λ {_lam(cheapest['lam'])} with {cheapest['tokens']:,} tokens"
    return f"{len(right)} of {len(judged)} answers are right, {shortest}."


def _tokens(done: list[Frame]) -> str:
    first, last = done[0], done[-1]
    if not first["tokens"] or not last["tokens"]:
        return ""
    ratio = last["tokens"] / first["tokens"]
    if 0.8 < ratio < 1.25:
        return f"Length hardly changes: {first['tokens']:,} tokens at λ {_lam(first['lam'])}, {last['tokens']:,} at λ {_lam(last['lam'])}."
    factor = f"{ratio:.1f} times" if ratio < 10 else f"{ratio:.0f} times"
    if ratio < 1:
        factor = f"{100 * ratio:.0f} % of"
    return f"λ {_lam(last['lam'])} writes {factor} the {first['tokens']:,} tokens of λ {_lam(first['lam'])}."


def _overthinking(done: list[Frame]) -> str:
    tail = [f for f in done if f["verdict"] == "correct" and f["first"] is not None and f["closed"] and f["tokens"]]
    if not tail:
        return ""
    start = tail[0]["lam"]
    share = sum(f["tokens"] - f["first"] for f in tail) / sum(f["tokens"] for f in tail)
    if share < 0.1:
        return ""
    which = f"From λ {_lam(start)} on" if len(tail) > 1 else f"At λ {_lam(start)}"
    return f"{which}, {100 * share:.0f} % of the tokens come after the answer was first right."


def _cut(done: list[Frame]) -> str:
    by_memory = [f["lam"] for f in done if f.get("finish") == "memory"]
    cut = [f["lam"] for f in done if f["truncated"] and f.get("finish") != "memory"]
    words = [f"Cut short by the token limit at λ {_list(cut)}."] if cut else []
    return " ".join([*words, *([f"Cut short by this machine's memory at λ {_list(by_memory)}."] if by_memory else [])])
