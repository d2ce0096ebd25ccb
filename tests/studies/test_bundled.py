"""Precomputed studies: found beside the user's own, and said whose weights they show."""

import pytest

from mi_explorer.checkpoints import fingerprint as identity
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store import bundled
from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.reader import FOREIGN
from mi_explorer.studies.store.store import CellRow, Store
from mi_explorer.workbench import Workbench


@pytest.fixture
def trio(tmp_path, monkeypatch):
    """A pair of three small folders under the name that the scripted studies have."""
    for role in ("instruct", "thinking"):
        (tmp_path / role).mkdir()
        (tmp_path / role / "model.safetensors").write_bytes(role.encode() * 100)
    pair = Pair("mini", str(tmp_path / "instruct"), str(tmp_path / "thinking"))
    monkeypatch.setattr(bundled, "get_pair", lambda name: pair)
    return pair


def bundle(tmp_path, fingerprint):
    """A folder with one study of a fingerprint."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    plan = Plan("sums", grid(Recipe(), (0, 1), Decoding()), 1, 1)
    rows = [CellRow(cell.key(fingerprint, "float32"), cell, fingerprint, "float32") for cell in plan.cells]
    with Store(tmp_path / "theirs.db") as store:
        store.put_study("s", plan, rows, [Item("sums", "1", "What is 3 + 4?", "7")])
        export_study(store, "s", folder / "s.parquet")
    return folder


def test_a_precomputed_study_of_other_weights_says_so(tmp_path, trio):
    own = Store(tmp_path / "home" / "studies.db")
    folder = bundle(tmp_path, identity.pair_fingerprint(trio))
    assert [(info.name, info.origin, info.foreign) for info in bundled.bundled_studies(folder)] == [
        ("s", "precomputed", False)
    ]
    with bundled.open_study(own, "s", folder)[0] as store:
        assert store.studies()[0].origin == "precomputed"
    (tmp_path / "thinking" / "model.safetensors").write_bytes(b"retrained" * 90)
    assert [(info.origin, info.foreign) for info in bundled.bundled_studies(folder)] == [
        (f"precomputed, {FOREIGN}", True)
    ]
    store, info = bundled.open_study(own, "s", folder)
    with store:
        assert info.origin == f"precomputed, {FOREIGN}" and FOREIGN in summarise(store, "s").json()["origin"]


def test_a_study_of_a_pair_that_is_not_here_is_only_precomputed(tmp_path, trio, monkeypatch):
    folder = bundle(tmp_path, "0" * 16)
    monkeypatch.setattr(bundled, "get_pair", lambda name: Pair("big", "someone/instruct", "someone/thinking"))
    assert [info.origin for info in bundled.bundled_studies(folder)] == ["precomputed"]


def test_what_is_bundled_is_small_complete_and_of_these_weights(tmp_path):
    """Stale, half-made or bloated files must not ship: this fails when a pair is retrained and its studies are not."""
    files = bundled.precomputed()
    assert sum(path.stat().st_size for path in files) < 6e6
    found = {info.name: info for info in bundled.bundled_studies()}
    assert {info.origin for info in found.values()} <= {"precomputed"} and len(found) == len(files)
    with Store(tmp_path / "own.db") as own:
        for name, info in found.items():
            assert info.samples == info.units and info.plan.command.startswith("python -m mi_explorer ")
            with bundled.open_study(own, name)[0] as store:
                samples = store.samples(store.study(name).id)
                texts = [s for s in samples if s.number == 0 and store.body(s.key)]
                assert texts and {s.cell for s in texts} == {s.cell for s in samples}  # every point opens a trace
                assert all(run["host"] == "" for run in store.runs(store.study(name).id))


def test_the_fingerprint_of_a_pair_is_that_of_the_opened_pair():
    from mi_explorer.pairs import get_pair

    with Workbench.open("mini") as bench:
        assert identity.pair_fingerprint(get_pair("mini")) == bench.fingerprint
