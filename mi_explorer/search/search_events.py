"""What a running search tells: how far it is, each candidate when it is measured, the frontier when it moved, and the end.

All are frozen values; `SearchState` folds them into what a page or a progress line shows.
"""

from dataclasses import dataclass, replace
from typing import Literal

from mi_explorer.search.frontier import VolumePoint
from mi_explorer.search.result import SearchResult
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.progress import WorkerNews, WorkerStatus

Phase = Literal["loading", "line", "search", "held-out", "done", "stopped"]


@dataclass(frozen=True)
class CandidateScore:
    """A candidate on the search split. `right` is a share, `tokens` a mean per response; both are estimates for the whole split.

    `number` counts the candidates from 1 (0: a point of the λ line). `stopped`: it was clearly dominated after `questions` of them; its
    scores are then those of who beat it plus the paired difference. `spent`: tokens of its samples.
    """

    cell: Cell
    key: str
    number: int
    right: float
    tokens: float
    questions: int
    spent: int
    stopped: bool = False

    @property
    def on_line(self) -> bool:
        return self.number == 0


@dataclass(frozen=True)
class SearchProgress:
    """`evaluations` of `of` are done; `done` of `total` samples of what runs now; tokens of all samples so far; rate in tokens/s."""

    phase: Phase
    evaluations: int
    of: int
    done: int = 0
    total: int = 0
    tokens: int = 0
    tokens_per_second: float = 0.0
    seconds: float = 0.0
    workers: tuple[WorkerStatus, ...] = ()


@dataclass(frozen=True)
class CandidateMeasured:
    """A candidate has its scores."""

    candidate: CandidateScore


@dataclass(frozen=True)
class FrontierMoved:
    """The Pareto set of all candidates and of the line's points, by tokens, and the area it dominates."""

    frontier: tuple[CandidateScore, ...]
    volume: VolumePoint


@dataclass(frozen=True)
class SearchDone:
    """The search has ended and its finalists are measured anew."""

    result: SearchResult


SearchEvent = SearchProgress | CandidateMeasured | FrontierMoved | SearchDone | WorkerNews


@dataclass(frozen=True)
class SearchState:
    """Everything told so far: what a page draws. `volumes` is the trace of the dominated area, one point a batch."""

    name: str
    progress: SearchProgress
    candidates: tuple[CandidateScore, ...] = ()
    frontier: tuple[CandidateScore, ...] = ()
    volumes: tuple[VolumePoint, ...] = ()
    result: SearchResult | None = None

    def after(self, event: SearchEvent) -> "SearchState":
        """The state with one more event."""
        if isinstance(event, SearchProgress):
            return replace(self, progress=event)
        if isinstance(event, CandidateMeasured):
            return replace(self, candidates=(*self.candidates, event.candidate))
        if isinstance(event, FrontierMoved):
            return replace(self, frontier=event.frontier, volumes=(*self.volumes, event.volume))
        return replace(self, result=event.result) if isinstance(event, SearchDone) else self
