"""The KV cache: one static buffer of slots, each left-aligned from position 0.

Layout [layers, slots, 2, kv_heads, length, head_dim]: a slot is one block per layer (a move is one copy), a step's new keys and
values of a layer are one scatter. The buffer grows in length when a sequence needs it, up to the agreed context.
"""

import torch

START_POSITIONS = 256  # positions that are allocated at first


class KVCache:
    """`slots` sequences of up to `context` positions; `layers · 2 · kv_heads · head_dim · itemsize` bytes for each of them."""

    def __init__(
        self,
        layers: int,
        kv_heads: int,
        head_dim: int,
        slots: int,
        context: int,
        device: torch.device,
        dtype: torch.dtype,
        start: int = START_POSITIONS,
    ):
        self.slots, self.context = slots, context
        self.heads, self.dim = kv_heads, head_dim
        self.length = min(start, context)
        self.kv = torch.zeros(layers, slots, 2, kv_heads, self.length, head_dim, device=device, dtype=dtype)
        self._make_views()

    def _make_views(self) -> None:
        """What a forward pass indexes: per layer the buffer and its flat form [slots · 2 · heads · length, dim], and where each
        slot's heads begin in the latter [slots, 2 · heads]."""
        device = self.kv.device
        self.layers = list(self.kv.unbind(0))
        self.flat_layers = [layer.view(-1, self.dim) for layer in self.layers]
        blocks = torch.arange(self.slots * 2 * self.heads, device=device).view(self.slots, -1)
        self.starts = blocks * self.length
        self.columns = torch.arange(self.length, device=device)

    def reserve(self, length: int) -> None:
        """Make room for positions 0..length−1; at least doubles, so that growing costs a constant per position."""
        if length <= self.length:
            return
        old, kept = self.kv, self.length
        self.length = min(max(length, 2 * kept), self.context)
        self.kv = torch.zeros(*old.shape[:4], self.length, self.dim, device=old.device, dtype=old.dtype)
        self.kv[:, :, :, :, :kept] = old
        self._make_views()

    def copy(self, source: int, target: int, length: int) -> None:
        """Fork or move: the first `length` positions of `source` into `target`."""
        if length and source != target:
            self.kv[:, target, :, :, :length] = self.kv[:, source, :, :, :length]

    def swap(self, i: int, j: int, length: int) -> None:
        """Exchange the first `length` positions of two slots."""
        if i != j and length:
            held = self.kv[:, i, :, :, :length].clone()
            self.copy(j, i, length)
            self.kv[:, j, :, :, :length] = held
