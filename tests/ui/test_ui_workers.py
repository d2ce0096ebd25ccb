"""Studies and searches of the page by workers that the operator set: what one engine makes, one at a time, told worker by worker."""

import json
import time

import pytest

from mi_explorer.cluster.ray_worker import ClusterError
from mi_explorer.cluster.staffing import StaffingError
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.search.search_job import SearchJobs
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.setting_checks import SettingsError
from mi_explorer.ui.access.settings import Settings, read_page_settings
from mi_explorer.ui.curves.curves_handlers import CurvesHandlers
from mi_explorer.ui.curves.sweep_runs import job_state
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.page_workers import PageWorkers, crew_of_run
from mi_explorer.ui.search.search_handlers import SearchHandlers
from mi_explorer.workbench import Workbench

ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(3))
PLAN = Plan("sums", grid(Recipe(), (0.0, 1.0), Decoding(cap=16)), 3, 2)
LONG = Plan("sums", PLAN.cells, 3, 4_000)
FORM = {
    "vary": ["lambda", "budget"], "evaluations": 4, "questions": 8, "samples": 1, "heldout_questions": 8, "heldout_samples": 1,
    "cap": 24, "finalists": 2,
}  # fmt: skip


@pytest.fixture
def bench(tmp_path):
    with Workbench.open("mini", home=tmp_path / "home") as found:
        yield found


@pytest.fixture
def sums(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(json.dumps({"question": f"What is {i} + 4?", "answer": str(i + 4)}) for i in range(40)))
    return str(path)


def tabs(bench, settings):
    """The handlers of Curves and Search of one page, with its workers and jobs."""
    pairs, workers = PagePairs(OpenPair(Explore(bench), {}), None, "any"), PageWorkers(settings)
    curves = CurvesHandlers(pairs, Jobs(), settings, workers=workers)
    return curves, SearchHandlers(pairs, SearchJobs(), settings, workers)


def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def bar(search, name, owner=""):
    return json.loads(search.show(name, "mini", owner=owner)["bar"])


def tokens(store, name):
    return {s.key: (s.seed, s.tokens, s.reason) for s in store.samples(store.study(name).id)}


def test_workers_make_the_study_that_one_engine_makes(tmp_path, bench):
    jobs = Jobs()
    job = PageWorkers(Settings(workers=2)).start_study(jobs, bench.store, PLAN, ITEMS, lambda pair: None, name="a")
    assert job.join(120).progress.state == "done"
    workers = job_state(job)["workers"]
    assert [w["name"] for w in workers] == ["worker 1", "worker 2"] and sum(w["done"] for w in workers) == 12
    with Store(tmp_path / "own.db") as own:
        alone = PageWorkers().start_study(jobs, own, PLAN, ITEMS, lambda pair: bench, name="b")
        assert alone.join(120).progress.done == 12 and job_state(alone)["workers"] == []
        assert tokens(own, "b") == tokens(bench.store, "a")


def test_a_search_by_workers_is_the_search_of_one_engine_and_goes_on_after_a_stop(tmp_path, bench, sums):
    _, search = tabs(bench, Settings(workers=1))
    form = {**FORM, "task": sums, "name": "mine"}
    assert search.start(form, "mini") == ("mine", "")
    job, seen = search.library.jobs.get("mine"), set()
    while not job.state.candidates and job.running:
        seen |= {w["state"] for w in bar(search, "mine")["workers"]}
        time.sleep(0.02)
    assert "loading" in seen
    assert search.stop("mine") == ""
    job.join(60)
    found = search.show("mine", "mini")
    assert (bar(search, "mine")["state"], bar(search, "mine")["workers"], found["resumable"]) == ("stopped", [], True)
    assert search.resume("mine", "mini") == ("mine", "")
    again = search.library.jobs.get("mine")
    by_workers = again.join(120).result
    assert again.error == "" and by_workers.evaluations == 4
    runs = bench.store.runs(bench.store.study("mine").id)
    assert runs and all(run["versions"]["engine"].startswith("own") for run in runs)
    with Workbench.open("mini", home=tmp_path / "own") as other:
        _, search = tabs(other, Settings())
        search.start(form, "mini")
        alone = search.library.jobs.get("mine").join(120).result
        assert [f.cell for f in alone.finalists] == [f.cell for f in by_workers.finalists]
        assert tokens(other.store, "mine-heldout") == tokens(bench.store, "mine-heldout")


