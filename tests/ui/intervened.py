"""Studies with budgets, λs of the answer and probes, as the page, the report and the command line show them."""

from dataclasses import replace

from mi_explorer.generation.probe_points import ProbeOptions, ProbePoint
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Cell, Item, Plan
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from mi_explorer.studies.store.stored_probes import StoredProbes
from tests.fakes import scripted_bench

LAMS, BUDGETS, ANSWERS = (0.4, 0.7, 1.0), (10, 20, None), (0.0, 1.0, None)
OPTIONS = ProbeOptions(points=3, free=1)


def made(store: Store, name: str, cells: tuple[Cell, ...], questions: int = 6) -> None:
    """A study of the scripted pair, which knows no budgets: its cells have them in name."""
    items = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(questions))
    list(Runner(store, Plan("sums", cells, questions, 2), items, lambda pair: scripted_bench(), name=name).run())


def budget_cells(seed: int = 0) -> tuple[Cell, ...]:
    return tuple(
        Cell(Recipe(lam=lam), Decoding(cap=200, think_budget=budget, seed=seed), group=f"budget {budget or 'none'}")
        for budget in BUDGETS
        for lam in LAMS
    )


def answer_cells() -> tuple[Cell, ...]:
    return tuple(
        Cell(Recipe(lam=lam, answer_lam=answer), Decoding(cap=200), group=f"answer {answer}")
        for answer in ANSWERS
        for lam in LAMS
    )


def with_probes(store: Store, name: str) -> int:
    """Probes of every sample: points after 2, 4 and 6 tokens, the first wrong, the others right as the sample; all go on right."""
    samples = store.samples(store.study(name).id)
    wrong = ProbePoint(2, "0", False, 0.5, free=(True,), free_tokens=(9,))
    points = {s.key: (wrong, *(replace(wrong, token=t, right=s.correct) for t in (4, 6))) for s in samples}
    return store.add_probes(StoredProbes(key, OPTIONS, found) for key, found in points.items())
