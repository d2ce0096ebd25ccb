"""The open checkpoints of a pair, matched by tensor name: what every method, distance and export reads from."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from mi_explorer.checkpoints.adapter import AdapterCheckpoint, is_adapter_source, open_adapter
from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.checkpoint_info import read_adapter_info, read_info
from mi_explorer.checkpoints.headers import TensorEntry
from mi_explorer.checkpoints.hub_cache import open_sources
from mi_explorer.checkpoints.model_config import read_config
from mi_explorer.checkpoints.pair_reading import ROLES, MismatchError, read_pair
from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.pairs import Pair, get_pair
from mi_explorer.untyped import ModelConfig

__all__ = ["BLOCK", "ROLES", "MismatchError", "Parents"]

BLOCK = 1 << 20  # elements; scratch of one block stays in cache, and noise is drawn per block


@dataclass(eq=False)
class Parents:
    """Instruct, Thinking and perhaps a base, with one key set: Instruct's (plus an lm_head that only Thinking stores).

    Tensor names are matched over all shards; file names and shard layouts need not agree. Opening goes through the same
    reading as preflight: `MismatchError` for whatever it refuses.
    """

    pair: Pair
    instruct: Checkpoint
    thinking: Checkpoint
    base: Checkpoint | None = None
    caches: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        parts = {role: self.part(role) for role in self.roles}
        infos = {
            role: read_info(part.folder, role, part.label)
            for role, part in parts.items()
            if not isinstance(part, AdapterCheckpoint)
        }
        for role, part in parts.items():
            if isinstance(part, AdapterCheckpoint):
                on = next(r for r, other in parts.items() if other is part.under)
                infos[role] = read_adapter_info(part.folder, role, infos[on])
        self.reading = read_pair(self.pair, infos)
        self.table = self.reading.accepted()
        if self.table.head and self.table.head not in self.instruct.entries and not self.untied:
            self.table = self.table.without_head()  # Thinking stores a copy of its embedding: the same numbers twice
        self.layers = self.table.layers
        self._finite: set[tuple[str, str]] = set()
        stamps = [(role, self.part(role).label, sorted(self.part(role).stamp.items())) for role in self.roles]
        self.id = hashlib.sha256(repr(stamps).encode()).hexdigest()[:12]

    @classmethod
    def open(cls, pair: str | Pair) -> "Parents":
        """Open all checkpoints of a pair; LoRA parents sit on what the pair says (or `adapter_config.json`, or the other endpoint)."""
        pair = get_pair(pair)
        sources = open_sources(pair)
        adapters = {role for role, source in sources.items() if is_adapter_source(source)}
        open_ = {role: Checkpoint.at(source) for role, source in sources.items() if role not in adapters}
        for role in (role for role in sources if role in adapters):
            open_[role] = open_adapter(sources[role], role, pair, open_)
        return cls(pair, open_["instruct"], open_["thinking"], open_.get("base"))

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are open."""
        return ROLES if self.base is not None else ROLES[:2]

    def part(self, role: str) -> Checkpoint:
        """The checkpoint of a role; `MismatchError` for a base that the pair does not name."""
        part: Checkpoint | None = getattr(self, role)
        if part is None:
            raise MismatchError(
                f"This needs the pair's base, and the pair {self.pair.name!r} names none. Add one (--base, or "
                "'instruct|thinking|base')."
            )
        return part

    def names(self) -> tuple[str, ...]:
        """Every tensor name of the blend as it is exported, sorted."""
        return self.table.names

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names that the running model has parameters for, sorted; the others are only kept in an export."""
        return self.table.loaded

    @property
    def head(self) -> str | None:
        """Name of the lm_head where it is a tensor of its own."""
        return self.table.head

    @cached_property
    def config(self) -> ModelConfig:
        """The `transformers` config that a blend runs with: Instruct's, tied only where the blend has no head of its own."""
        config = read_config(self.instruct.config)
        if self.head is not None and self.reading.infos["instruct"].tensors.embedding is not None:
            for part in (config, config.get_text_config(decoder=True)):
                part.tie_word_embeddings = False
        return config

    @cached_property
    def untied(self) -> bool:
        """Whether the head of some parent holds other numbers than its embedding (a stored head may be a mere copy)."""
        if self.head is None:
            return False
        infos = self.reading.infos
        return any(
            not infos[role].tensors.config_tied or (not infos[role].tensors.tied and self._own_head(role))
            for role in ROLES[:2]
        )

    def _own_head(self, role: str) -> bool:
        head, embedding = self.head or "", self.reading.infos[role].tensors.embedding or ""
        part, name = self.part(role), self.table.stored.get((role, head), head)
        n = part.entry(name).numel
        spans = ((start, min(n, start + BLOCK)) for start in range(0, n, BLOCK))
        return any(not torch.equal(part.block(name, *span), part.block(embedding, *span)) for span in spans)

    def stored(self, role: str, name: str) -> str:
        """The name under which a role stores a tensor of the blend."""
        return self.table.stored.get((role, name), name)

    def entry(self, role: str, name: str) -> TensorEntry:
        """Header entry of a tensor."""
        return self.part(role).entry(self.stored(role, name))

    def tensor(self, role: str, name: str) -> torch.Tensor:
        """A whole tensor (a view of the mapped file). `CheckpointError` where a number that is blended is not finite."""
        tensor = self.part(role).tensor(self.stored(role, name))
        if (role, name) not in self._finite:
            self.check_finite(role, name, tensor)
            self._finite.add((role, name))
        return tensor

    def block(self, role: str, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements [start, stop), 1-D, in memory of its own. `CheckpointError` as above."""
        block = self.part(role).block(self.stored(role, name), start, stop)
        self.check_finite(role, name, block)
        return block

    def check_finite(self, role: str, name: str, values: torch.Tensor) -> None:
        """`CheckpointError` if `values` of a blended tensor hold a NaN or an infinity (one pass at memory speed)."""
        if self.blends(name) and not finite(values):
            raise CheckpointError(
                f"{self.part(role).label}: the tensor {name!r} holds numbers that are not finite (NaN or infinity), so every "
                "blend with it would be worthless. Download it again, or use another checkpoint of that training."
            )

    def blends(self, name: str) -> bool:
        """Whether λ moves this tensor (floating point, of the language model); others are kept."""
        return name in self.table.blended

    def follows(self, name: str) -> bool:
        """Whether a tensor that is kept is Thinking's where the blend is Thinking itself."""
        return name in self.table.follows

    def dtype(self, name: str) -> torch.dtype:
        """dtype of the blend: the parents' own, or the wider one where they differ (so that both are represented exactly)."""
        a = self.entry("instruct", name)
        return torch.promote_types(a.dtype, self.entry("thinking", name).dtype) if self.blends(name) else a.dtype

    def blocks(self, name: str, roles: tuple[str, ...]) -> Iterator[tuple[torch.Tensor, ...]]:
        """The tensor piece by piece (`BLOCK` elements), in the dtype of its file, one 1-D tensor per role."""
        n = self.entry("instruct", name).numel
        for start in range(0, n, BLOCK):
            yield tuple(self.block(role, name, start, min(n, start + BLOCK)) for role in roles)

    def check_unchanged(self) -> None:
        """`CheckpointError` if a file of any parent changed since it was opened."""
        for role in self.roles:
            self.part(role).check_unchanged()

    def close(self) -> None:
        """Close the files and forget what was computed from them."""
        for role in self.roles:
            self.part(role).close()
        self.caches.clear()


def finite(values: torch.Tensor) -> bool:
    """Whether every number is finite. The sum of finite numbers nearly always is, and costs one pass; else each is looked at."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())
