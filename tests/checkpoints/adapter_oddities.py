"""LoRA adapters as `peft` writes them, and edits of such a folder: what a blend takes, and what it refuses."""

from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints.oddities import Edit, settings, text

LORA: dict[str, Any] = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]}
FILE = "adapter_model.safetensors"

# Settings of `peft` whose adapters are blended, with the numbers of `peft`.
ACCEPTED = {
    "rank-stabilised": peft.LoraConfig(**LORA | {"use_rslora": True}),
    "rank_pattern": peft.LoraConfig(**LORA | {"rank_pattern": {"v_proj": 2}}),
    "alpha_pattern": peft.LoraConfig(**LORA | {"alpha_pattern": {"layers.1.self_attn.q_proj": 3}}),
    "layers_to_transform": peft.LoraConfig(**LORA | {"layers_to_transform": [1]}),
    "layers_pattern": peft.LoraConfig(**LORA | {"layers_to_transform": [0], "layers_pattern": "layers"}),
    "a pattern of modules": peft.LoraConfig(**LORA | {"target_modules": r".*\.(q|up)_proj"}),
    "all-linear": peft.LoraConfig(**LORA | {"target_modules": "all-linear"}),
    "saved norm": peft.LoraConfig(**LORA | {"modules_to_save": ["norm"]}),
    "excluded modules": peft.LoraConfig(**LORA | {"target_modules": "all-linear", "exclude_modules": ["down_proj"]}),
}
# Those that are no plain low-rank delta.
REFUSED = {
    "DoRA": peft.LoraConfig(**LORA | {"use_dora": True}),
    "a LoRA bias": peft.LoraConfig(**LORA | {"lora_bias": True}),
    "trained tokens": peft.LoraConfig(**LORA | {"trainable_token_indices": [1, 2]}),
    "VeRA": peft.VeraConfig(r=4, target_modules=["q_proj"]),
    "LoHa": peft.LoHaConfig(r=4, target_modules=["q_proj"]),
    "LoKr": peft.LoKrConfig(r=4, target_modules=["q_proj"]),
    "AdaLoRA": peft.AdaLoraConfig(init_r=4, target_r=2, total_step=10, target_modules=["q_proj"]),
    "IA3": peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[]),
    "BOFT": peft.OFTConfig(oft_block_size=4, target_modules=["q_proj"]),
}


def change(edit: Any) -> Edit:
    def apply(folder: Path) -> None:
        tensors = {k: v.clone() for k, v in load_file(folder / FILE).items()}
        edit(tensors)
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / FILE)

    return apply


def first(tensors: dict[str, torch.Tensor]) -> str:
    return min(tensors)


def setting(**changes: Any) -> Edit:
    return lambda folder: settings(folder, "adapter_config.json", **changes)


# Edits of a good adapter after which it is none.
BROKEN: dict[str, Edit] = {
    "no rank": setting(r=0),
    "another rank": setting(r=3),
    "a rank in words": setting(r="x"),
    "a scale in words": setting(lora_alpha="x"),
    "no targets": setting(target_modules=None),
    "other targets": setting(target_modules=["k_proj"]),
    "a pattern that is none": setting(target_modules="("),
    "another kind": setting(peft_type="VERA"),
    "no kind": setting(peft_type=None),
    "an unknown setting": setting(use_something=True),
    "an unknown initialisation": setting(init_lora_weights="x"),
    "a damaged config": text("adapter_config.json", "{"),
    "a list as config": text("adapter_config.json", "[]"),
    "damaged weights": text(FILE, "x"),
    "a lost factor": change(lambda t: t.pop(first(t))),
    "a strange tensor": change(lambda t: t.update(x=torch.ones(2))),
    "factors of whole numbers": change(lambda t: t.update({first(t): torch.ones_like(t[first(t)], dtype=torch.int8)})),
    "factors of another shape": change(lambda t: t.update({first(t): t[first(t)][:, :3]})),
    "factors of a layer that is not there": change(lambda t: t.update({first(t).replace("layers.0", "layers.7"): t.pop(first(t))})),
    "an empty file": change(lambda t: t.clear()),
    "weights in PyTorch's own format": lambda folder: (folder / FILE).rename(folder / "adapter_model.bin") and None,
}  # fmt: skip