def test_one_study_or_search_has_the_workers_at_a_time(bench, sums):
    settings = Settings(workers=1)
    curves, search = tabs(bench, settings)
    workers = curves.runs.workers
    job = workers.start_study(curves.jobs, bench.store, LONG, ITEMS, lambda pair: None, name="first")
    assert until(lambda: job.state.progress.workers)  # also while they load
    name, problem = search.start({**FORM, "task": sums}, "mini")
    assert name == "" and "'first'" in problem and search.library.jobs.all() == []
    with pytest.raises(StaffingError, match="first"):
        workers.start_study(curves.jobs, bench.store, PLAN, ITEMS, lambda pair: None, name="second")
    job.stop()
    until(lambda: not job.running)
    assert search.start({**FORM, "task": sums, "name": "s"}, "mini") == ("s", "")  # as soon as it has ended
    with pytest.raises(StaffingError, match="'s'"):
        workers.start_study(curves.jobs, bench.store, PLAN, ITEMS, lambda pair: None, name="second")
    assert curves.jobs.get("second") is None
    search.library.jobs.close()


def test_workers_are_added_and_let_go_while_a_study_runs(bench):
    curves, _ = tabs(bench, Settings(workers=1))
    job = curves.runs.workers.start_study(curves.jobs, bench.store, LONG, ITEMS, lambda pair: None, name="a")
    assert curves.change_workers({"study": "a", "change": 1}) == ""
    assert until(lambda: len(job_state(job)["workers"]) == 2)
    assert curves.change_workers({"study": "a", "change": -1}) == ""
    assert until(lambda: job_state(job)["workers"][1]["state"] in ("waiting", "leaving"))
    for wrong in (2, 0, "1", None, [1]):
        assert curves.change_workers({"study": "a", "change": wrong})
    (state,) = curves.sweep_states()
    assert (state["resizable"], state["dashboard"]) == (True, "")  # processes have no dashboard
    job.stop()
    job.join(60)
    assert curves.change_workers({"study": "a", "change": 1}) and crew_of_run(job) is None
    assert curves.change_workers({"study": "none", "change": 1}) and curves.change_workers(None)


def test_the_time_of_others_is_not_told_by_the_pages_engine(bench, sums):
    bench.engine.wait()
    form = {"task": sums, "questions": 8, "samples": 1, "lams": "0,1"}
    for settings, told in ((Settings(), True), (Settings(workers=1), False)):
        curves, search = tabs(bench, settings)
        assert ("tokens/s" in search.cost({**FORM, "task": sums}, "mini")) is told
        assert ("tokens/s" in curves.runs.cost(form, "mini")) is told


@pytest.mark.parametrize(
    ("open_to", "auth", "owner", "seen"),
    [
        ("127.0.0.1", (), "", True),
        ("0.0.0.0", (), "me", False),  # anybody may start one there; the cluster's page is not for anybody
        ("0.0.0.0", (("a", "b"),), "me", True),
        ("0.0.0.0", (("a", "b"),), "you", False),
        ("0.0.0.0", (("a", "b"),), "", False),
    ],
)
def test_who_sees_the_dashboard(bench, sums, open_to, auth, owner, seen):
    curves, search = tabs(bench, Settings(workers=1, host=open_to, auth=auth))
    assert search.start({**FORM, "task": sums, "name": "s"}, "mini", "me")[1] == ""
    search.library.jobs.get("s").search.crew.launcher.dashboard = "http://127.0.0.1:8265"
    found = bar(search, "s", owner)
    assert found["dashboard"] == ("http://127.0.0.1:8265" if seen else "")
    here = open_to == "127.0.0.1"
    assert found["resizable"] == here and bool(search.change_workers({"search": "s", "change": 1})) is not here
    search.library.jobs.close()
    assert bar(search, "s", owner)["dashboard"] == ""


def test_workers_that_cannot_be_had_are_told_at_once(bench, sums, monkeypatch, tmp_path):
    monkeypatch.setenv("MI_EXPLORER_VLLM_PYTHON", str(tmp_path / "none"))
    for settings, word in ((Settings(engine="vllm"), "make vllm-env"), (Settings(ray="127.0.0.1:1"), "ray start")):
        curves, search = tabs(bench, settings)
        name, problem = search.start({**FORM, "task": sums}, "mini")
        assert name == "" and word in problem and search.library.jobs.all() == []
        with pytest.raises((StaffingError, ClusterError), match=word):
            curves.runs.workers.start_study(curves.jobs, bench.store, PLAN, ITEMS, lambda pair: None)
        assert curves.jobs.all() == []


def test_settings_of_workers_are_checked():
    found = read_page_settings(["--workers", "3", "--engine", "vllm"], {"MI_EXPLORER_RAY": "auto"})
    assert (found.workers, found.engine, found.ray) == (3, "vllm", "auto")
    with pytest.raises(SettingsError, match="engine"):
        read_page_settings(["--engine", "other"], {})
