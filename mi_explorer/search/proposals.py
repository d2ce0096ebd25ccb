"""Who proposes candidates: optuna, with a storage of its own beside our store, so that a search goes on where it was killed.

Proposals are asked for in batches and told one by one. What was asked and not told when a process died is handed out again.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchError, SearchSpace
from mi_explorer.studies.plan import Cell
from mi_explorer.untyped import Json, JsonMapping, JsonObject, LibraryObject

FILE_NAME = "searches.sqlite3"
MAX_REPEATS = 64  # proposals in a row that were measured before: then the space is used up


def storage_url(home: Path) -> str:
    """Where optuna keeps the searches of a home folder."""
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(home / FILE_NAME).resolve()}"


def quiet_optuna() -> LibraryObject:
    """optuna, which is slow to import and talkative."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    return optuna


class Proposals:
    """The proposals of one search. `values` told are (accuracy, tokens), or one number where there is one objective."""

    def __init__(self, home: Path, name: str, space: SearchSpace, settings: SearchSettings) -> None:
        optuna = quiet_optuna()
        self.space, self.settings = space, settings
        self._states = optuna.trial.TrialState
        self._study: LibraryObject = optuna.create_study(
            storage=storage_url(home),
            study_name=name,
            sampler=_sampler(optuna, settings, 0),
            directions=["maximize"] if settings.within is not None else ["maximize", "minimize"],
            load_if_exists=True,
        )
        done = len(self._study.trials)
        if done:  # another stream of random numbers than the one that made those
            self._study.sampler = _sampler(optuna, settings, done)
        self._left = [t for t in self._study.trials if t.state == self._states.RUNNING]

    @property
    def notes(self) -> JsonObject:
        """What was noted of this search."""
        return dict(self._study.user_attrs)

    def note(self, key: str, value: Json) -> None:
        """Keep a JSON value with the search."""
        self._study.set_user_attr(key, value)

    def told(self) -> list[tuple[Cell, JsonObject, tuple[float, ...]]]:
        """What was measured, in order: the cell, what was noted of it, and its values."""
        return told_trials(self._study, self.space)

    def ask(self, count: int, known: Mapping[Cell, tuple[float, ...]]) -> list[tuple[int, Cell]]:
        """Up to `count` proposals that are not `known` and differ: (number, cell). A known one is told at once what it gave before."""
        optuna = quiet_optuna()
        out: dict[Cell, int] = {}
        repeats = 0
        while len(out) < count and repeats < MAX_REPEATS:
            if self._left:
                trial = optuna.trial.Trial(self._study, self._left.pop(0)._trial_id)
            else:
                trial = self._study.ask()
            cell = _unlabelled(self.space.cell(trial))
            if cell in known:
                trial.set_user_attr("repeat", True)
                self._study.tell(trial, list(known[cell]))
                repeats += 1
            elif cell in out:
                self._study.tell(trial, state=self._states.FAIL)
                repeats += 1
            else:
                out[cell] = trial.number
        return [(number, cell) for cell, number in out.items()]

    def tell(self, number: int, values: Sequence[float], notes: JsonMapping) -> None:
        """What a proposal gave."""
        optuna = quiet_optuna()
        trial = optuna.trial.Trial(self._study, self._study.trials[number]._trial_id)
        for key, value in notes.items():
            trial.set_user_attr(key, value)
        self._study.tell(number, list(values))

    def add(self, params: JsonMapping, values: Sequence[float], notes: JsonMapping) -> None:
        """A candidate that was measured without being proposed, given by its numbers."""
        optuna = quiet_optuna()
        given = _Given(params)
        self.space.cell(given)
        self._study.add_trial(
            optuna.trial.create_trial(
                params=dict(params), distributions=given.distributions, values=list(values), user_attrs=dict(notes)
            )
        )


def _unlabelled(cell: Cell) -> Cell:
    return Cell(cell.recipe, cell.decoding)


def _sampler(optuna: LibraryObject, settings: SearchSettings, done: int) -> LibraryObject:
    seed = settings.seed * 100_003 + done
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if settings.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, min(2 * settings.batch, 50)))
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=max(settings.batch, 8), constant_liar=True, multivariate=False
    )


def told_trials(study: Json, space: SearchSpace) -> list[tuple[Cell, JsonObject, tuple[float, ...]]]:
    """What was measured of a study of optuna's, in order (see `Proposals.told`)."""
    complete = quiet_optuna().trial.TrialState.COMPLETE
    done = sorted(
        (t for t in study.trials if t.state == complete), key=lambda t: (t.user_attrs.get("order", -1), t.number)
    )
    return [(space.cell(_Given(t.params)), dict(t.user_attrs), tuple(t.values)) for t in done]


class _Given:
    """Given numbers in the place of a trial; remembers their distributions."""

    def __init__(self, params: JsonMapping) -> None:
        self.params, self.distributions = params, JsonObject()

    def _of(self, name: str, distribution: LibraryObject) -> LibraryObject:
        self.distributions[name] = distribution
        if name not in self.params:
            raise SearchError(
                f"A stored proposal has no {name!r}: the search was made by another version. Name a new one."
            )
        return self.params[name]

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None) -> float:
        return float(self._of(name, quiet_optuna().distributions.FloatDistribution(low, high, step=step)))

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self._of(name, quiet_optuna().distributions.IntDistribution(low, high)))

    def suggest_categorical(self, name: str, choices: LibraryObject) -> LibraryObject:
        return self._of(name, quiet_optuna().distributions.CategoricalDistribution(choices))
