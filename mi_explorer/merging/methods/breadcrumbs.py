"""Model Breadcrumbs: drop the largest outliers and the small entries of each task vector, add the rest with scale λ."""

import torch

from mi_explorer.merging.methods.method import Block, Blocks, Endpoints, Method, Noise, Param, Params, Stats, scaled
from mi_explorer.merging.methods.vectors import task_vectors, thresholds


def _measure(blocks: Blocks, params: Params) -> dict[str, float]:
    """Per task vector: entries with `low` ≤ |τ| stay, unless |τ| ≥ `high` (the γ share of largest; fewer where density needs them)."""

    def counts(n: int) -> dict[str, int]:
        keep = int(params["density"] * n)
        top = min(int(params["gamma"] * n), n - keep)
        return {"high": top, "low": keep + top if keep else 0}

    return thresholds(blocks, counts)


def _middle(vector: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """The entries with low ≤ |τ| < high, zero elsewhere."""
    size = vector.abs()
    return torch.where((size >= low) & (size < high), vector, 0.0)


def _endpoints(parts: Block, noise: Noise, params: Params, stats: Stats) -> Endpoints:
    one, two = task_vectors(parts)
    return parts[2], _middle(one, stats["low_i"], stats["high_i"]) + _middle(two, stats["low_t"], stats["high_t"])


METHOD = Method(
    name="breadcrumbs",
    title="Breadcrumbs",
    paper="https://arxiv.org/abs/2312.06795",
    text="Keeps the middle of each task vector: neither outliers nor small entries. λ scales the sum.",
    coefficients=scaled,
    needs_base=True,
    params=(
        Param("density", "Density", 0.9, 0.0, 1.0, 0.05, "Share of each task vector that is kept."),
        Param("gamma", "Outliers γ", 0.01, 0.0, 0.5, 0.005, "Share of largest entries that are dropped."),
    ),
    measure=_measure,
    endpoints=_endpoints,
    lam="scale of both task vectors",
    zero="base",
    one="base + both trimmed task vectors",
)
