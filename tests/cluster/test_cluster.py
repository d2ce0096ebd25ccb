"""Studies on several worker processes: the same samples as one engine's, whoever is lost, hangs or lies on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.cluster.crew import Crew, CrewError
from mi_explorer.cluster.process_worker import ProcessLauncher
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.progress import CellDone, Progress, SampleDone, WorkerNews
from mi_explorer.studies.store.store import Store
from tests.cluster.scripted_worker import maker
from tests.studies.runs import ITEMS, drive, of, plan

ROOT = Path(__file__).resolve().parents[2]


def crew_of(workers, silence=60.0, **options):
    return Crew(ProcessLauncher(maker(**options), workers), workers, EngineSetup, silence)


def run(store, what, items=ITEMS, workers=2, each=lambda event, runner: None, silence=60.0, **options):
    """Run to the end, calling `each` with every event; returns the events."""
    crew = crew_of(workers, silence, **options)
    runner = ClusterRunner(store, what, items[: what.questions], crew)
    events = []
    try:
        for event in runner.run():
            events.append(event)
            each(event, runner)
    finally:
        crew.close()
    return events


def content(store):
    """What a store's only study holds: key → what does not depend on the clock."""
    (info,) = store.studies()
    samples = store.samples(info.id)
    assert len({s.key for s in samples}) == len(samples)
    bodies = dict(store.bodies(s.key for s in samples))
    return {s.key: (s.seed, s.reason, s.verdict, s.answer, s.tokens, s.think_tokens, bodies[s.key]) for s in samples}


def alone(tmp_path, what, items=ITEMS):
    """The same study by one engine in this process."""
    store = Store(tmp_path / "alone.db")
    drive(store, what, items)
    return content(store)


def test_two_workers_make_what_one_engine_makes(tmp_path):
    store = Store(tmp_path / "s.db")
    events = run(store, plan())
    assert content(store) == alone(tmp_path, plan())
    last = events[-1]
    assert (last.state, last.done, last.total, last.failed) == ("done", 45, 45, 0)
    assert len(of(SampleDone, events)) == 45 and len(of(CellDone, events)) == 3
    assert {w.state for w in last.workers} <= {"ready", "busy"} and sum(w.done for w in last.workers) == 45
    runs = store.runs(store.studies()[0].id)
    assert {r["versions"]["engine"].split()[0] for r in runs} == {"own"} and sum(r["samples"] for r in runs) == 45
    again = run(store, plan())
    assert again[-1].reused == 45 and not of(SampleDone, again)


def test_a_killed_worker_is_started_anew_and_nothing_is_lost_or_doubled(tmp_path):
    store, kills = Store(tmp_path / "s.db"), []

    def kill(event, runner):
        if isinstance(event, SampleDone) and len(kills) < 3:
            busy = {m.link.process.pid for m in runner.crew.members if m.link is not None and m.hand} - set(kills)
            if busy:
                kills.append(busy.pop())
                os.kill(kills[-1], signal.SIGKILL)

    events = run(store, plan(samples=20), each=kill, delay=0.002)
    assert len(kills) == 3
    assert events[-1].state == "done" and events[-1].failed == 0 and len(of(SampleDone, events)) == 300
    assert content(store) == alone(tmp_path, plan(samples=20))
    assert any("SIGKILL" in e.text for e in of(WorkerNews, events))


@pytest.mark.parametrize("fault", ["crash", "hang"])
def test_a_question_that_ends_its_worker_is_set_aside_alone(tmp_path, fault):
    store = Store(tmp_path / "s.db")
    items = (*ITEMS[:3], Item("sums", "bad", f"poison {fault}", "7"))
    what = plan(lams=(0.5,), questions=4, samples=1)
    events = run(store, what, items, silence=1.5)
    last = events[-1]
    assert (last.state, last.done, last.failed, last.total) == ("done", 3, 1, 4) and not of(CellDone, events)
    assert len(content(store)) == 3 and "lost" in last.message


def test_a_question_that_fails_three_times_is_set_aside_with_its_error(tmp_path):
    store = Store(tmp_path / "s.db")
    items = (*ITEMS[:3], Item("sums", "long", "x" * 20_000, "7"))
    events = run(store, plan(lams=(0.5,), questions=4, samples=1), items, workers=1)
    assert (events[-1].done, events[-1].failed) == (3, 1) and "long" in events[-1].message


def test_workers_with_other_weights_take_no_part(tmp_path):
    store = Store(tmp_path / "s.db")
    events = run(store, plan(), first_only=str(tmp_path / "came"), delay=0.02)
    last = events[-1]
    assert last.done == 45 and sum(w.done == 45 for w in last.workers) == 1
    assert [w.state for w in last.workers if w.done == 0] == ["lost"]
    assert any("files" in e.text for e in of(WorkerNews, events))


def test_a_recipe_that_cannot_run_is_told_before_anything_runs(tmp_path):
    what = Plan("sums", grid(Recipe(scope=Scope("40-50")), (0.5,), Decoding(cap=200)), 5, 1)
    store = Store(tmp_path / "s.db")
    with pytest.raises(CrewError, match="layers"):
        run(store, what, workers=1)
    assert store.studies() == []


def test_stop_keeps_what_is_done_and_workers_can_be_added(tmp_path):
    store, sizes = Store(tmp_path / "s.db"), []

    def steer(event, runner):
        if isinstance(event, SampleDone):
            runner.crew.resize(2)
        if isinstance(event, Progress):
            sizes.append(len([w for w in event.workers if w.done]))
            if sizes[-1] == 2:
                runner.stop()

    events = run(store, plan(samples=40), workers=1, each=steer, delay=0.01)
    assert events[-1].state == "stopped" and 0 < events[-1].done < 600
    kept = len(content(store))
    assert kept == events[-1].done
    events = run(store, plan(samples=40))
    assert events[-1].reused == kept and len(content(store)) == 600


DRIVER = """
import sys
from tests.cluster.test_cluster import crew_of, plan, ITEMS
from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.studies.progress import SampleDone
from mi_explorer.studies.store.store import Store
if __name__ == "__main__":
    runner = ClusterRunner(Store(sys.argv[1]), plan(samples=20), ITEMS, crew_of(2, delay=0.002))
    for event in runner.run():
        if isinstance(event, SampleDone):
            print(*(m.link.process.pid for m in runner.crew.members if m.link), flush=True)
"""


def test_a_driver_killed_at_once_loses_nothing_and_takes_its_workers_with_it(tmp_path):
    (tmp_path / "driver.py").write_text(DRIVER)
    path = tmp_path / "s.db"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py"), str(path)], stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT
    )
    pids = []
    for count, line in enumerate(driver.stdout):
        pids = [int(word) for word in line.split()]
        if count == 60:
            break
    driver.kill()
    driver.wait()
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert pids and not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    store = Store(path)
    kept = len(content(store))
    assert 60 <= kept < 300
    events = run(store, plan(samples=20))
    assert events[-1].reused == kept and events[-1].done == 300 - kept
    assert content(store) == alone(tmp_path, plan(samples=20))
