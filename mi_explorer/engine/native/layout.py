"""The decoders that the native forward pass understands (Llama, Mistral, Qwen2, Qwen3, Qwen3-MoE): pre-norm, RoPE, GQA, gated MLP.

A `Layout` is read from a config and the checkpoint's tensor names. It claims every tensor by name; a model with a tensor, a
field or a layer type that it does not understand is refused with the reason, and runs through `transformers` instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mi_explorer.untyped import JsonObject, ModelConfig

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "qwen3_moe")
ROPES = ("default", "linear", "llama3", "yarn")  # frequencies that do not depend on the length of the sequence


@dataclass(frozen=True, eq=False)  # identity is the key: parts are looked up in every step
class Part:
    """One fused weight: checkpoint tensors `names` of `sizes[i]` rows × `width`, stacked; `biases` as many as names, or none."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    width: int
    biases: tuple[str, ...] = ()

    def split(self, tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """A stacked tensor of this part as views, one for each name."""
        return torch.split(tensor, list(self.sizes))


@dataclass(frozen=True)
class Experts:
    """A sparse MLP: the `router` picks `chosen` experts for each token; expert i is `gate_up[i]` and `down[i]`. `normalised`: whether
    the weights of those that were picked add up to 1."""

    router: Part
    gate_up: tuple[Part, ...]
    down: tuple[Part, ...]
    chosen: int
    normalised: bool


@dataclass(frozen=True)
class Layer:
    """The parts of one decoder layer; `qk_norm` holds the q and k norm weights ([head_dim] each) or nothing. The MLP is dense
    (`gate_up`, `down`) or `experts`."""

    norm1: str
    qkv: Part
    qk_norm: tuple[str, ...]
    out: Part
    norm2: str
    gate_up: Part | None = None
    down: Part | None = None
    experts: Experts | None = None

    def parts(self) -> tuple[Part, ...]:
        """Every fused weight of the layer."""
        sparse = (self.experts.router, *self.experts.gate_up, *self.experts.down) if self.experts else ()
        return tuple(part for part in (self.qkv, self.out, self.gate_up, self.down, *sparse) if part is not None)


@dataclass(frozen=True)
class Layout:
    """Sizes and tensor names of a decoder. `inv_freq` [head_dim/2] fp32; `rope_scale` multiplies cos and sin."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    eps: float
    act: str
    embed: Part
    layers: tuple[Layer, ...]
    norm: str
    head: Part
    inv_freq: torch.Tensor
    rope_scale: float

    def parts(self) -> tuple[Part, ...]:
        """Every fused weight, embedding and head included (one part where they are tied)."""
        inner = (part for layer in self.layers for part in layer.parts())
        return (self.embed, *inner) if self.head is self.embed else (self.embed, *inner, self.head)

    @property
    def why_folded(self) -> str:
        """Why there are no row-wise passes; "": there are."""
        sparse = any(layer.experts for layer in self.layers)
        return "experts see tokens of several rows at once, so the model runs at one λ at a time" if sparse else ""

    def products(self) -> tuple[Part, ...]:
        """The fused weights that activations are multiplied by: all but an embedding that is no head."""
        return tuple(part for part in self.parts() if part is not self.embed or self.head is self.embed)

    def vectors(self) -> dict[str, int]:
        """Name → size of every norm weight and bias."""
        found = {self.norm: self.hidden}
        for layer in self.layers:
            found |= {layer.norm1: self.hidden, layer.norm2: self.hidden} | dict.fromkeys(layer.qk_norm, self.head_dim)
        for part in self.parts():
            found |= dict(zip(part.biases, part.sizes))
        return found

    def names(self) -> tuple[str, ...]:
        """Every tensor name that this layout reads, sorted."""
        return tuple(sorted({n for p in self.parts() for n in p.names} | set(self.vectors())))


def decoder_layout(config: ModelConfig, names: Sequence[str]) -> Layout | str:
    """The layout of a `transformers` config and the checkpoint's tensor names, or the reason why the native decoder does not apply."""
    if config.model_type not in FAMILIES:
        return f"model type {config.model_type!r} is not one of {', '.join(FAMILIES)}"
    if getattr(config, "quantization_config", None):
        return "the checkpoint is quantised"
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return "some layers use a sliding window"
    windows = {"mistral": True, "qwen3_moe": getattr(config, "use_sliding_window", False)}
    if windows.get(config.model_type) and config.sliding_window:
        return "the model uses a sliding window"
    if config.hidden_act not in ("silu", "gelu", "gelu_pytorch_tanh", "relu"):
        return f"activation {config.hidden_act!r} is not known"
    rope = dict(getattr(config, "rope_parameters", None) or {})
    kind = rope.get("rope_type", "default")
    if kind not in ROPES or rope.get("partial_rotary_factor", 1.0) != 1.0:
        return f"rotary embedding {kind!r} depends on the length or is partial"
    inv_freq, scale = _frequencies(config, kind, rope)
    have = set(names)

    hidden, heads, kv_heads = config.hidden_size, config.num_attention_heads, config.num_key_value_heads
    dim = getattr(config, "head_dim", None) or hidden // heads
    inner = config.intermediate_size

    def part(prefix: str, sizes: dict[str, int], width: int) -> Part:
        biases = tuple(f"{prefix}.{s}.bias" for s in sizes)
        names = tuple(f"{prefix}.{s}.weight" for s in sizes)
        return Part(names, tuple(sizes.values()), width, biases if have.issuperset(biases) else ())

    def mlp(i: int, root: str) -> JsonObject:
        sparse = config.model_type == "qwen3_moe" and config.num_experts > 0 and i not in config.mlp_only_layers
        if not sparse or (i + 1) % config.decoder_sparse_step:
            gate_up = part(root, {"gate_proj": inner, "up_proj": inner}, hidden)
            return {"gate_up": gate_up, "down": part(root, {"down_proj": hidden}, inner)}
        size, each = config.moe_intermediate_size, [f"{root}.experts.{e}" for e in range(config.num_experts)]
        experts = Experts(
            part(root, {"gate": config.num_experts}, hidden),
            tuple(part(name, {"gate_proj": size, "up_proj": size}, hidden) for name in each),
            tuple(part(name, {"down_proj": hidden}, size) for name in each),
            config.num_experts_per_tok,
            bool(config.norm_topk_prob),
        )
        return {"experts": experts}

    layers = []
    for i in range(config.num_hidden_layers):
        root = f"model.layers.{i}"
        qk = tuple(f"{root}.self_attn.{s}_norm.weight" for s in "qk")
        layers.append(
            Layer(
                norm1=f"{root}.input_layernorm.weight",
                qkv=part(
                    f"{root}.self_attn",
                    {"q_proj": heads * dim, "k_proj": kv_heads * dim, "v_proj": kv_heads * dim},
                    hidden,
                ),
                qk_norm=qk if have.issuperset(qk) else (),
                out=part(f"{root}.self_attn", {"o_proj": hidden}, heads * dim),
                norm2=f"{root}.post_attention_layernorm.weight",
                **mlp(i, f"{root}.mlp"),
            )
        )
    embed = Part(("model.embed_tokens.weight",), (config.vocab_size,), hidden)
    tied = "lm_head.weight" not in have
    if tied and not getattr(config, "tie_word_embeddings", False):
        return "the checkpoint has no lm_head.weight although its config says untied"
    layout = Layout(
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=dim,
        vocab=config.vocab_size,
        eps=config.rms_norm_eps,
        act=config.hidden_act,
        embed=embed,
        layers=tuple(layers),
        norm="model.norm.weight",
        head=embed if tied else Part(("lm_head.weight",), (config.vocab_size,), hidden),
        inv_freq=inv_freq,
        rope_scale=scale,
    )
    claimed = set(layout.names())
    if missing := sorted(claimed - have):
        return f"tensor {missing[0]!r} is missing from the checkpoint"
    if unclaimed := sorted(n for n in have - claimed if not n.endswith("rotary_emb.inv_freq")):
        return f"tensor {unclaimed[0]!r} is not understood"
    return layout


def _frequencies(config: ModelConfig, kind: str, rope: JsonObject) -> tuple[torch.Tensor, float]:
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if kind == "default":
        return 1.0 / (rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float) / dim)), 1.0
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    inv_freq, scale = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
    return inv_freq.float(), float(scale)
