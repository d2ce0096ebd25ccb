"""A search whose samples workers make: the candidates, the frontier and the samples of a search with one engine."""

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.cluster.crew_workbench import CrewWorkbench
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.search.search import Search
from mi_explorer.search.search_events import SearchDone, SearchProgress
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchSpace
from mi_explorer.studies.plan import Cell, Item
from mi_explorer.studies.store.store import Store
from tests.cluster.test_cluster import crew_of
from tests.fakes import scripted_bench

ITEMS = tuple(Item("sums", str(i), f"What is {i} + 4?", str(i + 4)) for i in range(60))
SETTINGS = SearchSettings(evaluations=4, questions=12, samples=1, heldout_questions=20, heldout_samples=1, batch=4)
SPACE = SearchSpace(("lambda", "budget"), 6, Recipe(), Decoding(cap=128))


def searched(path, bench, **more):
    """(result, samples by key) of the same search."""
    with Store(path) as store:
        search = Search(store, bench, ITEMS, SPACE, SETTINGS, task="sums", **more)
        events = list(search.run())
        samples = [s for info in store.studies() for s in store.samples(info.id)]
    (done,) = [e for e in events if isinstance(e, SearchDone)]
    workers = [w for e in events if isinstance(e, SearchProgress) for w in e.workers]
    return done.result, {s.key: (s.seed, s.verdict, s.tokens) for s in samples}, workers


def test_workers_change_no_candidate_and_no_sample(tmp_path):
    one, samples, _ = searched(tmp_path / "one" / "s.db", scripted_bench())
    crew = crew_of(2)
    try:
        bench = CrewWorkbench.open(crew, "mini", (Cell(Recipe(), Decoding(cap=128)),))
        assert (bench.fingerprint, bench.dtype, bench.layers) == ("scripted", "float32", Parents.open("mini").layers)
        two, same, workers = searched(tmp_path / "two" / "s.db", bench, runner_for=bench.runner)
    finally:
        crew.close()
    assert same == samples and len({w.name for w in workers if w.done}) == 2
    assert [f.cell for f in two.finalists] == [f.cell for f in one.finalists]
    assert two.heldout_volume == one.heldout_volume
