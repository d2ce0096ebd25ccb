"""What a search needs of a workbench where workers hold the pair: its identity, checks from headers, and runners for the crew."""

from collections.abc import Sequence
from typing import Self

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.cluster.crew import Crew
from mi_explorer.engine.logit_blends import logit_parts
from mi_explorer.errors import UserError
from mi_explorer.merging.blend import bind
from mi_explorer.recipe import Recipe
from mi_explorer.studies.plan import Cell, Item, Plan
from mi_explorer.studies.store.store import Store


class CheckedByWorkers:
    """Caps and tags are looked at by the workers, which know their memory and the pair's tokenizers."""

    def check_cap(self, cap: int, prompt_tokens: int = 1) -> None:
        """Nothing here."""

    def check_tags(self) -> None:
        """Nothing here."""


class CrewWorkbench:
    """Use `CrewWorkbench.open`. The crew is the caller's to close."""

    def __init__(self, crew: Crew, parents: Parents, name: str, fingerprint: str, dtype: str) -> None:
        self.crew, self.parents, self.name = crew, parents, name
        self.fingerprint, self.dtype = fingerprint, dtype
        self.generator = CheckedByWorkers()

    @classmethod
    def open(cls, crew: Crew, pair: str, cells: Sequence[Cell]) -> Self:
        """Wait until one worker has the pair and has checked `cells`. Raises a `UserError` for what no worker can run."""
        parents = Parents.open(pair)
        facts = crew.open_pair(pair, cells, lambda: False)
        assert facts is not None  # nobody stops it
        return cls(crew, parents, pair, facts.fingerprint, facts.dtype)

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
