"""A PEFT LoRA adapter as a parent: base checkpoint + scaled low-rank deltas, read from the files that `peft` writes.

W = W₀ + s·B·A with s = α/r (α/√r for rank-stabilised LoRA), computed in fp32 and not rounded, so that a blend is rounded once.
Where the initialisation took its first product out of the base (PiSSA 2404.02948, OLoRA 2406.01775), so does this:
W = W₀ + s·(B·A − B₀·A₀). Fully saved modules (`modules_to_save`, trained biases) replace the tensor. The numbers are those of
`PeftModel.from_pretrained`; what cannot be the same is refused by name (see `adapter_settings`).
"""

import os
import re
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mi_explorer.checkpoints.adapter_settings import CONFIG, WEIGHTS, AdapterSettings, read_settings
from mi_explorer.checkpoints.checkpoint import Checkpoint, download
from mi_explorer.checkpoints.headers import BLENDABLE, TensorEntry, read_header
from mi_explorer.checkpoints.source import CheckpointError, CheckpointSource, Folder, Hub, open_source
from mi_explorer.checkpoints.tensor_names import classify
from mi_explorer.pairs import Pair

FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")
# Layers of these models are stored as [in, out] (transformers' Conv1D), the transpose of a linear layer.
CONV1D_MODELS = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp")
CONV1D_LAYERS = ("c_attn", "c_proj", "c_fc", "q_attn")


class Factors(NamedTuple):
    """The low-rank part of one tensor: keys of A [r, in] and B [out, r] in the adapter file, and how they act on the base."""

    a: str
    b: str
    scale: float
    transposed: bool  # the tensor is stored as [in, out]
    reduced: bool  # the base lost the product of the initial factors


@dataclass(frozen=True)
class AdapterLayout:
    """What an adapter does to the checkpoint under it, told from headers alone."""

    factors: dict[str, Factors]  # by tensor
    replaced: dict[str, str]  # tensor → key in the adapter file
    entries: dict[
        str, TensorEntry
    ]  # of the adapted model: one more than below where training gave a tied model a head of its own
    own_head: str | None = None  # that head's name
    tied_to: str | None = None  # the embedding that it starts from

    def config(self, under: dict[str, Any]) -> dict[str, Any]:
        """config.json of the adapted model."""
        if self.own_head is None:
            return under
        text = under.get("text_config")
        nested = {"text_config": {**text, "tie_word_embeddings": False}} if isinstance(text, dict) else {}
        return {**under, **nested, "tie_word_embeddings": False}


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
    def config(self) -> dict[str, Any]:
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


def is_adapter(where: str | Path) -> bool:
    """Whether a folder or hub id holds a LoRA adapter instead of a full checkpoint."""
    return CONFIG in open_source(where).files()


def read_factor_header(source: CheckpointSource, label: str) -> tuple[dict[str, TensorEntry], bytes]:
    """(tensors by key, raw header) of an adapter's weight file."""
    files = source.files()
    if WEIGHTS not in files:
        pickled = "adapter_model.bin" in files
        hint = " It has adapter_model.bin, which is not loaded here for safety; save it again as safetensors."
        raise CheckpointError(f"{label}: {WEIGHTS} is missing.{hint if pickled else ''}")
    return read_header(source, WEIGHTS, files[WEIGHTS])


def match_adapter(
    own: dict[str, TensorEntry],
    entries: dict[str, TensorEntry],
    config: dict[str, Any],
    settings: AdapterSettings,
    under: str,
) -> AdapterLayout:
    """Match every tensor of an adapter (`own`) with one of the checkpoint under it (`entries`, `config`, called `under`).

    Raises `CheckpointError` for whatever `peft` would not load, or would load to another effect.
    """
    return _Matcher(own, entries, config, settings, under).layout()


