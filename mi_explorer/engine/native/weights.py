"""Weights as the forward pass uses them: `FoldedWeights` (one blend, written out) or `RowwiseWeights` (both endpoints, coefficients
per slot).

Both answer `embed(ids)`, `linear(part, x)`, `norm(name)`, and what a layer does most: `normed(part, norm, x)`, a linear after a norm's
weight, and `heads(names, counts)`, the norm weights of q and k, one for each head. Activations are [slots, tokens, features].
`RowwiseWeights` computes y_r = a_r·(x_r Pᵀ) + b_r·(x_r Qᵀ) as one product with K doubled, [a·x, b·x] @ [P | Q]ᵀ: one pass over the
endpoints' weights for all slots, and in bf16 one rounding like a plain linear. Norms, biases and embeddings are blended per slot.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mi_explorer.engine.host_copies import HostCopies
from mi_explorer.engine.native.endpoints import Endpoints, OnRead
from mi_explorer.engine.native.layout import Layout, Part
from mi_explorer.merging.coefficients import Blend
from mi_explorer.merging.combine import combine

Coefficients = tuple[tuple[float, float], ...]  # (a, b) of each tensor of a part


class FoldedWeights:
    """One blend written out: plain weights, one checkpoint of memory; `fold` rewrites only what changed."""

    def __init__(self, layout: Layout, device: torch.device, dtype: torch.dtype, on_read: OnRead | None = None):
        """`on_read` is called while the first blend is read tensor by tensor."""
        self.layout, self._on_read = layout, on_read
        self.weight = {p: torch.empty(sum(p.sizes), p.width, device=device, dtype=dtype) for p in layout.parts()}
        self.bias = {p: torch.empty(sum(p.sizes), device=device, dtype=dtype) for p in layout.parts() if p.biases}
        self.vectors = {n: torch.empty(size, device=device, dtype=dtype) for n, size in layout.vectors().items()}
        for part, bias in self.bias.items():
            self.vectors |= dict(zip(part.biases, part.split(bias)))
        self.key: str | None = None
        self.version = 0  # changes when a recorded step must not be replayed any more
        self._heads: dict[tuple[str, ...], torch.Tensor] = {}
        self._held: dict[
            Part | str, tuple[str, Coefficients]
        ] = {}  # endpoints' key and coefficients of what is written now

    def fold(self, key: str, blend: Blend, endpoints: Endpoints | None, host: HostCopies | None = None) -> None:
        """Hold the blend with this recipe hash. From `endpoints` in memory where they are its own, else tensor by tensor: from
        copies on the `host`, or from the files."""
        if key == self.key:
            return
        self.key = None  # a fold that breaks half-way must not pass for either blend
        self.version += 1
        self._heads.clear()
        coefficients = endpoints.coefficients(blend) if endpoints is not None else None
        if endpoints is None or coefficients is None:
            self._read(blend, host)
        else:
            for part in self.layout.parts():
                mine = tuple(coefficients[endpoints.index[name]] for name in part.names)
                if self._changes(part, endpoints.key, mine):
                    self._fold_part(part, blend, endpoints, mine)
                    self._held[part] = endpoints.key, mine
            for name, out in self.vectors.items():
                ab = coefficients[endpoints.index[name]]
                if self._changes(name, endpoints.key, (ab,)):
                    p, q = endpoints.vectors[name]
                    combine(p, q, *ab, out)
                    self._held[name] = endpoints.key, (ab,)
        self.key = key

    def _read(self, blend: Blend, host: HostCopies | None) -> None:
        targets = dict(self.vectors)
        for part in self.layout.parts():
            targets |= dict(zip(part.names, part.split(self.weight[part])))
        for part in self.layout.parts():
            self._held.pop(part, None)
        for i, (name, out) in enumerate(targets.items(), 1):
            key = str(blend.key(name))
            if self._held.get(name) != (key, ()):  # the same numbers need not be written again
                self._held.pop(name, None)
                self._write(blend, name, out, host)
                self._held[name] = key, ()
            if self._on_read is not None:
                self._on_read(i, len(targets))
        self._on_read = None  # only the first fold reads from the disk what was never read before

    def _write(self, blend: Blend, name: str, out: torch.Tensor, host: HostCopies | None) -> None:
        """From the endpoints, not from the blend as it would be stored: files in half precision would round it once more."""
        ab = blend.coefficients(name)
        if ab is None:
            out.copy_(blend.tensor(name))
            return
        ends = blend.endpoints(name) if host is None else host.pair(blend, name)
        p, q = (end.to(out.device, non_blocking=True) for end in ends)
        combine(p, q, *ab, out)

    def _changes(self, what: Part | str, key: str, coefficients: Coefficients) -> bool:
        """Whether this has to be written; what is about to be written is held by nobody until it is complete."""
        if self._held.get(what) == (key, coefficients):
            return False
        self._held.pop(what, None)
        return True

    def _fold_part(self, part: Part, blend: Blend, endpoints: Endpoints, coefficients: Coefficients) -> None:
        """One fused weight: in one go where its tensors share their coefficients."""
        out, (first, second) = self.weight[part], endpoints.ends[part]
        if part not in endpoints.low_rank and len(set(coefficients)) == 1:
            combine(first, second, *coefficients[0], out)
            return
        ends = zip(part.split(first), part.split(second))
        for name, (a, b), (p, q), target in zip(part.names, coefficients, ends, part.split(out)):
            if part in endpoints.low_rank:
                p, q = (end.to(out.device) for end in blend.endpoints(name))
            combine(p, q, a, b, target)

    def use(self, first: int, last: int) -> None:
        """Every slot runs the one blend."""

    def serves(self, first: int, last: int, version: int) -> bool:
        """Whether a step of this version may be replayed."""
        return self.version == version

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(ids, self.weight[self.layout.embed])

    def linear(self, part: Part, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight[part], self.bias.get(part))

    def norm(self, name: str) -> torch.Tensor:
        return self.vectors[name]

    def normed(self, part: Part, norm: str, x: torch.Tensor) -> torch.Tensor:
        return self.linear(part, x * self.vectors[norm])

    def heads(self, names: tuple[str, ...], counts: tuple[int, ...]) -> torch.Tensor:
        """[heads, dim]"""
        if names not in self._heads:
            self._heads[names] = torch.cat([self.vectors[name].expand(count, -1) for name, count in zip(names, counts)])
        return self._heads[names]


@dataclass(frozen=True)
class SlotWeights:
    """What one recipe writes into its slot: coefficients [tensors, 2] and blended vectors by size [vectors, size].

    `uniform`: whether all tensors of each fused part share their coefficients; `affine`: whether a + b = 1 everywhere.
    """

    ab: torch.Tensor
    vectors: dict[int, torch.Tensor]
    uniform: bool
    affine: bool


@dataclass(frozen=True)
class PartInUse:
    """A part over the slots in use: whether its K is `doubled`, its weights (one, or one for each name) with as many `scales`
    [slots, 1, 2, 1] (or [slots, 1, 1] for equal endpoints, none where they are 1), its bias, and (down, scale, up) of an adapter."""

    doubled: bool
    weights: tuple[torch.Tensor, ...]
    scales: list[torch.Tensor]
    bias: torch.Tensor | None
    low_rank: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None


class RowwiseWeights:
    """A batch in which every slot has its own coefficients: `write` slots, then `use(first, last)`."""

    def __init__(self, endpoints: Endpoints, slots: int):
        self.endpoints, self.layout = endpoints, endpoints.layout
        device, dtype = endpoints.device, endpoints.dtype
        self.ab = torch.zeros(len(endpoints.names), slots, 2, device=device)
        self.names_by_size: dict[int, list[str]] = {}
        for name, size in self.layout.vectors().items():
            self.names_by_size.setdefault(size, []).append(name)
        self.vectors: dict[int, torch.Tensor] = {}  # blended, by size: [vectors, slots, 1, size]
        self._ends: dict[int, torch.Tensor] = {}  # P and Q of the vectors, by size: [vectors, 2, size], fp32
        self._numbers: dict[int, torch.Tensor] = {}  # their places among all tensors
        for size, names in self.names_by_size.items():
            self.vectors[size] = torch.zeros(len(names), slots, 1, size, device=device, dtype=dtype)
            self._ends[size] = torch.stack([endpoints.vectors[name] for name in names]).float()
            self._numbers[size] = torch.tensor([endpoints.index[name] for name in names])
        self._flags = [(True, True)] * slots  # uniform, affine
        self._range: tuple[int, int, int] | None = None
        self.version = 0  # changes when a recorded step must not be replayed any more
        self._parts: dict[Part, PartInUse] = {}
        endpoints.forgetful.add(self)

    def forget(self) -> None:
        """Hold no views of the endpoints' weights until `use` makes them again."""
        self._range = None
        self._parts.clear()

    def prepare(self, blend: Blend) -> SlotWeights | None:
        """What a recipe writes into its slot; None where it is no blend of these endpoints."""
        coefficients = self.endpoints.coefficients(blend)
        if coefficients is None:
            return None
        ab = torch.tensor(coefficients, dtype=torch.float32)
        index, device, dtype = self.endpoints.index, self.endpoints.device, self.endpoints.dtype
        vectors = {
            size: torch.einsum("ka,kas->ks", ab[numbers].to(device), self._ends[size]).to(dtype)
            for size, numbers in self._numbers.items()
        }
        uniform = all(len({coefficients[index[n]] for n in part.names}) == 1 for part in self.layout.parts())
        affine = all(abs(a + b - 1) < 1e-6 for a, b in coefficients)
        return SlotWeights(ab.to(device), vectors, uniform, affine)

    def write(self, slot: int, weights: SlotWeights) -> None:
        """Give the slot this recipe."""
        self.ab[:, slot] = weights.ab
        for size, values in weights.vectors.items():
            self.vectors[size][:, slot, 0] = values
        self._flags[slot] = (weights.uniform, weights.affine)
        self._range = None

    def use(self, first: int, last: int) -> None:
        """The next forward pass runs slots first..last−1; views are made once per range."""
        wanted = first, last, self.endpoints.version
        if self._range == wanted:
            return
        self._range = wanted
        self.version += 1
        if not all(uniform for uniform, _ in self._flags[first:last]):
            self.endpoints.split()
        affine = all(affine for _, affine in self._flags[first:last])
        self._norms = {
            name: self.vectors[size][i, first:last]
            for size, names in self.names_by_size.items()
            for i, name in enumerate(names)
        }
        self._parts = {part: self._part_in_use(part, self.ab[:, first:last], affine) for part in self.layout.parts()}
        self._norm_scales: dict[Part, torch.Tensor] = {}
        self._heads: dict[tuple[str, ...], torch.Tensor] = {}

    def serves(self, first: int, last: int, version: int) -> bool:
        """Whether a step of these slots, recorded at this version, may be replayed."""
        return self.version == version and self._range == (first, last, self.endpoints.version)

    def _part_in_use(self, part: Part, ab: torch.Tensor, affine: bool) -> PartInUse:
        ends = self.endpoints
        scales = [ab[ends.index[name], :, None, :, None] for name in part.names]  # [slots, 1, 2, 1]
        doubled = ends.ends[part][0] is not ends.ends[part][1]
        if not doubled:
            scales = [] if affine else [scale.sum(2) for scale in scales]
        bias = torch.cat([self._norms[name] for name in part.biases], -1) if part.biases else None
        low_rank = None
        if factors := ends.low_rank.get(part):
            share = [
                ab[ends.index[name], :, None, 1 - factors.under, None].expand(-1, 1, rank)
                for name, rank in zip(part.names, factors.ranks)
            ]
            low_rank = factors.down, torch.cat(share, -1), factors.up
        return PartInUse(doubled, ends.weights[part], scales, bias, low_rank)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """[n, c] ids → [n, c, hidden]."""
        used = self._parts[self.layout.embed]
        p, q = self.endpoints.ends[self.layout.embed]
        x = F.embedding(ids, p)
        if used.doubled:
            scale = used.scales[0]
            x = torch.addcmul(x * scale[:, :, 0], F.embedding(ids, q), scale[:, :, 1])
        elif used.scales:
            x = x * used.scales[0]
        return x.to(self.endpoints.dtype)

    def linear(self, part: Part, x: torch.Tensor) -> torch.Tensor:
        used = self._parts[part]
        ys = []
        for i, weight in enumerate(used.weights):
            if used.doubled:
                z = (x.unsqueeze(2) * used.scales[i]).flatten(2)
            else:
                z = x * used.scales[i] if used.scales else x
            ys.append(self.endpoints.multiply(z.to(x.dtype), weight))
        y = ys[0] if len(ys) == 1 else torch.cat(ys, -1)
        if used.low_rank is not None:
            down, scale, up = used.low_rank
            y = y + F.linear((F.linear(x, down) * scale).to(y.dtype), up)
        return y if used.bias is None else y.add_(used.bias)

    def norm(self, name: str) -> torch.Tensor:
        return self._norms[name]

    def normed(self, part: Part, norm: str, x: torch.Tensor) -> torch.Tensor:
        """`linear(part, x · norm)`; the norm's weight and the coefficients are one factor, made once per range."""
        used = self._parts[part]
        if not used.doubled or len(used.weights) > 1 or used.low_rank is not None:
            return self.linear(part, x * self._norms[norm])
        if part not in self._norm_scales:
            self._norm_scales[part] = self._norms[norm].unsqueeze(2) * used.scales[0]  # [slots, 1, 2, K]
        z = (x.unsqueeze(2) * self._norm_scales[part]).flatten(2)
        y = self.endpoints.multiply(z.to(x.dtype), used.weights[0])
        return y if used.bias is None else y.add_(used.bias)

    def heads(self, names: tuple[str, ...], counts: tuple[int, ...]) -> torch.Tensor:
        """[n, 1, heads, dim]"""
        if names not in self._heads:
            rows = [self._norms[name].unsqueeze(2).expand(-1, -1, count, -1) for name, count in zip(names, counts)]
            self._heads[names] = torch.cat(rows, 2)
        return self._heads[names]
