"""One request at work: a `Sequence` owns a `Slot` of the cache for each forward pass that it needs.

Almost every sequence has one slot, its blend. A logit-space blend has two or three, whose logits are summed before sampling.
"""

from mi_explorer.engine.backend import Backend, BoundRecipe
from mi_explorer.engine.events import BULK, INTERACTIVE, Request
from mi_explorer.engine.logit_blends import logit_parts
from mi_explorer.engine.resident import ResidentPair, recipe_hash
from mi_explorer.engine.stream import EventStream
from mi_explorer.errors import UserError


class UnsupportedRequest(UserError):
    """A request that this backend cannot run."""


class Slot:
    """A place in the cache: its `index` there (−1: none yet), the bound recipe that its keys and values belong to, and the weight
    of its logits."""

    __slots__ = ("sequence", "bound", "weight", "index")

    def __init__(self, sequence: "Sequence", bound: BoundRecipe, weight: float):
        self.sequence, self.bound, self.weight, self.index = sequence, bound, weight, -1


class Sequence:
    """A request with its progress. `length`: positions in the cache; decoding starts when the whole prompt is there.

    `stream`: the user it came from, where its events go. `order`: number of its arrival.
    """

    def __init__(self, request: Request, stream: EventStream, order: int):
        self.request, self.stream, self.order = request, stream, order
        self.priority = INTERACTIVE if request.priority <= INTERACTIVE else BULK
        self.stop_ids = frozenset(request.stop_ids)
        self.draft = request.draft if request.decoding.repetition_penalty == 1 else ()
        # set by `bind`
        self.slots: list[Slot] = []
        self.key, self.foldable = recipe_hash(request.recipe), True
        self.rowwise_key: str | None = None
        # progress
        self.length, self.mode = 0, ""
        self.tokens: list[int] = []

    @property
    def decodes(self) -> bool:
        """Whether the prompt is in the cache and a draft has been verified."""
        return self.length >= len(self.request.prompt) and not self.draft

    def bind(self, resident: ResidentPair, backend: Backend) -> None:
        """Bind the recipe (or the recipes of a logit blend) to the backend; raises `UserError` where that cannot be."""
        for recipe, weight in logit_parts(self.request.recipe):
            bound = backend.bind(recipe_hash(recipe), resident.blend(recipe))
            self.slots.append(Slot(self, bound, weight))
        self.foldable = len(self.slots) == 1
        if not (self.foldable and backend.can_verify):
            self.draft = ()
        keys = {slot.bound.rowwise_key for slot in self.slots}
        self.rowwise_key = keys.pop() if len(keys) == 1 else None
        if not self.foldable and self.rowwise_key is None:
            raise UnsupportedRequest(
                f"The method {self.request.recipe.method!r} mixes logits of several blends, which needs row-wise λ. "
                f"{backend.why_folded}"
            )
