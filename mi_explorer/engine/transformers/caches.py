"""Caches by slot for `transformers`' own modules: attention's keys and values, or whatever states a model keeps."""

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from mi_explorer.engine.kv_cache import START_POSITIONS


class ModuleSlotCache(Cache):
    """Keys and values per layer [slots, heads, length, dim] on that layer's device, allocated at its first use.

    `at` says before each forward pass where it writes and how much it sees.
    """

    def __init__(self, slots: int, context: int):
        super().__init__(layers=[])
        self.slots, self.context = slots, context
        self.length = min(START_POSITIONS, context)
        self.layer_kv: dict[int, list[torch.Tensor]] = {}
        self.first, self.width = 0, 0
        self.positions: torch.Tensor | None = None

    def at(self, first: int, positions: torch.Tensor, width: int) -> None:
        """The next forward pass writes slots first… at `positions` [n, c] and sees the first `width` columns."""
        self.first, self.positions, self.width = first, positions, width

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.positions is not None
        n = key_states.shape[0]
        if layer_idx not in self.layer_kv:
            self.layer_kv[layer_idx] = [
                t.new_zeros(self.slots, t.shape[1], self.length, t.shape[3]) for t in (key_states, value_states)
            ]
        where = self.positions.to(key_states.device)
        rows = torch.arange(self.first, self.first + n, device=key_states.device)[:, None]
        views = []
        for held, new in zip(self.layer_kv[layer_idx], (key_states, value_states)):
            held[rows, :, where] = new.transpose(1, 2)
            views.append(held[self.first : self.first + n, :, : self.width])
        return views[0], views[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.width - (self.positions.shape[1] if self.positions is not None else 0)

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        return self.width, 0

    @property
    def is_compileable(self) -> bool:
        return False

    def reserve(self, length: int) -> None:
        """Make room for positions 0..length−1."""
        if length > self.length:
            self.length = min(max(length, 2 * self.length), self.context)
            for kv in self.layer_kv.values():
                for i, old in enumerate(kv):
                    kv[i] = old.new_zeros(*old.shape[:2], self.length, old.shape[3])
                    kv[i][:, :, : old.shape[2]] = old

    def copy(self, source: int, target: int, length: int) -> None:
        """Fork or move: the first `length` positions of `source` into `target`."""
        if source != target:
            for kv in self.layer_kv.values():
                for held in kv:
                    held[target, :, :length] = held[source, :, :length]

    def swap(self, i: int, j: int, length: int) -> None:
        """Exchange two slots."""
        for kv in self.layer_kv.values():
            for held in kv:
                one = held[i, :, :length].clone()
                held[i, :, :length] = held[j, :, :length]
                held[j, :, :length] = one


class CachePerSlot:
    """One cache of the library's own for each slot. It grows by itself, and can be moved but not forked at a position."""

    def __init__(self, slots: int):
        self.slots = slots
        self.held: list[DynamicCache | None] = [None] * slots

    def reserve(self, length: int) -> None:
        """Nothing to do."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Move."""
        self.held[source], self.held[target] = None, self.held[source]

    def swap(self, i: int, j: int, length: int) -> None:
        """Exchange two slots."""
        self.held[i], self.held[j] = self.held[j], self.held[i]
