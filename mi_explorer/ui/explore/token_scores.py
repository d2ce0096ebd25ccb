"""Per-token scores of a trace as the lenses need them: JSON types, numbers rounded to what can be seen."""

import math
from typing import Any

from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.ui.explore.board import place_in_part
from mi_explorer.workbench import Workbench


def token_scores(bench: Workbench, snapshot: Snapshot) -> dict[str, Any]:
    """`{"tokens": [[text, part, LLR, entropy]…], "detail": [{"lam", "argmax", "p", "instruct", "thinking"}…]}`, one entry a token.

    `part` is "thought", "answer" or "" (a tag); LLR = log p(Thinking) − log p(Instruct) in nats, clipped to ±5; entropy of
    the blend in nats; `p` the blend's probability of the token; `lam` the effective λ̂ or None where the parents agree;
    `instruct` and `thinking` are the five likeliest tokens there as [text, probability].
    """
    found, trace = bench.score(snapshot), snapshot.trace
    words: dict[int, str] = {}

    def top(rows: Any) -> list[list[Any]]:
        for id, _ in rows:
            if id not in words:
                words[id] = bench.prompts.decode([id])
        return [[words[id], round(math.exp(p), 4)] for id, p in rows]

    starts = (0, *trace.ends)
    tokens, detail = [], []
    for i, end in enumerate(trace.ends):
        closing = (
            starts[i] == trace.thought_span[1] > trace.thought_span[0]
        )  # the tag that ends the thought is no part of it
        place = place_in_part(trace, starts[i]) if end > starts[i] and not closing else None
        tokens.append(
            [trace.text[starts[i] : end], place[0] if place else "", round(found.llr[i], 3), round(found.entropy[i], 3)]
        )
        lam = found.lam_hat[i]
        detail.append(
            {
                "lam": None if lam is None else round(lam, 3),
                "argmax": found.argmax[i],
                "p": round(math.exp(found.logprob[i]), 4),
                "instruct": top(found.top_instruct[i]),
                "thinking": top(found.top_thinking[i]),
            }
        )
    return {"tokens": tokens, "detail": detail}
