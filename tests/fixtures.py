"""Tiny checkpoints in hub layout, made from configs with seeded random weights: parents of a pair differ by a small delta.

`make(kind, folder)` writes one checkpoint; `make_pair(kind, folder)` writes base, instruct and thinking and returns a `Pair`.
Every kind is a real `transformers` architecture that `AutoModelForCausalLM.from_pretrained(folder)` loads.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    Lfm2Config,
    LlamaConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
)

from mi_explorer.pairs import Pair

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
}
KINDS = ("qwen3", "qwen3-untied", "qwen2", "llama", "qwen3-moe", "lfm2")


def config(kind: str, **changes) -> PretrainedConfig:
    """The config of a fixture architecture; `changes` overrides any field."""
    sizes = {**SIZES, **changes}
    if kind in ("qwen3", "qwen3-untied"):
        return Qwen3Config(**{"head_dim": 8, "tie_word_embeddings": kind == "qwen3", **sizes})
    if kind == "qwen2":
        return Qwen2Config(**{"tie_word_embeddings": True, **sizes})
    if kind == "llama":
        return LlamaConfig(**{"tie_word_embeddings": False, **sizes})
    if kind == "qwen3-moe":
        return Qwen3MoeConfig(
            **{
                "head_dim": 8,
                "num_experts": 4,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 16,
                "decoder_sparse_step": 1,
                "tie_word_embeddings": False,
                **sizes,
            }
        )
    if kind == "lfm2":
        return Lfm2Config(
            **{
                "layer_types": ["conv", "full_attention", "conv"],
                "block_multiple_of": 16,
                "tie_word_embeddings": True,
                **sizes,
            }
        )
    raise KeyError(kind)


def build(
    kind: str,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    delta_seed: int | None = None,
    delta: float = 0.02,
    **changes,
):
    """A model with seeded weights of useful size (norms near 1, biases not zero), plus `delta` × another seeded noise."""
    model = AutoModelForCausalLM.from_config(config(kind, **changes), dtype=torch.float32)

    def noise(seed: int, name: str, like: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(
            (seed * 1_000_003 + sum(ord(c) * (i + 1) for i, c in enumerate(name))) % 2**31
        )
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            p.copy_((1.0 if "norm" in name else 0.0) + 0.15 * noise(seed, name, p))
            if delta_seed is not None:
                p.add_(delta * noise(delta_seed, name, p))
    return model.to(dtype)


def make(
    kind: str,
    folder: Path,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    delta_seed: int | None = None,
    delta: float = 0.02,
    shard: str | int = "50GB",
    **changes,
) -> Path:
    """Write one checkpoint of `kind` in hub layout; `shard` is the largest shard size (bytes or text such as '20KB')."""
    model = build(kind, seed, dtype, delta_seed, delta, **changes)
    model.save_pretrained(folder, max_shard_size=shard)
    return Path(folder)


def make_pair(
    kind: str,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    delta: float = 0.02,
    base: bool = True,
    shards: tuple[str | int, str | int] = ("50GB", "50GB"),
    **changes,
) -> Pair:
    """Instruct and Thinking as two deltas on one base (in `folder`/{instruct,thinking,base}); `shards` may differ per parent."""
    folder = Path(folder)
    paths = {
        "instruct": make(kind, folder / "instruct", dtype=dtype, delta_seed=1, delta=delta, shard=shards[0], **changes),
        "thinking": make(kind, folder / "thinking", dtype=dtype, delta_seed=2, delta=delta, shard=shards[1], **changes),
    }
    if base:
        paths["base"] = make(kind, folder / "base", dtype=dtype, **changes)
    return Pair(name=f"{kind}-fixture", **{role: str(path) for role, path in paths.items()})


def reshard(source: Path, target: Path, parts: int, name: str = "part-{i}-of-{n}.safetensors", order: int = 1) -> Path:
    """The same checkpoint in `parts` shards with unusual names, tensors dealt round-robin in (reversed) name order."""
    tensors = {k: v for file in sorted(Path(source).glob("*.safetensors")) for k, v in load_file(file).items()}
    target.mkdir(parents=True)
    for file in Path(source).iterdir():
        if file.suffix in (".json", ".jinja") and "index" not in file.name:
            shutil.copy(file, target / file.name)
    names = sorted(tensors)[::order]
    weight_map = {}
    for i in range(parts):
        shard = name.format(i=i + 1, n=parts)
        save_file({k: tensors[k] for k in names[i::parts]}, target / shard, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(names[i::parts], shard))
    size = sum(t.nbytes for t in tensors.values())
    (target / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map})
    )
    return target


def corrupt_header(folder: Path) -> Path:
    """Damage the JSON of the first shard's header in place."""
    file = sorted(Path(folder).glob("*.safetensors"))[0]
    data = bytearray(file.read_bytes())
    data[12:40] = b"\xff" * 28
    file.write_bytes(data)
    return folder


def truncate(folder: Path, keep: float = 0.6) -> Path:
    """Cut the last shard short, as an interrupted download does."""
    file = sorted(Path(folder).glob("*.safetensors"))[-1]
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * keep)])
    return folder


def make_fp8(source: Path, target: Path) -> Path:
    """An FP8-like parent: linear weights in float8 with per-tensor scales beside them, and a quantization_config."""
    shutil.copytree(source, target)
    file = target / "model.safetensors"
    tensors = load_file(file)
    out = {}
    for name, tensor in tensors.items():
        if name.endswith("_proj.weight"):
            scale = tensor.float().abs().max() / 448
            out[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            out[name.replace(".weight", ".weight_scale_inv")] = scale.reshape(1, 1)
        else:
            out[name] = tensor
    save_file(out, file, metadata={"format": "pt"})
    settings = json.loads((target / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
    (target / "config.json").write_text(json.dumps(settings))
    return target


def make_tokenizer(folder: Path, *, extra: tuple[str, ...] = (), template: str | None = None, vocab: int = 96) -> Path:
    """A small fast tokenizer (one token a byte-like character) with ChatML marks, think tags and a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    letters = [chr(c) for c in range(32, 127)][: vocab - len(special) - len(extra)]
    table = {token: i for i, token in enumerate([*special, *letters, *extra])}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[*special[1:], *extra],
    )
    fast.chat_template = template or (
        "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
    )
    fast.save_pretrained(folder)
    return Path(folder)


def save_tokenizer(folder, special, template=None, eos=None, bos=None, adds=""):
    """A byte-level tokenizer with these special tokens; `adds` puts "bos" before and "eos" after a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    table = {t: i for i, t in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    made = Tokenizer(models.BPE(vocab=table, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    if adds:
        single = " ".join([bos] * ("bos" in adds) + ["$A"] + [eos] * ("eos" in adds))
        made.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=[(t, table[t]) for t in {bos, eos} if t]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=eos or special[0], bos_token=bos, additional_special_tokens=special
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    return folder
