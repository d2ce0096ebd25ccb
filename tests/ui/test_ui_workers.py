"""Studies of the page by workers that the operator set: the samples of the page's own engine, told worker by worker."""

import pytest

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.setting_checks import SettingsError
from mi_explorer.ui.access.settings import Settings, read_page_settings
from mi_explorer.ui.curves.sweep_runs import job_state
from mi_explorer.ui.study_runner import study_runner
from mi_explorer.workbench import Workbench

ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(3))
PLAN = Plan("sums", grid(Recipe(), (0.0, 1.0), Decoding(cap=16)), 3, 2)


def tokens(store):
    return {s.key: (s.seed, s.tokens, s.reason) for s in store.samples(store.studies()[0].id)}


def test_workers_make_the_study_and_one_study_at_a_time(tmp_path):
    store, jobs, settings = Store(tmp_path / "s.db"), Jobs(), Settings(workers=2)
    job = jobs.start(study_runner(settings, jobs, store, PLAN, ITEMS, lambda pair: None))
    with pytest.raises(UserError, match="busy"):
        study_runner(settings, jobs, store, PLAN, ITEMS, lambda pair: None, name="another")
    assert job.join(120).progress.state == "done"
    workers = job_state(job)["workers"]
    assert [w["name"] for w in workers] == ["worker 1", "worker 2"] and sum(w["done"] for w in workers) == 12
    with Workbench.open("mini") as bench, Store(tmp_path / "own.db") as own:
        runner = study_runner(Settings(), jobs, own, PLAN, ITEMS, lambda pair: bench)
        assert type(runner) is Runner and list(runner.run())[-1].done == 12
        assert tokens(own) == tokens(store)


def test_settings_of_workers_are_checked():
    found = read_page_settings(["--workers", "3", "--engine", "vllm"], {"MI_EXPLORER_RAY": "auto"})
    assert (found.workers, found.engine, found.ray) == (3, "vllm", "auto")
    with pytest.raises(SettingsError, match="engine"):
        read_page_settings(["--engine", "other"], {})
