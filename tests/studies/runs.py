"""Runs of a small study on a scripted engine."""

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from tests.fakes import ScriptedEngine, scripted_bench

ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(5))


def plan(lams=(0, 0.5, 1), questions=5, samples=3, decoding=None):
    return Plan("sums", grid(Recipe(), lams, decoding or Decoding(cap=200)), questions, samples)


def drive(store, what, items=ITEMS, engine=None, **more):
    """Run to the end; returns the runner, its events and the engine."""
    engine = engine or ScriptedEngine()
    bench = scripted_bench(engine)
    runner = Runner(store, what, items[: what.questions], lambda pair: bench, **more)
    return runner, list(runner.run()), engine


def of(kind, events):
    return [e for e in events if isinstance(e, kind)]
