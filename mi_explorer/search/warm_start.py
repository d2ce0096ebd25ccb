"""What is known before a search begins: samples of the studies that come with the checkout, and how long responses were."""

from collections.abc import Iterator

from mi_explorer.recipe import Recipe
from mi_explorer.studies.cost import Lengths, learn
from mi_explorer.studies.store.bundled import bundled_studies, open_study
from mi_explorer.studies.store.store import Store, StudyInfo


def _bundled_lines(task: str, pair: str) -> list[StudyInfo]:
    """The precomputed sweeps of this task and pair, made with the pair's weights of now."""
    return [
        info
        for info in bundled_studies()
        if info.plan.kind == "sweep" and info.plan.task == task and pair in info.plan.pairs and not info.foreign
    ]


def copy_bundled(store: Store, wanted: set[str], task: str, pair: str) -> int:
    """Copy those of the wanted samples that a bundled study has into the store, without texts; returns how many."""
    missing = wanted - store.have(wanted)
    copied = 0
    for info in _bundled_lines(task, pair) if missing else ():
        other, found = open_study(store, info.name)
        if other is store:
            continue
        copied += store.add_many((s, None) for s in other.samples(found.id) if s.key in missing)
    return copied


def known_lengths(store: Store, task: str, pair: str) -> Lengths:
    """Tokens of responses of this task and pair by recipe, from the store and from the bundled sweeps."""
    return learn(_counted(store, task, pair))


def _counted(store: Store, task: str, pair: str) -> Iterator[tuple[Recipe, int, int]]:
    own = [info for info in store.studies() if info.plan.task == task and pair in info.plan.pairs and info.samples]
    for info in (*own, *_bundled_lines(task, pair)):
        other, found = open_study(store, info.name)
        counts = other.tokens(found.id)
        for row in other.cells(found.id):
            if row.key in counts and row.cell.decoding.think_budget is None:
                yield row.cell.recipe, *counts[row.key]
