"""A PEFT LoRA adapter as a parent: base checkpoint + scaled low-rank deltas, read from the files that `peft` writes.

W = W₀ + s·B·A with s = α/r (α/√r for rank-stabilised LoRA), computed in fp32 and not rounded, so that a blend is rounded once.
Fully saved modules (`modules_to_save`, trained biases) replace the tensor. Anything else that `peft` can store is refused by name.
"""

import json
import math
import os
import re
import threading
from pathlib import Path
from typing import Any

import torch

from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.headers import Entry, read_header
from mi_explorer.checkpoints.source import CheckpointError, Folder, Hub, Source, open_source
from mi_explorer.pairs import Pair

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = re.compile(r"^(base_model\.model\.)")
FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")


def is_adapter(where: str | Path) -> bool:
    """Whether a folder or hub id holds a LoRA adapter instead of a full checkpoint."""
    return CONFIG in open_source(where).files()


class AdapterCheckpoint(Checkpoint):
    """A full checkpoint (`under`) seen through an adapter: same names and headers, other numbers where the adapter speaks."""

    def __init__(self, folder: Folder, under: Checkpoint, label: str | None = None):
        self.under, self.folder, self.label = under, folder, label or folder.label
        self.entries, self.raw_headers = under.entries, {}
        self.settings = read_settings(folder)
        files = folder.files()
        if WEIGHTS not in files:
            pickled = "adapter_model.bin" in files
            hint = (
                " It has adapter_model.bin, which is not loaded here for safety; save it again as safetensors."
                if pickled
                else ""
            )
            raise CheckpointError(f"{self.label}: {WEIGHTS} is missing.{hint}")
        self.own, raw = read_header(folder, WEIGHTS, files[WEIGHTS])
        self._maps, self._files, self._lock = {}, {}, threading.Lock()
        self.stamp = {WEIGHTS: self._stat(WEIGHTS)}
        self.own_headers = {WEIGHTS: raw}
        self.lora, self.replaced = claim(self.own, self.entries, self.settings, self.label, under.label)

    def touched(self) -> tuple[str, ...]:
        """Tensors that the adapter changes, sorted."""
        return tuple(sorted({*self.lora, *self.replaced}))

    def factors(self, name: str) -> tuple[torch.Tensor, torch.Tensor, float] | None:
        """(A [r, in], B [out, r], s) with W = W₀ + s·B·A for a linear weight; None where the adapter has no plain factors."""
        if name not in self.lora or self.lora[name][3] or name in self.replaced:
            return None
        a, b, scale, _ = self.lora[name]
        return self.stored(a), self.stored(b), scale

    @property
    def config(self) -> dict[str, Any]:  # type: ignore[override]
        return self.under.config

    def tensor(self, name: str) -> torch.Tensor:
        entry = self.entry(name)
        if name not in self.lora and name not in self.replaced:
            return self.under.tensor(name)
        return self.block(name, 0, entry.numel).view(entry.shape)

    def block(self, name: str, start: int, stop: int) -> torch.Tensor:
        entry = self.entry(name)
        if name in self.replaced:  # with an embedding's factors `peft` also saves the embedding under them
            below = self.stored(self.replaced[name]).reshape(-1)[start:stop].clone()
        else:
            below = self.under.block(name, start, stop)
        if name not in self.lora or start == stop:
            return below
        a, b, scale, turned = self.lora[name]
        left, right = (self.stored(a).T, self.stored(b).T) if turned else (self.stored(b), self.stored(a))
        width = entry.shape[1]
        first, last = start // width, -(-stop // width)
        delta = (left[first:last].float() @ right.float()).mul_(scale).reshape(-1)
        return below.float().add_(delta[start - first * width : stop - first * width])

    def stored(self, key: str) -> torch.Tensor:
        """A tensor of the adapter file itself, as it is stored."""
        entry = self.own[key]
        if key not in self._maps:
            data = self.folder.span(WEIGHTS, entry.start, entry.stop)
            self._maps[key] = torch.frombuffer(bytearray(data), dtype=entry.dtype).view(entry.shape)
        return self._maps[key]

    def check_unchanged(self) -> None:
        self.under.check_unchanged()
        super().check_unchanged()


