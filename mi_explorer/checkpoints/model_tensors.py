"""Where each tensor of a checkpoint goes in its model: what is loaded, what is ignored, what is missing, what is tied.

The model is that of `transformers` for the checkpoint's config, on the meta device, and the library's own renaming and merging
rules decide; so a file is read here as its authors' library reads it. Names and shapes alone, no weights.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

import torch

from mi_explorer.checkpoints.headers import TensorEntry
from mi_explorer.checkpoints.model_config import meta_model, read_config
from mi_explorer.errors import UserError
from mi_explorer.untyped import JsonMapping, LibraryObject, ModelConfig, ModelModule

# Fields of a config that change no tensor.
NO_STRUCTURE = (
    "transformers_version",
    "_name_or_path",
    "architectures",
    "eos_token_id",
    "bos_token_id",
    "dtype",
    "torch_dtype",
)
ACTIVATIONS = ("silu", "gelu", "gelu_pytorch_tanh", "relu")
ROPES = ("default", "linear", "llama3", "yarn")  # rotary frequencies that do not depend on the length of the sequence

Place = tuple[str, int]  # a key of the model, and the offset in its parameter


class LayoutError(UserError):
    """A model whose parameters are built from the checkpoint's tensors in a way that cannot be written piece by piece."""


class Module(Protocol):
    """What is used of a `transformers` model here."""

    base_model_prefix: str

    def state_dict(self, *, keep_vars: bool = ...) -> Mapping[str, torch.Tensor]: ...


@dataclass(frozen=True)
class Home:
    """The place of a checkpoint tensor: the model's key, and the view of that parameter which it fills."""

    key: str
    view: torch.Tensor = field(compare=False, repr=False)

    @property
    def place(self) -> Place:
        """Two tensors with one place fill the same numbers."""
        return self.key, int(self.view.storage_offset())


@dataclass(frozen=True)
class ModelTensors:
    """One checkpoint's tensors against its model.

    `places` of the loaded tensors by name (see `Home.place`); `ignored` names that the model does not load; `missing` keys of
    the model that no tensor fills; `misfits` names with the shape that the model wants. `head` and `embedding` are the names of
    the stored tensors (None: not stored); `tied`: the head has no numbers of its own. `config_tied`: what the config says.
    `whole_numbers` are loaded tensors that the model holds as integers (tables, counters).
    """

    places: Mapping[str, Place]
    ignored: tuple[str, ...]
    missing: tuple[str, ...]
    misfits: Mapping[str, tuple[int, ...]]
    head: str | None
    embedding: str | None
    config_tied: bool
    head_key: str | None
    whole_numbers: frozenset[str] = frozenset()

    @property
    def tied(self) -> bool:
        """Tied by config and file, as `transformers` decides: a head that is stored beside the embedding is its own tensor."""
        return self.config_tied and (self.head is None or self.embedding is None)


def read_tensors(config: JsonMapping, entries: Mapping[str, TensorEntry]) -> ModelTensors:
    """Match a checkpoint's tensors with the model of its config.json; `CheckpointError` for a config that describes no model.

    Raises `LayoutError` for a model that is built from its files in a way that is not understood.
    """
    return plain_decoder(config, entries) or any_model(config, entries)


def plain_decoder(config: JsonMapping, entries: Mapping[str, TensorEntry]) -> ModelTensors | None:
    """`read_tensors` for the usual decoders by their known names, without the seconds that the library's model code takes to import.

    None where anything is unusual: then the library's own model decides.
    """
    parsed = read_config(config)
    shapes = plain_shapes(parsed)
    if shapes is None:
        return None
    head, embedding, tied = "lm_head.weight", "model.embed_tokens.weight", bool(parsed.tie_word_embeddings)
    missing = sorted(shapes.keys() - entries.keys() - ({head} if tied else set()))
    if any(key != head for key in missing):
        return None
    return ModelTensors(
        {name: (name, 0) for name in shapes if name in entries},
        tuple(sorted(entries.keys() - shapes.keys())),
        tuple(missing),
        {name: shape for name, shape in shapes.items() if name in entries and entries[name].shape != shape},
        head if head in entries else None,
        embedding,
        tied,
        head,
    )


