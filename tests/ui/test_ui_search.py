"""The Search tab's handlers: precomputed searches, a search of the scripted pair from form to result, and who may steer it."""

import json
import shlex
import time
from types import SimpleNamespace

import pytest

from mi_explorer.command_line import PROGRAM
from mi_explorer.paths import ASSETS
from mi_explorer.search.search_job import SearchJobs
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.search.search_handlers import SearchHandlers
from mi_explorer.ui.search.search_request import search_request
from mi_explorer.ui.search.shown_search import of_job
from tests.fakes import ScriptedEngine, scripted_bench
from tests.ui.fake import FakeBench

PUBLISHED = json.loads((ASSETS / "searches" / "mini.json").read_text(encoding="utf-8"))
SMALL = {"evaluations": 6, "questions": 10, "samples": 1, "heldout_questions": 12, "heldout_samples": 1, "cap": 128}


@pytest.fixture
def sums(tmp_path):
    rows = [{"question": f"What is {i} + 4?", "answer": str(i + 4)} for i in range(60)]
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def handlers_on(tmp_path, settings=None, engine=None):
    bench = scripted_bench(engine or ScriptedEngine(), Store(tmp_path / "s.db"))
    return SearchHandlers(PagePairs(OpenPair(Explore(bench), {}), None, "any"), SearchJobs(), settings)


def shown(does, name):
    found = does.show(name, "mini")
    figures = {key: json.loads(found[key]) if found[key] else None for key in ("candidates", "area", "bar", "recipes")}
    return found, figures


def traces(figure):
    return {t.get("name"): t for t in figure["figure"]["data"]}


def ended(does, name, seconds=60):
    does.library.jobs.get(name).join(seconds)
    return shown(does, name)


def test_the_precomputed_searches_open_without_a_run(tmp_path):
    does = handlers_on(tmp_path)
    names = [name for _, name in does.choices("mini")]
    assert sorted(names) == sorted(PUBLISHED) and does.first("mini") == "tpe-48-0"
    found, it = shown(does, "tpe-200-0")
    result = PUBLISHED["tpe-200-0"]
    assert not found["running"] and not found["resumable"] and it["bar"]["better"] and it["bar"]["status"] == ""
    assert [row[0] for row in it["recipes"]["rows"]] == [f["label"] for f in result["frontier"]]
    best = max(result["frontier"], key=lambda f: f["heldout"]["difference"])
    row = next(r for r in it["recipes"]["rows"] if r[0] == best["label"])
    assert row[2] == pytest.approx(100 * best["heldout"]["difference"], abs=0.05) and row[1] == "better than the line"
    drawn = traces(it["candidates"])
    line = drawn["plain λ line, held-out score"]
    assert line["x"] == [p["tokens"] for p in result["line"]] and len(line["y"]) == 11
    better = drawn["held-out: better than the line"]
    assert len(better["x"]) == sum(f["heldout"]["better"] for f in result["frontier"])
    areas = it["area"]["rows"]
    assert {r[0] for r in areas} >= {"λ grid", "random proposals, seed 0", "random proposals, seed 2", "TPE, seed 1"}
    own = [r for r in areas if r[0].startswith("this search")]
    assert len(own) == 200 and own[-1][1:3] == [200, result["tokens_used"]]


def test_the_search_that_opens_has_all_its_candidates(tmp_path):
    _, it = shown(handlers_on(tmp_path), "tpe-48-0")
    published = PUBLISHED["tpe-48-0"]
    drawn = traces(it["candidates"])
    points = [
        *zip(*(drawn["candidates, search score"][k] for k in "xy")),
        *zip(*(drawn["stopped early"][k] for k in "xy")),
    ]
    assert len(points) == 48 and len(drawn["stopped early"]["x"]) == published["stopped_early"]
    for one in published["frontier"]:  # a finalist is a candidate, at the same score
        assert min(abs(x - one["search"]["tokens"]) + abs(y - one["search"]["mean"]) for x, y in points) < 1e-3
    assert it["bar"]["command"].startswith(
        "python -m mi_explorer search --pair mini --task mini --vary lambda,layers,budget"
    )


