"""The KV cache: one static buffer of slots, a slot per row, each row left-aligned from position 0.

Layout [layers, slots, 2, kv_heads, length, head_dim]: a row is one block per layer (a move is one copy), a step's new keys and
values of a layer are one scatter. The buffer grows in length when a row needs it, up to the agreed context.
"""

import torch


class Slots:
    """`slots` rows of up to `context` positions. Bytes per slot and position: `layers · 2 · kv_heads · head_dim · itemsize`."""

    def __init__(
        self,
        layers: int,
        kv_heads: int,
        head_dim: int,
        slots: int,
        context: int,
        device: torch.device,
        dtype: torch.dtype,
        start: int = 256,
    ):
        self.slots, self.context = slots, context
        self.heads, self.dim = kv_heads, head_dim
        self.length = min(start, context)
        self.kv = torch.zeros(layers, slots, 2, kv_heads, self.length, head_dim, device=device, dtype=dtype)
        self._index()

    def _index(self) -> None:
        device = self.kv.device
        self.flat = [layer.view(-1, self.dim) for layer in self.kv.unbind(0)]
        self.layers = list(self.kv.unbind(0))
        heads = torch.arange(2 * self.heads, device=device)
        self.base = (
            torch.arange(self.slots, device=device)[:, None] * (2 * self.heads) + heads
        ) * self.length  # [slots, 2·heads]
        self.columns = torch.arange(self.length, device=device)

    def reserve(self, length: int) -> None:
        """Make room for positions 0..length−1; at least doubles, so that growing costs a constant per position."""
        if length <= self.length:
            return
        old, kept = self.kv, self.length
        self.length = min(max(length, 2 * kept), self.context)
        self.kv = torch.zeros(*old.shape[:4], self.length, self.dim, device=old.device, dtype=old.dtype)
        self.kv[:, :, :, :, :kept] = old
        self._index()

    def copy(self, source: int, target: int, length: int) -> None:
        """Fork or move: the first `length` positions of `source` into `target`."""
        if length and source != target:
            self.kv[:, target, :, :, :length] = self.kv[:, source, :, :, :length]

    def swap(self, i: int, j: int, length: int) -> None:
        """Exchange two rows."""
        if i != j and length:
            held = self.kv[:, i, :, :, :length].clone()
            self.copy(j, i, length)
            self.kv[:, j, :, :, :length] = held
