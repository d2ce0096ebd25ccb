"""Model Stock for two parents: base + t·(average − base), t = 2·cos θ / (1 + cos θ), θ the angle between the task vectors.

The published method averages evenly (λ = 0.5); here λ weighs the average, so that W = (1−λ)·P + λ·Q with P, Q the shrunk parents.
"""

import math

from mi_explorer.merging.methods.method import Block, Blocks, Endpoints, Method, Noise, Params, Stats, crossfade
from mi_explorer.merging.methods.vectors import task_vectors


def _measure(blocks: Blocks, params: Params) -> dict[str, float]:
    """t of a tensor. Opposed task vectors (cos θ = −1) have no finite estimate: the base stays (t = 0)."""
    dot = one = two = 0.0
    for parts in blocks():
        x, y = (v.double() for v in task_vectors(parts))
        dot, one, two = dot + float(x @ y), one + float(x @ x), two + float(y @ y)
    cos = max(-1.0, min(1.0, dot / max(math.sqrt(one * two), 1e-6)))
    return {"t": 2 * cos / (1 + cos) if 1 + cos > 1e-6 else 0.0}


def _endpoints(parts: Block, noise: Noise, params: Params, stats: Stats) -> Endpoints:
    i, t, base = parts
    return base.lerp(i, stats["t"]), base.lerp(t, stats["t"])


METHOD = Method(
    name="model_stock",
    title="Model Stock",
    paper="https://arxiv.org/abs/2403.19522",
    text="The average of the parents, pulled towards the base the more their task vectors disagree.",
    coefficients=crossfade,
    needs_base=True,
    measure=_measure,
    endpoints=_endpoints,
    zero="Instruct, pulled towards the base",
    one="Thinking, pulled towards the base",
)