def test_a_search_that_found_nothing_says_so(tmp_path):
    _, it = shown(handlers_on(tmp_path), "random-200-1")
    assert it["bar"]["verdict"].startswith("No better") and not it["bar"]["better"]
    assert all(row[1].startswith("no better") for row in it["recipes"]["rows"])


def test_every_recipe_opens_in_explore(tmp_path):
    """What a point and a row carry is a view, and gives the recipe that was measured."""
    does = handlers_on(tmp_path)
    _, it = shown(does, "tpe-48-2")
    for entry, published in zip(it["recipes"]["recipes"], PUBLISHED["tpe-48-2"]["frontier"]):
        view = views.view_of_dict({"pair": "mini", **entry["patch"]})
        assert dict(view.params) == published["recipe"]["params"] and view.decoding.cap == 512
        assert view.decoding.think_budget == published["think_budget"] and view.lam == published["recipe"]["lambda"]
    points = [json.loads(c) for t in it["candidates"]["figure"]["data"] for c in t.get("customdata", ())]
    assert len(points) >= 15 and all(views.view_of_dict({"pair": "mini", **p}).recipe() for p in points)


def test_from_the_form_to_a_result(tmp_path, sums):
    does = handlers_on(tmp_path)
    form = {**SMALL, "task": sums, "vary": ["lambda", "layers", "budget"], "name": "mine"}
    assert "samples" in does.cost(form, "mini") and "to judge the finalists" in does.cost(form, "mini")
    name, problem = does.start(form, "mini")
    assert (name, problem) == ("mine", "")
    found, it = ended(does, name)
    assert it["bar"]["state"] == "done" and it["bar"]["status"].startswith("Done") and it["bar"]["error"] == ""
    assert len(it["recipes"]["columns"]) == 10 and it["recipes"]["layers"] == 6
    cloud = traces(it["candidates"])["candidates, search score"]
    stopped = traces(it["candidates"]).get("stopped early", {"x": []})
    assert len(cloud["x"]) + len(stopped["x"]) == 6
    assert (
        it["bar"]["command"].startswith(" ".join(PROGRAM) + " search --pair mini")
        and "--name mine" in it["bar"]["command"]
    )
    does.library.jobs.close()
    again = handlers_on(tmp_path)  # another process: read from the home folder
    assert ("mine", "done") in [(s.name, s.state) for s in _all(again)]
    _, saved = shown(again, "mine")
    assert saved["recipes"]["rows"] == it["recipes"]["rows"]
    assert len(traces(saved["candidates"])["candidates, search score"]["x"]) == len(cloud["x"])


def _all(does):
    does.choices("mini")
    return does.library.of_pair("mini")


def test_stopped_it_goes_on_in_another_process(tmp_path, sums):
    does = handlers_on(tmp_path, engine=ScriptedEngine(delay=0.0003))
    form = {**SMALL, "evaluations": 12, "task": sums, "vary": ["lambda", "layers"], "name": "long"}
    does.start(form, "mini")
    job = does.library.jobs.get("long")
    until = time.monotonic() + 60
    while not [c for c in job.state.candidates if not c.on_line] and time.monotonic() < until:
        time.sleep(0.01)
    found, it = shown(does, "long")
    assert found["running"] and "frontier so far" in traces(it["candidates"])
    assert does.stop("long") == ""
    found, it = ended(does, "long")
    assert found["resumable"] and it["bar"]["status"].startswith("Stopped")
    before = len([c for c in job.state.candidates if not c.on_line])
    again = handlers_on(tmp_path)
    again.choices("mini")
    found, it = shown(again, "long")
    assert found["resumable"] and f"{before} of 12" in it["bar"]["status"]
    assert again.resume("long", "mini") == ("long", "")
    _, it = ended(again, "long")
    assert it["bar"]["state"] == "done"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"vary": []}, "Nothing may vary"),
        ({"tokens": 3}, "below any candidate"),
        ({"tokens": "0,3"}, "below any candidate"),
        ({"tokens": "many"}, "Token budget"),
        ({"within": 0.5}, "within 0.5 tokens"),
        ({"groups": 9, "vary": ["layers"]}, "between 2 and 6"),
        ({"evaluations": 0}, "Evaluations"),
        ({"evaluations": 2.5}, "whole number"),
        ({"sampler": "tpf"}, "tpe"),
        ({"vary": ["lambda", "method"], "methods": []}, "method"),
        ({"name": "x" * 101}, "100 characters"),
        ({"task": "no-such-task"}, "no-such-task"),
    ],
)
def test_what_cannot_be_meant_is_said_beforehand(tmp_path, sums, change, word):
    does = handlers_on(tmp_path)
    form = {**SMALL, "task": sums, "vary": ["lambda"], **change}
    assert word in does.cost(form, "mini")
    name, problem = does.start(form, "mini")
    assert name == "" and word in problem and does.library.jobs.all() == []


