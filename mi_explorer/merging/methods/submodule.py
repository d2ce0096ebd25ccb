"""Submodule profile: every attention and MLP block has a λ of its own, and λ scales the whole profile.

W = (1 − λ·s)·Instruct + λ·s·Thinking, where s is the block's own parameter (`mlp.3` is the MLP of layer 3); what has none (norms,
embeddings, blocks that are not named) takes `rest`. `merging.block_profile` finds the values in closed form (2504.10902).
"""

import re

from mi_explorer.merging.methods.method import Method, Param, Params, Stats
from mi_explorer.recipe import RecipeError

BLOCK = re.compile(r"(attention|mlp|other)\.(\d{1,4})")
LOW, HIGH = -1.0, 2.0


def block_of(name: str) -> tuple[str, int] | None:
    """(module, layer) of a parameter such as `mlp.3`; None for any other."""
    found = BLOCK.fullmatch(name)
    return (found[1], int(found[2])) if found and str(int(found[2])) == found[2] else None


def check_blocks(params: Params, layers: int) -> None:
    """Raise `RecipeError` for a block of a layer that a model of `layers` layers does not have."""
    for name in params:
        found = block_of(name)
        if found and found[1] >= layers:
            raise RecipeError(f"The profile names {name}, but this pair has layers 0-{layers - 1}.")


def block_share(params: Params, module: str, layer: int | None) -> float:
    """The λ of a tensor's block at λ = 1."""
    return params.get(f"{module}.{layer}", params["rest"])


def _coefficients(lam: float, params: Params, stats: Stats) -> tuple[float, float]:
    here = lam * stats["share"]
    return 1.0 - here, here


METHOD = Method(
    name="submodule",
    title="Submodule profile",
    paper="https://arxiv.org/abs/2504.10902",
    text="A λ of its own for every attention and MLP block, found in closed form on the Weights tab; λ scales the profile.",
    coefficients=_coefficients,
    params=(
        Param(
            "rest", "Elsewhere", 0.5, LOW, HIGH, 0.05, "λ of norms, embeddings and blocks without a value of their own."
        ),
    ),
    blocks=True,
    lam="scale of the profile",
    lam_default=1.0,
    one="the profile itself",
)
