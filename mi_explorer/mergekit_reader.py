"""mergekit configurations read as recipes, as far as a recipe can say the same.

A configuration is evaluated on representative tensor names and must come down to one λ inside a scope and Instruct (or nothing)
outside it.
"""

from collections.abc import Mapping
from dataclasses import replace

from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.mergekit_slices import BLOCKS, Slice, model_name, setting_at, setting_points, slices_of
from mi_explorer.mergekit_yaml import SCALED, MergekitError
from mi_explorer.pairs import Pair, get_pair, list_pairs
from mi_explorer.recipe import MODULES, Recipe, Scope
from mi_explorer.recipe_io import from_dict, from_json, load_yaml

READABLE = ("linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties")
MAX_WORK = 2_000_000  # characters of a configuration × layers: each setting is evaluated at every layer


def read_recipe(text: str, layers: int | None = None) -> tuple[Recipe, bool]:
    """The recipe of a text in any form, YAML, JSON or a mergekit configuration, and whether it was the last. Raises `RecipeError`."""
    text = text.lstrip("\ufeff \t\r\n")
    if text.startswith("{"):
        return from_json(text), False
    data = load_yaml(text)
    if isinstance(data, Mapping) and "merge_method" in data:
        return from_mergekit(text, layers)[0], True
    return from_dict(data), False


def from_mergekit(text: str, layers: int | None = None, pair: Pair | None = None) -> tuple[Recipe, Pair]:
    """The recipe (and pair) of a mergekit configuration for two parents; the first model is taken as Instruct.

    `layers` is the pair's number of layers, needed when filters name layers or a value is a gradient. A preset pair whose parents
    are the configuration's gives its name. `MergekitError` names the first thing that a recipe cannot say.
    """
    config = load_yaml(text)
    if not isinstance(config, Mapping) or not isinstance(config.get("merge_method"), str):
        raise MergekitError("This is not a mergekit configuration: it has no merge_method.")
    method = config["merge_method"]
    if method not in READABLE:
        raise MergekitError(
            f"mergekit's method {method!r} cannot be read as a recipe. Readable: {', '.join(READABLE)}."
        )
    if "modules" in config or ("models" in config) == ("slices" in config):
        raise MergekitError("Only configurations with either 'models' or 'slices' can be read.")
    models, slices = slices_of(config, layers)
    if len(text) * slices[-1].last > MAX_WORK:
        raise MergekitError(f"{len(text):,} characters are too much for a configuration of {slices[-1].last} layers.")
    base = model_name(config["base_model"]) if config.get("base_model") else None
    if method == "slerp":
        if len(models) != 2 or base not in models:
            raise MergekitError("slerp needs two models, one of them as base_model.")
        order = [models.index(base), 1 - models.index(base)]
        models, base = [models[k] for k in order], None
        slices = [replace(s, own=tuple(s.own[k] for k in order)) for s in slices]
    elif base in models:
        k = models.index(base)
        slices = [replace(s, own=tuple(o for j, o in enumerate(s.own) if j != k)) for s in slices]
        models = [m for m in models if m != base]
    if len(models) != 2:
        raise MergekitError(
            f"The configuration merges {len(models)} models beside the base; a recipe blends exactly two."
        )
    if method in SCALED and base is None:
        raise MergekitError(f"{method} needs a base_model.")
    points = {where: _read(method, s, name, t) for where, s, name, t in setting_points(slices, layers)}
    recipe = _collect(method, points, layers)
    pair = pair or _pair(models, base if method in SCALED else None)
    return replace(recipe, pair=pair.name), pair


