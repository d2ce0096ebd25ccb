"""Recipes that mix logits instead of weights: which weight blends they run, and how their logits are summed."""

from dataclasses import replace

from mi_explorer.recipe import Recipe

LOGIT_METHODS = ("logit", "logit_proxy")


def logit_parts(recipe: Recipe) -> list[tuple[Recipe, float]]:
    """The weight blends whose logits are summed, with their weights: one for an ordinary recipe.

    `logit`: log p ∝ (1−λ)·ℓ_I + λ·ℓ_T. `logit_proxy`: ℓ_λ + β·(ℓ_T − ℓ_I), β a parameter (default 0.5).
    """
    if recipe.method not in LOGIT_METHODS:
        return [(recipe, 1.0)]
    plain = replace(recipe, method="linear", params=())
    if recipe.method == "logit":
        return [(plain.at(0.0), 1.0 - recipe.lam), (plain.at(1.0), recipe.lam)]
    beta = dict(recipe.params).get("beta", 0.5)
    return [(plain, 1.0), (plain.at(1.0), beta), (plain.at(0.0), -beta)]
