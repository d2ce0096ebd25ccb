"""Recipes written as mergekit configurations, where the method exists there. `mergekit_reader.py` is the way back.

A mergekit setting is a value, a list of {filter: substring, value} tried in order, or a gradient over layers. What is written
names every layer's block by a prefix, which selects exactly the tensors of the scope.
"""

from collections.abc import Iterable

import yaml

from mi_explorer.checkpoints.tensor_names import inside
from mi_explorer.pairs import Pair, get_pair
from mi_explorer.recipe import Recipe, RecipeError, Scope
from mi_explorer.untyped import JsonObject

CROSSFADE = ("linear", "slerp", "karcher", "model_stock")
SCALED = ("task_arithmetic", "ties", "dare_linear", "dare_ties", "breadcrumbs")


class MergekitError(RecipeError):
    """What one side can say and the other cannot."""


def to_mergekit(
    recipe: Recipe, pair: Pair | None = None, names: Iterable[str] | None = None, dtype: str = "bfloat16"
) -> str:
    """A mergekit configuration that gives the same weights (DARE: the same in distribution; its masks are drawn otherwise).

    `names` are the pair's tensor names, needed unless everything is in scope. `MergekitError` where mergekit has no such method.
    """
    pair = pair or get_pair(recipe.pair)
    names = tuple(names or ())
    whole = recipe.scope == Scope()
    if not whole and not names:
        raise MergekitError("Writing a scope for mergekit needs the pair's tensor names; open the pair first.")
    lam, method, params = recipe.lam, recipe.method, dict(recipe.params)
    if method not in CROSSFADE + SCALED:
        raise MergekitError(f"mergekit has no method like {method!r}; export the checkpoint itself instead.")
    if method in ("karcher", "model_stock") and lam != 0.5:
        raise MergekitError(f"mergekit's {method} weighs the parents evenly; only λ = 0.5 can be written, not {lam:g}.")
    if method in SCALED and pair.base is None:
        raise MergekitError(f"{method} needs the pair's base, and the pair {pair.name!r} names none.")
    outside = [] if whole else prefixes(names, recipe.scope)
    if outside and method in ("karcher", "model_stock"):
        raise MergekitError(f"mergekit's {method} has no weights, so it cannot leave a part of the model alone.")

    def setting(in_scope: float, beyond: float) -> float | list[JsonObject]:
        if not outside or in_scope == beyond:
            return in_scope
        return [*({"filter": prefix, "value": beyond} for prefix in outside), {"value": in_scope}]

    config: JsonObject = {"merge_method": method}
    one, two = {"model": pair.instruct}, {"model": pair.thinking}
    if method == "slerp":
        config |= {"base_model": pair.instruct, "models": [one, two], "parameters": {"t": setting(lam, 0.0)}}
    elif method == "linear":
        config["models"] = [
            {**one, "parameters": {"weight": setting(1.0 - lam, 1.0)}},
            {**two, "parameters": {"weight": setting(lam, 0.0)}},
        ]
    elif method in ("karcher", "model_stock"):
        config |= {"models": [one, two]} | ({"base_model": pair.base} if method == "model_stock" else {})
    else:
        fade = bool(params.get("crossfade"))
        weights = (1.0 - lam, lam) if fade else (1.0, 1.0)
        for model, weight, beyond in ((one, weights[0], 1.0), (two, weights[1], 0.0)):
            model["parameters"] = {"weight": setting(weight, beyond)}  # type: ignore[assignment]
        shared: JsonObject = {} if fade else {"lambda": setting(lam, 1.0)}
        if method == "ties":
            shared |= {"density": setting(params.get("density", 0.2), 1.0), "normalize": True}
        elif method == "breadcrumbs":
            shared |= {
                "density": setting(params.get("density", 0.9), 1.0),
                "gamma": setting(params.get("gamma", 0.01), 0.0),
            }
        elif method.startswith("dare"):
            shared |= {"density": setting(1.0 - params.get("drop", 0.3), 1.0)}
        config |= {"base_model": pair.base, "models": [one, two]}
        if shared:
            config["parameters"] = shared
    template = {"instruct": pair.instruct, "thinking": pair.thinking}.get(
        recipe.template, pair.instruct if lam == 0 else pair.thinking
    )
    config |= {"dtype": "float32", "out_dtype": dtype, "tokenizer_source": template}
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=1000)


def prefixes(names: Iterable[str], scope: Scope) -> list[str]:
    """Substrings that select exactly the tensors outside `scope`: the shortest leading parts of names that no tensor inside has."""
    names = sorted(names)
    kept = [n for n in names if inside(scope, n)]
    found: list[str] = []
    for name in (n for n in names if not inside(scope, n)):
        if any(f in name for f in found):
            continue
        words = name.split(".")
        for count in range(1, len(words) + 1):
            text = ".".join(words[:count]) + ("." if count < len(words) else "")
            if not any(text in k for k in kept):
                found.append(text)
                break
        else:
            raise MergekitError(f"The tensor {name!r} cannot be told from its neighbours by a mergekit filter.")
    return found
