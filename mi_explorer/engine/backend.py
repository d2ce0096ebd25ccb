"""The seam between the engine's loop and its tensors: what a backend and its cache can do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from mi_explorer.engine.fast_paths import PathCheck
from mi_explorer.engine.kv_blocks import BlockTable
from mi_explorer.merging.coefficients import Blend


@dataclass(frozen=True, eq=False)
class BoundRecipe:
    """A blend made ready to run, under the hash of its recipe.

    Recipes of one `rowwise_key` may share a row-wise pass, each with its own coefficients; None: this one can only be folded.
    """

    key: str
    blend: Blend
    rowwise_key: str | None = None


class SlotCache(Protocol):
    """The keys and values of `slots` sequences, in `blocks` of one pool."""

    slots: int
    blocks: BlockTable

    def take(self, slot: int, length: int) -> bool:
        """Let a slot hold positions 0..length−1; False, and nothing changes, where too few blocks are free."""
        ...

    def release(self, slot: int) -> None:
        """Give back what a slot holds."""
        ...

    def fork(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of slot `source` into `target`, which has taken them."""
        ...

    def move(self, source: int, target: int, length: int) -> None:
        """A slot's sequence of `length` positions goes to a free slot."""
        ...

    def swap(self, i: int, j: int, length: int) -> None:
        """Two slots change places; `length`: the most positions that one of them holds."""
        ...


class Backend(Protocol):
    """Forward passes over a contiguous range of slots, folded to one recipe or row-wise with coefficients per slot.

    `context`: positions a slot holds; `rowwise`: whether it has row-wise passes, and `why_folded` if not; `merged`: whether there is
    memory for merged weights beside what row-wise passes need (else a fold takes its place for a while); `can_fork`: whether a
    slot's first positions may be copied into another; `checks`: which fast paths run here, and why; `can_verify`: whether a
    pass may read several tokens after the prompt.
    """

    device: torch.device
    dtype: torch.dtype
    context: int
    vocab: int
    rowwise: bool
    merged: bool
    why_folded: str
    can_fork: bool
    can_verify: bool

    @property
    def checks(self) -> tuple[PathCheck, ...]:
        """The fast paths that were tried on this device."""
        ...

    @property
    def cache(self) -> SlotCache: ...

    def bind(self, key: str, blend: Blend) -> BoundRecipe:
        """Make a blend ready under the hash of its recipe."""
        ...

    def assign(self, slot: int, bound: BoundRecipe) -> None:
        """Give a slot its coefficients."""
        ...

    def fold(self, bound: BoundRecipe) -> None:
        """Write this blend into the resident weights, unless they hold it already."""
        ...

    def run(
        self,
        bound: BoundRecipe,
        mode: str,
        first: int,
        ids: torch.Tensor,
        positions: torch.Tensor,
        width: int,
        pick: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Logits in fp32 of `ids` [n, c] at `positions` [n, c] in slots first…first+n−1; their keys and values are cached.

        `mode`: "folded" (all slots run `bound`) or "rowwise" (each by what was assigned to it). `width`: 1 + the largest position.
        Gives [n, vocabulary] after column `pick[i]` of row i (None: c is 1); `pick=()` gives all columns [n, c, vocabulary].
        """
        ...


class ResidentModel(Protocol):
    """The weights of a pair in memory, ready for any blend of it. Use it under the pair's lock."""

    def teacher_forced_logits(
        self, blends: dict[str, Blend], ids: Sequence[int], first: int, chunk: int
    ) -> Iterator[list[torch.Tensor]]:
        """Logits (fp32) after positions first… of `ids`, [positions, vocabulary] for each blend, at most `chunk` positions at a time."""
        ...
