"""A recipe bound to the checkpoints of its pair: per tensor its endpoints, its coefficients, and the blended numbers.

`bind` is the door from values to tensors. The engine, `MergedWeights` and the export ask a `PairBlend` and know nothing of methods.
"""

from collections.abc import Hashable

import torch

from mi_explorer.checkpoints.adapter import AdapterCheckpoint
from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.parents import BLOCK, Parents
from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.merging.coefficients import INSTRUCT, THINKING
from mi_explorer.merging.combine import combine, wide
from mi_explorer.merging.methods import check_params, get_method, submodule
from mi_explorer.merging.methods.method import Endpoints, uniform
from mi_explorer.recipe import Recipe

ENDPOINT_CACHE_BYTES = 1 << 30  # computed P and Q kept per pair, so that a λ move does not trim and elect again


class PairBlend:
    """The `Blend` of one recipe (see `merging/coefficients.py`). Cheap to make: tensors are touched when asked for."""

    def __init__(self, recipe: Recipe, parents: Parents):
        self.recipe, self.parents = recipe, parents
        self.method = get_method(recipe.method)
        self.params = check_params(self.method, recipe.params)
        recipe.scope.check(parents.layers)
        if self.method.blocks:
            submodule.check_blocks(self.params, parents.layers)
        self.roles: tuple[str, ...] = ("instruct", "thinking")
        if self.method.needs_base:
            parents.part("base")
            self.roles += ("base",)
        self.between_parents = self.method.endpoints is None  # P and Q are the parents themselves
        if self.between_parents:
            self.endpoints_key = f"{parents.id}/ends"
        else:  # P is not Instruct, so that a tensor has other endpoints outside of the scope than inside
            params = ",".join(f"{k}={v!r}" for k, v in sorted(self.params.items()))
            scope = f"{recipe.scope.layers}/{'+'.join(recipe.scope.modules)}"
            self.endpoints_key = f"{parents.id}/{self.method.name}({params})/{scope}"
        self._in_scope: dict[tuple[str, int | None], bool] = {}  # (module, layer) → whether it is
        self._same: tuple[float, float] | None = None  # the coefficients, where no tensor has its own
        if not self.method.measure and not self.method.blocks:
            a, b = self.method.coefficients(recipe.lam, self.params, {})
            self._same = float(a), float(b)

    def names(self) -> tuple[str, ...]:
        """Every tensor name of the checkpoint, sorted."""
        return self.parents.names()

    def inside(self, name: str) -> bool:
        """Whether this tensor is blended: in scope, and one that λ moves (see `Parents.blends`)."""
        return self._scoped(name) and self.parents.blends(name)

    def _scoped(self, name: str) -> bool:
        where = place(name)
        if where not in self._in_scope:
            self._in_scope[where] = self.recipe.scope.includes(*where)
        return self._in_scope[where]

    def coefficients(self, name: str) -> tuple[float, float]:
        """(a, b) of this tensor."""
        if not self.inside(name):  # kept: Instruct's, and Thinking's where the blend is Thinking itself
            whole = self._same == THINKING and self.between_parents
            return THINKING if whole and self._scoped(name) and self.parents.follows(name) else INSTRUCT
        if self._same is not None:
            return self._same
        a, b = self.method.coefficients(self.recipe.lam, self.params, self._stats(name))
        return float(a), float(b)

    def endpoints(self, name: str) -> Endpoints:
        """P and Q of this tensor, whole."""
        if not self.inside(name) and (not self.between_parents or self.coefficients(name) == INSTRUCT):
            p = self.parents.tensor("instruct", name)  # Thinking may not store what is only kept
            return p, p
        if self.between_parents:
            return self.parents.tensor("instruct", name), self.parents.tensor("thinking", name)
        key = ("endpoints", self.endpoints_key, name)
        found: Endpoints | None = self.parents.caches.get(key)
        if found is None:
            shape, n = self.parents.entry("instruct", name).shape, self.parents.entry("instruct", name).numel
            parts = [self.endpoints_block(name, i, min(n, i + BLOCK)) for i in range(0, n, BLOCK)]
            p, q = (torch.cat([part[i] for part in parts]).view(shape) if parts else torch.empty(shape) for i in (0, 1))
            found = p, q
            self._remember(key, p.nbytes + q.nbytes, found)
        return found

    def _remember(self, key: tuple[str, str, str], size: int, computed: Endpoints) -> None:
        """Cache computed endpoints if they fit; when the budget is full, those of other recipes make room."""
        cache = self.parents.caches
        held = {k: v[0].nbytes + v[1].nbytes for k, v in list(cache.items()) if k[0] == key[0]}
        if sum(held.values()) + size > ENDPOINT_CACHE_BYTES:
            for other in [k for k in held if k[1] != self.endpoints_key]:
                cache.pop(other, None)
                del held[other]
        if sum(held.values()) + size <= ENDPOINT_CACHE_BYTES:
            cache[key] = computed

    def endpoints_block(self, name: str, start: int, stop: int) -> Endpoints:
        """P and Q of elements [start, stop) (one block: start is a multiple of `BLOCK`), 1-D."""
        read = [self.parents.block(role, name, start, stop) for role in self.roles]
        if self.method.endpoints is None:
            return read[0], read[1]
        if not self.inside(name):
            return read[0], read[0]
        seed = int(self.params.get("seed", 0))

        def noise(purpose: str) -> torch.Tensor:
            return uniform(seed, name, purpose, start // BLOCK, stop - start)

        return self.method.endpoints(tuple(map(_widened, read)), noise, self.params, self._stats(name))

    def block(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Blended elements [start, stop) (one block), 1-D, in the blend's dtype: what the export streams."""
        out = torch.empty(stop - start, dtype=self.parents.dtype(name))
        if parent := self._parent(name):
            return out.copy_(self.parents.block(parent, name, start, stop))
        return combine(*self.endpoints_block(name, start, stop), *self.coefficients(name), out)

    def tensor(self, name: str) -> torch.Tensor:
        """The blended tensor, computed in fp32 and rounded once; a parent's own bytes where the blend is that parent."""
        a, b = self.coefficients(name)
        p, q = self.endpoints(name)
        dtype = self.parents.dtype(name)
        for end, here in ((p, INSTRUCT), (q, THINKING)):
            if (a, b) == here and end.dtype == dtype:
                return end
        return combine(p, q, a, b, torch.empty(p.shape, dtype=dtype))

    def key(self, name: str) -> Hashable:
        """Blends of one pair whose keys agree hold the same numbers in this tensor."""
        if parent := self._parent(name):
            return self.parents.id, parent
        return self.endpoints_key, *self.coefficients(name)

    def _parent(self, name: str) -> str | None:
        """The parent whose own numbers this tensor holds, if it is one of them."""
        if not self.between_parents and self.inside(name):
            return None
        return {INSTRUCT: "instruct", THINKING: "thinking"}.get(self.coefficients(name))

    def factors(self, name: str) -> tuple[torch.Tensor, torch.Tensor, float] | None:
        """(A, B, s) with Q = P + s·B·A where Thinking is a LoRA adapter on Instruct (or s < 0 the other way round: P = Q + |s|·B·A)."""
        if not self.between_parents:
            return None
        for end, under, sign in (
            (self.parents.thinking, self.parents.instruct, 1.0),
            (self.parents.instruct, self.parents.thinking, -1.0),
        ):
            if isinstance(end, AdapterCheckpoint) and end.under is under and (found := end.factors(name)):
                return found[0], found[1], sign * found[2]
        return None

    def _stats(self, name: str) -> dict[str, float]:
        if self.method.blocks:
            return {"share": submodule.block_share(self.params, *place(name))}
        if self.method.measure is None:
            return {}
        key = ("stats", self.method.name, tuple(sorted(self.params.items())), name)
        found: dict[str, float] | None = self.parents.caches.get(key)
        if found is None:
            parents, roles = self.parents, self.roles
            found = self.method.measure(
                lambda: (tuple(map(_widened, b)) for b in parents.blocks(name, roles)), self.params
            )
            parents.caches[key] = found
        return found


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(wide(tensor))


def bind(recipe: Recipe, parents: "Parents | tuple[Checkpoint, ...]") -> PairBlend:
    """Bind a recipe to open parents: a `Parents`, or (instruct, thinking[, base]) checkpoints.

    Raises `RecipeError` (unknown method or parameter, layers that do not exist) or `MismatchError` (no base where one is needed).
    """
    if not isinstance(parents, Parents):
        from mi_explorer.pairs import get_pair

        pair = get_pair("|".join(c.label for c in parents))
        parents = Parents(pair, parents[0], parents[1], parents[2] if len(parents) > 2 else None)
    return PairBlend(recipe, parents)
