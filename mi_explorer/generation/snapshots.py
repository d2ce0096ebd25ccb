"""The values of generation: what is asked (`GenerationRequest`), where it stands (`Snapshot`), and the verdict on its answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from mi_explorer.engine.events import Cause
from mi_explorer.engine.stream import QueuePosition
from mi_explorer.generation.schedule import ScheduleStep
from mi_explorer.generation.traces import Trace
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.tasks.verify import verify

State = Literal["queued", "running", "paused", "done", "cancelled", "failed"]
Verdict = Literal["correct", "wrong", "no_answer"]
LIVE_STATES = ("queued", "running", "paused")


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt under one recipe; `id` is unique within a call. `gold` (optional) turns the verdict on.

    `draft` may hold the token ids of an old trace of the same prompt, decoding and seed under another recipe, and `draft_prompt` the
    prompt's ids then: what of it still holds is verified in one pass instead of decoded. It changes the time, not the trace.
    """

    id: str
    prompt: str
    recipe: Recipe
    decoding: Decoding = field(default_factory=Decoding)
    gold: str | None = None
    kind: str = "auto"
    draft: tuple[int, ...] = ()
    draft_prompt: tuple[int, ...] = ()
    given: tuple[int, ...] = ()
    """Tokens with which the response begins, read under the recipe's own coefficients, whoever wrote them."""
    schedule: tuple[ScheduleStep, ...] = ()
    """What changes on the way, in the order of its tokens."""
    pace: float = 0.0
    """At most so many tokens a second (0: as fast as it goes); no token depends on it."""


@dataclass(frozen=True)
class AppliedChange:
    """What happened to a response at token number `at`: from there on λ is `lam`, or `tokens` many tokens were put there."""

    at: int
    cause: Cause
    lam: float | None = None
    tokens: int = 0


@dataclass(frozen=True)
class Snapshot:
    """Where one request stands: state, the trace so far, the verdict once it has ended. `seconds` count from its first step.

    `waits` says of a queued one where its run stands in the queue, when it has to wait for a slot. `kept` says how many tokens of
    the request's draft this recipe writes too (None: no draft was verified).
    """

    id: str
    recipe: Recipe
    decoding: Decoding
    state: State
    trace: Trace
    verdict: Verdict | None = None
    tokens_per_second: float = 0.0
    message: str = ""
    mode: str = ""
    seconds: float = 0.0
    prompt_ids: tuple[int, ...] = ()
    waits: QueuePosition | None = None
    kept: int | None = None
    changes: tuple[AppliedChange, ...] = ()
    """All that happened on the way, in order: what was given, forced, put in, and which λ wrote from where on."""
    schedule: tuple[ScheduleStep, ...] = ()
    """What of it somebody asked for. With the same recipe, decoding and `given` it makes the same response again."""

    @property
    def given(self) -> tuple[int, ...]:
        """The tokens with which the response was made to begin."""
        first = self.changes[0] if self.changes else None
        return self.ids[: first.tokens] if first is not None and first.cause == "given" else ()

    @property
    def lambdas(self) -> tuple[tuple[int, float], ...]:
        """(token, λ): which λ wrote from which token on, the first from what is given on."""
        return (
            (len(self.given), self.recipe.lam),
            *((change.at, change.lam) for change in self.changes if change.lam is not None),
        )

    @property
    def ids(self) -> tuple[int, ...]:
        """Token ids of the response so far."""
        return self.trace.ids

    @property
    def live(self) -> bool:
        """Whether more may come."""
        return self.state in LIVE_STATES


def verdict_of(
    trace: Trace, gold: str | None, kind: str, check: Callable[[str, str | None, str], bool] = verify
) -> Verdict | None:
    """The verdict on a finished trace; None without a gold answer. A response that was cut off has no answer."""
    if gold is None:
        return None
    if trace.answer is None or trace.truncated:
        return "no_answer"
    return "correct" if check(gold, trace.answer, kind) else "wrong"
