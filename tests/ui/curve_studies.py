"""Studies of a scripted pair as the Curves tab shows them, and the tab's handlers."""

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.curves.curves_handlers import CurvesHandlers
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from tests.fakes import ScriptedEngine, scripted_bench

LAMS = tuple(i / 10 for i in range(11))
DECODING = Decoding(cap=200)


def item(i: int) -> Item:
    return Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4))


def swept(
    store: Store,
    name: str,
    questions: range = range(12),
    samples: int = 3,
    lams=LAMS,
    recipe: Recipe | None = None,
    kind: str = "sweep",
) -> None:
    items = tuple(map(item, questions))
    plan = Plan("sums", grid(recipe or Recipe(), lams, DECODING), len(items), samples, kind)
    list(Runner(store, plan, items, lambda pair: scripted_bench(name=pair), name=name).run())


def tab(
    store: Store, folder, jobs: Jobs | None = None, engine: ScriptedEngine | None = None, settings=None
) -> CurvesHandlers:
    bench = scripted_bench(engine or ScriptedEngine(), store)
    bench.pair.title = ""
    pairs = PagePairs(OpenPair(Explore(bench), {}), lambda pair, report: None, "any")
    return CurvesHandlers(pairs, jobs or Jobs(), settings, folder)
