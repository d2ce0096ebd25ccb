"""One request at work: a `Sequence` owns a `Slot` of the cache for each forward pass that it needs.

Almost every sequence has one slot, its blend. A logit-space blend has two or three, whose logits are summed before sampling.
A sequence may change its blend on the way: it then reads prompt and response anew, for keys and values never cross coefficients.
"""

from collections import deque
from dataclasses import dataclass

from mi_explorer.engine.backend import Backend, BoundRecipe
from mi_explorer.engine.events import BULK, INTERACTIVE, Cause, Change, Request
from mi_explorer.engine.logit_blends import logit_parts
from mi_explorer.engine.resident import ResidentPair, recipe_hash
from mi_explorer.engine.stream import EventStream
from mi_explorer.engine.thoughts import ThoughtState
from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe


class UnsupportedRequest(UserError):
    """A request that this backend cannot run."""


class Slot:
    """A place in the cache: its `index` there (−1: none yet), the bound recipe that its keys and values belong to, and the weight
    of its logits."""

    __slots__ = ("sequence", "bound", "weight", "index")

    def __init__(self, sequence: "Sequence", bound: BoundRecipe, weight: float):
        self.sequence, self.bound, self.weight, self.index = sequence, bound, weight, -1


@dataclass(frozen=True, eq=False)
class Binding:
    """A recipe made ready for this backend: the weight blends that it runs, with the weights of their logits.

    `rowwise_key`: the row-wise batch that it may join (None: none).
    """

    recipe: Recipe
    parts: tuple[tuple[BoundRecipe, float], ...]
    rowwise_key: str | None

    @property
    def foldable(self) -> bool:
        """Whether it may run folded: a fold holds one blend."""
        return len(self.parts) == 1


def bind_recipe(recipe: Recipe, resident: ResidentPair, backend: Backend) -> Binding:
    """Bind the recipe (or the recipes of a logit blend) to the backend; raises `UserError` where that cannot be."""
    parts = tuple(
        (backend.bind(recipe_hash(part), resident.blend(part)), weight) for part, weight in logit_parts(recipe)
    )
    keys = {bound.rowwise_key for bound, _ in parts}
    rowwise_key = keys.pop() if len(keys) == 1 else None
    if len(parts) > 1 and rowwise_key is None:
        raise UnsupportedRequest(
            f"The method {recipe.method!r} mixes logits of several blends, which needs row-wise λ. {backend.why_folded}"
        )
    return Binding(recipe, parts, rowwise_key)


class Sequence:
    """A request with its progress. Positions 0…`length`−1 of prompt and response are in the cache; `to_read` of them are read in
    passes over several tokens, and then it decodes.

    `stream`: the user it came from, where its events go. `order`: number of its arrival.
    """

    def __init__(self, request: Request, stream: EventStream, order: int):
        self.request, self.stream, self.order = request, stream, order
        self.priority = INTERACTIVE if request.priority <= INTERACTIVE else BULK
        self.stop_ids = frozenset(request.stop_ids)
        self.schedule = deque(request.schedule)
        self.thought = None if request.thought is None else ThoughtState(request.thought)
        self.budget = request.decoding.think_budget
        self.answer: Recipe | None = request.recipe.for_answer if request.recipe.answer_lam is not None else None
        plain = not (request.given or self.schedule or self.budget or self.answer)
        self.draft = request.draft if plain and request.decoding.repetition_penalty == 1 else ()
        # set by `bind`
        self.slots: list[Slot] = []
        self.recipe = request.recipe.for_thought  # the blend that draws the next token
        self.key, self.foldable = recipe_hash(self.recipe), True
        self.rowwise_key: str | None = None
        self.bindings: dict[Recipe, Binding] = {}
        # progress
        self.tokens: list[int] = list(request.given)
        self.length, self.to_read = 0, len(request.prompt) + len(request.given)
        self.mode, self.admitted = "", False
        self.due = 0.0  # when the next token may be drawn (monotonic seconds): later than now for a request with a pace

    @property
    def decodes(self) -> bool:
        """Whether all that was to be read is in the cache and a draft has been verified."""
        return self.length >= self.to_read and not self.draft

    def ids(self, start: int, stop: int) -> list[int]:
        """Token ids at positions start…stop−1 of prompt and response."""
        prompt = self.request.prompt
        n = len(prompt)
        return [*prompt[start:stop], *self.tokens[max(0, start - n) : max(0, stop - n)]]

    def shared(self, other: "Sequence") -> int:
        """With how many positions both begin, if their prompts are equal."""
        a, b = self.tokens, other.tokens
        n = min(len(a), len(b))
        if a[:n] != b[:n]:
            n = next(i for i, (x, y) in enumerate(zip(a, b)) if x != y)
        return len(self.request.prompt) + n

    def bind(self, resident: ResidentPair, backend: Backend) -> None:
        """Bind every recipe that it will run to the backend; raises `UserError` where that cannot be."""
        later = (self.answer, *(change.recipe for change in self.schedule))
        for recipe in (self.recipe, *later):
            if recipe is not None:
                self.add_binding(recipe, resident, backend)
        self.take(self.recipe)
        if not (self.foldable and backend.can_verify):
            self.draft = ()

    def add_binding(self, recipe: Recipe, resident: ResidentPair, backend: Backend) -> None:
        """Make ready for a change to this recipe; raises `UserError` where the response cannot go on with it."""
        binding = bind_recipe(recipe, resident, backend)
        began = next(iter(self.bindings.values()), binding)
        if len(binding.parts) != len(began.parts):
            raise UnsupportedRequest(
                f"A response that began with the method {began.recipe.method!r} cannot go on with {recipe.method!r}: only one "
                "of them mixes logits."
            )
        self.bindings[recipe] = binding

    def take(self, recipe: Recipe) -> None:
        """From now on this blend writes (its binding is there). Nothing of it is in the cache."""
        binding = self.bindings[recipe]
        self.recipe, self.key = recipe, recipe_hash(recipe)
        self.foldable, self.rowwise_key = binding.foldable, binding.rowwise_key
        self.slots = [Slot(self, bound, weight) for bound, weight in binding.parts]
        self.read_anew()

    def read_anew(self) -> None:
        """Everything so far is to be read again."""
        self.length, self.to_read = 0, len(self.request.prompt) + len(self.tokens)

    def insert(self, tokens: tuple[int, ...], can_go_on: bool) -> None:
        """Put tokens at the end of the response. `can_go_on`: whether a pass may read several tokens after what is in the cache."""
        self.tokens += tokens
        if can_go_on:
            self.to_read = len(self.request.prompt) + len(self.tokens)
        else:
            self.read_anew()

    def next_change(self) -> tuple[Change, Cause] | None:
        """What happens before the next token is drawn: by the thought's budget, by the answer's own λ, then by the schedule."""
        at = len(self.tokens)
        if self.thought is not None and (self.budget is not None or self.answer is not None):
            self.thought.follow(self.tokens)
            if self.budget is not None and self.thought.is_open and at >= self.budget:
                return Change(at, close=True), "budget"
            if self.answer is not None and self.thought.closed:
                answer, self.answer = self.answer, None
                return Change(at, recipe=answer), "answer"
        if self.schedule and self.schedule[0].at <= at:
            change = self.schedule.popleft()
            return change, cause_of(change)
        return None


def cause_of(change: Change) -> Cause:
    """The cause of a change that somebody asked for."""
    return "stop" if change.close else "hint" if change.insert else "lam"