class _Matcher:
    """One pass over an adapter's header."""

    def __init__(
        self,
        own: dict[str, TensorEntry],
        entries: dict[str, TensorEntry],
        config: dict[str, Any],
        settings: AdapterSettings,
        under: str,
    ) -> None:
        self.own, self.entries, self.config, self.settings, self.under = own, dict(entries), config, settings, under
        self.head, self.tied_to = self._tied()
        if self.head and self.tied_to:
            self.entries[self.head] = replace(entries[self.tied_to], name=self.head)

    def _tied(self) -> tuple[str | None, str | None]:
        """(the head's name, the embedding that serves as head) where the checkpoint under the adapter stores no head."""
        if any(classify(n)[0] == "lm_head" and n.endswith("weight") for n in self.entries):
            return None, None
        found = sorted(n for n in self.entries if classify(n)[:2] == ("embedding", None) and n.endswith("weight"))
        named = [n for n in found if re.search("tok|wte|word", n)] or found
        return ("lm_head.weight", named[0]) if named else (None, None)

    def layout(self) -> AdapterLayout:
        sides: dict[str, dict[str, str]] = {}
        wrapped: dict[str, str] = {}  # tensors under a module with factors
        plain: dict[str, str] = {}
        for key in self.own:
            inner = key.removeprefix("base_model.model.")
            if match := FACTOR.match(inner):
                side = match["side"] + ("e" if match["embedding"] else "")
                sides.setdefault(match["module"], {})[side] = key
            elif ".base_layer." in inner:
                wrapped[inner.replace(".base_layer.", ".")] = key
            else:
                plain[inner] = key
        for name, key in {**plain, **wrapped}.items():
            has_factors = name.rpartition(".")[0] in sides
            if name not in self.entries or has_factors != (name in wrapped):
                raise self._wrong(
                    f"the adapter holds {key!r}, which is not a LoRA factor or a tensor of {self.under}. "
                    "Only plain LoRA (and fully saved modules) can be blended; merge the adapter first."
                )
            if self.own[key].shape != self.entries[name].shape or self.own[key].code not in BLENDABLE:
                raise self._wrong(
                    f"{key!r} is {self._about(key)}, the tensor under it {list(self.entries[name].shape)} of numbers."
                )
        replaced = plain | wrapped
        factors = {}
        for module, keys in sides.items():
            factors[f"{module}.weight"] = self._factors(module, keys, f"{module}.weight" in replaced)
        return self._with_head(factors, replaced, wrapped)

    def _factors(self, module: str, keys: dict[str, str], base_saved: bool) -> Factors:
        target = f"{module}.weight"
        embedding = "Ae" in keys
        a, b = keys.get("Ae" if embedding else "A"), keys.get("Be" if embedding else "B")
        if target not in self.entries or a is None or b is None or len(keys) != 2:
            raise self._wrong(
                f"the adapter changes {target!r}, which {self.under} does not have as one tensor. "
                "Is the adapter meant for another model?"
            )
        if embedding != (classify(target)[0] == "embedding"):
            raise self._wrong(f"the factors of {target!r} are of another kind than the tensor. Save the adapter again.")
        if not self.settings.targets(module) and not (
            target == self.head and self.settings.raw.get("ensure_weight_tying")
        ):
            raise self._wrong(
                f"the file holds factors of {module!r}, which {CONFIG} does not target, so that peft leaves them out. "
                "Correct one of them."
            )
        conv1d = self.config.get("model_type") in CONV1D_MODELS and module.rpartition(".")[2] in CONV1D_LAYERS
        transposed, rank = embedding or conv1d, self.settings.rank_of(module)
        shape = self.entries[target].shape
        height, width = (shape[::-1] if transposed else shape) if len(shape) == 2 else (-1, -1)
        if (self.own[a].shape, self.own[b].shape) != ((rank, width), (height, rank)):
            raise self._wrong(
                f"the factors of {target!r} have shapes {self._about(a)}, {self._about(b)}; the tensor is {list(shape)}, "
                f"the rank in {CONFIG} {rank}."
            )
        if any(self.own[key].code not in BLENDABLE for key in (a, b)):
            raise self._wrong(f"the factors of {target!r} are stored as {self.own[a].code}. Save them as bf16 or fp32.")
        reduced = self.settings.reduces_base and not embedding and not base_saved
        if reduced and (rank > min(height, width) or target == self.head or conv1d and self._is_olora()):
            raise self._wrong(
                f"{target!r} with init_lora_weights {self.settings.initialisation!r} takes a product out of the base that "
                "cannot be made again. Merge the adapter first."
            )
        return Factors(a, b, self.settings.scale_of(module), transposed, reduced)

    def _is_olora(self) -> bool:
        return self.settings.initialisation == "olora"

    def _with_head(
        self, factors: dict[str, Factors], replaced: dict[str, str], wrapped: dict[str, str]
    ) -> AdapterLayout:
        """A tied model whose embedding or head was trained has two different ones from then on, as in `peft`.

        `peft` changes a module, not the tensor that two modules share. Only what it loads into the shared tensor itself (the
        base under factors, an embedding that is not among `modules_to_save`) changes both.
        """
        if self.head is None or self.tied_to is None:
            return AdapterLayout(factors, replaced, self.entries)
        ends = (self.head, self.tied_to)
        own = {n for n in ends if n in replaced and n not in wrapped and self.settings.saves(n.removesuffix(".weight"))}
        shared = [replaced[n] for n in ends if n in replaced and n not in own]
        for name in set(ends) - own if shared else ():
            replaced = {**replaced, name: shared[-1]}
        if any(n in own or n in factors for n in ends):
            return AdapterLayout(factors, replaced, self.entries, self.head, self.tied_to)
        del self.entries[self.head]  # neither was trained by itself: still tied
        return AdapterLayout(factors, {n: k for n, k in replaced.items() if n != self.head}, self.entries)

    def _about(self, key: str) -> str:
        return f"{list(self.own[key].shape)}"

    def _wrong(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.settings.label}: {what}")


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


def open_adapter(where: str, role: str, pair: Pair, others: dict[str, Checkpoint]) -> AdapterCheckpoint:
    """Open the LoRA parent `role`, on what the pair says, else what its own config names, else the other endpoint, else the base."""
    source = open_source(where)
    folder = Folder(download(source)) if isinstance(source, Hub) else source
    assert isinstance(folder, Folder)
    named = {"instruct": pair.instruct, "thinking": pair.thinking, "base": pair.base}
    full = {r: w for r, w in named.items() if w and r in others}
    return AdapterCheckpoint(folder, others[under_role(role, pair.adapter_on, full, source)], source.label)
