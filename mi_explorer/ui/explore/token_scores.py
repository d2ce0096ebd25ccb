"""Per-token scores of a trace as the lenses need them: JSON types, numbers rounded to what can be seen."""

import math

from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.generation.traces import Trace
from mi_explorer.ui.explore.board import place_in_part
from mi_explorer.untyped import Json, JsonObject
from mi_explorer.workbench import Workbench


def token_texts(trace: Trace) -> list[list[str]]:
    """`[text, part]` of each token; `part` is "thought", "answer" or "" (a tag)."""
    starts, found = (0, *trace.ends), []
    for start, end in zip(starts, trace.ends):
        closing = (
            start == trace.thought_span[1] > trace.thought_span[0]
        )  # the tag that ends the thought is no part of it
        place = place_in_part(trace, start) if end > start and not closing else None
        found.append([trace.text[start:end], place[0] if place else ""])
    return found


def token_scores(bench: Workbench, snapshot: Snapshot) -> JsonObject:
    """`{"tokens": [[text, part, LLR, entropy]…], "detail": [{"lam", "argmax", "p", "instruct", "thinking"}…]}`, one entry a token.

    `part` is "thought", "answer" or "" (a tag); LLR = log p(Thinking) − log p(Instruct) in nats, clipped to ±5; entropy of
    the blend in nats; `p` the blend's probability of the token; `lam` the effective λ̂ or None where the parents agree;
    `instruct` and `thinking` are the five likeliest tokens there as [text, probability].
    """
    found, trace = bench.score(snapshot), snapshot.trace
    words: dict[int, str] = {}

    def top(rows: Json) -> list[list[Json]]:
        for id, _ in rows:
            if id not in words:
                words[id] = bench.prompts.decode([id])
        return [[words[id], round(math.exp(p), 4)] for id, p in rows]

    tokens, detail = [], []
    for i, (text, part) in enumerate(token_texts(trace)):
        tokens.append([text, part, round(found.llr[i], 3), round(found.entropy[i], 3)])
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
