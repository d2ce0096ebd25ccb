"""mergekit configurations read as recipes, as far as a recipe can say the same.

A configuration is evaluated on representative tensor names and must come down to one λ inside a scope and Instruct (or nothing)
outside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.mergekit_yaml import SCALED, MergekitError
from mi_explorer.pairs import Pair, get_pair, list_pairs
from mi_explorer.recipe import MODULES, Recipe, Scope, number, short_text
from mi_explorer.recipe_io import from_dict, from_json, load_yaml

READABLE = ("linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties")
MAX_LAYERS = 1_000
MAX_WORK = 2_000_000  # characters of a configuration × layers: each setting is evaluated at every layer
BLOCKS = {
    "attention": (
        "self_attn.q_proj.weight",
        "self_attn.k_proj.weight",
        "self_attn.v_proj.weight",
        "self_attn.o_proj.weight",
    ),
    "mlp": ("mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"),
    "norm": ("input_layernorm.weight", "post_attention_layernorm.weight"),
}
AROUND = {"embedding": "model.embed_tokens.weight", "norm": "model.norm.weight", "lm_head": "lm_head.weight"}


@dataclass(frozen=True)
class _Slice:
    """Layers [first, last) with the settings that hold there, nearest first, per model and shared."""

    first: int
    last: int
    own: tuple[Mapping[str, Any], ...]  # per model
    shared: tuple[Mapping[str, Any], ...]


class LayersNeededError(MergekitError):
    """A configuration that depends on layers, read without saying how many the pair has."""


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
    models, slices = _slices(config, layers)
    if len(text) * slices[-1].last > MAX_WORK:
        raise MergekitError(f"{len(text):,} characters are too much for a configuration of {slices[-1].last} layers.")
    base = _model(config["base_model"]) if config.get("base_model") else None
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
    points = {where: _read(method, s, name, t) for where, s, name, t in _points(slices, layers)}
    recipe = _collect(method, points, layers)
    pair = pair or _pair(models, base if method in SCALED else None)
    return replace(recipe, pair=pair.name), pair


def _model(value: object) -> str:
    if isinstance(value, Mapping):
        inner = value.get("model", value)
        value = inner.get("path") if isinstance(inner, Mapping) else inner
    if not isinstance(value, str) or not value:
        raise MergekitError("A model must be named by a path or hub id.")
    if "+" in value:
        raise MergekitError(f"{value[:80]!r} applies an adapter; give the adapter folder as a parent instead.")
    return value


def _settings(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MergekitError("'parameters' must map names to values.")
    return value


def _slices(config: Mapping[str, Any], layers: int | None) -> tuple[list[str], list[_Slice]]:
    shared = _settings(config.get("parameters"))
    if "models" in config:
        entries = config["models"]
        if not isinstance(entries, list) or not all(isinstance(e, Mapping) for e in entries):
            raise MergekitError("'models' must be a list of models.")
        return [_model(e.get("model")) for e in entries], [
            _Slice(0, layers or 1, tuple(_settings(e.get("parameters")) for e in entries), (shared,))
        ]
    models: list[str] = []
    slices: list[_Slice] = []
    for part in config["slices"] if isinstance(config["slices"], list) else []:
        sources = part.get("sources") if isinstance(part, Mapping) else None
        if not isinstance(sources, list) or not sources or not all(isinstance(s, Mapping) for s in sources):
            raise MergekitError("Each slice needs a list of 'sources'.")
        here, ranges = [_model(s.get("model")) for s in sources], [s.get("layer_range") for s in sources]
        models = models or here
        if here != models or any(r != ranges[0] for r in ranges):
            raise MergekitError(
                "Slices that take different layers or models would build another network; a recipe keeps every layer in place."
            )
        first, last = ranges[0] if isinstance(ranges[0], list) and len(ranges[0]) == 2 else (None, None)
        if (
            type(first) is not int
            or type(last) is not int
            or first != (slices[-1].last if slices else 0)
            or last <= first
        ):
            raise MergekitError(
                "The slices must follow one another from layer 0 on; a recipe keeps every layer in place."
            )
        if last > MAX_LAYERS:
            raise MergekitError(f"A slice goes to layer {short_text(last)}; at most {MAX_LAYERS:,} are read.")
        slices.append(
            _Slice(
                first,
                last,
                tuple(_settings(s.get("parameters")) for s in sources),
                (_settings(part.get("parameters")), shared),
            )
        )
    if not slices or (layers is not None and slices[-1].last != layers):
        raise MergekitError(f"The slices end at layer {slices[-1].last if slices else 0}, the pair has {layers}.")
    return models, slices


def _points(
    slices: list[_Slice], layers: int | None
) -> Iterable[tuple[tuple[str, int | None, str], _Slice, str, float]]:
    """(module, layer, name), slice, tensor name, position in the slice: where a configuration is evaluated."""
    yield ("embedding", None, AROUND["embedding"]), slices[0], AROUND["embedding"], 0.0
    for s in slices:
        for layer in range(s.first, s.last):
            t = (layer - s.first) / (s.last - s.first - 1) if s.last - s.first > 1 else 1.0
            for module, tails in BLOCKS.items():
                for tail in tails:
                    name = f"model.layers.{layer}.{tail}"
                    yield (module, layer, name), s, name, t
    for module in ("norm", "lm_head"):
        yield (module, None, AROUND[module]), slices[-1], AROUND[module], 0.0
    if layers is None and len(slices) == 1 and slices[0].last == 1:  # no layer count: nothing may depend on the layer
        for where in _dependence(slices[0]):
            raise LayersNeededError(f"The configuration depends on layers ({where}); say how many layers the pair has.")


def _dependence(s: _Slice) -> Iterable[str]:
    for settings in (*s.own, *s.shared):
        for value in settings.values():
            for item in value if isinstance(value, list) else [value]:
                inner = item.get("value") if isinstance(item, Mapping) else None
                if isinstance(item, Mapping) and any(c.isdigit() for c in str(item.get("filter") or "")):
                    yield f"filter {str(item['filter'])[:40]!r}"
                plain = isinstance(item, (Mapping, int, float, str, bool))
                if isinstance(inner, list) or not plain or (isinstance(value, list) and not isinstance(item, Mapping)):
                    yield "a gradient"


def _value(setting: Any, name: str, t: float, what: str) -> float | None:
    """A setting evaluated at a tensor, by mergekit's rules: conditions in order, gradients linear in t."""
    if isinstance(setting, Mapping):
        setting = [setting]
    if isinstance(setting, list):
        if not setting:
            return None
        if all(isinstance(e, Mapping) for e in setting):
            for condition in setting:
                chosen = condition.get("filter")
                if chosen is None or chosen == "*" or str(chosen) in name:
                    return _value(condition.get("value"), name, t, what)
            return None
        values = [_value(e, name, t, what) or 0.0 for e in setting]
        place_ = t * (len(values) - 1)
        low = int(place_)
        return values[low] + (place_ - low) * (values[min(low + 1, len(values) - 1)] - values[low])
    if isinstance(setting, bool):
        return float(setting)
    return number(setting, what, -1e6, 1e6)


