"""Linear interpolation (model interpolation, weighted average): W = (1 − λ)·Instruct + λ·Thinking."""

from mi_explorer.merging.methods.method import Method, crossfade

METHOD = Method(
    name="linear",
    title="Linear",
    paper="https://arxiv.org/abs/2510.10977",
    text="Weighted average of the two parents. λ below 0 or above 1 extrapolates.",
    coefficients=crossfade,
)