def plain_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]] | None:
    """Names and shapes of a Llama, Mistral, Qwen2 or Qwen3 model; None for anything else, and for options that are not plain."""
    kind, rope = config.model_type, dict(getattr(config, "rope_parameters", None) or {})
    if (
        kind not in ("llama", "mistral", "qwen2", "qwen3")
        or config.hidden_act not in ACTIVATIONS
        or rope.get("rope_type", "default") not in ROPES
        or not isinstance(rope.get("rope_theta"), (int, float))
        or rope.get("partial_rotary_factor", 1.0) != 1.0
    ):
        return None
    hidden, inner, heads, kv = (
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads,
        config.num_key_value_heads or config.num_attention_heads,
    )
    if min(hidden, inner, heads, kv) < 1 or heads % kv:
        return None
    dim = getattr(config, "head_dim", None) or hidden // heads
    if dim < 2 or dim % 2:
        return None
    qkv_bias = kind == "qwen2" or (kind != "mistral" and bool(config.attention_bias))
    mlp_bias = kind == "llama" and bool(config.mlp_bias)
    linears = {
        "self_attn.q_proj": (heads * dim, hidden, qkv_bias),
        "self_attn.k_proj": (kv * dim, hidden, qkv_bias),
        "self_attn.v_proj": (kv * dim, hidden, qkv_bias),
        "self_attn.o_proj": (hidden, heads * dim, qkv_bias and kind != "qwen2"),
        "mlp.gate_proj": (inner, hidden, mlp_bias),
        "mlp.up_proj": (inner, hidden, mlp_bias),
        "mlp.down_proj": (hidden, inner, mlp_bias),
    }
    norms = {"input_layernorm": hidden, "post_attention_layernorm": hidden}
    if kind == "qwen3":
        norms |= {"self_attn.q_norm": dim, "self_attn.k_norm": dim}
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        "model.norm.weight": (hidden,),
        "lm_head.weight": (config.vocab_size, hidden),
    }
    for i in range(config.num_hidden_layers):
        root = f"model.layers.{i}."
        shapes |= {f"{root}{name}.weight": (size,) for name, size in norms.items()}
        for name, (rows, width, bias) in linears.items():
            shapes[f"{root}{name}.weight"] = (rows, width)
            if bias:
                shapes[f"{root}{name}.bias"] = (rows,)
    return shapes


def any_model(config: JsonMapping, entries: Mapping[str, TensorEntry]) -> ModelTensors:
    """`read_tensors` by the library's own model."""
    text = json.dumps({k: v for k, v in config.items() if k not in NO_STRUCTURE}, sort_keys=True)
    found, wanted = _resolve(text, tuple(sorted(entries)))
    return replace(found, misfits={n: shape for n, shape in wanted.items() if entries[n].shape != shape})


