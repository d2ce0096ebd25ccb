"""Surgical override: the k % of entries where the parents differ most come from Thinking, the rest is blended with λ.

λ = 0 is Instruct with Thinking's top entries; λ = 0.5 is the average with them (the published "average + top 10 %").
"""

import torch

from mi_explorer.merging.methods.method import (
    Block,
    Blocks,
    Endpoints,
    Method,
    Noise,
    Param,
    Params,
    Stats,
    crossfade,
    kth_largest,
)


def _measure(blocks: Blocks, params: Params) -> dict[str, float]:
    """|T − I| from which the top k % of a tensor begins; infinite for k = 0."""
    n = sum(i.numel() for i, _ in blocks())
    return {"low": kth_largest(lambda: (t - i for i, t in blocks()), round(params["k"] / 100 * n))}


def _endpoints(parts: Block, noise: Noise, params: Params, stats: Stats) -> Endpoints:
    i, t = parts
    return torch.where((t - i).abs() >= stats["low"], t, i), t


METHOD = Method(
    name="topk_override",
    title="Top-k override",
    paper="https://arxiv.org/abs/2509.22034",
    text="Thinking where the parents differ most (top k % of each tensor), a linear blend elsewhere.",
    coefficients=crossfade,
    params=(Param("k", "Top k %", 10, 0, 100, 1, "Share of entries per tensor taken from Thinking."),),
    measure=_measure,
    endpoints=_endpoints,
    lam="weight of Thinking in the rest",
    lam_default=0.0,
    zero="Instruct with Thinking's top entries",
)
