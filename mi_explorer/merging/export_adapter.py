"""Export of a blend as a scaled LoRA adapter: λ folded into the factors, for a pair whose one parent is an adapter on the other.

W(λ) = W₀ + λ·s·B·A, so that B is multiplied by λ and everything else of the adapter stays as `peft` wrote it. Outside the scope
B is zero; fully saved modules hold the blend itself. Where the base was reduced (PiSSA, OLoRA) the factors take that part over,
at twice the rank, so that the result sits on the base as it is.
"""

import json
import math
import re
from pathlib import Path

import torch
from safetensors.torch import save

from mi_explorer.checkpoints.adapter import AdapterCheckpoint
from mi_explorer.checkpoints.adapter_settings import CONFIG, WEIGHTS
from mi_explorer.command_line import export_command
from mi_explorer.merging.blend import PairBlend
from mi_explorer.merging.export import Exported, copy_tokenizer
from mi_explorer.merging.model_card import model_card, shareable
from mi_explorer.merging.staging import ExportError, Staging
from mi_explorer.untyped import JsonObject


def adapter_of(blend: PairBlend) -> tuple[AdapterCheckpoint, float]:
    """The adapter parent and the weight that it has in this blend; `ExportError` where the blend is not a scaled adapter."""
    parents = blend.parents
    for part, under, weight in (
        (parents.thinking, parents.instruct, blend.recipe.lam),
        (parents.instruct, parents.thinking, 1.0 - blend.recipe.lam),
    ):
        if isinstance(part, AdapterCheckpoint) and part.under is under:
            if blend.recipe.method != "linear":
                raise ExportError(
                    f"Only a linear blend is a scaled adapter, not {blend.recipe.method}. Export a checkpoint instead."
                )
            if part is parents.instruct and any(not blend.inside(n) for n in part.touched()):
                raise ExportError(
                    "With Instruct as the adapter, tensors outside the scope keep it in full: that is not one scale. "
                    "Export a checkpoint instead."
                )
            return part, weight
    raise ExportError(
        "Neither parent is a LoRA adapter on the other, so that the blend is not a scaled adapter. Export a checkpoint instead."
    )


def scaled_tensors(blend: PairBlend, adapter: AdapterCheckpoint, weight: float) -> dict[str, torch.Tensor]:
    """The tensors of the adapter file by key: factors with `weight` in B, the blend itself where a module was saved."""
    tensors: dict[str, torch.Tensor] = {}
    for name, factors in adapter.layout.factors.items():
        a, b = adapter.effective(name)
        here = weight if blend.inside(name) else 0.0
        tensors[factors.a], tensors[factors.b] = a, b if here == 1.0 else (b.float() * here).to(b.dtype)
    for key, entry in adapter.own.items():
        name = key.removeprefix("base_model.model.")
        if key in tensors:
            continue
        if ".base_layer." not in name:
            tensors[key] = blend.tensor(name).to(entry.dtype)
            continue
        name = name.replace(".base_layer.", ".")  # what lies under the factors, most often the base itself
        saved, here = adapter.stored(key), weight if blend.inside(name) else 0.0
        below = adapter.below(name).view(entry.shape)
        tensors[key] = (
            saved if torch.equal(below, saved) else torch.lerp(below.float(), saved.float(), here).to(entry.dtype)
        )
    return {key: tensor.contiguous() for key, tensor in tensors.items()}


def scaled_settings(adapter: AdapterCheckpoint) -> JsonObject:
    """adapter_config.json for `scaled_tensors`: plain factors on the base as it is, whatever initialisation they had."""
    raw = dict(adapter.settings.raw)
    if adapter.settings.reduces_base:
        ranks: dict[str, int] = {}
        alphas: dict[str, float] = {}
        for name, factors in adapter.layout.factors.items():
            if factors.reduced:
                module = re.escape(name.removesuffix(".weight"))
                ranks[module] = rank = adapter.effective(name)[0].shape[0]
                alphas[module] = factors.scale * (math.sqrt(rank) if raw.get("use_rslora") else rank)
        raw["rank_pattern"] = {**ranks, **adapter.settings.rank_pattern}
        raw["alpha_pattern"] = {**alphas, **adapter.settings.alpha_pattern}
        raw["init_lora_weights"] = True
    return {**raw, "base_model_name_or_path": adapter.under.label, "inference_mode": True}


def export_adapter(blend: PairBlend, out: str | Path, *, command: str = "") -> Exported:
    """Write the scaled adapter to the folder `out` (new or empty), as `peft` reads it. Same safety as `export`."""
    adapter, weight = adapter_of(blend)
    tensors = scaled_tensors(blend, adapter, weight)
    size = sum(t.nbytes for t in tensors.values())
    with Staging(Path(out), size) as stage:
        (stage / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))
        settings = json.dumps(scaled_settings(adapter), indent=2)
        (stage / CONFIG).write_text(settings, encoding="utf-8")
        copy_tokenizer(blend, stage)
        card = model_card(blend, command or export_command(shareable(blend), blend.parents.pair, adapter=True))
        card = card.replace("library_name: transformers", "library_name: peft", 1)
        (stage / "README.md").write_text(card, encoding="utf-8")
        blend.parents.check_unchanged()
    return Exported(str(out), size, 1, len(tensors), blend.recipe.hash)
