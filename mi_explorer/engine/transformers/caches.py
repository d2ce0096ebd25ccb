"""Caches by slot for `transformers`' own modules: attention's keys and values, or whatever states a model keeps."""

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from mi_explorer.engine.kv_blocks import BlockTable
from mi_explorer.engine.kv_cache import BlockCache, pool_zeros
from mi_explorer.engine.memory_plan import BLOCK_TOKENS


class ModuleSlotCache(BlockCache, Cache):
    """Keys and values per layer, each a store [heads, positions, dim] on that layer's device, allocated at its first use.

    `at` says before each forward pass where it writes and how much it sees.
    """

    def __init__(self, slots: int, context: int, blocks: int | None = None, block: int = BLOCK_TOKENS):
        Cache.__init__(self, layers=[])
        BlockCache.__init__(self, slots, context, blocks, block)
        self.layer_kv: dict[int, list[torch.Tensor]] = {}
        self.first, self.width = 0, 0
        self.where: torch.Tensor | None = None

    def stores(self) -> list[torch.Tensor]:
        return [store for kv in self.layer_kv.values() for store in kv]

    def at(self, first: int, positions: torch.Tensor, width: int) -> None:
        """The next forward pass writes slots first… at `positions` [n, c] and sees the first `width` columns."""
        self.first, self.where, self.width = first, positions, width
        self._places = self.places(first, positions)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        n = key_states.shape[0]
        if layer_idx not in self.layer_kv:
            self.layer_kv[layer_idx] = [
                pool_zeros((t.shape[1], self.positions, t.shape[3]), t.device, t.dtype)
                for t in (key_states, value_states)
            ]
        places = self._places.to(key_states.device)
        seen = []
        for store, new in zip(self.layer_kv[layer_idx], (key_states, value_states)):
            store[:, places] = new.transpose(0, 1)
            seen.append(self.seen(store, self.first, n, self.width))
        return seen[0], seen[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.width - (self.where.shape[1] if self.where is not None else 0)

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        return self.width, 0

    @property
    def is_compileable(self) -> bool:
        return False


class CachePerSlot:
    """One cache of the library's own for each slot. It grows by itself, and can be moved but not forked at a position; the blocks of
    the pool are only counted."""

    def __init__(self, slots: int, context: int, blocks: int | None = None, block: int = BLOCK_TOKENS):
        self.slots = slots
        self.blocks = BlockTable(slots, context, block, blocks)
        self.held: list[DynamicCache | None] = [None] * slots

    def take(self, slot: int, length: int) -> bool:
        """Let a slot hold positions 0…length−1; False where too few blocks are free."""
        return self.blocks.take(slot, length)

    def release(self, slot: int) -> None:
        """Give back what a slot holds."""
        self.blocks.release(slot)
        self.held[slot] = None

    def fork(self, source: int, target: int, length: int) -> None:
        """Never called: the backend says that it cannot fork."""
        raise NotImplementedError

    def move(self, source: int, target: int, length: int) -> None:
        """A slot's sequence goes to a free one."""
        self.swap(source, target, length)

    def swap(self, i: int, j: int, length: int) -> None:
        """Two slots change places."""
        self.held[i], self.held[j] = self.held[j], self.held[i]
        self.blocks.exchange(i, j)
