"""Studies that come with the checkout: Parquet files in assets/studies, readable beside the user's own store.

A study that was made with other weights than the pair of that name has now says so in its `origin`: retraining a pair does
not turn old figures into its own.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from mi_explorer.checkpoints import fingerprint as identity
from mi_explorer.errors import UserError, unknown
from mi_explorer.pairs import get_pair
from mi_explorer.paths import ASSETS
from mi_explorer.studies.store.reader import FOREIGN, CellRow, StudyInfo
from mi_explorer.studies.store.schema import StoreCorrupt
from mi_explorer.studies.store.store import Store
from mi_explorer.studies.store.study_file import SUFFIX, StudyFile, StudyHead

FOLDER = ASSETS / "studies"
PRECOMPUTED = "precomputed"


def precomputed(folder: Path = FOLDER) -> tuple[Path, ...]:
    """The precomputed study files, by name."""
    return tuple(sorted(folder.glob(f"*{SUFFIX}")))


def bundled_studies(folder: Path = FOLDER) -> list[StudyInfo]:
    """What the precomputed files hold, from their heads alone; each says that it is precomputed, and if with other weights."""
    return [_info(_head(path)) for path in precomputed(folder)]


def bundled_study(name: str, folder: Path = FOLDER) -> tuple[Path, StudyInfo, Sequence[CellRow]] | None:
    """The file of a precomputed study, and what its head says: the study and its cells; None if there is none of this name."""
    for path in precomputed(folder):
        if (head := _head(path)).name == name:
            return path, _info(head), head.cells
    return None


def _info(head: StudyHead) -> StudyInfo:
    origin = _origin((row.cell.recipe.pair, row.fingerprint) for row in head.cells)
    return StudyInfo(1, head.name, head.plan, origin, head.note, head.created, head.updated, head.samples)


def open_study(own: Store, name: str, folder: Path = FOLDER) -> tuple[Store, StudyInfo]:
    """The store that holds a study (the user's own first, then the precomputed ones) and the study; the caller closes a store not its own.

    Raises `UserError` with a suggestion for a name that neither has.
    """
    if info := own.find(name):
        return own, info
    if found := bundled_study(name, folder):
        store = _opened(found[0])
        return store, store.study(name)
    names = [info.name for info in (*own.studies(), *bundled_studies(folder))]
    if not names:
        own.study(name)  # says that nothing is saved yet
    raise unknown("study", name, names)


def _head(path: Path) -> StudyHead:
    """The head of a file, read once per state of the file."""
    state = path.stat()
    return _read_head(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _read_head(path: Path, changed: int, size: int) -> StudyHead:
    head = StudyFile(path).head
    if head is None:
        raise StoreCorrupt(f"{path} does not say which study it holds; get it once more.")
    return head


def _opened(path: Path) -> Store:
    """A precomputed file as a store whose studies say what they are."""
    store = Store(path, readonly=True, origin=PRECOMPUTED)
    store.origin = _origin(
        (row.cell.recipe.pair, row.fingerprint) for info in store.studies() for row in store.cells(info.id)
    )
    return store


def _origin(made_with: Iterable[tuple[str, str]]) -> str:
    """What studies of these (pair, fingerprint) are called. Pairs that are not on this machine cannot be compared."""
    for pair, fingerprint in dict.fromkeys(made_with):
        try:
            now = identity.pair_fingerprint(get_pair(pair))
        except (UserError, OSError):
            continue
        if now is not None and now != fingerprint:
            return f"{PRECOMPUTED}, {FOREIGN}"
    return PRECOMPUTED
