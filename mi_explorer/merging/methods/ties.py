"""TIES: trim each task vector to its largest entries, elect a sign per entry, average those that agree, scale by λ."""

from mi_explorer.merging.methods.method import Block, Endpoints, Method, Noise, Param, Params, Stats, scaled
from mi_explorer.merging.methods.vectors import elect, task_vectors, trim, trim_measure

DENSITY = Param(
    "density", "Density", 0.2, 0.0, 1.0, 0.05, "Share of each task vector that is kept, by magnitude, per tensor."
)


def _endpoints(parts: Block, noise: Noise, params: Params, stats: Stats) -> Endpoints:
    one, two = task_vectors(parts)
    return parts[2], elect(trim(one, stats["low_i"]), trim(two, stats["low_t"]), mean=True)


METHOD = Method(
    name="ties",
    title="TIES",
    paper="https://arxiv.org/abs/2306.01708",
    text="Trim, elect a sign, average what agrees. λ scales the merged task vector (published: 0.5 at 14B, 0.8 and 1.0 at 7B).",
    coefficients=scaled,
    needs_base=True,
    params=(DENSITY,),
    measure=trim_measure,
    endpoints=_endpoints,
    lam="scale of the merged task vector",
    zero="base",
    one="base + merged task vector",
)