def claim(
    own: dict[str, Entry], entries: dict[str, Entry], settings: dict[str, Any], label: str, under: str
) -> tuple[dict[str, tuple[str, str, float, bool]], dict[str, str]]:
    """Match every tensor of an adapter with a tensor of the checkpoint under it, from headers alone; refuse what does not match.

    Returns factors (tensor → key of A, key of B, scale, transposed) and replaced tensors (tensor → key).
    """
    sides: dict[str, dict[str, str]] = {}
    replaced: dict[str, str] = {}
    for key in own:
        inner = PREFIX.sub("", key)
        if match := FACTOR.match(inner):
            sides.setdefault(f"{match['module']}.weight", {})[match["side"] + ("e" if match["embedding"] else "")] = key
        elif inner in entries:
            replaced[inner] = key
        elif inner.replace(".base_layer.", ".") in entries:
            replaced[inner.replace(".base_layer.", ".")] = key
        else:
            raise CheckpointError(
                f"{label}: the adapter holds {key!r}, which is not a LoRA factor or a tensor of {under}. "
                "Only plain LoRA (and fully saved modules) can be blended; merge the adapter first."
            )
    lora: dict[str, tuple[str, str, float, bool]] = {}
    for target, keys in sides.items():
        embedding = "Ae" in keys
        a, b = keys.get("Ae" if embedding else "A"), keys.get("Be" if embedding else "B")
        if target not in entries or a is None or b is None:
            raise CheckpointError(
                f"{label}: the adapter changes {target!r}, which {under} does not have as one tensor. "
                "Is the adapter meant for another model?"
            )
        shape, (rank, width), (height, rank_b) = entries[target].shape, _two(own[a]), _two(own[b])
        turned = embedding or bool(settings.get("fan_in_fan_out"))
        if rank != rank_b or (height, width) != tuple(shape[::-1] if turned else shape):
            raise CheckpointError(
                f"{label}: the factors of {target!r} have shapes {list(own[a].shape)}, {list(own[b].shape)}; "
                f"the tensor is {list(shape)}."
            )
        lora[target] = (a, b, scale(settings, target, rank), turned)
    for name, key in replaced.items():
        if own[key].shape != entries[name].shape:
            raise CheckpointError(
                f"{label}: {key!r} is {list(own[key].shape)}, the tensor under it {list(entries[name].shape)}."
            )
    return lora, replaced


def _two(entry: Entry) -> tuple[int, int]:
    return (entry.shape[0], entry.shape[1]) if len(entry.shape) == 2 else (-1, -1)


def scale(settings: dict[str, Any], target: str, rank: int) -> float:
    """α/r (or α/√r) of a target, patterns included: as `peft` computes it."""
    alpha = _pattern(settings.get("alpha_pattern"), target.removesuffix(".weight"), settings.get("lora_alpha", 8))
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _pattern(patterns: dict[str, Any] | None, module: str, default: Any) -> Any:
    """The value of the first pattern that matches the end of a module's name (`peft`'s rule)."""
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default


def read_settings(folder: Source) -> dict[str, Any]:
    """adapter_config.json, checked: plain LoRA only."""
    try:
        settings = json.loads(folder.read(CONFIG))
    except (ValueError, RecursionError):
        raise CheckpointError(f"{folder.label}: {CONFIG} is damaged. Save the adapter again.") from None
    if not isinstance(settings, dict):
        raise CheckpointError(f"{folder.label}: {CONFIG} is not a JSON object. Save the adapter again.")
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(
            f"{folder.label}: a {kind} adapter is not a low-rank delta; only LoRA can be blended. Merge it first."
        )
    for key, what in (
        ("use_dora", "DoRA"),
        ("target_parameters", "LoRA on raw parameters"),
        ("trainable_token_indices", "trained token rows"),
        ("lora_bias", "a LoRA bias"),
        ("alora_invocation_tokens", "activated LoRA"),
    ):
        if settings.get(key):
            raise CheckpointError(
                f"{folder.label}: the adapter uses {what}, which is not a plain low-rank delta. "
                "Merge it into a full checkpoint first."
            )
    return settings


def under_role(role: str, adapter_on: str, full: dict[str, str], source: Source) -> str:
    """On which full checkpoint (role → path or id) the adapter `role` sits: what the pair says, else its own config, the other end, the base."""
    on = adapter_on
    if on == "auto":
        named = str(read_settings(source).get("base_model_name_or_path") or "")
        same = [r for r, w in full.items() if named and (named == w or os.path.abspath(named) == os.path.abspath(w))]
        other = {"instruct": "thinking", "thinking": "instruct", "base": "instruct"}[role]
        on = same[0] if same else other if other in full else "base"
    if on == role or on not in full:
        raise CheckpointError(
            f"{source.label}: a LoRA adapter needs a full checkpoint under it; the pair's {on} is none. Give one as the other "
            "endpoint or as the base, and say which with adapter_on."
        )
    return on


def open_adapter(where: str, role: str, pair: Pair, others: dict[str, Checkpoint]) -> AdapterCheckpoint:
    """Open the LoRA parent `role`, on what the pair says, else what its own config names, else the other endpoint, else the base."""
    source = open_source(where)
    if isinstance(source, Hub):
        from mi_explorer.checkpoints.checkpoint import download

        folder, label = Folder(download(source)), source.label
    else:
        folder, label = source, source.label  # type: ignore[assignment]
    labels = {
        r: w
        for r, w in (("instruct", pair.instruct), ("thinking", pair.thinking), ("base", pair.base))
        if w and r in others
    }
    on = under_role(role, pair.adapter_on, labels, source)
    return AdapterCheckpoint(folder, others[on], label)
