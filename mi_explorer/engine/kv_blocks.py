"""Blocks of KV cache: which block of the pool holds which positions of which slot. Host side only; no tensors of a device.

A slot takes blocks as its sequence grows and gives them back when it ends. Every slot has a home in the pool, a run of blocks of its
own: as long as all blocks lie at home, the keys of neighbouring slots are one strided view, and nothing has to be gathered. A slot
that outgrows its home, or finds others in it, takes any free block.
"""

import numpy as np


class BlockTable:
    """`slots` sequences of up to `context` positions over `blocks` blocks of `block` positions.

    `table` [slots, blocks a slot]: the block of each run of positions; `blocks` (one past the last) where there is none: what is
    written there belongs to nobody. `free`: blocks left; `version` changes with the table.
    """

    def __init__(self, slots: int, context: int, block: int, blocks: int | None = None):
        self.slots, self.context, self.block = slots, context, min(block, context)
        self.per_slot = self.blocks_for(context)
        self.blocks = slots * self.per_slot if blocks is None else min(blocks, slots * self.per_slot)
        self.home = self.blocks // slots
        self.table = np.full((slots, self.per_slot), self.blocks, dtype=np.int64)
        self.taken = [0] * slots
        self.free = self.blocks
        self.version = 0
        self._is_free = np.ones(self.blocks, dtype=bool)
        self._astray = 0  # blocks that are not at home

    def blocks_for(self, length: int) -> int:
        """Blocks that hold so many positions."""
        return -(-length // self.block)

    @property
    def at_home(self) -> bool:
        """Whether every block lies in its slot's home, at its place there."""
        return self._astray == 0

    def room(self, slot: int) -> int:
        """Positions that a slot's blocks hold."""
        return self.taken[slot] * self.block

    def take(self, slot: int, length: int) -> bool:
        """Let a slot hold positions 0…length−1; False, and nothing is taken, where too few blocks are free."""
        wanted = self.blocks_for(min(length, self.context)) - self.taken[slot]
        if wanted > self.free:
            return False
        for _ in range(wanted):
            number = self.taken[slot]
            place = slot * self.home + number
            if number >= self.home or not self._is_free[place]:
                place = int(np.flatnonzero(self._is_free)[-1])  # the homes of the last slots are the emptiest
                self._astray += 1
            self._is_free[place] = False
            self.table[slot, number] = place
            self.taken[slot] += 1
            self.free -= 1
            self.version += 1
        return True

    def release(self, slot: int) -> None:
        """Give back every block of a slot."""
        n = self.taken[slot]
        if n:
            self._astray -= self._strays(slot)
            self._is_free[self.table[slot, :n]] = True
            self.table[slot, :n] = self.blocks
            self.taken[slot] = 0
            self.free += n
            self.version += 1

    def exchange(self, i: int, j: int) -> None:
        """Two slots change places; what their blocks hold stays where it is."""
        if i != j and (self.taken[i] or self.taken[j]):
            self._astray -= self._strays(i) + self._strays(j)
            self.table[[i, j]] = self.table[[j, i]]
            self.taken[i], self.taken[j] = self.taken[j], self.taken[i]
            self._astray += self._strays(i) + self._strays(j)
            self.version += 1

    def _strays(self, slot: int) -> int:
        n = self.taken[slot]
        places = slot * self.home + np.arange(n)
        return int(((self.table[slot, :n] != places) | (np.arange(n) >= self.home)).sum())
