"""Rows and lanes: one request at work. A row owns one lane per forward it needs; a lane owns a slot of the cache.

Almost every row has one lane, its blend. A logit-space blend has two or three (P, Q and perhaps the weight blend), whose logits
are summed with weights before sampling.
"""

from dataclasses import replace
from typing import Any

from mi_explorer.engine.events import BULK, INTERACTIVE, Request
from mi_explorer.engine.resident import key_of
from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe


class RowError(UserError):
    """A request that this backend cannot run."""


LOGIT_METHODS = ("logit", "logit_proxy")


class Lane:
    """A sequence in the cache: `slot` (−1: none) and the recipe, bound, that its KV belongs to."""

    __slots__ = ("row", "bound", "weight", "slot")

    def __init__(self, row: "Row", bound: Any, weight: float):
        self.row, self.bound, self.weight, self.slot = row, bound, weight, -1


class Row:
    """A request with its progress. `length`: positions in the cache; decoding starts when the whole prompt is there."""

    __slots__ = (
        "request",
        "stream",
        "lanes",
        "length",
        "tokens",
        "last",
        "stops",
        "key",
        "plane",
        "foldable",
        "order",
        "mode",
        "priority",
        "draft",
    )

    def __init__(self, request: Request, stream: Any, order: int):
        self.request, self.stream, self.order = request, stream, order
        self.draft = request.draft if request.decoding.repetition_penalty == 1 else ()
        self.priority = INTERACTIVE if request.priority <= INTERACTIVE else BULK
        self.lanes: list[Lane] = []
        self.length, self.last, self.mode = 0, -1, ""
        self.tokens: list[int] = []
        self.stops = frozenset(request.stop_ids)
        self.key, self.plane, self.foldable = key_of(request.recipe), None, True

    @property
    def ready(self) -> bool:
        """Whether the prompt is in the cache and a draft has been verified, so that the row decodes."""
        return self.length >= len(self.request.prompt) and not self.draft

    def bind(self, resident: Any, backend: Any) -> None:
        """Bind the recipe (or the recipes of a logit blend) to the backend; raises `UserError` where that cannot be."""
        bounds = [
            (backend.bind(key_of(recipe), resident.blend(recipe)), weight)
            for recipe, weight in logit_parts(self.request.recipe)
        ]
        self.lanes = [Lane(self, bound, weight) for bound, weight in bounds]
        self.foldable = len(bounds) == 1
        if not (self.foldable and backend.can_verify):
            self.draft = ()
        planes = {bound.plane for bound, _ in bounds}
        self.plane = planes.pop() if len(planes) == 1 else None
        if not self.foldable and self.plane is None:
            raise RowError(
                f"The method {self.request.recipe.method!r} mixes logits of several blends, which needs row-wise λ. {backend.why_folded}"
            )


def logit_parts(recipe: Recipe) -> list[tuple[Recipe, float]]:
    """The weight blends whose logits are summed, with their weights: one for an ordinary recipe.

    `logit`: log p ∝ (1−λ)·ℓ_I + λ·ℓ_T. `logit_proxy`: ℓ_λ + β·(ℓ_T − ℓ_I), β a parameter (default 0.5).
    """
    if recipe.method not in LOGIT_METHODS:
        return [(recipe, 1.0)]
    plain = replace(recipe, method="linear", params=())
    if recipe.method == "logit":
        return [(plain.at(0.0), 1.0 - recipe.lam), (plain.at(1.0), recipe.lam)]
    beta = dict(recipe.params).get("beta", 0.5)
    return [(plain, 1.0), (plain.at(1.0), beta), (plain.at(0.0), -beta)]
