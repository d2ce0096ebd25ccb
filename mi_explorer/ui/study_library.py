"""The studies of one page: the user's own and the precomputed ones, summarised once per state; rename and delete.

Summaries are remembered until a study has more samples or probes; those of precomputed studies are kept beside their files, so
that no sample is read for them.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.studies.stats.curve import curves
from mi_explorer.studies.stats.kept_summary import kept_summary
from mi_explorer.studies.stats.summary import Summary, summarise
from mi_explorer.studies.store import bundled
from mi_explorer.studies.store.store import Store, StudyInfo

MAX_SUMMARIES = 16


class StudyLibrary:
    """Studies of one page. `own` gives the user's store, or raises `UserError` or `AttributeError` where there is none."""

    def __init__(self, own: Callable[[], Store], folder: Path | None = None) -> None:
        self._own, self.folder = own, folder or bundled.FOLDER
        self._known: OrderedDict[tuple[object, ...], Summary] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def own(self) -> Store | None:
        """The user's store; None where there is none (its reason is said by whoever needs it)."""
        try:
            return self._own()
        except (UserError, AttributeError):
            return None

    def studies(self) -> list[StudyInfo]:
        """The user's own studies, the latest first, then the precomputed ones (a name of the user's own hides a precomputed one)."""
        own = self.own
        mine = sorted(own.studies(), key=lambda info: -info.updated) if own else []
        names = {info.name for info in mine}
        return [*mine, *(s for s in bundled.bundled_studies(self.folder) if s.name not in names)]

    def curves(self) -> list[StudyInfo]:
        """The studies with a curve (two λs of one recipe)."""
        return [info for info in self.studies() if curves(info.plan.cells)]

    @contextmanager
    def open(self, name: str) -> Iterator[tuple[Store, StudyInfo]]:
        """A study and the store that holds it. Raises `UserError` for a name that there is not."""
        own = self.own
        store, info = bundled.open_study(own or _Empty(), str(name), self.folder)  # type: ignore[arg-type]  # all that is asked of it
        try:
            yield store, info
        finally:
            if store is not own:
                store.close()

    def kept_summary(self, name: str) -> Summary | None:
        """The summary that is kept of a precomputed study, without `measures`; None for any other study."""
        own = self.own
        return None if own is not None and own.find(name) else kept_summary(name, self.folder)

    def summary(self, name: str) -> Summary:
        """A study in figures, of a precomputed one without `measures`. Raises `UserError` for a name that there is not."""
        if (kept := self.kept_summary(str(name))) is not None:
            return kept
        with self.open(name) as (store, info):
            key = (info.name, info.origin, info.updated, info.samples, store.probe_count(info.id))
            with self._lock:
                if key in self._known:
                    return self._known[key]
            made = summarise(store, info.name)
        with self._lock:
            self._known[key] = made
            while len(self._known) > MAX_SUMMARIES:
                self._known.popitem(last=False)
        return made

    def rename(self, name: str, new: str) -> None:
        """Give one of the user's own studies another name."""
        self._mine(name).rename(name, str(new).strip())

    def delete(self, name: str) -> int:
        """Delete one of the user's own studies; returns how many samples went with it."""
        return self._mine(name).delete(name)

    def _mine(self, name: str) -> Store:
        own = self.own
        if own is None or own.find(name) is None:
            raise UserError(f"“{name}” is not one of your own studies, so it stays as it is.")
        return own


def study_label(info: StudyInfo) -> str:
    """A study in a list to choose from: its name, whose it is if not the user's own, its task, how much there is of it."""
    whose = "" if info.origin == "live" else f" · {info.origin}"
    part = f"{info.samples:,} samples" if info.samples >= info.units else f"{info.samples:,} of {info.units:,} samples"
    return f"{info.name}{whose} · {info.plan.task} · {part}"


class _Empty:
    """A store with nothing in it."""

    def find(self, name: str) -> None:
        return None

    def studies(self) -> list[StudyInfo]:
        return []

    def study(self, name: str) -> StudyInfo:
        raise UserError("There are no studies yet. Set up a sweep and run it; it is saved as it runs.")
