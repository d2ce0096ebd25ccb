"""Export of a blend as a scaled LoRA adapter: λ folded into the factors, for a pair whose one parent is an adapter on the other.

W(λ) = W₀ + λ·s·B·A, so that B is multiplied by λ and everything else of the adapter stays as `peft` wrote it. Outside the scope
B is zero; fully saved modules hold the blend itself.
"""

import json
import struct
from pathlib import Path

import torch

from mi_explorer.checkpoints.adapter import CONFIG, WEIGHTS, AdapterCheckpoint
from mi_explorer.checkpoints.headers import CODES
from mi_explorer.command_line import export_command
from mi_explorer.merging.blend import Bound
from mi_explorer.merging.export import Exported, ExportError, staged, template_role
from mi_explorer.merging.model_card import model_card, shareable


def adapter_of(blend: Bound) -> tuple[AdapterCheckpoint, float]:
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


def export_adapter(blend: Bound, out: str | Path, *, command: str = "") -> Exported:
    """Write the scaled adapter to the folder `out` (new or empty), as `peft` reads it. Same safety as `export`."""
    adapter, weight = adapter_of(blend)
    tensors: dict[str, torch.Tensor] = {}
    for target, (a, b, _, _) in adapter.lora.items():
        factor = adapter.stored(b)
        here = weight if blend.inside(target) else 0.0
        tensors[a] = adapter.stored(a)
        tensors[b] = factor if here == 1.0 else (factor.float() * here).to(factor.dtype)
    for target, key in adapter.replaced.items():
        tensors[key] = (
            adapter.stored(key) if target in adapter.lora else blend.tensor(target).to(adapter.own[key].dtype)
        )
    order = [e.name for e in sorted(adapter.own.values(), key=lambda e: (e.start, e.stop))]
    with staged(Path(out), sum(t.nbytes for t in tensors.values())) as stage:
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for name in order:
            t = tensors[name]
            header[name] = {"dtype": CODES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}  # type: ignore[dict-item]
            at += t.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(stage / WEIGHTS, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                file.write(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        settings = {**adapter.settings, "base_model_name_or_path": adapter.under.label, "inference_mode": True}
        (stage / CONFIG).write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")
        folder = blend.parents.part(template_role(blend)).folder
        for name in sorted(folder.files()):
            if name.startswith(("tokenizer", "special_tokens_map", "chat_template", "added_tokens")) and name.endswith(
                (".json", ".jinja")
            ):
                (stage / name).write_bytes(folder.read(name))
        card = model_card(blend, command or export_command(shareable(blend), blend.parents.pair, adapter=True))
        card = card.replace("library_name: transformers", "library_name: peft", 1)
        (stage / "README.md").write_text(card, encoding="utf-8")
        blend.parents.check_unchanged()
    return Exported(str(out), at, 1, len(tensors), blend.recipe.hash)
