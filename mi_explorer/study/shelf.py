"""Studies that come with the checkout: sealed `.mistudy` files in assets/studies, readable beside the user's own store."""

from pathlib import Path

from mi_explorer.errors import unknown
from mi_explorer.paths import ASSETS
from mi_explorer.study.schema import SUFFIX
from mi_explorer.study.store import Store, StudyInfo

FOLDER = ASSETS / "studies"


def precomputed(folder: Path = FOLDER) -> tuple[Path, ...]:
    """The precomputed study files, by name."""
    return tuple(sorted(folder.glob(f"*{SUFFIX}")))


def shelf(folder: Path = FOLDER) -> list[StudyInfo]:
    """What the precomputed files hold; each says that it is precomputed."""
    out = []
    for path in precomputed(folder):
        with Store(path, readonly=True, origin="precomputed") as store:
            out += store.studies()
    return out


def open_study(own: Store, name: str, folder: Path = FOLDER) -> tuple[Store, StudyInfo]:
    """The store that holds a study (the user's own first, then the shelf) and the study; the caller closes a store not its own.

    Raises `UserError` with a suggestion for a name that neither has.
    """
    if info := own.find(name):
        return own, info
    for path in precomputed(folder):
        store = Store(path, readonly=True, origin="precomputed")
        if info := store.find(name):
            return store, info
        store.close()
    names = [info.name for info in (*own.studies(), *shelf(folder))]
    if not names:
        own.study(name)  # says that nothing is saved yet
    raise unknown("study", name, names)
