"""A stored sample opened in Explore: the same question, recipe, decoding and seed, with its neighbours on the λ axis."""

import json
import sqlite3
from dataclasses import replace

import pytest

from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.explore import board, stored_sample
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.explore_handlers import Explore
from tests.fakes import ScriptedEngine, scripted_bench

ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(3))
LAMS = (0, 0.3, 0.5, 0.8, 1)


@pytest.fixture
def study(tmp_path):
    """A store with one study: two scopes over λ, three questions, two samples each; and the workbench that made it."""
    store, bench = Store(tmp_path / "s.db"), scripted_bench(ScriptedEngine())
    decoding = Decoding(cap=200, seed=5)
    cells = grid(Recipe(), LAMS, decoding) + grid(Recipe(scope=Scope("0-1")), (0.5, 1), decoding, "scope")
    list(Runner(store, Plan("sums", cells, 3, 2), ITEMS, lambda pair: bench, name="sums <b>").run())
    yield store, store.study("sums <b>"), bench
    store.close()


def pick(store, info, lam, scope="all", number=1):
    cells = {c.key: c.cell.recipe for c in store.cells(info.id)}
    return next(
        s
        for s in store.samples(info.id)
        if cells[s.cell].lam == lam and cells[s.cell].scope.layers == scope and s.number == number
    )


def test_a_sample_opens_with_its_own_recipe_decoding_seed_and_question(study):
    store, info, bench = study
    one = pick(store, info, 0.8)
    made, _ = stored_sample.stored_strip(store, info, one.key, bench)
    assert json.loads(json.dumps(made)) == made
    view = views.view_of_dict(made["view"])
    item = next(i for i in ITEMS if i.key == one.item)
    assert (view.prompt, view.gold, view.lam, view.decoding) == (
        item.prompt,
        item.answer,
        0.8,
        Decoding(cap=200, seed=one.seed),
    )
    assert view.recipe() == Recipe(lam=0.8)
    body, frame = store.body(one.key), made["frames"]["0.8"]
    assert frame["thought"] + frame["answer"] and all(frame[part] in body["text"] for part in ("thought", "answer"))
    assert (frame["tokens"], frame["think"], frame["verdict"], frame["state"]) == (
        one.tokens,
        one.think_tokens,
        one.verdict,
        "done",
    )
    assert "“sums <b>”" in made["label"] and "sample 2" in made["label"] and f"seed {one.seed}" in made["label"]


def test_the_strip_holds_what_differs_in_lambda_alone(study):
    store, info, bench = study
    one = pick(store, info, 0.8)
    made, _ = stored_sample.stored_strip(store, info, one.key, bench)
    assert sorted(f["lam"] for f in made["frames"].values()) == list(LAMS)
    cells = {c.key: c.cell.recipe for c in store.cells(info.id)}
    kin = {
        cells[s.cell].lam: s
        for s in store.samples(info.id, item=one.item)
        if s.number == 1 and cells[s.cell].scope == Scope()
    }
    assert {s.seed for s in kin.values()} == {one.seed}
    assert all(
        f["tokens"] == kin[f["lam"]].tokens and kin[f["lam"]].answer in f["answer"] for f in made["frames"].values()
    )
    scoped, _ = stored_sample.stored_strip(store, info, pick(store, info, 0.5, "0-1").key, bench)
    assert sorted(f["lam"] for f in scoped["frames"].values()) == [0.5, 1] and scoped["view"]["layers"] == "0-1"


def test_the_frame_is_that_of_the_run_itself(study):
    store, info, bench = study
    one = pick(store, info, 0.5)
    made, _ = stored_sample.stored_strip(store, info, one.key, bench)
    view = views.view_of_dict(made["view"])
    request = {"token": "0123456789abcdef", "kind": "strip", "view": views.view_dict(view)}
    again = list(Explore(bench).run(request))[-1]["frames"]["0.5"]
    assert again | {"tps": 0} == made["frames"]["0.5"]


def test_traces_are_kept_for_the_lenses_only_on_the_same_weights(study):
    store, info, bench = study
    one = pick(store, info, 0.8)
    _, traces = stored_sample.stored_strip(store, info, one.key, bench)
    assert (
        sorted(float(k) for k in traces) == list(LAMS)
        and traces["0.8"].prompt_ids == bench.prompts.render(ITEMS[0].prompt, Recipe()).ids
    )
    other = scripted_bench(ScriptedEngine(), fingerprint="something else")
    assert (
        stored_sample.stored_strip(store, info, one.key, other)[1] == {}
        and stored_sample.stored_strip(store, info, one.key)[1] == {}
    )


def test_more_cells_than_the_board_takes_keep_the_nearest(tmp_path):
    store, bench = Store(tmp_path / "s.db"), scripted_bench(ScriptedEngine())
    cells = grid(Recipe(), [i / 40 for i in range(41)], Decoding(cap=50))
    list(Runner(store, Plan("sums", cells, 1, 1), ITEMS[:1], lambda pair: bench, name="many").run())
    info = store.study("many")
    made, _ = stored_sample.stored_strip(store, info, pick(store, info, 1, number=0).key)
    lams = sorted(f["lam"] for f in made["frames"].values())
    assert len(lams) == board.MAX_FRAMES and lams == [i / 40 for i in range(41)][-board.MAX_FRAMES :]


def test_what_cannot_be_opened_is_said(study):
    store, info, bench = study
    explore = Explore(bench)
    one = pick(store, info, 0.8)
    assert "no such sample" in explore.sample(info.name, "nonsense", store)["error"]
    assert "Unknown study 'sums <c>'" in explore.sample("sums <c>", one.key, store)["error"]
    assert "without a store" in Explore(scripted_bench(ScriptedEngine())).sample("x", "y")["error"]
    with sqlite3.connect(store.path) as db:
        db.execute("DELETE FROM bodies WHERE key = ?", (one.key,))
    assert "slim export" in explore.sample(info.name, one.key, store)["error"]
    near = explore.sample(info.name, pick(store, info, 0.5).key, store)
    assert sorted(f["lam"] for f in near["frames"].values()) == [0, 0.3, 0.5, 1]  # the one without text is left out
    assert near["token"].startswith("study") and near == explore.sample(info.name, pick(store, info, 0.5).key, store)


def test_the_view_of_a_sample_survives_its_own_address(study):
    store, info, bench = study
    made, _ = stored_sample.stored_strip(store, info, pick(store, info, 0.3).key, bench)
    view = views.view_of_dict(made["view"])
    assert views.view_of_query(views.view_query(view)) == (view, ()) and replace(view, lam=0.3) == view
