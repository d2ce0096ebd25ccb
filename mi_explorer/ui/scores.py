"""Per-token scores of a trace as the lenses need them: JSON types, numbers rounded to what can be seen."""

from typing import Any

from mi_explorer.study.ask import Snapshot
from mi_explorer.ui.board import part_of


def scores(bench: Any, snapshot: Snapshot) -> dict[str, Any]:
    """`{"tokens": [[text, part, LLR, entropy]…], "detail": [{"lam", "instruct", "thinking"}…]}`, one entry a token.

    `part` is "thought", "answer" or "" (a tag); LLR = log p(Thinking) − log p(Instruct) in nats, clipped to ±5; entropy of
    the blend in nats; `instruct` and `thinking` are the likeliest next tokens there as [text, probability].
    """
    found, trace = bench.score(snapshot), snapshot.trace
    starts = (0, *trace.ends)
    tokens, detail = [], []
    for i in range(len(trace.ends)):
        start, end = starts[i], trace.ends[i]
        place = part_of(trace, start) if end > start else None
        tokens.append(
            [trace.text[start:end], place[0] if place else "", round(float(found.llr[i]), 3), round(float(found.entropy[i]), 3)]
        )
    return {"tokens": tokens, "detail": detail}
