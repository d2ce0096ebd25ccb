"""The searches of a home folder, as optuna's storage has them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mi_explorer.errors import UserError, unknown
from mi_explorer.recipe import Decoding
from mi_explorer.search.proposals import FILE_NAME, quiet_optuna, storage_url
from mi_explorer.search.result import SearchResult


@dataclass(frozen=True)
class SavedSearch:
    """A search by name: how far it came, and its result where it was judged."""

    name: str
    evaluations: int
    wanted: int
    result: SearchResult | None

    @property
    def verdict(self) -> str:
        return self.result.verdict if self.result else ""

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "evaluations": self.evaluations,
            "wanted": self.wanted,
            "verdict": self.verdict or None,
        }


def saved_searches(home: Path) -> list[SavedSearch]:
    """All of them, the newest last."""
    if not (home / FILE_NAME).is_file():
        return []
    optuna = quiet_optuna()
    url = storage_url(home)
    return [_read(optuna.load_study(study_name=name, storage=url)) for name in optuna.get_all_study_names(url)]


def saved_search(home: Path, name: str) -> SavedSearch:
    """The search of this name; `UserError` with a suggestion if there is none."""
    found = {one.name: one for one in saved_searches(home)}
    if name not in found:
        raise (
            unknown("search", name, found)
            if found
            else UserError(f"There is no search {name[:80]!r}: none has been saved here yet. 'search' makes one.")
        )
    return found[name]


def _read(study: Any) -> SavedSearch:
    notes = study.user_attrs
    done = sum("score" in trial.user_attrs for trial in study.trials)
    result = notes.get("result")
    made = None
    if result is not None:
        made = SearchResult.of(result, Decoding(**result["settings"]["decoding"]))
    return SavedSearch(study.study_name, done, int(notes.get("settings", {}).get("evaluations", 0)), made)
