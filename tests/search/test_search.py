"""Searches of the scripted and of the embedded pair: stopped, killed, gone on with; nothing lost, nothing made twice."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mi_explorer.background import RunningError
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.search.search import Search
from mi_explorer.search.search_events import CandidateMeasured, FrontierMoved, SearchDone
from mi_explorer.search.search_job import SearchJobs
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchError, SearchSpace
from mi_explorer.search.split import is_heldout
from mi_explorer.studies.plan import Item
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, scripted_bench

ROOT = Path(__file__).resolve().parents[2]
ITEMS = tuple(Item("sums", str(i), f"What is {i} + 4?", str(i + 4)) for i in range(60))


def made(store, engine=None, name=None, **changes):
    """A small search of the scripted pair."""
    settings = SearchSettings(
        **{"evaluations": 8, "questions": 12, "heldout_questions": 20, "batch": 4, "heldout_samples": 2, **changes}
    )
    space = SearchSpace(("lambda", "layers", "budget"), 6, Recipe(), Decoding(cap=128))
    return Search(store, scripted_bench(engine), ITEMS, space, settings, task="sums", name=name)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_search_measures_what_it_says(tmp_path, sampler):
    store = Store(tmp_path / "s.db")
    search = made(store, sampler=sampler)
    events = list(search.run())
    told = [e.candidate for e in events if isinstance(e, CandidateMeasured)]
    assert [c.number for c in told] == [0] * 11 + list(range(1, 9)) and isinstance(events[-1], SearchDone)
    heldout = {i.key for i in ITEMS if is_heldout(i)}
    searched = store.samples(store.study(search.name).id)
    judged = store.samples(store.study(f"{search.name}-heldout").id)
    assert not {s.item for s in searched} & heldout and {s.item for s in judged} <= heldout
    result = events[-1].result
    assert result.evaluations == 8 and result.tokens_used == sum(c.spent for c in told[11:])
    assert result.tokens_generated == sum(s.tokens for s in (*searched, *judged))
    for one in told:
        mine = [s for s in searched if s.cell == one.key]
        assert one.stopped or one.on_line or one.spent == sum(s.tokens for s in mine)
    for f in result.finalists:
        mine = [s for s in judged if s.cell == f.cell.key("scripted", "float32")]
        assert f.heldout.right == pytest.approx(sum(s.correct for s in mine) / len(mine))
        assert f.heldout.tokens == pytest.approx(sum(s.tokens for s in mine) / len(mine))
    front = [e for e in events if isinstance(e, FrontierMoved)][-1].frontier
    assert all(a.tokens < b.tokens and a.right < b.right for a, b in zip(front, front[1:]))


def test_within_a_number_of_tokens(tmp_path):
    store = Store(tmp_path / "s.db")
    result = [e for e in made(store, within=40.0).run() if isinstance(e, SearchDone)][0].result
    assert result.finalists and all(f.tokens <= 40 for f in result.finalists)
    with pytest.raises(SearchError, match="within 2 tokens"):
        list(made(store, within=2.0).run())


def test_a_stopped_search_goes_on_in_the_background(tmp_path):
    store, jobs = Store(tmp_path / "s.db"), SearchJobs()
    job = jobs.start(made(store, ScriptedEngine(delay=0.0003)))
    version = 0
    while not job.state.candidates[11:]:
        _, version = job.wait(version, 5)
    with pytest.raises(RunningError, match="running already"):
        jobs.start(made(store))
    job.stop()
    state = job.join(20)
    assert state.progress.phase == "stopped" and state.result is None
    before = state.candidates
    engine = ScriptedEngine()
    state = jobs.start(made(store, engine)).join(60)
    assert state.result is not None and state.candidates[: len(before)] == before and len(state.candidates) == 19
    jobs.close()


def test_other_settings_under_one_name_are_refused(tmp_path):
    store = Store(tmp_path / "s.db")
    list(made(store).run())
    other = made(store, seed=1)
    other.name = made(store).name
    with pytest.raises(SearchError, match="other settings"):
        list(other.run())


def test_candidates_of_the_store_cost_nothing(tmp_path):
    """A second search that proposes the same finds all of its samples."""
    store, engine = Store(tmp_path / "s.db"), ScriptedEngine()
    list(made(store).run())
    result = [e for e in made(store, engine, name="again").run() if isinstance(e, SearchDone)][0].result
    assert engine.asked == [] and result.tokens_generated == 0 and result.tokens_used > 0


@pytest.mark.timeout(900)  # four starts of Python, on a machine that may be busy
def test_killed_at_any_moment_it_resumes(tmp_path):
    """The embedded pair, kill -9 three times: every told candidate is kept, no sample is made twice, the end is reached."""
    rows = (ROOT / "assets/tasks/mini.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    (tmp_path / "some.jsonl").write_text("\n".join(rows), encoding="utf-8")
    words = [sys.executable, "-m", "mi_explorer", "search", "--vary", "lambda,layers,budget", "--evaluations", "6"]
    words += [
        "--questions",
        "8",
        "--samples",
        "1",
        "--heldout-questions",
        "8",
        "--heldout-samples",
        "1",
        "--batch",
        "2",
    ]
    words += ["--lambda", "0,0.5,1", "--cap", "96", "--name", "k", "--json", "--quiet", "--home", str(tmp_path)]
    words += ["--task", str(tmp_path / "some.jsonl")]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def count():
        path = tmp_path / "studies.db"
        if not path.exists():
            return 0
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                return db.execute("SELECT count(*) FROM samples").fetchone()[0]
        except sqlite3.OperationalError:
            return 0

    kept = {}
    for more in (3, 72, 12):
        goal = count() + more
        process = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until = time.monotonic() + 200
        while count() < goal and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        told = told_candidates(tmp_path)
        assert {number: told[number] for number in kept} == kept
        kept = told
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    told = told_candidates(tmp_path)
    assert found["evaluations"] == 6 and sorted(told) == [1, 2, 3, 4, 5, 6] and kept.items() <= told.items()
    with Store.open(tmp_path) as store:
        samples = [s for name in ("k", "k-heldout") for s in store.samples(store.study(name).id)]
        assert max(Counter((s.cell, s.item, s.number) for s in samples).values()) == 1
        assert sum(s.tokens for s in samples) == found["tokens_generated"]


def told_candidates(home):
    """number → values of what optuna's storage has as measured."""
    path = home / "searches.sqlite3"
    if not path.exists():
        return {}
    with sqlite3.connect(path) as db:
        try:
            rows = db.execute("SELECT value_json FROM trial_user_attributes WHERE key = 'score'").fetchall()
        except sqlite3.OperationalError:
            return {}
    return {score["number"]: score for score in (json.loads(value) for (value,) in rows)}
