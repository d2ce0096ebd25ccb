"""What goes into the engine and what comes out: requests and typed events, in token ids. No text, no tasks, no pages."""

from dataclasses import dataclass, field
from typing import Literal, Union

from mi_explorer.engine.thoughts import ThoughtTags
from mi_explorer.recipe import Decoding, Recipe

Cause = Literal["given", "lam", "hint", "stop", "budget", "answer"]
FinishReason = Literal["stop", "cap", "context", "memory", "cancelled"]
INTERACTIVE, BULK = 0, 1  # priorities: a person who waits goes before a sweep


@dataclass(frozen=True)
class Change:
    """What happens to a response before its token number `at` is drawn; one of three.

    `recipe`: from there on the response is another blend's, which reads all that came before anew. `insert`: tokens that are put
    there. `close`: the closing tag is put there, if a thought is open.
    """

    at: int
    recipe: Recipe | None = None
    insert: tuple[int, ...] = ()
    close: bool = False


@dataclass(frozen=True)
class Request:
    """One sequence to generate. The trace depends on (recipe, prompt, decoding, what is given, schedule), never on its companions.

    Token number t is drawn by the blend in force at t, which has read prompt and tokens 0…t−1 under its own coefficients, whoever wrote
    them; its noise depends on (seed, t). So a response that goes on from given tokens is the one that would have come by itself.
    """

    id: str
    prompt: tuple[int, ...]
    recipe: Recipe
    decoding: Decoding = field(default_factory=Decoding)
    stop_ids: tuple[int, ...] = ()
    priority: int = INTERACTIVE
    draft: tuple[int, ...] = ()
    """An old trace of this prompt, decoding and seed under another recipe: what of it still holds is verified in one pass
    (`Verified`), and only the rest is decoded. The result is the same as without it. A request that is changed on its way has none."""
    given: tuple[int, ...] = ()
    """Tokens with which the response begins, of any origin. They count: for the cap, for the noise, for the thought budget."""
    schedule: tuple[Change, ...] = ()
    """Changes in the order of their places; none lies inside what is given."""
    thought: ThoughtTags | None = None
    """How thoughts are tagged: needed for a thought budget, a λ of the answer, and to close a thought."""
    pace: float = 0.0
    """At most so many tokens a second, for somebody who reads along and steers (0: as fast as it goes). It changes no token."""


@dataclass(frozen=True)
class Admitted:
    """The request's prompt is in a slot; `mode` says how it runs ("rowwise" or "folded")."""

    id: str
    mode: str


@dataclass(frozen=True)
class Token:
    """Token number `index` (0-based) of a response; `logprob` under the raw distribution of the blend, in nats."""

    id: str
    index: int
    token: int
    logprob: float


@dataclass(frozen=True)
class Verified:
    """The first `kept` tokens of the draft are this recipe's too; token number `kept` is the first where the recipe matters."""

    id: str
    kept: int


@dataclass(frozen=True)
class Changed:
    """From token number `at` on: the blend is `recipe`'s, or `tokens` were put there and are part of the response.

    `cause`: given with the request, a λ or a hint of somebody, a thought that was stopped by somebody or by its budget, or the
    answer's own λ.
    """

    id: str
    at: int
    cause: Cause
    recipe: Recipe | None = None
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class Paused:
    """The response waits, without a slot, until it is resumed."""

    id: str


@dataclass(frozen=True)
class Resumed:
    """The response waits for a slot again."""

    id: str


@dataclass(frozen=True)
class Refused:
    """A change that cannot be made; the response goes on without it."""

    id: str
    message: str


@dataclass(frozen=True)
class Finished:
    """The response is complete: a stop id came ("stop"; the stop id is not part of it), or it was cut short."""

    id: str
    reason: FinishReason
    tokens: int


@dataclass(frozen=True)
class Failed:
    """The request could not run or broke; its companions go on."""

    id: str
    message: str


Event = Union[Admitted, Token, Verified, Changed, Paused, Resumed, Refused, Finished, Failed]
