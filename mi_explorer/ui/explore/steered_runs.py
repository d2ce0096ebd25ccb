"""Who may do what to a run that is being written: λ moved, a hint put in, the thought stopped, pause and resume.

A run belongs to the visitor who started it: the browser tab, or the program, that asked for it. What was done to a response stands
in its frames (`board.trace_frame`), and a request with that schedule makes it again.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mi_explorer.errors import UserError, unknown
from mi_explorer.generation.schedule import MAX_STEPS
from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.generation.steering import Steering, SteeringError
from mi_explorer.recipe import LAM_RANGE, number
from mi_explorer.ui.access.limits import Visitor
from mi_explorer.ui.explore.run_plan import RunRequestError
from mi_explorer.untyped import Json, JsonMapping

ACTIONS = ("lambda", "hint", "stop", "pause", "resume")
MAX_PAUSE_S = 300.0  # a run that waits for its reader takes no slot, but a place among the runs
MAX_PACED_S = 1800.0  # a run that keeps a pace takes a slot for as long as its reader likes, up to this


class NotYourRun(UserError):
    """A run of another visitor."""


@dataclass
class SteeredRun:
    """A run that goes on, whose it is, and the hold on its responses."""

    who: Visitor | None
    steering: Steering = field(default_factory=Steering)
    actions: int = 0


class SteeredRuns:
    """The runs of one pair that go on, by their tokens. Thread-safe."""

    def __init__(self) -> None:
        self._runs: dict[str, SteeredRun] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, token: str, who: Visitor | None) -> Iterator[Steering]:
        """Let the visitor steer this run as long as it goes on."""
        run = SteeredRun(who)
        with self._lock:
            self._runs[token] = run
        try:
            yield run.steering
        finally:
            with self._lock:
                if self._runs.get(token) is run:
                    del self._runs[token]

    def has(self, token: Json) -> bool:
        with self._lock:
            return str(token) in self._runs

    def act(self, request: JsonMapping, who: Visitor) -> None:
        """Do what is asked for: `{"token", "id": of the frame, "what": one of ACTIONS, "lam" or "text"}`. Raises `UserError`."""
        with self._lock:
            run = self._runs.get(str(request.get("token")))
            if run is None:
                raise SteeringError("This response cannot be steered: it has ended. Run it again, or replay it.")
            if run.who is not None and run.who.session != who.session:
                raise NotYourRun("This run belongs to another visitor, who alone may steer it.")
            if run.actions >= MAX_STEPS:
                raise SteeringError(f"{MAX_STEPS:,} changes were made to this run, which is all that one takes.")
            run.actions += 1
        what, name = request.get("what"), str(request.get("id"))
        if what == "lambda":
            run.steering.set_lambda(name, checked_lambda(request.get("lam")))
        elif what == "hint":
            text = request.get("text")
            if not isinstance(text, str):
                raise RunRequestError("A hint is a text.")
            run.steering.hint(name, text.replace("\r\n", "\n"))
        elif what == "stop":
            run.steering.stop_thinking(name)
        elif what == "pause":
            run.steering.pause(name)
        elif what == "resume":
            run.steering.resume(name)
        else:
            raise unknown("action", str(what)[:40], ACTIONS)


def checked_lambda(value: Json) -> float:
    """A λ as the page sent it; raises `RecipeError`."""
    if isinstance(value, bool):
        raise RunRequestError("λ must be a number.")
    return number(value, "λ", *LAM_RANGE)


class RunClock:
    """Says when a run has kept its place for too long."""

    def __init__(self, paced: bool) -> None:
        self._began, self._paced = time.monotonic(), paced
        self._paused: float | None = None  # since when

    def over(self, snapshots: Iterable[Snapshot]) -> str:
        """Why the run has to end now, by the latest snapshots of its responses; "" while it may go on."""
        now = time.monotonic()
        if not any(snapshot.state == "paused" for snapshot in snapshots):
            self._paused = None
        elif self._paused is None:
            self._paused = now
        elif now - self._paused > MAX_PAUSE_S:
            return (
                f"The run was paused for more than {MAX_PAUSE_S / 60:g} minutes and has ended, so that others get its place. What "
                "was written is kept."
            )
        if self._paced and now - self._began > MAX_PACED_S:
            return f"A steered run may take {MAX_PACED_S / 60:g} minutes, which are over. What was written is kept."
        return ""
