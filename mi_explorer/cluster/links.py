"""How the driver reaches a worker: one call at a time over a link; a launcher makes links, here as processes or on a Ray cluster."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mi_explorer.cluster.worker_engine import METHODS, Place, WorkerEngine
from mi_explorer.errors import UserError
from mi_explorer.untyped import Json

MakeEngine = Callable[[], WorkerEngine]


class WorkerLost(Exception):
    """A worker is gone: killed, crashed, or no longer to be reached."""


@dataclass(frozen=True)
class Reply:
    """An answer: `value`, or an `error` in words, which the user can mend if it is `refused`."""

    value: Json = None
    error: str = ""
    refused: bool = False


class WorkerLink(Protocol):
    """One worker from the driver's side. After `WorkerLost` or `kill` it is of no more use."""

    def call(self, method: str, *args: object) -> None:
        """Ask; the answer before this one has been taken. Raises `WorkerLost`."""
        ...

    def take(self) -> Reply | None:
        """The answer if it is there. Raises `WorkerLost`."""
        ...

    def kill(self) -> None:
        """End it now; a second call does nothing."""
        ...


class Launcher(Protocol):
    """Starts workers."""

    patient: bool
    """Whether a new worker may wait for a place for any time."""
    dashboard: str
    """Where one can watch the cluster; "" where there is nothing."""

    def start(self, index: int) -> WorkerLink:
        """A new worker; it may still be on its way."""
        ...

    def wait(self, links: Sequence[WorkerLink], seconds: float) -> None:
        """Return when one of `links` has an answer or is lost, or after `seconds`."""
        ...

    def capacity(self) -> int | None:
        """How many workers there is room for now; None where that is for the user to say."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


def answer(engine: WorkerEngine, method: str, args: Sequence[Json]) -> Reply:
    """What a worker does with a call."""
    if method not in METHODS:
        return Reply(error=f"There is no call {method!r}.")
    if method == "hello":
        return Reply(Place(platform.node(), os.getpid()))
    try:
        return Reply(getattr(engine, method)(*args))
    except UserError as error:
        return Reply(error=str(error), refused=True)
    except Exception as error:  # the driver decides what becomes of a broken worker
        return Reply(error=f"{type(error).__name__}: {error}")
