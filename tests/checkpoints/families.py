"""Tiny look-alikes of the families that the presets name: the family's real config class, saved in hub layout with its real tensor names.

`make_family(name, folder)` writes Instruct and Thinking (another small delta each) and returns their `Pair`. What a publisher's
files hold beside the model (next-token layers, a second copy in another format) is added by hand, as it is in theirs.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Lfm2Config,
    LlamaConfig,
    Mistral3Config,
    Olmo3Config,
    Phi3Config,
    PretrainedConfig,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    Qwen3NextConfig,
    Qwen3VLConfig,
)

from mi_explorer.pairs import Pair, read_presets
from mi_explorer.smollm2 import low_rank
from tests.fixtures import make_tokenizer

TEXT = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
ROPE = {"rope_type": "default", "rope_theta": 5e6}
VL_TOKENS = {"image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93}
QWEN_VISION = {
    "depth": 2,
    "hidden_size": 16,
    "num_heads": 2,
    "out_hidden_size": 32,
    "patch_size": 4,
    "intermediate_size": 24,
}


def qwen3() -> PretrainedConfig:
    return Qwen3Config(**TEXT, head_dim=8, rope_parameters=ROPE, tie_word_embeddings=True)


def qwen3_8b() -> PretrainedConfig:
    return Qwen3Config(**TEXT, head_dim=8, rope_parameters=ROPE, tie_word_embeddings=False)


def qwen3_moe() -> PretrainedConfig:
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
    return Qwen3MoeConfig(**TEXT, **experts, head_dim=8, rope_parameters=ROPE, tie_word_embeddings=False)


def qwen3_next() -> PretrainedConfig:
    experts = {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    }
    linear = {
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    }
    kinds = {"layer_types": ["linear_attention", "full_attention"]}
    return Qwen3NextConfig(**TEXT, **experts, **linear, **kinds, head_dim=8, tie_word_embeddings=False)


def qwen3_vl() -> PretrainedConfig:
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    vision = {**QWEN_VISION, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    text = {**TEXT, "head_dim": 8, "rope_parameters": rope}
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **VL_TOKENS)


def qwen3_vl_8b() -> PretrainedConfig:
    config = qwen3_vl()
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    return config


def qwen2_5_vl() -> PretrainedConfig:
    text = {**TEXT, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 1, 1]}}
    vision = {**QWEN_VISION, "fullatt_block_indexes": [1], "window_size": 8}
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **VL_TOKENS)


def lfm2() -> PretrainedConfig:
    kinds = {"layer_types": ["conv", "full_attention"], "block_multiple_of": 16}
    return Lfm2Config(**TEXT, **kinds, tie_word_embeddings=True)


def olmo3() -> PretrainedConfig:
    kinds = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}
    return Olmo3Config(**TEXT, **kinds, tie_word_embeddings=False)


def ministral3() -> PretrainedConfig:
    rope = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 64}
    rope |= {"beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}
    text = {**TEXT, "model_type": "ministral3", "head_dim": 8, "rope_parameters": rope, "tie_word_embeddings": True}
    vision = {"model_type": "pixtral", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 2, "head_dim": 8, "image_size": 16, "patch_size": 4}
    return Mistral3Config(text_config=text, vision_config=vision, image_token_index=90, spatial_merge_size=2)


def ministral3_14b() -> PretrainedConfig:
    config = ministral3()
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    return config


def phi4_mini() -> PretrainedConfig:
    factors = {"short_factor": [1.0] * 3, "long_factor": [2.0] * 3, "rope_theta": 1e4, "partial_rotary_factor": 0.75}
    rope = {"rope_type": "longrope", **factors, "original_max_position_embeddings": 64}
    return Phi3Config(**TEXT, rope_parameters=rope, tie_word_embeddings=True)


def qwen2_math() -> PretrainedConfig:
    return Qwen2Config(**TEXT, rope_parameters={"rope_type": "default", "rope_theta": 1e4}, tie_word_embeddings=False)


FAMILIES: dict[str, Callable[[], PretrainedConfig]] = {
    "qwen3-4b": qwen3,
    "qwen3-30b-a3b": qwen3_moe,
    "qwen3-next-80b-a3b": qwen3_next,
    "qwen3-vl-2b": qwen3_vl,
    "qwen3-vl-4b": qwen3_vl,
    "qwen3-vl-8b": qwen3_vl_8b,
    "lfm2.5-1.2b": lfm2,
    "olmo3-7b": olmo3,
    "olmo3.1-32b": olmo3,
    "ministral3-3b": ministral3,
    "ministral3-8b": ministral3_14b,
    "ministral3-14b": ministral3_14b,
    "phi4-mini": phi4_mini,
    "qwen2.5-math-1.5b": qwen2_math,
    "qwen2.5-math-7b": qwen2_math,
    "qwen3-8b-r1": qwen3_8b,
}
# Presets whose model type the pinned transformers does not know: name → model_type of their config.json.
UNKNOWN = {"ling-mini-2": "bailing_moe"}
# Presets whose Thinking is a LoRA adapter on Instruct: name → the config of Instruct.
ADAPTED = {"smollm2": lambda: LlamaConfig(**TEXT, tie_word_embeddings=True)}
# Tensors that a publisher's files hold and the model does not load, by preset: name → shape.
EXTRAS = {"qwen3-next-80b-a3b": {"mtp.fc.weight": (32, 64), "mtp.layers.0.input_layernorm.weight": (32,)}}


def auto_class(config: PretrainedConfig) -> type:
    """The class that makes a text generating model of a config."""
    sees = config.model_type in ("qwen3_vl", "qwen2_5_vl", "mistral3")
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def make_checkpoint(
    config: PretrainedConfig, folder: Path, seed: int, extras: dict[str, tuple[int, ...]] | None = None
) -> Path:
    """A checkpoint of `config` in bf16 as the library saves it: a base of seed 0, and a delta of `seed`."""
    model = auto_class(config).from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for i, (name, p) in enumerate(sorted(model.named_parameters())):
            noise = [torch.randn(p.shape, generator=torch.Generator().manual_seed(1000 * s + i)) for s in (0, seed)]
            p.copy_((1.0 if "norm" in name else 0.0) + 0.15 * noise[0] + 0.05 * noise[1])
    model.to(torch.bfloat16).save_pretrained(folder)
    if extras:
        made = {n: torch.full(shape, float(seed), dtype=torch.bfloat16) for n, shape in extras.items()}
        save_file({**load_file(folder / "model.safetensors"), **made}, folder / "model.safetensors", {"format": "pt"})
    return make_tokenizer(folder)


def make_family(name: str, folder: Path) -> Pair:
    """The look-alike of a preset."""
    folders = [
        make_checkpoint(FAMILIES[name](), folder / role, seed, EXTRAS.get(name))
        for seed, role in ((1, "instruct"), (2, "thinking"))
    ]
    if name == "qwen3-8b-r1":  # DeepSeek's copy of the config has YaRN
        file = folders[1] / "config.json"
        config = json.loads(file.read_text())
        config["rope_parameters"] = {
            "rope_type": "yarn",
            "rope_theta": 5e6,
            "factor": 4.0,
            "original_max_position_embeddings": 64,
        }
        file.write_text(json.dumps(config))
    if name == "qwen2.5-math-1.5b":  # the Math model is tied, DeepSeek's is not
        file = folders[0] / "model.safetensors"
        save_file({n: t for n, t in load_file(file).items() if n != "lm_head.weight"}, file, {"format": "pt"})
        config = json.loads((folders[0] / "config.json").read_text())
        (folders[0] / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
        config = json.loads((folders[1] / "config.json").read_text())
        (folders[1] / "config.json").write_text(json.dumps(config | {"use_mrope": False}))
    return Pair(name, *map(str, folders), untie=read_presets()[name].untie)


def make_adapted(name: str, folder: Path) -> Pair:
    """The look-alike of a preset whose Thinking is an adapter."""
    instruct = make_checkpoint(ADAPTED[name](), folder / "instruct", 1)
    model = AutoModelForCausalLM.from_pretrained(instruct, dtype=torch.float32)
    factors = low_rank.attach_factors(model, rank=4, alpha=8)
    with torch.no_grad():
        for pair in factors.values():
            pair.b.normal_(0, 0.1)
    low_rank.save_factors(factors, read_presets()[name].instruct, folder / "thinking")
    return Pair(name, str(instruct), str(folder / "thinking"))
