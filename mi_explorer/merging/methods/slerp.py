"""Spherical interpolation per tensor: a = sin((1−λ)θ)/sin θ, b = sin(λθ)/sin θ, θ the angle between the flattened parents."""

import math

from mi_explorer.merging.methods.method import Blocks, Method, Params, Stats

NEARLY_PARALLEL = 0.9995  # |cos θ| above this is linear, as everywhere in the field


def measure_angle(blocks: Blocks, params: Params) -> dict[str, float]:
    """cos θ and both norms of a tensor, summed in fp64. A zero tensor counts as parallel (cos 1)."""
    dot = ii = tt = 0.0
    for i, t in blocks():
        i, t = i.double(), t.double()
        dot, ii, tt = dot + float(i @ t), ii + float(i @ i), tt + float(t @ t)
    cos = max(-1.0, min(1.0, dot / math.sqrt(ii * tt))) if ii and tt else 1.0
    return {"cos": cos, "norm_i": math.sqrt(ii), "norm_t": math.sqrt(tt)}


def arc_coefficients(lam: float, params: Params, stats: Stats) -> tuple[float, float]:
    if abs(stats["cos"]) > NEARLY_PARALLEL:
        return 1.0 - lam, lam
    theta = math.acos(stats["cos"])
    return math.sin((1.0 - lam) * theta) / math.sin(theta), math.sin(lam * theta) / math.sin(theta)


METHOD = Method(
    name="slerp",
    title="SLERP",
    paper="https://dl.acm.org/doi/10.1145/325334.325242",
    text="Along the arc between the parents, tensor by tensor. For close parents it differs from linear by less than bf16 resolves.",
    coefficients=arc_coefficients,
    measure=measure_angle,
)
