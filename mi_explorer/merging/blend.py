"""A recipe bound to the checkpoints of its pair: per tensor a line, its endpoints, and the blended numbers.

`bind` is the door from values to tensors. The engine, the fold and the export ask a `Bound` and know nothing about methods.
"""

from collections.abc import Hashable

import torch

from mi_explorer.checkpoints.adapter import AdapterCheckpoint
from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.parents import BLOCK, Parents
from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.merging.combine import combine
from mi_explorer.merging.methods import check_params, get_method, submodule
from mi_explorer.merging.methods.method import uniform
from mi_explorer.recipe import Recipe

PLANE_BUDGET = 1 << 30  # bytes of computed P and Q kept per pair, so that a λ move does not trim and elect again


class Bound:
    """The `Blend` of one recipe (see `weights/line.py`). Cheap to make: tensors are touched when asked for."""

    def __init__(self, recipe: Recipe, parents: Parents):
        self.recipe, self.parents = recipe, parents
        self.method = get_method(recipe.method)
        self.params = check_params(self.method, recipe.params)
        recipe.scope.check(parents.layers)
        if self.method.blocks:
            submodule.check(self.params, parents.layers)
        self.roles: tuple[str, ...] = ("instruct", "thinking")
        if self.method.needs_base:
            parents.part("base")
            self.roles += ("base",)
        flat = ",".join(f"{k}={v!r}" for k, v in sorted(self.params.items()))
        # Where P is not Instruct, a tensor outside the scope lies in another plane than inside it: the scope is part of the name.
        scope = "" if self.method.plane is None else f"/{recipe.scope.layers}/{'+'.join(recipe.scope.modules)}"
        self.plane = (
            f"{parents.id}/ends" if self.method.plane is None else f"{parents.id}/{self.method.name}({flat}){scope}"
        )

        self._groups: dict[tuple[str, int | None], bool] = {}
        self._same = (
            None
            if self.method.measure or self.method.blocks
            else tuple(map(float, self.method.line(recipe.lam, self.params, {})))
        )

    def names(self) -> tuple[str, ...]:
        return self.parents.names()

    def inside(self, name: str) -> bool:
        """Whether this tensor is blended: in scope, and one that λ moves (see `Parents.blends`)."""
        where = place(name)
        if where not in self._groups:
            self._groups[where] = self.recipe.scope.includes(*where)
        return self._groups[where] and self.parents.blends(name)

    def line(self, name: str) -> tuple[float, float]:
        if not self.inside(name):  # kept: Instruct's, and Thinking's where the blend is Thinking itself
            whole = self._same == (0.0, 1.0) and self.method.plane is None
            return (0.0, 1.0) if whole and self.parents.follows(name) and self._groups[place(name)] else (1.0, 0.0)
        if self._same is not None:  # no tensor has a line of its own
            return self._same  # type: ignore[return-value]
        a, b = self.method.line(self.recipe.lam, self.params, self._stats(name))
        return float(a), float(b)

    def endpoints(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.inside(name) and (self.method.plane is not None or self.line(name) == (1.0, 0.0)):
            p = self.parents.tensor("instruct", name)  # Thinking may not store what is only kept
            return p, p
        if self.method.plane is None:
            return self.parents.tensor("instruct", name), self.parents.tensor("thinking", name)
        cache, key = self.parents.caches, ("plane", self.plane, name)
        if key in cache:
            return cache[key]
        shape = self.parents.entry("instruct", name).shape
        parts = [self.ends_block(name, start, stop) for start, stop in self._spans(name)]
        p, q = (torch.cat([part[i] for part in parts]).view(shape) if parts else torch.empty(shape) for i in (0, 1))
        self._keep(key, p, q)
        return p, q

    def _keep(self, key: tuple[str, str, str], p: torch.Tensor, q: torch.Tensor) -> None:
        """Remember a computed tensor; when the budget is full, the planes of other recipes make room."""
        cache = self.parents.caches
        planes = {k: v for k, v in list(cache.items()) if k[0] == "plane"}
        held = sum(a.nbytes + b.nbytes for a, b in planes.values())
        if held + p.nbytes + q.nbytes > PLANE_BUDGET:
            for k in [k for k in planes if k[1] != self.plane]:
                cache.pop(k, None)
            held = sum(a.nbytes + b.nbytes for k, (a, b) in planes.items() if k[1] == self.plane)
        if held + p.nbytes + q.nbytes <= PLANE_BUDGET:
            cache[key] = (p, q)

    def ends_block(self, name: str, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """P and Q of elements [start, stop) (one block: start is a multiple of `BLOCK`), 1-D."""
        read = [self.parents.block(role, name, start, stop) for role in self.roles]
        if self.method.plane is None or not self.inside(name):
            return read[0], read[1] if self.method.plane is None else read[0]
        seed = int(self.params.get("seed", 0))

        def noise(purpose: str) -> torch.Tensor:
            return uniform(seed, name, purpose, start // BLOCK, stop - start)

        return self.method.plane(tuple(_wide(t) for t in read), noise, self.params, self._stats(name))

    def block(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Blended elements [start, stop) (one block), 1-D, in the blend's dtype: what the export streams."""
        out = torch.empty(stop - start, dtype=self.parents.dtype(name))
        a, b = self.line(name)
        if (a, b) == (1.0, 0.0) and (self.method.plane is None or not self.inside(name)):
            return out.copy_(self.parents.block("instruct", name, start, stop))
        if (a, b) == (0.0, 1.0) and self.method.plane is None:
            return out.copy_(self.parents.block("thinking", name, start, stop))
        return combine(*self.ends_block(name, start, stop), a, b, out)

    def tensor(self, name: str) -> torch.Tensor:
        a, b = self.line(name)
        p, q = self.endpoints(name)
        dtype = self.parents.dtype(name)
        for end, here in ((p, (1.0, 0.0)), (q, (0.0, 1.0))):
            if (a, b) == here and end.dtype == dtype:
                return end
        return combine(p, q, a, b, torch.empty(p.shape, dtype=dtype))

    def key(self, name: str) -> Hashable:
        """Blends of one pair whose keys agree hold the same numbers in this tensor."""
        a, b = self.line(name)
        ends = self.method.plane is None or not self.inside(name)
        if ends and (a, b) in ((1.0, 0.0), (0.0, 1.0)):
            return self.parents.id, "instruct" if a else "thinking"
        return self.plane, a, b

    def factors(self, name: str) -> tuple[torch.Tensor, torch.Tensor, float] | None:
        """(A, B, s) with Q = P + s·B·A where Thinking is a LoRA adapter on Instruct (or s < 0 the other way round: P = Q + |s|·B·A)."""
        if self.method.plane is not None:
            return None
        for end, under, sign in (
            (self.parents.thinking, self.parents.instruct, 1.0),
            (self.parents.instruct, self.parents.thinking, -1.0),
        ):
            if isinstance(end, AdapterCheckpoint) and end.under is under and (found := end.factors(name)):
                return found[0], found[1], sign * found[2]
        return None

    def _spans(self, name: str) -> list[tuple[int, int]]:
        n = self.parents.entry("instruct", name).numel
        return [(start, min(n, start + BLOCK)) for start in range(0, n, BLOCK)]

    def _stats(self, name: str) -> dict[str, float]:
        if self.method.blocks:
            return {"share": submodule.share(self.params, *place(name))}
        if self.method.measure is None:
            return {}
        cache, key = self.parents.caches, ("stats", self.method.name, tuple(sorted(self.params.items())), name)
        if key not in cache:
            cache[key] = self.method.measure(
                lambda: (tuple(map(_wide, parts)) for parts in self.parents.blocks(name, self.roles)), self.params
            )
        return cache[key]


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def bind(recipe: Recipe, parents: "Parents | tuple[Checkpoint, ...]") -> Bound:
    """Bind a recipe to open parents: a `Parents`, or (instruct, thinking[, base]) checkpoints.

    Raises `RecipeError` (unknown method or parameter, layers that do not exist) or `MismatchError` (no base where one is needed).
    """
    if not isinstance(parents, Parents):
        from mi_explorer.pairs import get_pair

        pair = get_pair("|".join(c.label for c in parents))
        parents = Parents(pair, parents[0], parents[1], parents[2] if len(parents) > 2 else None)
    return Bound(recipe, parents)
