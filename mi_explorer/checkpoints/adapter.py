"""A PEFT LoRA adapter as a parent: base checkpoint + scaled low-rank deltas, read from the files that `peft` writes.

W = W₀ + s·B·A with s = α/r (α/√r for rank-stabilised LoRA), computed in fp32 and not rounded, so that a blend is rounded once.
Where the initialisation took its first product out of the base (PiSSA 2404.02948, OLoRA 2406.01775), so does this:
W = W₀ + s·(B·A − B₀·A₀). Fully saved modules (`modules_to_save`, trained biases) replace the tensor. The numbers are those of
`PeftModel.from_pretrained`; what cannot be the same is refused by name (see `adapter_settings`).
"""

import os
import threading
from pathlib import Path

import torch

from mi_explorer.checkpoints.adapter_layout import match_adapter
from mi_explorer.checkpoints.adapter_settings import CONFIG, WEIGHTS, read_settings
from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.headers import TensorEntry, read_header
from mi_explorer.checkpoints.hub_cache import local_folder
from mi_explorer.checkpoints.source import CheckpointError, CheckpointSource, Folder
from mi_explorer.pairs import Pair
from mi_explorer.untyped import JsonObject


class AdapterCheckpoint(Checkpoint):
    """A full checkpoint (`under`) seen through an adapter: other numbers where the adapter speaks."""

    def __init__(self, folder: Folder, under: Checkpoint, label: str | None = None):
        self.under, self.folder, self.label = under, folder, label or folder.label
        self.settings = read_settings(folder)
        self.own, raw = read_factor_header(folder, self.label)
        self.layout = match_adapter(self.own, under.entries, under.config, self.settings, under.label)
        self.entries, self.raw_headers = self.layout.entries, {}
        self._maps, self._files, self._lock = {}, {}, threading.Lock()
        self._initial: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._initial_lock = threading.Lock()
        self.stamp = {WEIGHTS: self._stat(WEIGHTS)}
        self.own_headers = {WEIGHTS: raw}

    def touched(self) -> tuple[str, ...]:
        """Tensors that the adapter changes, sorted."""
        return tuple(sorted({*self.layout.factors, *self.layout.replaced}))

    def factors(self, name: str) -> tuple[torch.Tensor, torch.Tensor, float] | None:
        """(A [r, in], B [out, r], s) with W = W₀ + s·B·A for a linear weight; None where the adapter has no plain factors."""
        found = self.layout.factors.get(name)
        if found is None or found.transposed or name in self.layout.replaced or name == self.layout.own_head:
            return None
        return *self.effective(name), found.scale

    def effective(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(A, B) against the base as its file holds it: a reduced base's initial factors stand beside the trained ones."""
        found = self.layout.factors[name]
        a, b = self.stored(found.a), self.stored(found.b)
        if not found.reduced:
            return a, b
        initial_a, initial_b = self._initial_factors(name)
        return torch.cat([a.float(), initial_a / found.scale]), torch.cat([b.float(), -initial_b], dim=1)

    @property
    def config(self) -> JsonObject:
        return self.layout.config(self.under.config)

    def tensor(self, name: str) -> torch.Tensor:
        entry = self.entry(name)
        if name not in self.layout.factors and name not in self.layout.replaced and name != self.layout.own_head:
            return self.under.tensor(name)
        return self.block(name, 0, entry.numel).view(entry.shape)

    def block(self, name: str, start: int, stop: int) -> torch.Tensor:
        entry = self.entry(name)
        stop = max(start, min(stop, entry.numel))
        if name in self.layout.replaced:  # with an embedding's factors `peft` also saves the embedding under them
            below = self.stored(self.layout.replaced[name]).reshape(-1)[start:stop].clone()
        else:
            below = self.below(name, start, stop)
        if name not in self.layout.factors or start == stop:
            return below
        a, b = self.effective(name)
        found = self.layout.factors[name]
        left, right = (a.T, b.T) if found.transposed else (b, a)
        width = entry.shape[1]
        first, last = start // width, -(-stop // width)
        delta = (left[first:last].float() @ right.float()).mul_(found.scale).reshape(-1)
        return below.float().add_(delta[start - first * width : stop - first * width])

    def below(self, name: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Elements [start, stop) of the checkpoint under the adapter, 1-D; a head of the adapter's own starts as the embedding."""
        source = self.layout.tied_to if name == self.layout.own_head else name
        return self.under.block(source or name, start, self.entry(name).numel if stop is None else stop)

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

    def _initial_factors(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(A₀, B₀) of rank r, fp32: B₀·A₀ is what the initialisation took out of W₀, its scale included.

        PiSSA: the part of W₀ along its r largest singular directions. OLoRA: s times the part along the first r columns of Q in
        W₀ = Q·R. Both are projections of W₀, so that signs and the split into factors do not matter.
        """
        with self._initial_lock:
            if name not in self._initial:
                found = self.layout.factors[name]
                rank = self.own[found.a].shape[0]
                weight = self.under.tensor(name).double()
                if found.transposed:
                    weight = weight.T
                if self.settings.initialisation == "olora":
                    q = torch.linalg.qr(weight[:, :rank])[0]
                    a, b = q.T @ weight, found.scale * q
                else:
                    u, s, v = torch.linalg.svd(weight.float(), full_matrices=False)  # fp32, as peft has it
                    a, b = s[:rank, None] * v[:rank], u[:, :rank]
                self._initial[name] = a.float().contiguous(), b.float().contiguous()
            return self._initial[name]


def is_adapter_source(source: CheckpointSource) -> bool:
    """Whether a source holds a LoRA adapter instead of a full checkpoint."""
    return CONFIG in source.files()


def read_factor_header(source: CheckpointSource, label: str) -> tuple[dict[str, TensorEntry], bytes]:
    """(tensors by key, raw header) of an adapter's weight file."""
    files = source.files()
    if WEIGHTS not in files:
        pickled = "adapter_model.bin" in files
        hint = " It has adapter_model.bin, which is not loaded here for safety; save it again as safetensors."
        raise CheckpointError(f"{label}: {WEIGHTS} is missing.{hint if pickled else ''}")
    return read_header(source, WEIGHTS, files[WEIGHTS])


def under_role(role: str, adapter_on: str, full: dict[str, str], source: CheckpointSource) -> str:
    """On which full checkpoint (role → path or id) the adapter `role` sits.

    What the pair says counts first, then the adapter's own config, the other end, the base.
    """
    on = adapter_on
    if on == "auto":
        named = read_settings(source).named_base
        same = [r for r, where in full.items() if same_checkpoint(named, where)]
        other = {"instruct": "thinking", "thinking": "instruct", "base": "instruct"}[role]
        on = same[0] if same else other if other in full else "base"
    if on == role or on not in full:
        raise CheckpointError(
            f"{source.label}: a LoRA adapter needs a full checkpoint under it; the pair's {on} is none. Give one as the other "
            "endpoint or as the base, and say which with --adapter-on."
        )
    return on


def same_checkpoint(named: str, where: str) -> bool:
    """Whether what an adapter's config calls its base is the checkpoint `where`: one id, one folder, or a folder with the id's name."""
    if not named or named == where:
        return bool(named)
    a, b = Path(named), Path(where)
    if os.path.exists(a) and os.path.exists(b):
        return a.resolve() == b.resolve()
    cached = "models--" + named.replace("/", "--")
    return os.path.isdir(b) and (cached in b.resolve().parts or named.count("/") == 1 and b.resolve().name == a.name)


def open_adapter(source: CheckpointSource, role: str, pair: Pair, others: dict[str, Checkpoint]) -> AdapterCheckpoint:
    """Open the LoRA parent `role`, on what the pair says, else what its own config names, else the other endpoint, else the base."""
    named = {"instruct": pair.instruct, "thinking": pair.thinking, "base": pair.base}
    full = {r: w for r, w in named.items() if w and r in others}
    folder = local_folder(source)
    return AdapterCheckpoint(folder, others[under_role(role, pair.adapter_on, full, folder)], source.label)
