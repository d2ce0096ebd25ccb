"""Studies that come with the checkout: sealed `.mistudy` files in assets/studies, readable beside the user's own store.

A study that was made with other weights than the pair of that name has now says so in its `origin`: retraining a pair does
not turn old figures into its own.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from mi_explorer.checkpoints import fingerprint as identity
from mi_explorer.errors import UserError, unknown
from mi_explorer.pairs import get_pair
from mi_explorer.paths import ASSETS
from mi_explorer.studies.store.archive import Sealed, is_sealed
from mi_explorer.studies.store.schema import SUFFIX
from mi_explorer.studies.store.store import FOREIGN, Store, StudyInfo

FOLDER = ASSETS / "studies"
PRECOMPUTED = "precomputed"


def precomputed(folder: Path = FOLDER) -> tuple[Path, ...]:
    """The precomputed study files, by name."""
    return tuple(sorted(folder.glob(f"*{SUFFIX}")))


def shelf(folder: Path = FOLDER) -> list[StudyInfo]:
    """What the precomputed files hold, from their heads alone; each says that it is precomputed, and if with other weights."""
    out = []
    for path in precomputed(folder):
        if is_sealed(path):
            file = _file(path)
            h = file.head
            origin = _origin((cell.recipe.pair, fingerprint) for cell, fingerprint, _ in file.cells)
            out.append(StudyInfo(1, h["name"], file.plan, origin, h["note"], h["created"], h["updated"], file.count))
        else:
            with _opened(path) as store:
                out += store.studies()
    return out


def open_study(own: Store, name: str, folder: Path = FOLDER) -> tuple[Store, StudyInfo]:
    """The store that holds a study (the user's own first, then the shelf) and the study; the caller closes a store not its own.

    Raises `UserError` with a suggestion for a name that neither has.
    """
    if info := own.find(name):
        return own, info
    for path in precomputed(folder):
        if is_sealed(path) and _file(path).head["name"] != name:
            continue
        store = _opened(path)
        if info := store.find(name):
            return store, info
        store.close()
    names = [info.name for info in (*own.studies(), *shelf(folder))]
    if not names:
        own.study(name)  # says that nothing is saved yet
    raise unknown("study", name, names)


def _file(path: Path) -> Sealed:
    """The head of a sealed file, read once per state of the file."""
    state = path.stat()
    return _head(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _head(path: Path, changed: int, size: int) -> Sealed:
    return Sealed(path)


def _opened(path: Path) -> Store:
    """A file of the shelf as a store whose studies say what they are."""
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
