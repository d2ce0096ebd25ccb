"""Scores after the fact: a finished trace, teacher-forced under both parents and the blend.

Per token: who would have written it (log-probabilities, LLR, argmax class, top-5), how far the blend is from either parent
(KL), the parents from each other (JS), the blend's entropy, and the effective λ̂: the a whose logit mix
q_a ∝ exp((1−a)·ℓ_I + a·ℓ_T) has the blend's mean of d = ℓ_T − ℓ_I, E_{q_a}[d] = E_{p_λ}[d] (monotone in a: bisection).
Conditional on the blend's own prefix, not causal. The head runs in chunks: 152k words × 4,000 tokens stay under 1 GB.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from mi_explorer.engine.logit_blends import logit_parts
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe
from mi_explorer.untyped import Json

CLIP = 5.0
CHUNK_BYTES = 32 << 20  # fp32 logits of one model and chunk; at most eight such tensors live at once
LAMBDA_RANGE = (-1.0, 2.0)
ARGMAX = ("both", "instruct", "thinking", "neither")


@dataclass(frozen=True)
class Scores:
    """One entry per response token. Log-probabilities and divergences in nats; `argmax` one of `ARGMAX`; tops are (id, log-prob) × 5."""

    logprob: tuple[float, ...]
    logprob_instruct: tuple[float, ...]
    logprob_thinking: tuple[float, ...]
    llr: tuple[float, ...]
    """log p_T − log p_I, clipped to ±5."""
    kl_instruct: tuple[float, ...]
    """KL(blend ‖ Instruct)."""
    kl_thinking: tuple[float, ...]
    js: tuple[float, ...]
    """Jensen–Shannon divergence of Instruct and Thinking (nats, at most ln 2)."""
    entropy: tuple[float, ...]
    argmax: tuple[str, ...]
    lam_hat: tuple[float | None, ...]
    """Effective λ, within [−1, 2]; None where the parents agree (nothing to mix)."""
    residual: tuple[float | None, ...]
    """KL(blend ‖ q_λ̂): what the weight blend says that no logit mix would."""
    top: tuple[tuple[tuple[int, float], ...], ...]
    top_instruct: tuple[tuple[tuple[int, float], ...], ...]
    top_thinking: tuple[tuple[tuple[int, float], ...], ...]


class ScoreError(UserError):
    """A trace that cannot be scored."""


def score(resident: ResidentPair, recipe: Recipe, prompt_ids: Sequence[int], response_ids: Sequence[int]) -> Scores:
    """Teacher-force the response under Instruct, Thinking and the blend. Thread-safe; independent of a running engine."""
    prompt, response = list(prompt_ids), list(response_ids)
    if not prompt or not response:
        raise ScoreError("There is nothing to score: the prompt or the response is empty.")
    if len(prompt) + len(response) > resident.max_positions:
        raise ScoreError(
            f"The trace has {len(prompt) + len(response)} tokens; the model holds {resident.max_positions}."
        )
    parents = [Recipe(recipe.pair, lam=0.0), Recipe(recipe.pair, lam=1.0)]
    parts = logit_parts(recipe)
    recipes = list(dict.fromkeys([*parents, *(r for r, _ in parts)]))
    mixes = [[(recipes.index(r), w) for r, w in side] for side in ([(parents[0], 1.0)], [(parents[1], 1.0)], parts)]
    chunk = max(1, CHUNK_BYTES // (4 * resident.vocab))
    pieces: list[dict[str, list[Json]]] = []
    with torch.inference_mode(), resident.lock:
        blends = {r.hash: resident.blend(r) for r in recipes}
        for logits in resident.load_weights().teacher_forced_logits(
            blends, prompt + response[:-1], len(prompt) - 1, chunk
        ):
            start = sum(len(p["llr"]) for p in pieces)
            target = torch.tensor(response[start : start + len(logits[0])], device=logits[0].device)
            pieces.append(_measures(logits, mixes, target))
    return Scores(**{name: tuple(x for piece in pieces for x in piece[name]) for name in pieces[0]})


def _mix(logits: Sequence[torch.Tensor], parts: Sequence[tuple[int, float]]) -> torch.Tensor:
    """Σ weight · logits; no copy of a part that stands alone with the weight 1."""
    if len(parts) == 1 and parts[0][1] == 1.0:
        return logits[parts[0][0]]
    mix = logits[parts[0][0]] * parts[0][1]
    for i, weight in parts[1:]:
        mix.add_(logits[i], alpha=weight)
    return mix


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(p ‖ q) per row of log-probabilities, with two tensors beside them at a time."""
    return (p - q).mul_(p.exp()).sum(-1)


