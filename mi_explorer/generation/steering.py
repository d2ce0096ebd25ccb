"""A hold on responses that are being written, for other threads: λ moved, a hint put in, the thought stopped, pause and resume.

    steering = Steering()
    for snapshots in bench.stream([request], steering=steering): ...       # meanwhile, elsewhere: steering.set_lambda("a", 0.8)

What was done stands in the snapshots' `schedule`; a request with that schedule makes the same response again.
"""

import threading
from typing import NamedTuple, Protocol

from mi_explorer.errors import UserError
from mi_explorer.generation.schedule import ScheduleError, check_hint
from mi_explorer.prompts import Prompt, Prompts
from mi_explorer.recipe import Recipe


class SteeringError(UserError):
    """Something that cannot be done to a response: it does not run (any more), or the engine behind it cannot be steered."""


class SteeredStream(Protocol):
    """The part of an engine's stream that is needed here."""

    def change(
        self, id: str, recipe: Recipe | None = None, insert: tuple[int, ...] = (), close: bool = False
    ) -> None: ...
    def pause(self, id: str) -> None: ...
    def resume(self, id: str) -> None: ...


class RecipeChecks(Protocol):
    """What a text generator checks."""

    prompts: Prompts

    def check(self, recipe: Recipe) -> None: ...
    def check_tags(self) -> None: ...


class SteeredResponse(NamedTuple):
    """A response that is being written; `hints` remembers the words of hints by their tokens."""

    recipe: Recipe
    prompt: Prompt
    hints: dict[tuple[int, ...], str]


def hint_ids(hint: str, prompts: Prompts, prompt: Prompt) -> tuple[int, ...]:
    """The token ids of a hint; raises a `UserError` for one that is empty, too long, or ends the response."""
    check_hint(hint)
    ids = prompts.codec_for(prompt.parent).encode(hint) if hint.strip() else ()
    if not ids:
        raise ScheduleError("The hint is empty. Write a few words that the thought goes on from.")
    if not set(ids).isdisjoint(prompts.stop_ids):
        raise ScheduleError("The hint holds a token that ends the response. Leave such marks out of it.")
    return ids


class Steering:
    """Acts on the responses of one `stream` call, from any thread, by the ids of their requests. Raises a `UserError` for what
    cannot be; whether a response has ended in the meantime is not an error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: SteeredStream | None = None
        self._requests: dict[str, SteeredResponse] = {}
        self._checks: RecipeChecks | None = None

    def attach(self, stream: object, requests: dict[str, SteeredResponse], checks: RecipeChecks) -> None:
        """For the generator: these requests run in this stream now."""
        with self._lock:
            self._stream = stream if hasattr(stream, "change") else None  # type: ignore[assignment]
            self._requests, self._checks = requests, checks

    def detach(self) -> None:
        """For the generator: all have ended."""
        with self._lock:
            self._stream, self._requests = None, {}

    def set_lambda(self, id: str, lam: float) -> None:
        """From the next token on the response is written at this λ."""
        stream, checks, response = self._running(id)
        changed = response.recipe.for_thought.at(lam)
        checks.check(changed)
        stream.change(id, changed)

    def hint(self, id: str, text: str) -> None:
        """Put these words at the end of what is written so far."""
        stream, checks, response = self._running(id)
        ids = hint_ids(text, checks.prompts, response.prompt)
        response.hints[ids] = text
        stream.change(id, insert=ids)

    def stop_thinking(self, id: str) -> None:
        """Close the thought now, if one is open; the answer follows."""
        stream, checks, _ = self._running(id)
        checks.check_tags()
        stream.change(id, close=True)

    def pause(self, id: str) -> None:
        """Hold the response; it gives its slot away."""
        self._running(id)[0].pause(id)

    def resume(self, id: str) -> None:
        """Let a paused response go on."""
        self._running(id)[0].resume(id)

    def _running(self, id: str) -> tuple[SteeredStream, RecipeChecks, SteeredResponse]:
        with self._lock:
            stream, checks, found = self._stream, self._checks, self._requests.get(id)
        if stream is None or checks is None or found is None:
            raise SteeringError(
                "This response cannot be steered: it has ended, or its GPU is only lent for the call. Run it again, or branch from it."
            )
        return stream, checks, found
