"""A LoRA on every linear layer of a Llama: y = x (W + strength · (α / r) · B A)ᵀ, saved in the layout of peft.

W + … is written once a step, so that a forward pass costs what the plain layer costs, and the gradients of A and B are thin products: the
gradient of the whole matrix is never formed.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mi_explorer.untyped import JsonObject, LibraryObject

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK, ALPHA = 16, 32


class _MergedProduct(torch.autograd.Function):
    """x [.., in] times a merged weight [out, in]; gradients reach x, A [rank, in] and B [out, rank]."""

    @staticmethod
    def forward(
        ctx: LibraryObject, x: torch.Tensor, merged: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float
    ) -> torch.Tensor:
        ctx.save_for_backward(x, merged, a, b)
        ctx.scale = scale
        return x @ merged.T

    @staticmethod
    def backward(ctx: LibraryObject, *outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, merged, a, b = ctx.saved_tensors
        dy = outputs[0]
        flat, flat_dy = x.flatten(0, -2), dy.flatten(0, -2)
        db = ctx.scale * (flat_dy.T @ (flat @ a.T))
        da = ctx.scale * ((flat_dy @ b).T @ flat)
        return dy @ merged, None, da, db, None


class LowRankLinear(nn.Module):
    """A frozen linear layer and its factors, in fp32. `set_strength` must be called after each change of the factors."""

    weight: torch.Tensor
    merged: torch.Tensor

    def __init__(self, linear: nn.Linear, rank: int, scale: float):
        super().__init__()
        self.register_buffer("weight", linear.weight.detach(), persistent=False)
        self.register_buffer("merged", linear.weight.detach().clone(), persistent=False)
        self.a = nn.Parameter(torch.empty(rank, linear.in_features))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))
        self.scale = scale
        self.strength = 1.0

    @torch.no_grad()
    def set_strength(self, strength: float) -> None:
        """Merge the factors as they are now at this strength (λ)."""
        self.strength = strength
        dtype = self.weight.dtype
        torch.add(self.weight, self.b.to(dtype) @ self.a.to(dtype), alpha=self.scale * strength, out=self.merged)

    def forward(self, x: torch.Tensor) -> LibraryObject:
        dtype = self.weight.dtype
        factors = self.a.to(dtype), self.b.to(dtype), self.scale * self.strength
        return _MergedProduct.apply(x, self.merged, *factors)  # type: ignore[no-untyped-call]


def attach_factors(model: nn.Module, rank: int = RANK, alpha: int = ALPHA) -> dict[str, LowRankLinear]:
    """Put a `LowRankLinear` in the place of every linear layer of `TARGETS`; everything else is frozen. They by module name."""
    model.requires_grad_(False)
    factors: dict[str, LowRankLinear] = {}
    for name, module in list(model.named_modules()):
        parent, _, last = name.rpartition(".")
        if isinstance(module, nn.Linear) and last in TARGETS:
            factors[name] = LowRankLinear(module, rank, alpha / rank)
            setattr(model.get_submodule(parent), last, factors[name])
    return factors


def save_factors(factors: dict[str, LowRankLinear], base: str, folder: Path) -> None:
    """As peft reads it, in bf16. `base`: the hub id of the parent."""
    folder.mkdir(parents=True, exist_ok=True)
    first = next(iter(factors.values()))
    rank = first.a.shape[0]
    tensors = {}
    for name, pair in factors.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = pair.a.detach().to(torch.bfloat16)
        tensors[f"base_model.model.{name}.lora_B.weight"] = pair.b.detach().to(torch.bfloat16)
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    config: JsonObject = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": round(first.scale * rank),
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(TARGETS),
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_factors(factors: dict[str, LowRankLinear], folder: Path) -> None:
    """Read factors that `save_factors` wrote, to go on from there."""
    tensors = load_file(folder / "adapter_model.safetensors")
    with torch.no_grad():
        for name, pair in factors.items():
            pair.a.copy_(tensors[f"base_model.model.{name}.lora_A.weight"])
            pair.b.copy_(tensors[f"base_model.model.{name}.lora_B.weight"])
