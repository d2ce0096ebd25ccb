"""Runs that stop, pause, fail, meet another runner or are killed: nothing lost, nothing made twice."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.progress import CellDone, Progress, SampleDone
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, scripted_bench
from tests.studies.filled_store import look
from tests.studies.runs import ITEMS, drive, of, plan


def test_stop_keeps_what_is_done_and_resume_makes_the_rest(tmp_path):
    store = Store(tmp_path / "s.db")
    engine = ScriptedEngine(rows=4, delay=0.0005)
    bench = scripted_bench(engine)
    runner = Runner(store, plan(), ITEMS, lambda pair: bench)
    done = 0
    for event in runner.run():
        done += isinstance(event, SampleDone)
        if done == 10 and isinstance(event, SampleDone):
            runner.stop()
            at = time.monotonic()
    assert time.monotonic() - at < 1 and event.state == "stopped" and 10 <= event.done < 20
    kept = {s.key for s in store.samples(store.study(runner.name).id)}
    assert len(kept) == event.done
    _, events, engine = drive(store, plan())
    assert len(engine.asked) == 45 - len(kept) and not kept & {r.id for r in engine.asked}
    assert events[-1].reused == len(kept) and store.study(runner.name).samples == 45


def test_pause_lets_rows_finish_and_resume_goes_on(tmp_path):
    store = Store(tmp_path / "s.db")
    engine = ScriptedEngine(rows=4, delay=0.001)
    bench = scripted_bench(engine)
    runner = Runner(store, plan(), ITEMS, lambda pair: bench, window=8)
    seen, states, at_pause = 0, [], None
    for event in runner.run():
        if isinstance(event, SampleDone):
            seen += 1
            if seen == 6:
                runner.pause()
        if isinstance(event, Progress):
            states.append(event.state)
            if event.state == "paused" and at_pause is None:
                at_pause = seen
            elif event.state == "paused":
                assert seen <= at_pause + 4  # only what was running came
                runner.resume()
    assert "paused" in states and states[-1] == "done" and seen == 45 and store.study(runner.name).samples == 45


def test_failures_are_counted_tried_again_and_stop_a_hopeless_run(tmp_path):
    store = Store(tmp_path / "s.db")
    _, events, _ = drive(
        store, plan(), engine=ScriptedEngine(lambda r: None if r.recipe.lam == 1 else "The answer is 5.")
    )
    assert (events[-1].done, events[-1].failed, events[-1].message) == (30, 15, "scripted failure")
    _, events, engine = drive(store, plan())
    assert len(engine.asked) == 15 and events[-1].failed == 0
    with pytest.raises(UserError, match="scripted failure"):
        drive(Store(tmp_path / "t.db"), plan(samples=8), engine=ScriptedEngine(lambda r: None))


def test_an_overlong_question_does_not_end_a_study(tmp_path):
    items = (Item("sums", "long", "x" * 5000, "1"), *ITEMS[:4])
    _, events, engine = drive(Store(tmp_path / "s.db"), plan(), items=items)
    end = events[-1]
    assert (end.state, end.done, end.failed) == ("done", 36, 9) and "Question long:" in end.message
    assert of(CellDone, events) == [] and len(engine.asked) == 36


def test_impossible_recipes_are_refused_before_the_first_unit(tmp_path):
    engine = ScriptedEngine()
    bad = Plan("sums", grid(Recipe(), (0, 1), Decoding()) + grid(Recipe(scope=Scope("0-40")), (0.5,), Decoding()), 5, 1)
    with pytest.raises(UserError, match="layers 0-5"):
        drive(Store(tmp_path / "s.db"), bad, engine=engine)
    assert engine.asked == []


def test_changed_weights_are_not_mixed_into_an_old_study(tmp_path):
    store = Store(tmp_path / "s.db")
    drive(store, plan())
    bench = scripted_bench(fingerprint="retrained")
    with pytest.raises(UserError, match="other weights of mini"):
        list(Runner(store, plan(), ITEMS, lambda pair: bench).run())
    runner = Runner(store, plan(), ITEMS, lambda pair: bench, name="after")
    assert list(runner.run())[-1].done == 45  # nothing of the old weights is reused


def test_two_runners_share_one_store(tmp_path):
    engines = [ScriptedEngine(rows=3, delay=0.001) for _ in range(2)]
    threads = [
        threading.Thread(target=drive, args=(Store(tmp_path / "s.db"), plan()), kwargs={"engine": e}, daemon=True)
        for e in engines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Store(tmp_path / "s.db").study(plan().name).samples == 45


WORKER = """
import sys
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, scripted_bench
from tests.studies.runs import ITEMS, plan

bench = scripted_bench(ScriptedEngine(rows=4, delay=0.002))
for event in Runner(Store(sys.argv[1]), plan(), ITEMS, lambda pair: bench).run():
    if hasattr(event, "sample"):
        print(event.sample.key, flush=True)
"""


def test_kill_9_loses_no_finished_sample_and_repeats_none(tmp_path):
    path = tmp_path / "s.db"
    root = Path(__file__).resolve().parents[2]
    shown = set()
    for stop_after in (4, 9, 14):  # three lives, each killed in the middle
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path)], cwd=root, stdout=subprocess.PIPE, text=True
        )
        for _ in range(stop_after):
            key = worker.stdout.readline().strip()
            assert key and key not in shown  # never shown twice: nothing finished is made again
            shown.add(key)
        worker.send_signal(signal.SIGKILL)
        shown |= {line.strip() for line in worker.stdout if len(line.strip()) == 20}
        worker.wait()
        worker.stdout.close()
        store = Store(path)
        kept = {s.key for s in store.samples(store.study(plan().name).id)}
        assert shown <= kept and len(kept - shown) <= 1  # at most the one between commit and print
        assert all(store.body(key)["text"] for key in kept)
        assert look(path, "PRAGMA integrity_check") == "ok"
        shown = kept
        store.close()
    store = Store(path)
    _, _, engine = drive(store, plan())
    assert len(engine.asked) == 45 - len(shown) and not shown & {r.id for r in engine.asked}
    assert store.study(plan().name).samples == 45
