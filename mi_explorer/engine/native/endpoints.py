"""P and Q of every tensor in memory: what row-wise λ multiplies by, and what folds are made from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

import torch
import torch.nn.functional as F

from mi_explorer.engine.native.layout import Layout, Part
from mi_explorer.engine.native.packed import pack_weight, packed_linear
from mi_explorer.merging.coefficients import Blend

OnRead = Callable[[int, int], None]  # how many tensors have been read, of how many


class Forgetful(Protocol):
    """Whoever holds views of the endpoints' weights."""

    def forget(self) -> None:
        """Let go of them."""
        ...


class Endpoints:
    """P and Q of every tensor on the device. Memory: two checkpoints, tensors that are equal in both only once; if packed, twice that.

    `ends[part]` is (P, Q), each [out, K]; one and the same tensor where they are bit-equal. `weights[part]` is what activations are
    multiplied by: one [out, 2K] (P left, Q right; [out, K] where equal), or one for each name after `split`. `vectors[name]` is [2, size].
    Where one endpoint is a LoRA adapter on the other, `ends[part]` is the full endpoint twice, and `low_rank[part]` keeps the factors.
    """

    def __init__(
        self,
        layout: Layout,
        blend: Blend,
        device: torch.device,
        dtype: torch.dtype,
        packed: bool = False,
        on_read: OnRead | None = None,
    ):
        """Reads every tensor of the blend; `on_read` is called after each part. `packed`: see `packed.py`."""
        self.layout, self.key, self.device, self.dtype, self.packed = layout, blend.endpoints_key, device, dtype, packed
        self.names = layout.names()
        self.index = {name: i for i, name in enumerate(self.names)}
        self.ends: dict[Part, tuple[torch.Tensor, torch.Tensor]] = {}
        self.weights: dict[Part, tuple[torch.Tensor, ...]] = {}
        self.low_rank: dict[Part, LowRankPart] = {}
        self.version = 0  # changes with the weights
        self._blend = blend
        self.forgetful: WeakSet[Forgetful] = WeakSet()  # who holds views of the weights
        self.vectors = {name: torch.stack(self._pair(blend, name)) for name in layout.vectors()}
        self.restore(on_read)

    def multiply(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """x Wᵀ for a weight of `weights`."""
        return packed_linear(x, weight) if self.packed else F.linear(x, weight)

    def pack(self) -> None:
        """Hold packed weights from now on; before the first use."""
        self.packed = True
        for part, (p, q) in self.ends.items():
            one = p.contiguous()
            self._hold(part, one, one if q is p else q.contiguous())
        self.version += 1

    @property
    def resident(self) -> bool:
        """Whether the weights are on the device."""
        return bool(self.ends)

    def drop(self) -> None:
        """Give the device's memory to others; `restore` reads the weights again. The vectors stay."""
        for held in (self.ends, self.weights, self.low_rank):
            held.clear()
        for user in self.forgetful:
            user.forget()
        self.version += 1

    def restore(self, on_read: OnRead | None = None) -> None:
        """Have the weights on the device."""
        if self.ends:
            return
        blend, device, dtype = self._blend, self.device, self.dtype
        read, total = 0, len(self.names)
        for part in self.layout.parts():
            if on_read is not None:
                on_read(read, total)
            read += len(part.names)
            if factors := self._factors(blend, part):
                self.low_rank[part] = factors
                full = torch.cat([blend.endpoints(n)[factors.under].to(device, dtype) for n in part.names])
                self._hold(part, full, full)
            else:
                pairs = [self._pair(blend, name) for name in part.names]
                # copies: a checkpoint that is overwritten must not reach in here
                p, q = (torch.cat(side) for side in zip(*pairs))
                self._hold(part, p, p if torch.equal(p, q) else q)
        if on_read is not None:
            on_read(total, total)

    def _hold(self, part: Part, p: torch.Tensor, q: torch.Tensor) -> None:
        """Packed, the ends stay apart: contiguous ones are folded at memory speed. Else they are views of their product's weight."""
        both = p if q is p else torch.cat((p, q), 1)
        if self.packed:
            self.ends[part] = p, q
            self.weights[part] = (pack_weight(both),) if part in self.layout.products() else ()
        else:
            self.ends[part] = (both, both) if q is p else (both[:, : part.width], both[:, part.width :])
            self.weights[part] = (both,)

    def split(self) -> None:
        """From now on one weight for each name: recipes come whose tensors of one part have different coefficients (SLERP)."""
        for part, held in self.weights.items():
            if len(held) == 1 and len(part.names) > 1:
                ends = [part.split(end) for end in dict.fromkeys(self.ends[part])]
                parts = [torch.cat(sides, 1) for sides in zip(*ends)] if self.packed else part.split(held[0])
                self.weights[part] = tuple(pack_weight(weight) for weight in parts) if self.packed else tuple(parts)

    def _pair(self, blend: Blend, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        p, q = blend.endpoints(name)
        return p.to(self.device, self.dtype), q.to(self.device, self.dtype)

    def _factors(self, blend: Blend, part: Part) -> "LowRankPart | None":
        """The part's factors, if every tensor of it is either low-rank or untouched by the adapter."""
        found = [blend.factors(name) for name in part.names]
        if not any(found):
            return None
        sides = {s > 0 for _, _, s in filter(None, found)}
        if len(sides) > 1 or not all(f or torch.equal(*blend.endpoints(n)) for n, f in zip(part.names, found)):
            return None
        ranks = tuple(f[0].shape[0] if f else 0 for f in found)
        down = torch.cat([f[0].float() for f in found if f]).to(self.device, self.dtype)
        up = torch.zeros(sum(part.sizes), sum(ranks))
        for rows, columns, f in zip(_spans(part.sizes), _spans(ranks), found):
            if f:
                up[rows, columns] = f[1].float() * abs(f[2])
        return LowRankPart(down, up.to(self.device, self.dtype), ranks, 0 if sides == {True} else 1)

    def coefficients(self, blend: Blend) -> list[tuple[float, float]] | None:
        """(a, b) per tensor in the order of `names`; None if this blend has other endpoints, or a tensor no coefficients."""
        if blend.endpoints_key != self.key:
            return None
        found = [blend.coefficients(name) for name in self.names]
        known = [pair for pair in found if pair is not None]
        return known if len(known) == len(found) else None

    def bytes(self) -> int:
        """Memory held."""
        ends = {part: sum(end.nbytes for end in dict.fromkeys(pair)) for part, pair in self.ends.items()}
        copies = [ends[part] for part in self.layout.products() if self.packed]
        factors = [t for f in self.low_rank.values() for t in (f.down, f.up)]
        return sum(ends.values()) + sum(copies) + sum(t.nbytes for t in (*self.vectors.values(), *factors))


@dataclass(frozen=True, eq=False)
class LowRankPart:
    """An adapter on a fused part: other = W + `up` [out, R] · `down` [R, K], scale included.

    `ranks` per tensor; `under`: W is P (0) or Q (1).
    """

    down: torch.Tensor
    up: torch.Tensor
    ranks: tuple[int, ...]
    under: int


def _spans(sizes: tuple[int, ...]) -> list[slice]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [slice(end - size, end) for end, size in zip(ends, sizes)]
