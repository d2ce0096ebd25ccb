"""The KV cache: blocks of one pool (see `kv_blocks`), and what a forward pass reads and writes of them.

Layout of a store: [heads, positions of the pool, head_dim], one for all layers of the native decoder. The last block of a store
belongs to nobody: padding is written there. A pass sees a strided view where all blocks are at home, and a copy of the blocks of its
slots where they are not. Memory of a CPU's pool is taken from the system only as blocks are written.
"""

import math
import mmap

import torch

from mi_explorer.engine.kv_blocks import BlockTable
from mi_explorer.engine.memory_plan import BLOCK_TOKENS, GATHERED_TOKENS


class BlockCache:
    """The KV of slots over stores of any shape […, heads, positions, dim]; see `SlotCache` for what the engine calls."""

    def __init__(self, slots: int, context: int, blocks: int | None = None, block: int = BLOCK_TOKENS):
        self.slots, self.context = slots, context
        self.blocks = BlockTable(slots, context, block, blocks)
        self.positions = (self.blocks.blocks + 1) * self.blocks.block
        self._homes: dict[torch.device, torch.Tensor] = {}  # where each slot's home begins [slots, 1]
        self._tables: dict[torch.device, tuple[int, torch.Tensor]] = {}

    def stores(self) -> list[torch.Tensor]:
        """Every store that there is."""
        raise NotImplementedError

    # ---- for the engine ----

    def take(self, slot: int, length: int) -> bool:
        """Let a slot hold positions 0…length−1; False where too few blocks are free."""
        return self.blocks.take(slot, length)

    def cover(self, first: int, n: int, width: int) -> None:
        """Let slots first… that hold nothing yet (nobody was admitted to them: step times, tests) hold `width` positions."""
        for slot in range(first, first + n):
            if not self.blocks.taken[slot]:
                self.take(slot, width)

    def release(self, slot: int) -> None:
        """Give back what a slot holds."""
        self.blocks.release(slot)

    def fork(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of `source` into the blocks that `target` has taken."""
        table, block = self.blocks.table, self.blocks.block
        for number in range(self.blocks.blocks_for(length)):
            p, q, n = int(table[source, number]), int(table[target, number]), min(block, length - number * block)
            for store in self.stores():
                store[..., q * block : q * block + n, :] = store[..., p * block : p * block + n, :]

    def move(self, source: int, target: int, length: int) -> None:
        """A slot's sequence of `length` positions goes to a free one."""
        # at home they stay at home: views are quicker than copies of blocks in every step
        if self.blocks.at_home and self.take(target, self.blocks.room(source)):
            self.fork(source, target, length)
            self.release(source)
        else:
            self.blocks.exchange(source, target)

    def swap(self, i: int, j: int, length: int) -> None:
        """Two slots change places; `length`: the most positions that one of them holds."""
        blocks = self.blocks
        if not blocks.at_home:
            blocks.exchange(i, j)
            return
        if i == j:
            return
        rooms, run = (blocks.room(i), blocks.room(j)), blocks.home * blocks.block
        for store in self.stores():
            one, other = (store[..., slot * run : slot * run + min(length, run), :] for slot in (i, j))
            held = one.clone()
            one.copy_(other)
            other.copy_(held)
        for slot in (i, j):
            blocks.release(slot)
        for slot, room in zip((j, i), rooms):
            self.take(slot, room)

    # ---- for a forward pass ----

    def table(self, device: torch.device) -> torch.Tensor:
        """The block table on a device [slots, blocks a slot]."""
        version, table = self._tables.get(device, (-1, torch.empty(0)))
        if version != self.blocks.version:
            table = torch.from_numpy(self.blocks.table.copy()).to(device)
            self._tables[device] = self.blocks.version, table
        return table

    def places(self, first: int, positions: torch.Tensor) -> torch.Tensor:
        """Where in a store the `positions` [n, c] of slots first… are written; where a slot has no block for one, in nobody's."""
        block, device = self.blocks.block, positions.device
        if (
            positions.shape[1] == 1 and self.blocks.at_home
        ):  # a decode step: every slot has its block, and nothing is padded
            if device not in self._homes:
                self._homes[device] = torch.arange(self.slots, device=device)[:, None] * (self.blocks.home * block)
            return self._homes[device][first : first + positions.shape[0]] + positions
        table = self.table(device)[first : first + positions.shape[0]]
        return table.gather(1, positions // block) * block + positions % block

    def seen(self, store: torch.Tensor, first: int, n: int, width: int) -> torch.Tensor:
        """The first `width` positions of slots first…first+n−1 of a store [heads, positions, dim]: [n, heads, width, dim]."""
        heads, _, dim = store.shape
        block = self.blocks.block
        if self.is_view(width):
            run = self.blocks.home * block
            return store[:, first * run : (first + n) * run].view(heads, n, run, dim).transpose(0, 1)[:, :, :width]
        number = self.blocks.blocks_for(width)
        wanted = self.table(store.device)[first : first + n, :number].reshape(-1)
        found = store.view(heads, -1, block, dim).index_select(1, wanted).view(heads, n, number * block, dim)
        return found.transpose(0, 1)[:, :, :width]

    def is_view(self, width: int) -> bool:
        """Whether `seen` gives views of so many positions."""
        return self.blocks.at_home and width <= self.blocks.home * self.blocks.block

    def at_a_time(self, n: int, width: int) -> int:
        """Slots whose keys and values are looked at together: all `n`, or as many as may be copied at a time."""
        return n if self.is_view(width) else max(1, min(n, GATHERED_TOKENS // width))


class KVCache(BlockCache):
    """Of the native decoder: `layers · 2 · kv_heads · head_dim · itemsize` bytes for each position of the pool."""

    def __init__(
        self,
        layers: int,
        kv_heads: int,
        head_dim: int,
        slots: int,
        context: int,
        device: torch.device,
        dtype: torch.dtype,
        blocks: int | None = None,
        block: int = BLOCK_TOKENS,
    ):
        super().__init__(slots, context, blocks, block)
        self.heads, self.dim = kv_heads, head_dim
        self.kv = pool_zeros((layers, 2 * kv_heads, self.positions, head_dim), device, dtype)
        self.layers = list(self.kv.unbind(0))
        self.flat_layers = [layer.view(-1, head_dim) for layer in self.layers]
        self.starts = torch.arange(2 * kv_heads, device=device) * self.positions  # of each head in a flat layer
        self.columns = torch.arange(context, device=device)
        self._homes_seen: tuple[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = (-1, 0), []

    def stores(self) -> list[torch.Tensor]:
        return [self.kv]

    def pages(self, first: int, n: int, width: int) -> torch.Tensor:
        """The blocks of the first `width` positions of slots first… [n, blocks], int32."""
        return self.table(self.kv.device)[first : first + n, : self.blocks.blocks_for(width)].to(torch.int32)

    def keys_values(self, layer: int, first: int, n: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of slots first…, each [n, heads, width, dim]."""
        if self.is_view(width):
            keys, values = self._whole_homes(first, n)[layer]
            return keys[:, :, :width], values[:, :, :width]
        both = self.seen(self.layers[layer], first, n, width)
        return both[:, : self.heads], both[:, self.heads :]

    def _whole_homes(self, first: int, n: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of every layer in all of the homes of slots first…: views that last for as many steps as the same slots run."""
        if self._homes_seen[0] != (first, n):
            run = self.blocks.home * self.blocks.block
            both = [self.seen(layer, first, n, run) for layer in self.layers]
            self._homes_seen = (first, n), [(kv[:, : self.heads], kv[:, self.heads :]) for kv in both]
        return self._homes_seen[1]


def pool_zeros(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Zeros; on a CPU of memory that the system gives page by page when it is first written, which `torch.zeros` would write at once.

    Pages are small ones: numpy's own memory is in pages of 2 MB, and as each layer, head and slot begins elsewhere, the first words of
    29 prompts wrote gigabytes of zeros (5.6 ms a token instead of 1)."""
    if device.type != "cpu":
        return torch.zeros(shape, device=device, dtype=dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = torch.frombuffer(mmap.mmap(-1, max(1, size)), dtype=torch.uint8)
    return memory[:size].view(dtype).view(shape)