def _look(s: _Slice, key: str, name: str, t: float, default: float | None, model: int | None = None) -> float | None:
    for settings in ((s.own[model],) if model is not None else ()) + s.shared:
        if key in settings and (found := _value(settings[key], name, t, key)) is not None:
            return found
    if default is None:
        raise MergekitError(f"The configuration gives no {key} for {name!r}.")
    return default


def _read(method: str, s: _Slice, name: str, t: float) -> tuple[float | str, tuple[tuple[str, float], ...]]:
    """What happens to one tensor: ("instruct", ()) or (λ, method parameters)."""
    if method == "slerp":
        lam = _look(s, "t", name, t, None)
        return ("instruct", ()) if lam == 0 else (lam, ())  # type: ignore[return-value]
    one, two = (_look(s, "weight", name, t, None, k) or 0.0 for k in (0, 1))
    if method == "linear":
        total = one + two
        if not _look(s, "normalize", name, t, 1.0) and abs(total - 1) > 1e-9:
            raise MergekitError(
                f"The weights at {name!r} add up to {total:g} without normalisation; a linear recipe's add up to 1."
            )
        if abs(total) < 1e-12:
            raise MergekitError(f"The weights at {name!r} add up to 0.")
        return ("instruct", ()) if two == 0 else (round(two / total, 12), ())
    scale = _look(s, "lambda", name, t, 1.0) or 0.0
    density = [_look(s, "density", name, t, 1.0, k) or 0.0 for k in (0, 1)]
    if two == 0 and one * scale == 1 and density[0] == 1:
        return "instruct", ()
    normal = {"ties": 1.0}.get(method, 0.0)
    if _look(s, "normalize", name, t, normal) != normal:
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
