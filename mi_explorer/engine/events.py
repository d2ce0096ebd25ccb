"""What goes into the engine and what comes out: requests and typed events, in token ids. No text, no tasks, no pages."""

from dataclasses import dataclass, field
from typing import Literal, Union

from mi_explorer.recipe import Decoding, Recipe

FinishReason = Literal["stop", "cap", "context", "cancelled"]
INTERACTIVE, BULK = 0, 1  # priorities: a person who waits goes before a sweep


@dataclass(frozen=True)
class Request:
    """One sequence to generate. The trace depends on (recipe, prompt, decoding), never on its batch companions."""

    id: str
    prompt: tuple[int, ...]
    recipe: Recipe
    decoding: Decoding = field(default_factory=Decoding)
    stop_ids: tuple[int, ...] = ()
    priority: int = INTERACTIVE
    draft: tuple[int, ...] = ()
    """An old trace of this prompt, decoding and seed under another recipe: what of it still holds is verified in one pass
    (`Verified`), and only the rest is decoded. The result is the same as without it."""


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


Event = Union[Admitted, Token, Verified, Finished, Failed]
