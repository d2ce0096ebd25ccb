"""Weights as the forward pass uses them: `Fold` (one blend, written out) or `Rows` (both endpoints, coefficients per row).

Both answer `embed(ids)`, `linear(part, x)`, `norm(name)`, and what a layer does most: `normed(part, norm, x)`, a linear after a norm's
weight, and `heads(names, counts)`, the norm weights of q and k, one for each head. Activations are [rows, tokens, features]. `Rows` computes
y_r = a_r·(x_r Pᵀ) + b_r·(x_r Qᵀ) as one product with K doubled, [a·x, b·x] @ [P | Q]ᵀ: one pass over the endpoints' weights
for all rows, and in bf16 one rounding like a plain linear. Norms, biases and embeddings are blended per row.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mi_explorer.engine.native.endpoints import Count, Plane
from mi_explorer.engine.native.layout import Layout, Part
from mi_explorer.merging.coefficients import Blend
from mi_explorer.merging.combine import combine


class Fold:
    """One blend written out: plain weights, at most one checkpoint of memory; `to` rewrites only what changed."""

    def __init__(self, layout: Layout, device: torch.device, dtype: torch.dtype, count: Count | None = None):
        self.layout, self._count = layout, count
        self.weight = {p: torch.empty(sum(p.sizes), p.width, device=device, dtype=dtype) for p in layout.parts()}
        self.bias = {
            p: torch.empty(sum(p.sizes), device=device, dtype=dtype) if p.biases else None for p in layout.parts()
        }
        sizes = layout.vectors()
        self.vec = {n: torch.empty(size, device=device, dtype=dtype) for n, size in sizes.items()}
        for part, bias in self.bias.items():
            if bias is not None:
                self.vec |= dict(zip(part.biases, bias.split(part.sizes)))
        self.key: str | None = None
        self._heads: dict[tuple[str, ...], torch.Tensor] = {}
        self._now: dict[object, tuple] = {}

    def to(self, key: str, blend: Blend, plane: Plane | None) -> None:
        """Hold the blend with this recipe hash. From the endpoints of `plane` where there is one, else tensor by tensor."""
        if key == self.key:
            return
        self.key = None  # a fold that breaks half-way must not pass for either blend
        self._heads.clear()
        lines = plane.lines(blend) if plane is not None else None
        if plane is None or lines is None:
            targets = self._targets()
            for i, (name, out) in enumerate(targets.items(), 1):
                out.copy_(blend.tensor(name))
                if self._count is not None:
                    self._count(i, len(targets))
            self._count = None  # only the first fold reads from the disk what was never read before
            self._now.clear()
        else:
            for part in self.layout.parts():
                mine = tuple(lines[plane.index[n]] for n in part.names)
                if self._now.get(part) != (plane.key, mine):
                    self._now.pop(part, None)
                    self._fold(part, blend, plane, mine)
                    self._now[part] = plane.key, mine
            for name, out in self.vec.items():
                state = (plane.key, lines[plane.index[name]])
                if self._now.get(name) != state:
                    self._now.pop(name, None)
                    combine(plane.vec[name][0], plane.vec[name][1], *state[1], out)
                    self._now[name] = state
        self.key = key

    def _fold(self, part: Part, blend: Blend, plane: Plane, lines: tuple[tuple[float, float], ...]) -> None:
        """One fused weight: in one go where its tensors share their coefficients."""
        out, (first, second) = self.weight[part], plane.ends[part]
        if part in plane.low:
            for name, line, target in zip(part.names, lines, out.split(part.sizes)):
                p, q = blend.endpoints(name)
                combine(p.to(out.device), q.to(out.device), *line, target)
        elif len(set(lines)) == 1:
            combine(first, second, *lines[0], out)
        else:
            for p, q, line, target in zip(
                first.split(part.sizes), second.split(part.sizes), lines, out.split(part.sizes)
            ):
                combine(p, q, *line, target)

    def _targets(self) -> dict[str, torch.Tensor]:
        targets = dict(self.vec)
        for part in self.layout.parts():
            targets |= dict(zip(part.names, self.weight[part].split(part.sizes)))
        return targets

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(ids, self.weight[self.layout.embed])

    def linear(self, part: Part, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight[part], self.bias[part])

    def norm(self, name: str) -> torch.Tensor:
        return self.vec[name]

    def normed(self, part: Part, norm: str, x: torch.Tensor) -> torch.Tensor:
        return self.linear(part, x * self.vec[norm])

    def heads(self, names: tuple[str, ...], counts: tuple[int, ...]) -> torch.Tensor:
        """[heads, dim]"""
        if names not in self._heads:
            self._heads[names] = torch.cat([self.vec[name].expand(count, -1) for name, count in zip(names, counts)])
        return self._heads[names]


@dataclass(frozen=True)
class RowWeights:
    """What one recipe writes into its row: coefficients [tensors, 2] and blended vectors by size [vectors, size]."""

    ab: torch.Tensor
    vec: dict[int, torch.Tensor]
    uniform: bool
    """Whether all tensors of each fused part share their coefficients."""
    affine: bool
    """Whether a + b = 1 everywhere."""


class Rows:
    """A batch in which every row has its own coefficients. Rows are slots: `write`, `move`, then `use(first, last)`."""

    def __init__(self, plane: Plane, slots: int):
        self.plane, self.layout = plane, plane.layout
        lay, dev = plane.layout, plane.device
        self.ab = torch.zeros(len(plane.names), slots, 2, device=dev)
        groups: dict[int, list[str]] = {}
        for name, size in lay.vectors().items():
            groups.setdefault(size, []).append(name)
        self.groups = {size: tuple(names) for size, names in groups.items()}
        self.vec = {
            size: torch.zeros(len(names), slots, 1, size, device=dev, dtype=plane.dtype)
            for size, names in groups.items()
        }
        self._stack = {size: torch.stack([plane.vec[n] for n in names]).float() for size, names in groups.items()}
        self._rows = {size: torch.tensor([plane.index[n] for n in names]) for size, names in groups.items()}
        self.flags = [(True, True)] * slots
        self._range: tuple[int, int] | None = None

    def prepare(self, blend: Blend) -> RowWeights | None:
        """The row of a recipe, once per recipe; None where it has no line."""
        lines = self.plane.lines(blend)
        if lines is None:
            return None
        ab = torch.tensor(lines, dtype=torch.float32)
        index = self.plane.index
        uniform = all(len({lines[index[n]] for n in p.names}) == 1 for p in self.layout.parts())
        dev = self.plane.device
        vec = {
            size: torch.einsum("ka,kas->ks", ab[rows].to(dev), self._stack[size]).to(self.plane.dtype)
            for size, rows in self._rows.items()
        }
        return RowWeights(ab.to(dev), vec, uniform, all(abs(a + b - 1) < 1e-6 for a, b in lines))

    def write(self, slot: int, row: RowWeights) -> None:
        """Give the slot this recipe."""
        self.ab[:, slot] = row.ab
        for size, values in row.vec.items():
            self.vec[size][:, slot, 0] = values
        self.flags[slot] = (row.uniform, row.affine)
        self._range = None

    def use(self, first: int, last: int) -> None:
        """The next forward pass runs slots first..last−1; views are made once per range."""
        if self._range == (first, last):
            return
        self._range = (first, last)
        index, lay, ab = self.plane.index, self.layout, self.ab
        uniform = all(u for u, _ in self.flags[first:last])
        affine = all(f for _, f in self.flags[first:last])
        self._norm = {n: self.vec[s][i, first:last] for s, names in self.groups.items() for i, n in enumerate(names)}
        self._linear: dict[Part, tuple] = {}
        self._factor: dict[Part, torch.Tensor] = {}
        self._heads: dict[tuple[str, ...], torch.Tensor] = {}
        if not uniform:
            self.plane.split()
        for part in lay.parts():
            coefs = [ab[index[n], first:last, None, :, None] for n in part.names]  # [n, 1, 2, 1]
            weights = self.plane.weights[part]
            double = self.plane.ends[part][0] is not self.plane.ends[part][1]
            if not double:
                coefs = [] if affine else [c.sum(2) for c in coefs]
            bias = torch.cat([self._norm[n] for n in part.biases], -1) if part.biases else None
            low = None
            if factors := self.plane.low.get(part):
                share = [
                    ab[index[n], first:last, None, 1 - factors.under, None].expand(-1, 1, r)
                    for n, r in zip(part.names, factors.ranks)
                ]
                low = factors.down, torch.cat(share, -1), factors.up
            self._linear[part] = (double, weights, coefs, bias, low)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """[n, c] ids → [n, c, hidden]."""
        part = self.layout.embed
        double, _, coefs, _, _ = self._linear[part]
        p, q = self.plane.ends[part]
        x = F.embedding(ids, p)
        if double:
            x = torch.addcmul(x * coefs[0][:, :, 0], F.embedding(ids, q), coefs[0][:, :, 1])
        elif coefs:
            x = x * coefs[0]
        return x.to(self.plane.dtype)

    def linear(self, part: Part, x: torch.Tensor) -> torch.Tensor:
        double, weights, coefs, bias, low = self._linear[part]
        ys = []
        for i, weight in enumerate(weights):
            if double:
                z = (x.unsqueeze(2) * coefs[i]).flatten(2)
            else:
                z = x * coefs[i] if coefs else x
            ys.append(self.plane.multiply(z if z.dtype == x.dtype else z.to(x.dtype), weight))
        y = ys[0] if len(ys) == 1 else torch.cat(ys, -1)
        if low is not None:
            y = y + F.linear((F.linear(x, low[0]) * low[1]).to(y.dtype), low[2])
        return y if bias is None else y.add_(bias)

    def norm(self, name: str) -> torch.Tensor:
        return self._norm[name]

    def normed(self, part: Part, norm: str, x: torch.Tensor) -> torch.Tensor:
        """`linear(part, x · norm)`; the norm's weight and the coefficients are one factor, made once per range."""
        double, weights, coefs, bias, low = self._linear[part]
        if not double or len(weights) > 1 or low is not None:
            return self.linear(part, x * self._norm[norm])
        if part not in self._factor:
            self._factor[part] = self._norm[norm].unsqueeze(2) * coefs[0]  # [n, 1, 2, K]
        z = (x.unsqueeze(2) * self._factor[part]).flatten(2)
        y = self.plane.multiply(z if z.dtype == x.dtype else z.to(x.dtype), weights[0])
        return y if bias is None else y.add_(bias)

    def heads(self, names: tuple[str, ...], counts: tuple[int, ...]) -> torch.Tensor:
        """[n, 1, heads, dim]"""
        if names not in self._heads:
            self._heads[names] = torch.cat(
                [self._norm[name].unsqueeze(2).expand(-1, -1, count, -1) for name, count in zip(names, counts)], 2
            )
        return self._heads[names]
