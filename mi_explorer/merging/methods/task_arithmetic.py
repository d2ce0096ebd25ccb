"""Task arithmetic: W = base + λ·(τ_I + τ_T); or, crossfading, base + (1−λ)·τ_I + λ·τ_T, which is `linear` for any base."""

from mi_explorer.merging.methods.method import Block, Endpoints, Method, Noise, Param, Params, Stats
from mi_explorer.merging.methods.vectors import task_vectors


def _endpoints(parts: Block, noise: Noise, params: Params, stats: Stats) -> Endpoints:
    if params["crossfade"]:
        return parts[0], parts[1]  # base + τ is the parent itself
    one, two = task_vectors(parts)
    return parts[2], one + two


def _coefficients(lam: float, params: Params, stats: Stats) -> tuple[float, float]:
    return (1.0 - lam, lam) if params["crossfade"] else (1.0, lam)


METHOD = Method(
    name="task_arithmetic",
    title="Task arithmetic",
    paper="https://arxiv.org/abs/2212.04089",
    text="Adds both task vectors to the base, each scaled by λ (published: 0.7 + 0.7).",
    coefficients=_coefficients,
    needs_base=True,
    params=(
        Param(
            "crossfade",
            "Weights (1−λ, λ)",
            0,
            0,
            1,
            1,
            "1: weights (1−λ, λ) instead of (λ, λ): the linear blend, whatever the base.",
        ),
    ),
    endpoints=_endpoints,
    lam="scale of both task vectors",
    lam_default=0.7,
    zero="base",
    one="base + both task vectors",
)
