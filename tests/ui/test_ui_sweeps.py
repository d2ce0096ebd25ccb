"""Sweeps from the Curves tab: what a form asks for, and background runs that stop, go on and grow."""

import shlex

import pytest

from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.plan import Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.curves import sweep_request
from tests.expected import numbers_in
from tests.fakes import ScriptedEngine, scripted_bench
from tests.ui.curve_studies import DECODING, item, tab


def form(task: str, **more) -> dict:
    return {
        **sweep_request.DEFAULTS,
        "task": task,
        "questions": 5,
        "samples": 2,
        "lams": "0:1:0.25",
        "cap": 200,
        **more,
    }


def test_a_form_becomes_a_plan_and_a_command(task):
    found = sweep_request.sweep_request(
        form(task, methods=["linear", "slerp"], layers="0-2", name="  my   sweep "), "mini"
    )
    assert len(found.plan.cells) == 10 and len(found.items) == 5 and found.name == "my sweep" and found.refine == 0
    assert {c.recipe.scope.layers for c in found.plan.cells} == {"0-2"} and {c.group for c in found.plan.cells} == {
        "linear",
        "slerp",
    }
    assert (
        sweep_request.sweep_request(form(task, grid=sweep_request.REFINED), "mini").refine
        == sweep_request.REFINE_ROUNDS
    )
    from mi_explorer.cli.main import parser
    from mi_explorer.cli.options import decoding_of

    words_ = shlex.split(found.plan.command)
    assert words_[:3] == ["python", "-m", "mi_explorer"]
    args = parser().parse_args(words_[3:])
    assert (args.task, args.questions, args.samples, args.method, args.layers) == (
        task,
        5,
        2,
        "linear,slerp",
        "0-2",
    )
    assert list(args.lams) == [0, 0.25, 0.5, 0.75, 1] and decoding_of(args) == DECODING
    for bad, word in (
        ({"questions": 0}, "Questions"),
        ({"lams": "0:1"}, "range"),
        ({"methods": []}, "method"),
        ({"samples": 1.5}, "whole"),
    ):
        with pytest.raises(UserError, match=word):
            sweep_request.sweep_request(form(task, **bad), "mini")


def test_a_sweep_runs_stops_goes_on_after_a_restart_and_grows(task, tmp_path):
    store = Store(tmp_path / "s.db")
    jobs = Jobs()
    handlers = tab(store, tmp_path, jobs, ScriptedEngine(rows=2, delay=0.002))
    assert numbers_in(handlers.runs.cost(form(task), "mini"))[:3] == [
        50,
        10,
        200,
    ]  # samples, thousand tokens, tokens each
    name, problem = handlers.act("start", form(task, name="mine"), "mini", "me")
    assert (name, problem) == ("mine", "") and store.find("mine") is not None
    assert "running already" in handlers.act("start", form(task, name="mine"), "mini", "me")[1]
    assert "Stop it first" in handlers.act("delete", "mine")[1]
    job = jobs.get("mine")
    while job.state.progress.done < 3:
        job.wait(job.state.version, 5)
    (now,) = handlers.sweep_states()
    assert now["state"] == "running" and now["total"] == 50 and now["done"] >= 3 and now["cells"] == 5 and now["mine"]
    assert handlers.act("stop", "mine")[0] is True
    job.join(20)
    kept = store.study("mine").samples
    assert 3 <= kept < 50 and handlers.sweep_states()[0]["state"] == "stopped"

    engine = ScriptedEngine()  # another server on the same store
    jobs = Jobs()
    handlers = tab(Store(tmp_path / "s.db"), tmp_path, jobs, engine)
    (now,) = handlers.sweep_states()
    assert (now["state"], now["done"], now["total"]) == ("unfinished", kept, 50)
    assert handlers.act("resume", "mine") == ("mine", "")
    assert jobs.get("mine").join(30).progress.state == "done" and store.study("mine").samples == 50
    assert len(engine.asked) == 50 - kept  # nothing that was there is made again
    assert handlers.sweep_states()[0]["state"] == "done"
    assert handlers.runs.cost(form(task), "mini").startswith("50 samples, all")
    assert "80 samples, 30 of them" in handlers.runs.cost(form(task, questions=8), "mini")

    assert handlers.act("extend", "mine", 6, 3, "0.6")[1] == ""
    assert jobs.get("mine").join(30).progress.state == "done"
    info = store.study("mine")
    assert (info.plan.questions, info.plan.samples, len(info.plan.cells), info.samples) == (6, 3, 6, 6 * 6 * 3)
    assert len(engine.asked) == 50 - kept + 108 - 50
    assert handlers.act("refine", "mine")[1] == ""
    jobs.get("mine").join(60)
    lams = {c.recipe.lam for c in store.study("mine").plan.cells}
    assert lams > {0, 0.25, 0.5, 0.6, 0.75, 1} and all(0.25 < lam < 0.75 for lam in lams - {0, 0.25, 0.5, 0.6, 0.75, 1})
    assert handlers.act("rename", "mine", "yours") == ("yours", "") and store.find("mine") is None
    assert handlers.act("delete", "yours")[0] == len(lams) * 6 * 3 and store.studies() == []


def test_an_open_page_lets_only_its_owner_steer_and_bounds_sizes(task, tmp_path):
    store, jobs = Store(tmp_path / "s.db"), Jobs()
    handlers = tab(store, tmp_path, jobs, ScriptedEngine(), Settings(host="0.0.0.0"))
    assert "at most 5,000" in handlers.act("start", form(task, questions=20, samples=60), "mini", "me")[1]
    assert handlers.act("start", form(task, name="mine"), "mini", "me")[1] == ""
    jobs.get("mine").join(30)
    for act in (
        ("delete", "mine", "you"),
        ("rename", "mine", "x", "you"),
        ("extend", "mine", 6, 3, "", "you"),
        ("refine", "mine", ""),
    ):
        assert "somebody else" in handlers.act(*act)[1]
    assert (
        "somebody else" in handlers.act("start", form(task, name="mine"), "mini", "you")[1]
    )  # a name does not open it either
    assert handlers.act("rename", "mine", "ours", "me")[1] == ""


def test_a_pair_that_is_not_loaded_cannot_be_swept(task, tmp_path):
    store = Store(tmp_path / "s.db")
    items = (item(1),)
    plan = Plan("sums", grid(Recipe("elsewhere"), (0, 1), DECODING), 1, 1)
    list(Runner(store, plan, items, lambda pair: scripted_bench(name="elsewhere"), name="far").run())
    assert "not loaded here" in tab(store, tmp_path).act("resume", "far")[1]
