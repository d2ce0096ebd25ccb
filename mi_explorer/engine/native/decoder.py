"""The forward pass of a pre-norm RoPE decoder over blended weights and the KV cache, exact against `transformers`.

Why our own: on a model of a million parameters a step through `transformers`' modules is mostly Python; here a layer is about
twenty tensor operations, and the same code runs folded and row-wise (see `weights`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

import torch
import torch.nn.functional as F

from mi_explorer.engine.kv_cache import KVCache
from mi_explorer.engine.native.layout import Experts, Layout
from mi_explorer.engine.native.paged_attention import paged_attention
from mi_explorer.engine.native.weights import FoldedWeights, RowwiseWeights

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}
Weights = Union[FoldedWeights, RowwiseWeights]


@dataclass(frozen=True)
class Reading:
    """What a pass does in the cache: it writes at `places` [n, c] of a store and sees `width` positions, through a `mask`
    [n, 1, c or c·group, width], or (one query a row) in blocks: `pages` [n, blocks] and `used` [n] positions, both int32."""

    places: torch.Tensor
    width: int
    mask: torch.Tensor | None = None
    pages: torch.Tensor | None = None
    used: torch.Tensor | None = None


class Decoder:
    """Forward passes over slots. It holds no weights, only the rotary tables ([positions, 1, head_dim], in the model's dtype)."""

    def __init__(self, layout: Layout, context: int, device: torch.device, dtype: torch.dtype):
        self.layout, self.dtype = layout, dtype
        angles = torch.arange(context, dtype=torch.float32)[:, None] * layout.inv_freq
        cos, sin = angles.cos() * layout.rope_scale, angles.sin() * layout.rope_scale
        self.cos = torch.cat((cos, cos), 1)[:, None].to(device, dtype)
        self.sin = torch.cat((-sin, sin), 1)[:, None].to(device, dtype)  # the sign of rotate_half sits in the table
        self.paged = (
            False  # one query a row reads the blocks themselves: set by who has seen that it is right and quick here
        )
        self.act = ACTIVATIONS[layout.act]
        self.scale = layout.head_dim**-0.5
        self._eps = torch.tensor(layout.eps, device=device)
        self._fused = device.type != "cpu" or dtype != torch.float32

    def forward(
        self, weights: Weights, cache: KVCache, first: int, ids: torch.Tensor, positions: torch.Tensor, width: int
    ) -> torch.Tensor:
        """Hidden states [n, c, hidden] (final norm applied) of `ids` [n, c] at `positions` [n, c] in slots first..first+n−1.

        Their keys and values are written into the cache. `width` is 1 + the largest position; a query sees the columns up to
        its own position. Padding on the right is harmless: what it writes lies beyond the row and is overwritten later.
        """
        return self.layers(weights, cache, first, ids, positions, self._reading(cache, first, positions, width))

    def _reading(self, cache: KVCache, first: int, positions: torch.Tensor, width: int) -> "Reading":
        n, c = positions.shape
        places = cache.places(first, positions)
        if self.paged and c == 1:
            used = (positions[:, 0] + 1).to(torch.int32)
            return Reading(places, width, pages=cache.pages(first, n, width), used=used)
        seen = cache.columns[:width] <= positions[:, :, None]  # [n, c, width]
        mask = torch.zeros(n, 1, c, width, dtype=self.dtype, device=positions.device).masked_fill_(
            ~seen[:, None], float("-inf")
        )
        group = self.layout.heads // self.layout.kv_heads
        return Reading(places, width, mask=mask.repeat(1, 1, group, 1) if c > 1 and group > 1 else mask)

    def layers(
        self,
        weights: Weights,
        cache: KVCache,
        first: int,
        ids: torch.Tensor,
        positions: torch.Tensor,
        reading: "Reading",
    ) -> torch.Tensor:
        """`forward`, told where to write and what to see."""
        n, c = ids.shape
        hq, hk, d = self.layout.heads, self.layout.kv_heads, self.layout.head_dim
        group, width, mask = hq // hk, reading.width, reading.mask
        write = reading.places[:, :, None] + cache.starts  # [n, c, 2·hk] rows of the flat cache
        cos, sin = self.cos[positions], self.sin[positions]  # [n, c, 1, d]
        heads = hq + hk
        x = weights.embed(ids)
        for i, layer in enumerate(self.layout.layers):
            qkv = weights.normed(layer.qkv, layer.norm1, self._unit(x)).view(n, c, heads + hk, d)
            qk = qkv[:, :, :heads]
            if layer.qk_norm:
                torch.mul(self._unit(qk), weights.heads(layer.qk_norm, (hq, hk)), out=qk)
            turned = qk.roll(d // 2, -1)
            qk.mul_(cos).addcmul_(turned, sin)
            cache.flat_layers[i][write] = qkv[:, :, hq:]
            if mask is None:
                assert reading.pages is not None and reading.used is not None
                y = paged_attention(qkv[:, 0, :hq], cache, i, reading.pages, reading.used, width, self.scale)
                y = y.reshape(n, 1, hq * d)
            elif c == 1:
                q = qkv[:, 0, :hq].view(n, hk, group, d)  # grouped heads are queries of one kv head: no repeated keys
                y = self._attend(q, cache, i, first, width, mask).reshape(n, 1, hq * d)
            else:
                q = qkv[:, :, :hq].view(n, c, hk, group, d).permute(0, 2, 3, 1, 4).reshape(n, hk, group * c, d)
                y = self._attend(q, cache, i, first, width, mask)
                y = y.view(n, hk, group, c, d).permute(0, 3, 1, 2, 4).reshape(n, c, hq * d)
            x = x + weights.linear(layer.out, y)
            if layer.experts is not None:
                x = x + self._sparse(weights, layer.experts, self._unit(x) * weights.norm(layer.norm2))
                continue
            assert layer.gate_up is not None and layer.down is not None
            gate, up = weights.normed(layer.gate_up, layer.norm2, self._unit(x)).chunk(2, -1)
            x = x + weights.linear(layer.down, self.act(gate).mul_(up))
        return self._unit(x) * weights.norm(self.layout.norm)

    def _sparse(self, weights: Weights, experts: Experts, x: torch.Tensor) -> torch.Tensor:
        """The experts' sum for each token of x [n, c, hidden]. Which experts run is read from the device: one copy a layer."""
        flat = x.flatten(0, 1)
        share, chosen = weights.linear(experts.router, flat).softmax(-1, dtype=torch.float32).topk(experts.chosen, -1)
        if experts.normalised:
            share = share / share.sum(-1, keepdim=True)
        share, total = share.to(x.dtype), torch.zeros_like(flat)
        for number in chosen.unique().tolist():
            token, place = torch.where(chosen == number)
            gate, up = weights.linear(experts.gate_up[number], flat[token]).chunk(2, -1)
            y = weights.linear(experts.down[number], self.act(gate) * up) * share[token, place, None]
            total.index_add_(0, token, y)
        return total.view_as(x)

    def _attend(
        self, q: torch.Tensor, cache: KVCache, layer: int, first: int, width: int, mask: torch.Tensor
    ) -> torch.Tensor:
        """Attention of queries [n, kv_heads, …, dim] over the first `width` positions of slots first…, of as many slots at a time
        as the cache says."""
        n, outputs = q.shape[0], []
        step = cache.at_a_time(n, width)
        for at in range(0, n, step):
            rows = slice(at, min(at + step, n))
            keys, values = cache.keys_values(layer, first + at, rows.stop - at, width)
            outputs.append(
                F.scaled_dot_product_attention(q[rows], keys, values, attn_mask=mask[rows], scale=self.scale)
            )
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _unit(self, x: torch.Tensor) -> torch.Tensor:
        """x over its root mean square along the last dimension: `F.rms_norm`, in half the operations where torch has no kernel for it."""
        if self._fused:
            return F.rms_norm(x, x.shape[-1:], None, self.layout.eps)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.addcmul(self._eps, norm, norm, value=1 / x.shape[-1]).rsqrt_()

    def logits(self, weights: Weights, hidden: torch.Tensor) -> torch.Tensor:
        """[n, c, hidden] → [n, c, vocabulary], in the model's dtype."""
        return weights.linear(self.layout.head, hidden)
