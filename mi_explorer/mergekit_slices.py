"""Slices of a mergekit configuration: which layers of which models, and the value of a setting at a layer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mi_explorer.mergekit_yaml import MergekitError
from mi_explorer.recipe import number, short_text
from mi_explorer.untyped import JsonMapping

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
MAX_LAYERS = 1_000


@dataclass(frozen=True)
class Slice:
    """Layers [first, last) with the settings that hold there, nearest first, per model and shared."""

    first: int
    last: int
    own: tuple[JsonMapping, ...]  # per model
    shared: tuple[JsonMapping, ...]


class LayersNeededError(MergekitError):
    """A configuration that depends on layers, read without saying how many the pair has."""


def model_name(value: object) -> str:
    if isinstance(value, Mapping):
        inner = value.get("model", value)
        value = inner.get("path") if isinstance(inner, Mapping) else inner
    if not isinstance(value, str) or not value:
        raise MergekitError("A model must be named by a path or hub id.")
    if "+" in value:
        raise MergekitError(f"{value[:80]!r} applies an adapter; give the adapter folder as a parent instead.")
    return value


def _settings(value: object) -> JsonMapping:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MergekitError("'parameters' must map names to values.")
    return value


def slices_of(config: JsonMapping, layers: int | None) -> tuple[list[str], list[Slice]]:
    shared = _settings(config.get("parameters"))
    if "models" in config:
        entries = config["models"]
        if not isinstance(entries, list) or not all(isinstance(e, Mapping) for e in entries):
            raise MergekitError("'models' must be a list of models.")
        return [model_name(e.get("model")) for e in entries], [
            Slice(0, layers or 1, tuple(_settings(e.get("parameters")) for e in entries), (shared,))
        ]
    models: list[str] = []
    slices: list[Slice] = []
    for part in config["slices"] if isinstance(config["slices"], list) else []:
        sources = part.get("sources") if isinstance(part, Mapping) else None
        if not isinstance(sources, list) or not sources or not all(isinstance(s, Mapping) for s in sources):
            raise MergekitError("Each slice needs a list of 'sources'.")
        here, ranges = [model_name(s.get("model")) for s in sources], [s.get("layer_range") for s in sources]
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
            Slice(
                first,
                last,
                tuple(_settings(s.get("parameters")) for s in sources),
                (_settings(part.get("parameters")), shared),
            )
        )
    if not slices or (layers is not None and slices[-1].last != layers):
        raise MergekitError(f"The slices end at layer {slices[-1].last if slices else 0}, the pair has {layers}.")
    return models, slices


def setting_points(
    slices: list[Slice], layers: int | None
) -> Iterable[tuple[tuple[str, int | None, str], Slice, str, float]]:
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


def _dependence(s: Slice) -> Iterable[str]:
    for settings in (*s.own, *s.shared):
        for value in settings.values():
            for item in value if isinstance(value, list) else [value]:
                inner = item.get("value") if isinstance(item, Mapping) else None
                if isinstance(item, Mapping) and any(c.isdigit() for c in str(item.get("filter") or "")):
                    yield f"filter {str(item['filter'])[:40]!r}"
                plain = isinstance(item, (Mapping, int, float, str, bool))
                if isinstance(inner, list) or not plain or (isinstance(value, list) and not isinstance(item, Mapping)):
                    yield "a gradient"


def _value(setting: object, name: str, t: float, what: str) -> float | None:
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


def setting_at(
    s: Slice, key: str, name: str, t: float, default: float | None, model: int | None = None
) -> float | None:
    for settings in ((s.own[model],) if model is not None else ()) + s.shared:
        if key in settings and (found := _value(settings[key], name, t, key)) is not None:
            return found
    if default is None:
        raise MergekitError(f"The configuration gives no {key} for {name!r}.")
    return default
