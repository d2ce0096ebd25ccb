"""Probes of a study: stored beside the sample, nothing decoded anew, resumed after a stop, carried by files, counted with intervals."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from mi_explorer.errors import UserError
from mi_explorer.generation.probe_points import ProbeOptions, ProbePoint
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Cell, Plan, grid
from mi_explorer.studies.probe_runner import ProbeRunError, ProbeRunner
from mi_explorer.studies.report.probe_table import probe_rows
from mi_explorer.studies.runner import Runner, items_of
from mi_explorer.studies.stats.probe_measures import probed_cells, right_within
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.exchange import export_study, import_study
from mi_explorer.studies.store.schema import MIGRATIONS
from mi_explorer.studies.store.store import Store
from mi_explorer.studies.store.stored_probes import StoredProbes, stored_probes
from mi_explorer.tasks import load_task
from mi_explorer.workbench import Workbench
from tests.studies.filled_store import filled, look

OPTIONS = ProbeOptions(points=4, free=1)


@pytest.fixture(scope="module")
def bench():
    with Workbench.open("mini") as open_bench:
        yield open_bench


@pytest.fixture(scope="module")
def swept(bench, tmp_path_factory):
    """A store with a finished study of 16 samples of the embedded pair."""
    store = Store(tmp_path_factory.mktemp("probes") / "studies.db")
    items = items_of(load_task("mini", 4))
    plan = Plan("mini", grid(Recipe("mini"), (0.4, 1.0), Decoding(cap=300)), len(items), 2)
    list(Runner(store, plan, items, lambda _: bench, name="s").run())
    return store


def test_probes_are_saved_resumed_and_carried(bench, swept, tmp_path, monkeypatch):
    before = {s.key: (s, swept.body(s.key)) for s in swept.samples(1)}
    asked, submit = [], bench.engine.submit
    monkeypatch.setattr(bench.engine, "submit", lambda r, s=None: (asked.extend(r), submit(r, s))[1])
    runner = ProbeRunner(swept, "s", lambda _: bench, OPTIONS)
    for progress in runner.run():
        if progress.done:
            runner.stop()
    some = swept.probes(1)
    assert 0 < len(some) < len(before) or runner.todo == []
    again = ProbeRunner(swept, "s", lambda _: bench, OPTIONS)
    *_, last = again.run()
    assert (last.state, last.reused, last.done + last.reused, last.failed) == ("done", len(some), len(before), 0)
    assert all(request.given for request in asked), "only what begins with a stored prefix is decoded"
    found = {one.sample: one for one in swept.probes(1)}
    assert set(found) == set(before) and {s.key: (s, swept.body(s.key)) for s in swept.samples(1)} == before
    for one in found.values():
        sample, body = before[one.sample]
        assert bool(one.points) == bool(body["text"][slice(*body["thought"])].strip())
        assert all(0 < point.token <= sample.think_tokens and len(point.free) == 1 for point in one.points)
    asked.clear()
    *_, last = ProbeRunner(swept, "s", lambda _: bench, OPTIONS).run()
    assert last.reused == len(before) and not asked

    # files: Parquet there and back, equal bytes; other programs' text; another home's store
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    export_study(swept, "s", files[0])
    with Store(tmp_path / "other.db") as other:
        import_study(other, files[0])
        assert other.probes(1) == swept.probes(1)
        export_study(other, "s", tmp_path / "c.jsonl")
        rows = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
        assert sum(bool(row["probes"]) for row in rows) == len(before)
        assert summarise(other, "s").json()["probes"] == summarise(swept, "s").json()["probes"]
        assert other.delete("s") == len(before)
        assert look(other.path, "SELECT count(*) FROM probes") == 0
    with Store(files[0], readonly=True) as from_file:
        assert from_file.probes(1) == swept.probes(1)
        export_study(from_file, "s", files[1])
    with Store(tmp_path / "third.db") as third:
        import_study(third, swept.path, "s")
        assert third.probes(1) == swept.probes(1)
    summary = summarise(swept, "s")
    rows = probe_rows(summary, summary.probes[0])
    assert [row["recipe"] for row in rows] == ["λ 0.4", "λ 1"] and all("free %" in row for row in rows)


def test_another_setting_stands_beside_the_first(bench, swept):
    *_, last = ProbeRunner(swept, "s", lambda _: bench, ProbeOptions(points=2, lam=0.0)).run()
    assert last.done == 16
    settings = {one.setting for one in swept.probes(1)}
    assert any('"lam":0.0' in setting for setting in settings) and len(summarise(swept, "s").probes) == len(settings)


def test_what_cannot_be_probed_is_said(bench, swept, tmp_path):
    with pytest.raises(UserError, match="study"):
        ProbeRunner(swept, "none", lambda _: bench, OPTIONS)
    with filled(tmp_path / "x.db") as store, pytest.raises(ProbeRunError, match="other weights"):
        list(ProbeRunner(store, "s", lambda _: bench, OPTIONS).run())


def test_a_store_of_before_gets_probes_without_losing_anything(tmp_path):
    with filled(tmp_path / "studies.db") as store:
        content = [(s, store.body(s.key)) for s in store.samples(1)]
    with sqlite3.connect(tmp_path / "studies.db") as db:
        db.execute("DROP TABLE probes")
        db.execute("PRAGMA user_version = 1")
    with Store(tmp_path / "studies.db", readonly=True) as old:
        assert old.probes(1) == [] and old.study("s").samples == len(content)
    with Store(tmp_path / "studies.db") as store:
        assert look(store.path, "PRAGMA user_version") == len(MIGRATIONS)
        assert [(s, store.body(s.key)) for s in store.samples(1)] == content
        point = ProbePoint(3, "7", True, 0.5, free=(True, False), free_tokens=(9, 10))
        one = StoredProbes(content[0][0].key, OPTIONS, (point,))
        assert store.add_probes([one, StoredProbes("no such sample", OPTIONS, ())]) == 1
        assert store.add_probes([one]) == 0 and store.probes(1) == [one]


def test_keys_of_old_samples_do_not_know_budgets():
    """The keys of cells from before there were budgets and λs of the answer, as a store of then holds them."""
    plain = Cell(Recipe("mini", lam=0.3), Decoding(cap=200))
    assert plain.key("f", "float32") == "2febd841ab3ac4f9e8ba"
    assert "think_budget" not in plain.plain()["decoding"] and "answer_lam" not in plain.plain()["recipe"]
    more = Cell(Recipe("mini", lam=0.3, answer_lam=1.0), Decoding(cap=200, think_budget=40))
    assert Cell.of(json.loads(json.dumps(more.plain()))) == more
    assert len({plain.key("f", "x"), more.key("f", "x")}) == 2


def test_measures_of_cells_by_hand():
    from types import SimpleNamespace

    def sample(item, correct, tokens=100):
        return SimpleNamespace(cell="c", item=item, tokens=tokens, think_tokens=90, correct=correct)

    samples = {"a": sample("q1", True), "b": sample("q1", False), "c": sample("q2", True), "d": sample("q2", True)}
    right, wrong = (
        (lambda t: ProbePoint(t, "1", True, 0.5, free=(True, True), free_tokens=(1, 1))),
        (lambda t: ProbePoint(t, "2", False, 0.25, free=(True, False), free_tokens=(1, 1))),
    )
    probes = [
        StoredProbes("a", OPTIONS, (wrong(10), right(20), right(30))),  # sufficient 20, verbose .8, one switch
        StoredProbes("b", OPTIONS, (right(10), wrong(20))),  # harmful
        StoredProbes("c", OPTIONS, (right(40), wrong(50))),  # right at the end, nothing sufficient: verbose 0
        StoredProbes("d", OPTIONS, ()),  # no thought
    ]
    (cell,) = probed_cells(probes, samples, {}, ["other", "c"])
    value = {name: found.value for name, found in cell.values.items()}
    assert (cell.samples, cell.passed, cell.questions) == (3, 1, 2)
    assert value["sufficient"] == 20 and value["sufficient_share"] == pytest.approx(1 / 3)
    assert value["verbose"] == pytest.approx(0.4) and value["harmful"] == pytest.approx(1 / 3)
    assert value["switches"] == 1 and value["forced"] == pytest.approx((2 / 3 + 0.5 + 0.5) / 3)
    assert value["free"] == pytest.approx((5 / 6 + 0.75 + 0.75) / 3)
    assert value["free_minus_forced"] == pytest.approx(value["free"] - value["forced_beside_free"])
    # right continuations: 2.5, 1.5 and 1.5, of which 0.5 each beside a wrong forced answer
    assert value["forced_fails"] == pytest.approx((0.5 + 0.5 + 0.5) / (2.5 + 1.5 + 1.5))
    assert cell.values["harmful"].low <= value["harmful"] <= cell.values["harmful"].high
    assert math.isnan(cell.values["sufficient"].low), "one question has no interval"
    traces = [one.of(samples[one.sample]) for one in probes[:3]]
    right = [sum(right_within(b)(trace)[0] for trace in traces) / 3 for b in (5, 25, 45, 60, 200)]
    assert right == pytest.approx([0, 1 / 3, 2 / 3, 1 / 3, 2 / 3])
    curve = {budget: found.value for budget, found in cell.budgets}
    assert list(curve) == [11, 22, 34, 45, 56, 68, 79, 90] and curve[45] == pytest.approx(2 / 3)


def test_a_file_may_leave_probes_out(swept, tmp_path):
    export_study(swept, "s", tmp_path / "with.parquet")
    export_study(swept, "s", tmp_path / "without.parquet", probes=False)
    for name, probed in (("with", True), ("without", False)):
        with Store(tmp_path / f"{name}.parquet", readonly=True) as store:
            assert bool(store.probes(1)) is probed and store.study("s").samples == 16


def test_stored_points_are_checked():
    good = StoredProbes("k", OPTIONS, (ProbePoint(3, None, False, None), ProbePoint(9, "1", True, 0.25, True)))
    assert stored_probes("k", good.setting, good.points_text()) == good
    for bad in (
        "[",
        "[{}]",
        '[{"token":9,"answer":"1","right":true,"confidence":1},{"token":3,"answer":"1","right":true,"confidence":1}]',
    ):
        with pytest.raises(ValueError, match="probes"):
            stored_probes("k", good.setting, bad)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_or_interrupted_goes_on(bench, swept, tmp_path, number):
    """kill −9 or Ctrl+C in the middle; the same command then makes only what is missing."""
    home = tmp_path / "home"
    home.mkdir()
    export_study(swept, "s", tmp_path / "s.parquet")
    with Store(home / "studies.db") as store:
        import_study(store, tmp_path / "s.parquet", "k")
    with sqlite3.connect(home / "studies.db") as db:
        db.execute("DELETE FROM probes")
    command = [
        sys.executable,
        "-m",
        "mi_explorer",
        "study",
        "probe",
        "k",
        "--points",
        "4",
        "--free",
        "2",
        "--home",
        str(home),
    ]
    process = subprocess.Popen(
        [*command, "--quiet"], env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    saved = 0
    with closing(sqlite3.connect(home / "studies.db")) as db:
        while time.monotonic() < deadline and not saved and process.poll() is None:
            saved = db.execute("SELECT count(*) FROM probes").fetchone()[0]
            time.sleep(0.02)
    process.send_signal(number)
    process.wait()
    with Store(home / "studies.db") as store:
        first = store.probes(1)
        assert first
        assert process.returncode == (-9 if number == signal.SIGKILL else 130 if len(first) < 16 else 0)
        *_, last = ProbeRunner(store, "k", lambda _: bench, ProbeOptions(points=4, free=2)).run()
        assert (last.reused, last.done + last.reused) == (len(first), 16)
        assert [one for one in store.probes(1) if one.sample in {o.sample for o in first}] == first
