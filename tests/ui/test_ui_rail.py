"""Bands and curves of the rail from a study: the figures are the summary's, and only of the recipe that is looked at."""

import pytest

from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.explore import rail
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.explore_handlers import Explore
from tests.fakes import ScriptedEngine, scripted_bench

ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(12))
LAMS = tuple(i / 10 for i in range(11))


def view(**more):
    return views.view_of_dict({"q": "?", **more})


def sweep(store, bench, name, questions=12, samples=3, cells=None):
    cells = cells or grid(Recipe(), LAMS, Decoding(cap=200, seed=5))
    list(Runner(store, Plan("sums", cells, questions, samples), ITEMS[:questions], lambda pair: bench, name=name).run())


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A workbench with an own store of two sweeps, the larger one by samples a λ last; and an ablation."""
    store = Store(tmp_path_factory.mktemp("store") / "s.db")
    bench = scripted_bench(ScriptedEngine(), store)
    sweep(store, bench, "small", 3, 1)
    sweep(store, bench, "scoped", 3, 1, grid(Recipe(scope=Scope("2-5")), (0, 0.5, 1), Decoding(cap=200)))
    sweep(store, bench, "large")
    yield store, bench
    store.close()


def test_the_figures_are_those_of_the_largest_study_of_this_recipe(studied, tmp_path):
    store, bench = studied
    told = rail.Rail(bench, tmp_path).study(view(seed=99, cap=512))
    summary = summarise(store, "large")
    assert (told["name"], told["origin"], told["questions"], told["samples"], told["cap"]) == (
        "large",
        "live",
        12,
        3,
        200,
    )
    assert [p["lam"] for p in told["points"]] == list(LAMS)
    for point, cell in zip(told["points"], summary.cells, strict=True):
        assert all(point[k] == cell[k] for k in rail.POINT_FIELDS)
    stages = next(iter(summary.stages.values()))
    first, last = stages["stage2"]
    assert told["message"] == stages["message"] and [b["stage"] for b in told["bands"]] == [1, 2, 3]
    assert (told["bands"][1]["from"], told["bands"][1]["to"]) == (
        pytest.approx(max(0, first)),
        pytest.approx(min(1, last)),
    )


@pytest.mark.parametrize(
    "other",
    [{"t": 0}, {"top_p": 0.5}, {"method": "slerp"}, {"layers": "0-2"}, {"template": "instruct"}, {"modules": ["mlp"]}],
)
def test_another_recipe_or_decoding_has_no_study(studied, tmp_path, other):
    assert rail.Rail(studied[1], tmp_path).study(view(**other)) is None


def test_a_scope_finds_its_own_study(studied, tmp_path):
    told = rail.Rail(studied[1], tmp_path).study(view(layers="2-5", lam=0.7))
    assert told["name"] == "scoped" and [p["lam"] for p in told["points"]] == [0, 0.5, 1]


def test_other_weights_and_no_study_have_none(studied, tmp_path):
    store, _ = studied
    other = scripted_bench(ScriptedEngine(), store, fingerprint="retrained")
    assert rail.Rail(other, tmp_path).study(view()) is None
    assert rail.Rail(scripted_bench(ScriptedEngine()), tmp_path).study(view()) is None


def test_it_is_read_once_until_there_are_more_samples(tmp_path, monkeypatch):
    store = Store(tmp_path / "s.db")
    bench, read = scripted_bench(ScriptedEngine(), store), []
    monkeypatch.setattr(rail, "study_curve", lambda s, of=rail.study_curve: (read.append(s.info.samples), of(s))[1])
    mine = rail.Rail(bench, tmp_path)
    sweep(store, bench, "x", 2, 1, grid(Recipe(), (0, 0.5, 1), Decoding(cap=200)))
    assert mine.study(view()) == mine.study(view(lam=0.3, seed=7)) and read == [6]
    sweep(store, bench, "x", 3, 1, grid(Recipe(), (0, 0.5, 1), Decoding(cap=200)))
    assert mine.study(view())["questions"] == 3 and read == [6, 9]
    store.close()


@pytest.mark.parametrize(
    ("stages", "want"),
    [
        ({}, []),
        ({"lambda50": None, "stage2": [None, None]}, []),
        ({"lambda50": 0.5, "stage2": [0.4, 0.6]}, [(1, 0, 0.4), (2, 0.4, 0.6), (3, 0.6, 1)]),
        ({"lambda50": 0.1, "stage2": [-0.2, 0.3]}, [(2, 0, 0.3), (3, 0.3, 1)]),
        ({"lambda50": 0.9, "stage2": [0.8, 1.4]}, [(1, 0, 0.8), (2, 0.8, 1)]),
        ({"lambda50": 0.5, "stage2": [None, 0.6]}, [(2, 0, 0.6), (3, 0.6, 1)]),
        ({"lambda50": 0.5, "stage2": [0.4, None]}, [(1, 0, 0.4), (2, 0.4, 1)]),
    ],
)
def test_bands_are_cut_to_what_was_measured(stages, want):
    assert [(b["stage"], b["from"], b["to"]) for b in rail.stage_bands(stages, 0, 1)] == want


def test_the_handler_answers_anything(studied):
    store, bench = studied
    explore = Explore(bench)
    assert explore.curve({"q": "?"})["name"] == "large"
    for bad in (None, [], {"lam": "abc"}, {"layers": "9-1"}, {"method": "zebra"}, {"method": {}}):
        assert explore.curve(bad) is None or bad in (None, [])