@lru_cache(maxsize=4)
def _resolve(text: str, names: tuple[str, ...]) -> tuple[ModelTensors, dict[str, tuple[int, ...]]]:
    """What `any_model` makes of tensor names, and the shape that the model wants of each. Parents of a pair share the result."""
    model = meta_model(text, len(names))
    state = model.state_dict(keep_vars=True)
    homes, ignored = find_homes(model, names)
    filled: dict[str, int] = {}
    for home in homes.values():
        filled[home.key] = filled.get(home.key, 0) + home.view.numel()
    whole = {key for key, count in filled.items() if count >= state[key].numel()}
    missing = state.keys() - whole
    tied = dict(model.get_expanded_tied_weights_keys(all_submodels=True))
    for target, source in tied.items():
        if target in whole or source in whole:
            missing -= {target, source}
    if patterns := model._keys_to_ignore_on_load_missing:
        parameters = {key for key, _ in model.named_parameters(remove_duplicate=False)}
        missing -= {k for k in missing - parameters if any(re.search(pattern, k) for pattern in patterns)}
    head, embedding = (
        next((k for k, p in state.items() if module is not None and p is module.weight), None)
        for module in (model.get_output_embeddings(), model.get_input_embeddings())
    )
    if head is not None and head == embedding:  # tied: one parameter under two names
        head = next((target for target, source in tied.items() if source == embedding), None)
    stored = {home.key: name for name, home in homes.items() if home.key in (head, embedding)}
    found = ModelTensors(
        {name: home.place for name, home in homes.items()},
        ignored,
        tuple(sorted(missing)),
        {},
        stored.get(head or ""),
        stored.get(embedding or ""),
        head in tied,
        head,
        frozenset(name for name, home in homes.items() if not home.view.is_floating_point()),
    )
    return found, {name: tuple(home.view.shape) for name, home in homes.items()}


def find_homes(model: ModelModule, names: Iterable[str]) -> tuple[dict[str, Home], tuple[str, ...]]:
    """Name → home by the library's rules (renamings, prefixes, merges of experts), and the names that the model does not load.

    Raises `LayoutError` where tensors are merged in a way that is not a view.
    """
    state: Mapping[str, torch.Tensor] = model.state_dict(keep_vars=True)
    homes: dict[str, Home] = {name: Home(name, state[name].detach()) for name in names if name in state}
    rest = [name for name in names if name not in state]
    if not rest:
        return homes, ()
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

    transforms = get_model_conversion_mapping(model) if hasattr(model, "base_model_prefix") else []
    renamings = [t for t in transforms if isinstance(t, WeightRenaming)]
    converters = [t for t in transforms if isinstance(t, WeightConverter)]
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    prefix = getattr(model, "base_model_prefix", None)
    fused: dict[str, dict[str, list[str]]] = {}
    ignored, known = [], dict(state)
    for name in sorted(rest, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, prefix, known)
        if target not in state:
            ignored.append(name)
        elif pattern is None:
            homes[name] = Home(target, state[target].detach())
        else:
            fused.setdefault(target, {}).setdefault(pattern, []).append(name)
    for target, parts in fused.items():
        converter = by_pattern[next(iter(parts))]
        sources = [parts[p] for p in converter.source_patterns if p in parts]
        views = _split(target, state[target].detach(), sources, list(converter.operations))
        homes |= {name: Home(target, view) for name, view in views.items()}
    return homes, tuple(ignored)


def _split(
    target: str, tensor: torch.Tensor, sources: list[list[str]], operations: list[LibraryObject]
) -> dict[str, torch.Tensor]:
    """Undo the library's conversion on views: [MergeModulelist] stacks each pattern's tensors, [Concatenate] joins the patterns."""
    kinds = [type(op).__name__ for op in operations]
    parts = [tensor]
    if "Concatenate" in kinds:
        parts = list(tensor.chunk(len(sources), dim=operations[kinds.index("Concatenate")].dim))
    if set(kinds) - {"MergeModulelist", "Concatenate"} or len(parts) != len(sources):
        raise LayoutError(
            f"The parameter {target!r} is built by {', '.join(kinds)} in memory, which cannot be written piece by piece."
        )
    views: dict[str, torch.Tensor] = {}
    for part, names in zip(parts, sources):
        if "MergeModulelist" in kinds:
            dim = operations[kinds.index("MergeModulelist")].dim
            if part.shape[dim] != len(names):
                raise LayoutError(
                    f"The parameter {target!r} holds {part.shape[dim]} experts, the checkpoint {len(names)}."
                )
            views |= {name: part.select(dim, i) for i, name in enumerate(names)}
        else:
            views[names[0]] = part
    return views
