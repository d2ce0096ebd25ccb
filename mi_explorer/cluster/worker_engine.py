"""What a worker is told, what it answers, and the interface that an engine implements to be one. Values only: all of it is sent.

The driver calls `load`, `check` and `begin` once, then `exchange` again and again: units go in, what became of them comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mi_explorer.studies.plan import Cell, Item, Plan, Unit
from mi_explorer.studies.store.sample import Sample

METHODS = ("hello", "load", "check", "begin", "exchange")  # what may be called from outside


@dataclass(frozen=True)
class EngineSetup:
    """Which pair a worker loads, and how; `pair` carries its settings. `rows` and `context` as on the command line.

    `threads` are processor threads of one worker (None: as many as its process would take).
    """

    pair: str
    device: str = "cpu"
    dtype: str | None = None
    rows: int | None = None
    context: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Place:
    """Where a worker runs."""

    host: str
    pid: int


@dataclass(frozen=True)
class EngineFacts:
    """What a loaded engine is. Workers of one study must agree in all but device and versions.

    `dtype` goes into the cells' keys; an engine that is not ours writes its name and version into it, so that no cell mixes two.
    `proof` are log-probs (nats) of fixed tokens under fixed blends, in order: the weights as this machine computes with them.
    """

    engine: str
    version: str
    fingerprint: str
    dtype: str
    device: str
    versions: dict[str, str]
    proof: tuple[float, ...] = ()


@dataclass(frozen=True)
class WorkPlan:
    """What units point into: cells with their keys, and questions."""

    plan: Plan
    cell_keys: tuple[str, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class UnitMade:
    """A finished sample, ready for the store."""

    unit: Unit
    sample: Sample
    body: bytes


@dataclass(frozen=True)
class UnitBroke:
    """A unit that did not work, and why."""

    unit: Unit
    message: str


@dataclass(frozen=True)
class UnitReturned:
    """A unit that was taken back before it began."""

    unit: Unit


Outcome = UnitMade | UnitBroke | UnitReturned


@dataclass(frozen=True)
class WorkReport:
    """What happened during one exchange: outcomes, tokens made, and how many more units the engine would take."""

    outcomes: tuple[Outcome, ...]
    tokens: int
    room: int


class WorkerEngine(Protocol):
    """An engine as a worker holds it. Errors that the user can mend are `UserError`s; any other means that the worker is broken."""

    def load(self, setup: EngineSetup) -> EngineFacts:
        """Open a pair, in place of the one before."""
        ...

    def check(self, cells: Sequence[Cell]) -> None:
        """Raise a `UserError` for the first cell that this engine cannot run."""
        ...

    def begin(self, work: WorkPlan) -> None:
        """Units point into `work` from now on; none is in hand."""
        ...

    def exchange(self, units: Sequence[Unit], seconds: float, order: Literal["run", "drain"]) -> WorkReport:
        """Take units, work for `seconds` (less if nothing is left to do), tell what became of them. "drain" returns what has not begun."""
        ...

    def close(self) -> None:
        """Release the pair."""
        ...
