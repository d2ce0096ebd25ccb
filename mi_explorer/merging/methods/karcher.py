"""Karcher mean of two: the point λ of the way along the arc between the directions, with the norms averaged linearly.

For two parents the mean on the sphere has a closed form (the general method iterates). Unlike SLERP it keeps the length.
"""

import math

from mi_explorer.merging.methods import slerp
from mi_explorer.merging.methods.method import Method, Params, Stats


def _coefficients(lam: float, params: Params, stats: Stats) -> tuple[float, float]:
    ni, nt = stats["norm_i"], stats["norm_t"]
    if not ni or not nt or abs(stats["cos"]) > 1 - 1e-12:
        return 1.0 - lam, lam
    theta = math.acos(stats["cos"])
    norm = (1.0 - lam) * ni + lam * nt
    return norm / ni * (math.sin((1.0 - lam) * theta) / math.sin(theta)), norm / nt * (
        math.sin(lam * theta) / math.sin(theta)
    )


METHOD = Method(
    name="karcher",
    title="Karcher mean",
    paper="https://arxiv.org/abs/2603.04972",
    text="As SLERP on the directions, while the length of each tensor is the weighted mean of the parents' lengths.",
    coefficients=_coefficients,
    measure=slerp.measure_angle,
)
