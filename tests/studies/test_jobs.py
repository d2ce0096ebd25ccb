"""Background runs: they go on unwatched, can be looked at again, refuse doubles, keep what is done when they break."""

import threading
import time

import pytest

from mi_explorer.errors import UserError
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, scripted_bench
from tests.studies.filled_store import Disk
from tests.studies.runs import ITEMS, plan


def runner(store, delay=0.0, **more):
    bench = scripted_bench(ScriptedEngine(rows=4, delay=delay))
    return Runner(store, plan(), ITEMS, lambda pair: bench, **more)


def test_a_run_goes_on_unwatched_and_can_be_looked_at_again(tmp_path):
    jobs, store = Jobs(), Store(tmp_path / "s.db")
    name = jobs.start(runner(store, name="s")).state.name
    end = jobs.get(name).join(30)
    assert (end.progress.state, end.progress.done, len(end.cells), end.running, end.error) == ("done", 45, 3, False, "")
    assert store.study("s").samples == 45 and [j.state.name for j in jobs.all()] == ["s"]
    assert jobs.start(runner(store, name="s")).join(30).progress.reused == 45


def test_watching_by_version(tmp_path):
    jobs = Jobs()
    job = jobs.start(runner(Store(tmp_path / "s.db"), delay=0.002, name="s"))
    seen, version = [], 0
    while (state := job.wait(version, 5)).running:
        assert state.version > version
        version = state.version
        seen.append(state.progress.done)
    assert seen == sorted(seen) and job.wait(version, 5).progress.done == 45


def test_one_run_per_study_and_stop_keeps_what_is_done(tmp_path):
    jobs, store = Jobs(), Store(tmp_path / "s.db")
    first = jobs.start(runner(store, delay=0.005, name="s"))
    while not store.find("s") or not store.study("s").samples:
        time.sleep(0.01)
    with pytest.raises(UserError, match="running already"):
        jobs.start(runner(store, name="s"))
    jobs.close()
    state = first.state
    assert (
        state.progress.state == "stopped"
        and 0 < state.progress.done < 45
        and store.study("s").samples == state.progress.done
    )
    assert not [t for t in threading.enumerate() if t.name == "study s"]


def test_a_run_that_breaks_says_why(tmp_path, monkeypatch):
    jobs, disk, store = Jobs(), Disk(monkeypatch), Store(tmp_path / "s.db")
    broken = runner(store, name="s")
    disk.room(1)
    end = jobs.start(broken).join(30)
    assert not end.running and "Finished samples are safe" in end.error
    disk.room(10_000)
    assert jobs.start(runner(store, name="s")).join(30).progress.state == "done" and store.study("s").samples == 45
