"""DARE: drop each entry of a task vector with probability p and rescale the rest by 1/(1−p); then add, or elect signs."""

import torch

from mi_explorer.merging.methods.method import Block, Endpoints, Method, Noise, Param, Params, Stats, scaled
from mi_explorer.merging.methods.vectors import elect, task_vectors

PARAMS = (
    Param("drop", "Drop p", 0.3, 0.0, 0.99, 0.05, "Probability that an entry of a task vector is dropped."),
    Param("seed", "Seed", 0, 0, 2**31, 1, "Which entries: the mask depends on this seed and the tensor's name alone."),
)


def _dropped(parts: Block, noise: Noise, params: Params) -> Endpoints:
    """Both task vectors after dropping, each with a mask of its own."""
    p = params["drop"]
    one, two = (
        torch.where(noise(who) >= p, v, 0.0) / (1 - p) for who, v in zip(("instruct", "thinking"), task_vectors(parts))
    )
    return one, two


def _endpoints_linear(parts: Block, noise: Noise, params: Params, stats: Stats) -> Endpoints:
    one, two = _dropped(parts, noise, params)
    return parts[2], one + two


def _endpoints_ties(parts: Block, noise: Noise, params: Params, stats: Stats) -> Endpoints:
    return parts[2], elect(*_dropped(parts, noise, params), mean=False)


LINEAR = Method(
    name="dare_linear",
    title="DARE",
    paper="https://arxiv.org/abs/2311.03099",
    text="Random dropping of both task vectors, rescaled, then added to the base with scale λ.",
    coefficients=scaled,
    needs_base=True,
    params=PARAMS,
    endpoints=_endpoints_linear,
    lam="scale of both task vectors",
    zero="base",
    one="base + both thinned task vectors",
    random=True,
)
TIES = Method(
    name="dare_ties",
    title="DARE + TIES",
    paper="https://arxiv.org/abs/2311.03099",
    text="Random dropping of both task vectors, rescaled; entries whose sign loses the vote are left out.",
    coefficients=scaled,
    needs_base=True,
    params=PARAMS,
    endpoints=_endpoints_ties,
    lam="scale of the merged task vector",
    zero="base",
    one="base + merged task vector",
    random=True,
)
