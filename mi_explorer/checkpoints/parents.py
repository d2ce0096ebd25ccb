"""The open checkpoints of a pair, matched by tensor name: what every method, distance and export reads from."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from mi_explorer.checkpoints.adapter import is_adapter, open_adapter
from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.headers import BLENDABLE
from mi_explorer.checkpoints.tensor_names import layer_count
from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair, get_pair

BLOCK = 1 << 20  # elements; scratch of one block stays in cache, and noise is drawn per block
ROLES = ("instruct", "thinking", "base")


class MismatchError(UserError):
    """Parents that cannot be blended tensor by tensor."""


@dataclass(eq=False)
class Parents:
    """Instruct, Thinking and perhaps a base, with one key set: Instruct's (plus an explicit lm_head when untied on request).

    Tensor names are matched over all shards; file names and shard layouts need not agree.
    """

    pair: Pair
    instruct: Checkpoint
    thinking: Checkpoint
    base: Checkpoint | None = None
    caches: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._alias: dict[tuple[str, str], str] = {}
        names = set(self.instruct.entries)
        head, embedding = self.instruct.head or self.thinking.head, self.instruct.embedding
        self.head = head
        tied = {role: self.part(role).head is None for role in self.roles}
        if head and (tied["instruct"] != tied["thinking"]):
            really = {
                role: self.part(role).config.get("tie_word_embeddings", tied[role]) or tied[role] for role in ROLES[:2]
            }
            if really["instruct"] and really["thinking"]:
                pass  # one file also stores the tied head, the same numbers twice: Instruct's key set decides
            elif self.pair.untie:
                names.add(head)
            else:
                a, b = ("Instruct", "Thinking") if tied["instruct"] else ("Thinking", "Instruct")
                raise MismatchError(
                    f"{a} ties its lm_head to the embedding, {b} stores its own. Blending would change what is tied. "
                    "Say that the result shall be untied (--untie) or use parents of one kind."
                )
        for role in self.roles:
            part = self.part(role)
            for name in sorted(names - set(part.entries)):
                if name == head and part.embedding:
                    self._alias[role, name] = part.embedding
                else:
                    raise MismatchError(
                        f"{part.label} has no tensor {name!r}, which {self.instruct.label} has: they are not of one "
                        "architecture. Choose parents that were fine-tuned from one base."
                    )
            extra = sorted(set(part.entries) - names - {head})
            if extra:
                raise MismatchError(
                    f"{part.label} has a tensor {extra[0]!r} that {self.instruct.label} lacks: they are not of one "
                    "architecture. Choose parents that were fine-tuned from one base."
                )
        for role in self.roles[1:]:
            for name in sorted(names):
                a, b = self.entry("instruct", name), self.entry(role, name)
                if a.shape != b.shape:
                    why = (
                        " The vocabularies differ in size; resize one parent's embedding first."
                        if embedding == name or head == name
                        else ""
                    )
                    raise MismatchError(
                        f"Tensor {name!r} is {list(a.shape)} in {self.instruct.label} and {list(b.shape)} in "
                        f"{self.part(role).label}; they cannot be blended.{why}"
                    )
                if (a.code in BLENDABLE) != (b.code in BLENDABLE) or a.code.startswith("F8"):
                    raise MismatchError(
                        f"Tensor {name!r} is stored as {a.code} in {self.instruct.label} and {b.code} in "
                        f"{self.part(role).label}. Quantised weights cannot be blended; use the bf16 release."
                    )
        self._names = tuple(sorted(names))
        self._floating = frozenset(n for n in names if self.entry("instruct", n).code in BLENDABLE)
        self.layers = layer_count(self._names)
        stamps = [(role, self.part(role).label, sorted(self.part(role).stamp.items())) for role in self.roles]
        self.id = hashlib.sha256(repr(stamps).encode()).hexdigest()[:12]

    @classmethod
    def open(cls, pair: str | Pair) -> "Parents":
        """Open all checkpoints of a pair; LoRA parents sit on what the pair says (or `adapter_config.json`, or the other endpoint)."""
        pair = get_pair(pair)
        where = {"instruct": pair.instruct, "thinking": pair.thinking, "base": pair.base}
        open_: dict[str, Checkpoint] = {r: Checkpoint.open(w) for r, w in where.items() if w and not is_adapter(w)}
        for role, w in where.items():
            if w and role not in open_:
                open_[role] = open_adapter(w, role, pair, open_)
        return cls(pair, open_["instruct"], open_["thinking"], open_.get("base"))

    @property
    def roles(self) -> tuple[str, ...]:
        return ROLES if self.base is not None else ROLES[:2]

    def part(self, role: str) -> Checkpoint:
        part = getattr(self, role)
        if part is None:
            raise MismatchError(
                f"This needs the pair's base, and the pair {self.pair.name!r} names none. Add one (--base, or "
                "'instruct|thinking|base')."
            )
        return part

    def names(self) -> tuple[str, ...]:
        """Every tensor name of the blend, sorted."""
        return self._names

    def entry(self, role: str, name: str):
        return self.part(role).entry(self._alias.get((role, name), name))

    def tensor(self, role: str, name: str) -> torch.Tensor:
        return self.part(role).tensor(self._alias.get((role, name), name))

    def block(self, role: str, name: str, start: int, stop: int) -> torch.Tensor:
        return self.part(role).block(self._alias.get((role, name), name), start, stop)

    def blends(self, name: str) -> bool:
        """Whether this tensor holds numbers that can be blended (floating point); others stay Instruct's."""
        return name in self._floating

    def dtype(self, name: str) -> torch.dtype:
        """dtype of the blend: the parents' own, or the wider one where they differ (so that both are represented exactly)."""
        a, b = self.entry("instruct", name), self.entry("thinking", name)
        return torch.promote_types(a.dtype, b.dtype) if self.blends(name) else a.dtype

    def blocks(self, name: str, roles: tuple[str, ...]) -> Iterator[tuple[torch.Tensor, ...]]:
        """The tensor piece by piece (`BLOCK` elements), in the dtype of its file, one 1-D tensor per role."""
        n = self.entry("instruct", name).numel
        for start in range(0, n, BLOCK):
            yield tuple(self.block(role, name, start, min(n, start + BLOCK)) for role in roles)

    def check_unchanged(self) -> None:
        for role in self.roles:
            self.part(role).check_unchanged()

    def close(self) -> None:
        for role in self.roles:
            self.part(role).close()
        self.caches.clear()
