"""The searches of a home folder, as optuna's storage has them, and those that come with the checkout."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mi_explorer.errors import UserError, unknown
from mi_explorer.recipe import Decoding
from mi_explorer.search.identity import space_of_plain
from mi_explorer.search.proposals import FILE_NAME, quiet_optuna, storage_url, told_trials
from mi_explorer.search.result import SearchResult
from mi_explorer.search.router import BUNDLED
from mi_explorer.search.search_events import CandidateScore
from mi_explorer.untyped import Json, JsonMapping, JsonObject


@dataclass(frozen=True)
class SavedSearch:
    """A search by name: how far it came, and its result where it was judged. `settings` are as `SearchResult.settings` has them.

    `candidates` in the order in which they were measured; none where another version wrote the search, or where it came with the
    checkout.
    """

    name: str
    evaluations: int
    wanted: int
    result: SearchResult | None
    settings: JsonMapping = field(default_factory=dict)
    candidates: tuple[CandidateScore, ...] = ()

    @property
    def verdict(self) -> str:
        return self.result.verdict if self.result else ""

    @property
    def pair(self) -> str:
        """The name of its pair; "" where nothing tells it."""
        if self.result is not None and self.result.finalists:
            return self.result.finalists[0].cell.recipe.pair
        return str(self.settings.get("recipe", {}).get("pair", ""))

    def json(self) -> JsonObject:
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


def bundled_searches(pair: str) -> list[SavedSearch]:
    """The precomputed searches of a pair; none for most."""
    path = BUNDLED / f"{pair}.json"
    if not (pair.isalnum() and path.is_file()):
        return []
    data: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    out = []
    for name, one in data.items():
        result = _result(one)
        found = tuple(_bundled_candidates(one))
        out.append(SavedSearch(name, result.evaluations, result.evaluations, result, result.settings, found))
    return out


class _Numbers:
    """Given numbers in the place of a trial, without optuna, which is slow to import."""

    def __init__(self, params: JsonMapping) -> None:
        self.params = params

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None) -> float:
        return float(self.params[name])

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Json) -> Json:
        return self.params[name]


def _bundled_candidates(data: JsonMapping) -> Iterator[CandidateScore]:
    """The candidates that a bundled search lists: its numbers and its score, each."""
    for number, (params, score) in enumerate(data.get("candidates", ()), 1):
        cell = space_of_plain(data["settings"]).cell(_Numbers(params))
        yield CandidateScore(cell, "", number, **score)


def _read(study: Json) -> SavedSearch:
    notes = study.user_attrs
    settings = notes.get("settings", {})
    done = sum("score" in trial.user_attrs for trial in study.trials)
    result = _result(notes["result"]) if notes.get("result") is not None else None
    wanted = int(settings.get("evaluations", 0))
    return SavedSearch(study.study_name, done, wanted, result, settings, _candidates(study, settings))


def _candidates(study: Json, settings: JsonMapping) -> tuple[CandidateScore, ...]:
    try:
        told = told_trials(study, space_of_plain(settings))
    except (KeyError, UserError):  # another version's
        return ()
    return tuple(CandidateScore(cell, **notes["score"]) for cell, notes, _ in told if "score" in notes)


def _result(data: JsonMapping) -> SearchResult:
    return SearchResult.of(data, Decoding(**data["settings"]["decoding"]))
