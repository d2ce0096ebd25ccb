"""What a search needs of a workbench where workers hold the pair: its identity, checks from headers, and runners for the crew."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.cluster.crew import Crew, CrewError
from mi_explorer.cluster.worker_engine import EngineFacts
from mi_explorer.engine.logit_blends import logit_parts
from mi_explorer.errors import UserError
from mi_explorer.merging.blend import bind
from mi_explorer.recipe import Recipe
from mi_explorer.studies.plan import Cell, Item, Plan
from mi_explorer.studies.progress import WorkerStatus
from mi_explorer.studies.store.store import Store


class CheckedByWorkers:
    """Caps and tags are looked at by the workers, which know their memory and the pair's tokenizers."""

    def check_cap(self, cap: int, prompt_tokens: int = 1) -> None:
        """Nothing here."""

    def check_tags(self) -> None:
        """Nothing here."""


class CrewWorkbench:
    """A pair by its files; what the workers make of it is known once they have loaded it. The crew is the caller's to close."""

    def __init__(self, crew: Crew, pair: str) -> None:
        self.crew, self.name, self.parents = crew, pair, Parents.open(pair)
        self.generator = CheckedByWorkers()
        self._facts: EngineFacts | None = None

    @classmethod
    def open(cls, crew: Crew, pair: str, cells: Sequence[Cell]) -> Self:
        """Wait until one worker has the pair and has checked `cells`. Raises a `UserError` for what no worker can run."""
        bench = cls(crew, pair)
        for _ in bench.loading(cells, lambda: False):
            pass
        return bench

    def loading(self, cells: Sequence[Cell], stopped: Callable[[], bool]) -> Iterator[tuple[WorkerStatus, ...]]:
        """How the workers stand until one has the pair and has checked `cells`, or until `stopped()`."""
        yield from self.crew.opening(self.name, cells, stopped)
        self._facts = self.crew.facts

    @property
    def facts(self) -> EngineFacts:
        if self._facts is None:
            raise CrewError(f"No worker has loaded the pair {self.name!r} yet.")
        return self._facts

    @property
    def fingerprint(self) -> str:
        return self.facts.fingerprint

    @property
    def dtype(self) -> str:
        return self.facts.dtype

    @property
    def layers(self) -> int:
        return self.parents.layers

    def check(self, recipe: Recipe) -> None:
        """Raise a `UserError` for a recipe that the pair cannot run."""
        if recipe.pair != self.name:
            raise UserError(f"This recipe is for the pair {recipe.pair!r}, but the workers have {self.name!r}.")
        for part, _ in logit_parts(recipe):
            bind(part, self.parents)

    def runner(self, store: Store, plan: Plan, items: Sequence[Item], name: str) -> ClusterRunner:
        """A runner of this plan whose samples the crew makes."""
        return ClusterRunner(store, plan, items, self.crew, name=name)