def score_changed(
    resident: ResidentPair,
    recipe: Recipe,
    lambdas: Sequence[tuple[int, float]],
    prompt_ids: Sequence[int],
    response_ids: Sequence[int],
) -> Scores:
    """Scores of a response whose λ changed on the way: `lambdas` are (token, λ) from which token on which λ wrote. Each token has the
    scores of the blend that wrote it, which read all before it under its own coefficients."""
    by_lam = {lam: score(resident, recipe.for_thought.at(lam), prompt_ids, response_ids) for _, lam in lambdas}
    starts = [0, *(at for at, _ in lambdas[1:]), len(response_ids)]
    parts = [(by_lam[lam], a, b) for (_, lam), a, b in zip(lambdas, starts, starts[1:])]
    return Scores(**{f.name: tuple(x for s, a, b in parts for x in getattr(s, f.name)[a:b]) for f in fields(Scores)})


def _measures(
    logits: list[torch.Tensor], mixes: Sequence[Sequence[tuple[int, float]]], target: torch.Tensor
) -> dict[str, list[Json]]:
    """All measures of a chunk from logits [tokens, vocabulary]: `mixes` are Instruct, Thinking and the blend. Empties `logits`."""
    li, lt, lb = (_mix(logits, mix).log_softmax(-1) for mix in mixes)
    logits.clear()  # the list is its generator's, which would hold the tensors meanwhile
    own, own_i, own_t = (x.gather(1, target[:, None])[:, 0] for x in (lb, li, lt))
    middle = torch.logaddexp(li, lt).sub_(math.log(2.0))
    js = 0.5 * (_kl(li, middle) + _kl(lt, middle))
    del middle
    kl_i, kl_t = _kl(lb, li), _kl(lb, lt)
    entropy = -lb.exp().mul_(lb).sum(-1)
    is_i, is_t = li.argmax(-1) == target, lt.argmax(-1) == target
    classes = [
        ("both" if t else "instruct") if i else ("thinking" if t else "neither")
        for i, t in zip(is_i.tolist(), is_t.tolist())
    ]
    lam, residual = effective_lambda(li, lt, lb)
    tops = [x.topk(min(5, x.shape[1])) for x in (lb, li, lt)]
    named = [[tuple(zip(i, v)) for i, v in zip(top.indices.tolist(), top.values.tolist())] for top in tops]
    return {
        "logprob": own.tolist(),
        "logprob_instruct": own_i.tolist(),
        "logprob_thinking": own_t.tolist(),
        "llr": (own_t - own_i).clamp(-CLIP, CLIP).tolist(),
        "kl_instruct": kl_i.clamp_min(0).tolist(),
        "kl_thinking": kl_t.clamp_min(0).tolist(),
        "js": js.clamp_min(0).tolist(),
        "entropy": entropy.clamp_min(0).tolist(),
        "argmax": classes,
        "lam_hat": lam,
        "residual": residual,
        "top": named[0],
        "top_instruct": named[1],
        "top_thinking": named[2],
    }


def effective_lambda(
    li: torch.Tensor, lt: torch.Tensor, lb: torch.Tensor, steps: int = 24
) -> tuple[list[float | None], list[float | None]]:
    """λ̂ and the residual KL per row of log-probabilities [tokens, vocabulary], by bisection on a in [−1, 2]."""
    d = lt - li
    spread = d.amax(-1) - d.amin(-1)
    goal = lb.exp().mul_(d).sum(-1)
    low = torch.full_like(goal, LAMBDA_RANGE[0])
    high = torch.full_like(goal, LAMBDA_RANGE[1])
    mix, q = torch.empty_like(d), torch.empty_like(d)  # written again in every step
    for _ in range(steps):
        middle = (low + high) / 2
        torch.softmax(torch.addcmul(li, middle[:, None], d, out=mix), -1, out=q)
        below = q.mul_(d).sum(-1) < goal
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    a = (low + high) / 2
    torch.log_softmax(torch.addcmul(li, a[:, None], d, out=mix), -1, out=q)
    residual = _kl(lb, q).clamp_min(0)
    known = (spread > 1e-4).tolist()
    return [x if k else None for x, k in zip(a.tolist(), known)], [
        x if k else None for x, k in zip(residual.tolist(), known)
    ]