def test_three_questions_are_too_few(tmp_path):
    path = tmp_path / "few.jsonl"
    path.write_text("\n".join(json.dumps({"question": f"{i}?", "answer": "1"}) for i in range(3)), encoding="utf-8")
    assert "3" in handlers_on(tmp_path).cost({**SMALL, "task": str(path)}, "mini")


def test_on_an_open_page_sizes_are_bounded_and_others_keep_their_hands_off(tmp_path, sums):
    does = handlers_on(tmp_path, Settings(host="0.0.0.0"), ScriptedEngine(delay=0.0003))
    assert "at most 5,000" in does.cost({"task": sums, "evaluations": 2000, "questions": 60}, "mini")
    form = {**SMALL, "evaluations": 40, "task": sums, "vary": ["lambda", "layers"], "name": "a"}
    assert does.start(form, "mini", "me") == ("a", "")
    assert "somebody else" in does.stop("a", "you") and "somebody else" in does.stop("a", "")
    assert "somebody else" in does.start(form, "mini", "you")[1]
    assert does.stop("a", "me") == ""
    ended(does, "a")
    assert "somebody else" in does.resume("a", "mini", "you")[1]


def test_a_scripted_page_searches_nothing_and_a_precomputed_search_does_not_go_on(tmp_path):
    does = SearchHandlers(PagePairs(OpenPair(Explore(FakeBench()), {}), None, "any"), SearchJobs())
    assert "scripted" in does.cost(dict(SMALL), "mini")
    assert "your own" in handlers_on(tmp_path).resume("tpe-200-0", "mini")[1]


def test_another_pair_has_an_empty_state(tmp_path):
    bench = FakeBench(name="other")
    does = SearchHandlers(PagePairs(OpenPair(Explore(bench), {}), None, "any"), SearchJobs())
    assert does.choices("other") == [] and does.first("other") == ""
    found = does.show("", "other")
    assert "Tick above" in json.loads(found["bar"])["empty"] and found["candidates"] == ""


def test_the_command_makes_the_same_search(tmp_path, sums):
    """The command of a form, read by the command line, gives the form's space and settings."""
    from mi_explorer.cli.main import parser
    from mi_explorer.cli.search_command import settings_of, space_of

    with scripted_bench(ScriptedEngine(), Store(tmp_path / "s.db")) as bench:
        bench.pair.base = "base"
        form = {**SMALL, "task": sums, "vary": ["lambda", "modules", "answer"], "tokens": 9000, "seed": 5}
        for change in ({}, {"vary": ["layers", "budget"], "groups": 6, "sampler": "nsga2", "within": 80.5}):
            asked = search_request({**form, **change}, bench)
            args = parser().parse_args(shlex.split(asked.command)[len(PROGRAM) :])
            assert settings_of(args) == asked.settings
            assert space_of(args, 6, "mini") == asked.space


def test_a_search_that_ends_while_it_is_read_is_looked_at_once_more():
    class Ending:
        """Its last candidates come just after its state was read."""

        search = SimpleNamespace(
            name="s", plain_settings=dict, space=SimpleNamespace(recipe=SimpleNamespace(pair="mini"))
        )
        running, error, version = True, "", 1

        @property
        def state(self):
            self.running = False
            return SimpleNamespace(candidates=(), result=None, progress=None)

    job = Ending()
    assert [of_job(job).state for _ in range(2)] == ["running", "stopped"]