def _read(method: str, s: Slice, name: str, t: float) -> tuple[float | str, tuple[tuple[str, float], ...]]:
    """What happens to one tensor: ("instruct", ()) or (λ, method parameters)."""
    if method == "slerp":
        lam = setting_at(s, "t", name, t, None)
        return ("instruct", ()) if lam == 0 else (lam, ())  # type: ignore[return-value]
    one, two = (setting_at(s, "weight", name, t, None, k) or 0.0 for k in (0, 1))
    if method == "linear":
        total = one + two
        if not setting_at(s, "normalize", name, t, 1.0) and abs(total - 1) > 1e-9:
            raise MergekitError(
                f"The weights at {name!r} add up to {total:g} without normalisation; a linear recipe's add up to 1."
            )
        if abs(total) < 1e-12:
            raise MergekitError(f"The weights at {name!r} add up to 0.")
        return ("instruct", ()) if two == 0 else (round(two / total, 12), ())
    scale = setting_at(s, "lambda", name, t, 1.0) or 0.0
    density = [setting_at(s, "density", name, t, 1.0, k) or 0.0 for k in (0, 1)]
    if two == 0 and one * scale == 1 and density[0] == 1:
        return "instruct", ()
    normal = {"ties": 1.0}.get(method, 0.0)
    if setting_at(s, "normalize", name, t, normal) != normal:
        raise MergekitError(
            f"A recipe's {method} is {'always' if normal else 'never'} normalised; the configuration says otherwise."
        )
    if method == "task_arithmetic":
        if one == two:
            return round(one * scale, 12), ()
        if abs(one + two - 1) < 1e-9 and scale == 1:
            return round(two, 12), (("crossfade", 1.0),)
        raise MergekitError(f"Weights {one:g} and {two:g} at {name!r} are neither equal nor of the form (1−λ, λ).")
    if density[0] != density[1]:
        raise MergekitError(
            f"The models have different densities ({density[0]:g}, {density[1]:g}) at {name!r}; a recipe has one."
        )
    if one != two or one <= 0:
        raise MergekitError(
            f"The models have different weights ({one:g}, {two:g}) at {name!r}; a recipe's {method} weighs both task vectors alike."
        )
    if method == "ties":
        return scale, (("density", density[0]),)  # normalised: the common weight cancels
    return round(one * scale, 12), (("drop", round(1 - density[0], 12)),)


def _collect(
    method: str,
    points: Mapping[tuple[str, int | None, str], tuple[float | str, tuple[tuple[str, float], ...]]],
    layers: int | None,
) -> Recipe:
    """One λ and one scope out of what happens to every tensor."""
    kinds = sorted({p for p in points.values() if p[0] != "instruct"}, key=str)
    if len(kinds) > 1:
        shown = ", ".join(f"{k[0]:g}" for k in kinds[:4])
        raise MergekitError(
            f"The configuration blends tensors in {len(kinds)} different ways (λ {shown}, …); a recipe has one λ and one scope."
        )
    if not kinds:
        return Recipe(method=method, lam=0.0)
    ((lam, params),) = kinds
    blended = {where for where, p in points.items() if p[0] != "instruct"}
    modules = tuple(m for m in MODULES if m == "other" or any(w[0] == m for w in blended))
    if not {"attention", "mlp", "norm"} <= set(modules):
        modules = tuple(m for m in modules if m != "other")
    inside_layers = sorted({w[1] for w in blended if w[1] is not None})
    spans = (
        "all" if layers is None or inside_layers == list(range(layers)) else ",".join(map(str, inside_layers)) or "none"
    )
    if not inside_layers and all(w[0] not in BLOCKS or w[1] is None for w in blended):
        spans = "none" if "norm" in modules else "all"
    scope = Scope(spans, modules)
    for where, happens in points.items():
        if scope.includes(*place(where[2])) != (happens[0] != "instruct"):
            raise MergekitError(
                f"The blended part is not layers × modules: {where[2]!r} {'is' if happens[0] != 'instruct' else 'is not'} in it. "
                "A recipe's scope is a set of layers and a set of modules."
            )
    return Recipe(method=method, lam=float(lam), scope=scope, params=params)


def _pair(models: list[str], base: str | None) -> Pair:
    for preset in list_pairs():
        if [preset.instruct, preset.thinking] == models and base in (None, preset.base):
            return preset
    return get_pair("|".join([*models, *([base] if base else [])]))
