"""What the parents make of a question before anything is answered: one prefill each, no training.

Of each parent: `surprise` (mean −log p of the prompt's tokens, in nats), `entropy` (nats) and `confidence` (largest probability) of the
first token of the answer; and `length`, the log of the prompt's tokens.
"""

import math
from collections.abc import Sequence

import torch

from mi_explorer.engine.resident import ResidentPair
from mi_explorer.generation.scores import CHUNK_BYTES
from mi_explorer.prompts import Prompts
from mi_explorer.recipe import Recipe

OTHER = "~"  # a question that shares with another one no more than the template around it
PARENT_LAMS = {"instruct": 0.0, "thinking": 1.0}
FEATURES = (*(f"{kind} {parent}" for parent in PARENT_LAMS for kind in ("surprise", "entropy", "confidence")), "length")


def question_features(resident: ResidentPair, prompts: Prompts, pair: str, question: str) -> tuple[float, ...]:
    """The features of a question in the order of `FEATURES`. Thread-safe; independent of a running engine."""
    out: list[float] = []
    count = 1
    for lam in PARENT_LAMS.values():
        recipe = Recipe(pair, lam=lam)
        ids = prompts.render(question, recipe).ids
        out += _of_parent(resident, recipe, ids)
        count = len(ids)
    return (*out, math.log(count))


def _of_parent(resident: ResidentPair, recipe: Recipe, ids: Sequence[int]) -> tuple[float, float, float]:
    """Surprise, entropy and confidence of one parent that reads these tokens."""
    losses, last = _read(resident, recipe, ids)
    entropy = float(-(last.exp() * last).sum())
    return sum(losses) / max(1, len(losses)), entropy, float(last.exp().max())


def question_surprise(resident: ResidentPair, prompts: Prompts, pair: str, question: str) -> float:
    """Mean −log p, in nats, of the question's own tokens under Instruct; those of the chat template around it are left out. One prefill.

    Raises `PromptError` for a question that cannot be asked.
    """
    recipe = Recipe(pair, lam=0.0)
    ids, other = (prompts.render(text, recipe).ids for text in (question, OTHER))
    before = _shared(ids, other)
    after = min(_shared(ids[::-1], other[::-1]), len(ids) - before)
    losses, _ = _read(resident, recipe, ids)
    own = losses[max(0, before - 1) : len(ids) - after - 1]  # the first token of all has no loss
    return sum(own) / len(own) if own else sum(losses) / max(1, len(losses))


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def _read(resident: ResidentPair, recipe: Recipe, ids: Sequence[int]) -> tuple[list[float], torch.Tensor]:
    """−log p of every token but the first, and the log-probabilities of what follows the last."""
    chunk = max(1, CHUNK_BYTES // (4 * resident.vocab))
    losses: list[float] = []
    place, last = 0, torch.empty(0)
    with torch.inference_mode(), resident.lock:
        blends = {recipe.hash: resident.blend(recipe)}
        for logits in resident.load_weights().teacher_forced_logits(blends, list(ids), 0, chunk):
            logp = logits[0].float().log_softmax(-1)
            target = torch.tensor(ids[place + 1 : place + 1 + len(logp)], device=logp.device)
            losses += (-logp[: len(target)].gather(1, target[:, None])[:, 0]).tolist()
            place, last = place + len(logp), logp[-1]
    return losses, last
