"""A search as the tab shows it, whether it runs, was saved, or came with the checkout; and which searches there are of a pair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.search.frontier import ROOM, VolumePoint, volume_trace
from mi_explorer.search.result import SearchResult
from mi_explorer.search.saved import SavedSearch, bundled_searches, saved_searches
from mi_explorer.search.search_events import CandidateScore, SearchProgress
from mi_explorer.search.search_job import SearchJob, SearchJobs
from mi_explorer.search.space import VARY
from mi_explorer.studies.plan import running_order
from mi_explorer.studies.stats.efficiency import pareto
from mi_explorer.untyped import Json, JsonMapping

PRECOMPUTED = "precomputed"
SAMPLER_TITLES = {"tpe": "TPE", "nsga2": "NSGA-II", "random": "random proposals"}
# Searches that agree in these differ in who proposed, in the seed and in how long they went on: their areas may stand side by side.
SAME = ("task", "task_seed", "vary", "groups", "lams", "step", "methods", "budgets", "questions", "samples", "line")


@dataclass(frozen=True)
class ShownSearch:
    """One search. `state`: running, stopped, failed, done (judged) or unfinished. `candidates` may begin with the line's points."""

    name: str
    pair: str
    origin: str
    state: str
    settings: JsonMapping = field(default_factory=dict)
    candidates: tuple[CandidateScore, ...] = ()
    result: SearchResult | None = None
    progress: SearchProgress | None = None
    error: str = ""
    version: int = 0

    @property
    def line(self) -> list[CandidateScore]:
        return [c for c in self.candidates if c.on_line]

    @property
    def searched(self) -> list[CandidateScore]:
        return [c for c in self.candidates if not c.on_line]

    @property
    def evaluations(self) -> int:
        return self.result.evaluations if self.result else len(self.searched)

    @property
    def frontier(self) -> list[CandidateScore]:
        """The Pareto set of all that were measured to the end, the line's points too, by tokens."""
        whole = [c for c in self.candidates if not c.stopped]
        kept = pareto([c.tokens for c in whole], [c.right for c in whole])
        return sorted((whole[i] for i in kept), key=lambda c: c.tokens)

    @property
    def sampler(self) -> str:
        return str(self.settings.get("sampler", ""))

    @property
    def title(self) -> str:
        """In a list to choose from."""
        who = SAMPLER_TITLES.get(self.sampler, self.sampler)
        vary = ", ".join(x for x in self.settings.get("vary", ()) if x in VARY)
        parts = [who, f"{self.evaluations} evaluations", f"seed {self.settings.get('seed', 0)}", vary]
        words = " · ".join(x for x in parts if x)
        if self.origin == PRECOMPUTED:
            return f"{PRECOMPUTED} · {self.settings.get('task', '')} · {words}"
        return f"{self.name} · {words}" + ("" if self.state == "done" else f" · {self.state}")

    def areas(self) -> tuple[VolumePoint, ...]:
        """The area that the candidates dominate, after each of them."""
        if self.result is not None:
            return self.result.volumes
        return self._trace(self.searched)

    def line_areas(self) -> tuple[VolumePoint, ...]:
        """The same of the λ grid, from the ends inwards."""
        if self.result is not None:
            return self.result.line_volumes
        line = self.line
        return self._trace([line[i] for i in running_order([c.cell.recipe.lam for c in line])])

    def _trace(self, own: Sequence[CandidateScore]) -> tuple[VolumePoint, ...]:
        if not self.line:
            return ()
        worst = ROOM * max(c.tokens for c in self.line)
        return volume_trace([c.right for c in own], [c.tokens for c in own], [c.spent for c in own], worst)

    def beside(self, others: Sequence["ShownSearch"]) -> list["ShownSearch"]:
        """Those of the others that may stand beside it; of the same proposals only the longest."""
        same = [o for o in others if o.name != self.name and o.areas() and _alike(self.settings, o.settings)]
        longest: dict[tuple[str, Json], ShownSearch] = {}
        for other in sorted(same, key=lambda o: o.evaluations):
            longest[other.sampler, other.settings.get("seed")] = other
        own = self.sampler, self.settings.get("seed")
        return [other for key, other in longest.items() if key != own]


def _alike(a: JsonMapping, b: JsonMapping) -> bool:
    def plain(x: Json) -> Json:
        return list(x) if isinstance(x, (list, tuple)) else x

    return all(plain(a.get(key)) == plain(b.get(key)) for key in SAME)


class SearchLibrary:
    """The searches of a page. `home` gives the folder of the user's own, or raises `UserError` or `AttributeError`."""

    def __init__(self, home: Callable[[], Path], jobs: SearchJobs) -> None:
        self._home, self.jobs = home, jobs
        self._saved: tuple[SavedSearch, ...] = ()

    def refresh(self) -> None:
        """Read the saved searches anew: optuna takes its time, so this is not done at every look."""
        try:
            self._saved = tuple(saved_searches(self._home()))
        except (UserError, AttributeError):
            self._saved = ()

    def of_pair(self, pair: str) -> list[ShownSearch]:
        """All searches of a pair: those of this process and the saved ones, the latest first, then the precomputed ones."""
        running = [of_job(job) for job in reversed(self.jobs.all())]
        known = {shown.name for shown in running}
        saved = [of_saved(one, "live") for one in reversed(self._saved) if one.name not in known]
        own = [shown for shown in (*running, *saved) if shown.pair == pair]
        names = {shown.name for shown in own}
        bundled = [of_saved(one, PRECOMPUTED) for one in bundled_searches(pair) if one.name not in names]
        bundled.sort(key=lambda s: (not s.candidates, s.sampler == "random", -s.evaluations, s.settings.get("seed", 0)))
        return [*own, *bundled]

    def get(self, name: str, pair: str) -> ShownSearch | None:
        """The search of this name that the pair has."""
        job = self.jobs.get(name)
        if job is not None and (shown := of_job(job)).pair == pair:
            return shown
        return next((shown for shown in self.of_pair(pair) if shown.name == name), None)


def of_job(job: SearchJob) -> ShownSearch:
    """A search of this process, running or ended."""
    running = job.running  # asked before the rest is read: once it says no, all of it is there
    search, state, error = job.search, job.state, job.error
    if error:
        stands = "failed"
    elif running:
        stands = "running"
    else:
        stands = "done" if state.result is not None else "stopped"
    plain = search.plain_settings()
    pair, version = search.space.recipe.pair, job.version
    return ShownSearch(
        search.name, pair, "live", stands, plain, state.candidates, state.result, state.progress, error, version
    )


def of_saved(one: SavedSearch, origin: str) -> ShownSearch:
    """A search that nothing runs in this process. One that was extended and not judged again is unfinished."""
    is_done = one.result is not None and one.result.evaluations >= min(one.evaluations, one.wanted)
    result = one.result if is_done else None
    state = "done" if is_done else "unfinished"
    return ShownSearch(one.name, one.pair, origin, state, one.settings, one.candidates, result)
