"""Likelihoods for lm-eval: a continuation teacher-forced under the blend."""

from collections.abc import Sequence

import torch

from mi_explorer.engine.logit_blends import logit_parts
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.harness.requests import HarnessError
from mi_explorer.recipe import Recipe

CHUNK = 512  # positions whose logits are held at a time


def loglikelihood(
    resident: ResidentPair, recipe: Recipe, context: Sequence[int], continuation: Sequence[int]
) -> tuple[float, bool]:
    """(sum of log p in nats, whether every token is the likeliest one), teacher-forced under the blend."""
    if not continuation:
        return 0.0, True
    if len(continuation) > resident.max_positions:
        raise HarnessError(
            f"A text to score has {len(continuation):,} tokens; the model holds {resident.max_positions:,}."
        )
    ids = [*context, *continuation][-(resident.max_positions + 1) :]
    first = len(ids) - len(continuation) - 1
    parts = logit_parts(recipe)
    total, greedy, at = 0.0, True, 0
    with torch.inference_mode(), resident.lock:
        blends = {r.hash: resident.blend(r) for r, _ in parts}
        for logits in resident.load_weights().teacher_forced_logits(blends, ids[:-1], first, CHUNK):
            mixed = sum((x * w for x, (_, w) in zip(logits, parts)), start=torch.zeros((), dtype=logits[0].dtype))
            logp = mixed.log_softmax(-1)
            target = torch.tensor(list(continuation[at : at + len(logp)]), device=logp.device)
            at += len(target)
            total += float(logp.gather(1, target[:, None]).double().sum())
            greedy &= bool((logp.argmax(-1) == target).all())
    return total, greedy
