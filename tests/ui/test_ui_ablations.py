"""The Ablations tab: runs on a scripted pair through the handlers."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mi_explorer.errors import UserError
from mi_explorer.studies import ablations
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.ablations import ablation_setup, ablations_handlers
from mi_explorer.ui.ablations.ablation_setup import AblationSetup
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from tests.fakes import ScriptedEngine, scripted_bench
from tests.ui.fake import FakeBench


@pytest.fixture
def task(tmp_path):
    rows = [{"question": f"What is {i} + {i + 3}?", "answer": str(2 * i + 3)} for i in range(1, 13)]
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


@pytest.fixture
def page(tmp_path):
    with scripted_bench(ScriptedEngine(), Store(tmp_path / "s.db")) as bench:
        bench.pair.title = "Scripted"
        yield PageContext(PagePairs(OpenPair(Explore(bench), {}), None, "any"), None)


@pytest.fixture
def does(page, tmp_path):
    (tmp_path / "bundled").mkdir()
    yield ablations_handlers.AblationHandlers(page, tmp_path / "bundled")
    page.jobs.close()


def made(does, name: str) -> None:
    does.page.jobs.get(name).join(30)
    assert not does.running(name)


@pytest.mark.parametrize("kind", ["layers", "modules", "decoding"])
def test_one_click_runs_in_the_background_and_shows_ours_beside_the_paper(does, task, kind):
    setup = AblationSetup.of(kind, 0.8, 8, 2, task, 200)
    before = does.estimate("mini", setup)
    name = does.start("mini", setup)
    made(does, name)
    shown = does.show(kind, name, "")
    board = json.loads(shown["board"])
    cells = {"layers": 9, "modules": 8, "decoding": 12}[kind]
    assert f"{cells} blends × 8 questions × 2 samples = {cells * 16} samples; at most" in before
    assert (
        shown["samples"] == cells * 16
        and not shown["running"]
        and board["status"].startswith("Done in")
        and board["error"] == ""
    )
    assert (
        "8 questions × 2 samples" in board["caption"]
        and "cap 200, seed 0" in board["caption"]
        and "measured here" in board["caption"]
    )
    assert (
        board["cite"].startswith("Published: arXiv 2510.10977") and board["sentence"] and board["sentence"][-1] == "."
    )
    figure = json.loads(shown["figure"])
    assert figure["columns"] == board["columns"] and len(figure["rows"]) >= cells and len(figure["figure"]["data"]) >= 3
    assert "all of them made" in does.estimate("mini", setup)
    assert "so far" in does.estimate("mini", AblationSetup.of(kind, 0.7, 8, 2, task, 200))
    again = does.start("mini", setup)  # the same study: nothing is made twice
    made(does, again)
    assert again == name and does.page.jobs.get(name).state.progress.done == 0
    assert does.start("mini", AblationSetup.of(kind, 0.6, 1, 1, task, 200)) != name  # another λ is another study


def test_a_run_that_ends_while_its_samples_are_read_is_looked_at_once_more(does, task, monkeypatch):
    name = does.start("mini", AblationSetup.of("layers", 0.8, 2, 1, task, 200))
    made(does, name)
    ended, read = does.page.jobs.get(name).state, does.library.summary
    job = SimpleNamespace(state=replace(ended, progress=replace(ended.progress, state="running")))

    def and_then_it_ends(name):
        found = read(name)
        job.state = ended
        return found

    monkeypatch.setattr(does.page.jobs, "get", lambda name: job)
    monkeypatch.setattr(does.library, "summary", and_then_it_ends)
    first, second = (does.show("layers", name, "") for _ in range(2))
    assert (first["running"], second["running"]) == (True, False)
    assert json.loads(second["board"])["status"].startswith("Done")


def test_methods_run_at_their_published_settings(does, task):
    name = does.start("mini", AblationSetup.of("methods", 0.3, 3, 1, task, 200))
    made(does, name)
    board = json.loads(does.show("methods", name, "Qwen3-4B-2507 on GPQA-Diamond")["board"])
    assert board["rows"][0][0] == "Instruct" and "linear at λ 0.8" in [row[0] for row in board["rows"]]
    assert not any("ties" in row[0] for row in board["rows"])  # the scripted pair has no base
    assert "GPQA-Diamond (198 questions)" in board["cite"] and "of their own" in board["cite"]


def test_a_run_is_watched_stopped_and_goes_on(does, task):
    does.page.bench().engine.delay = 0.02
    setup = AblationSetup.of("layers", 0.8, 12, 4, task, 200)
    name = does.start("mini", setup)
    state = does.page.jobs.get(name).wait(2, 10)
    while not state.progress.done and state.running:
        state = does.page.jobs.get(name).wait(state.version, 10)
    found = does.show("layers", name, "")
    board = json.loads(found["board"])
    assert (
        found["running"]
        and board["total"] == 9 * 48
        and board["status"].startswith("Running: ")
        and "tab is closed" in board["status"]
    )
    assert does.first("layers", "mini") == name
    with pytest.raises(UserError, match="running already"):
        does.start("mini", setup)
    does.stop(name)
    made(does, name)
    board = json.loads(does.show("layers", name, "")["board"])
    assert board["status"].startswith("Stopped; ")
    done = does.page.jobs.get(name).state.progress.done
    assert 0 < done < 9 * 48
    does.page.bench().engine.delay = 0
    does.start("mini", setup)
    made(does, name)
    last = does.page.jobs.get(name).state.progress
    assert (last.done + last.reused, last.reused) == (9 * 48, done)


def test_precomputed_studies_are_there_on_first_open_and_labelled(does, task, tmp_path):
    name = does.start("mini", AblationSetup.of("modules", 0.8, 4, 1, task, 200))
    made(does, name)
    export_study(does.page.bench().store, name, tmp_path / "bundled" / "modules.parquet")
    does.page.bench().store.delete(name)
    does.page = replace(does.page, jobs=Jobs())
    (label, first), nothing = does.choices("modules", "mini")
    assert first == name == does.first("modules", "mini") and "precomputed" in label and nothing[1] == ""
    board = json.loads(does.show("modules", name, "")["board"])
    assert "precomputed" in board["caption"] and "4 questions × 1 samples" in board["caption"]
    assert (
        does.first("layers", "mini") == ""
        and "paper's numbers alone" in json.loads(does.show("layers", "", "")["board"])["caption"]
    )


def test_what_cannot_be_meant_or_is_too_much_is_told(does, task):
    for values, match in (
        (("layers", 9, 8, 2, task, 200), "λ must lie"), (("layers", 0.8, 0, 2, task, 200), "Questions"),
        (("layers", 0.8, 8, None, task, 200), "Samples"),
        (("layers", 0.8, 8, 2, task, None), "cap"), (("lairs", 0.8, 8, 2, task, 200), "layers"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=match):
            AblationSetup.of(*values)
    with pytest.raises(UserError, match="no base model"):
        does.start("mini", AblationSetup.of("backbone", 0.8, 4, 1, task, 200))
    with pytest.raises(UserError, match="nosuch"):
        does.start("mini", AblationSetup.of("layers", 0.8, 4, 1, "nosuch", 200))
    many = AblationSetup.of("layers", 0.8, 12, 64, task, 200)
    assert "6,912 samples; at most" in does.estimate("mini", many)  # at home it may be as large as one likes
    does.page = replace(does.page, settings=SimpleNamespace(open=True))
    for act in (does.estimate, does.start):
        with pytest.raises(UserError, match=r"5,000.*python -m mi_explorer ablate layers"):
            act("mini", many)


def test_a_page_without_a_store_still_shows_the_paper(tmp_path):
    does = ablations_handlers.AblationHandlers(
        PageContext(PagePairs(OpenPair(Explore(FakeBench()), {}), None), None), tmp_path
    )
    for kind in ablations.KINDS:
        shown = does.show(kind, does.first(kind, ""), "")
        assert json.loads(shown["board"])["rows"] and json.loads(shown["figure"])["figure"]["data"]
    with pytest.raises(UserError, match="scripted"):
        does.start("", ablation_setup.default_setup("layers"))


def test_an_estimate_says_whence_it_is_known(does, task):
    does.page.bench().engine.rate = lambda: 1000.0
    assert "about 29 s at 1,000 tokens/s" in does.estimate(
        "mini", AblationSetup.of("layers", 0.8, 8, 2, task, 200)
    )  # 144 × 200 tokens at most


def test_the_defaults_of_a_pair_fit_it():
    assert (
        ablation_setup.setup_for_pair("layers", "mini", "mini", 1000, ["mini"]).task == "mini"
        and ablation_setup.default_setup("decoding").lam == 0.4
    )
    other = ablation_setup.setup_for_pair("layers", "/a|/b", "", 1000, ["mini", "gsm8k"])
    assert (other.task, other.cap, other.samples) == ("gsm8k", 1000, 1)
    assert ablation_setup.setup_for_pair("layers", "smollm2", "smollm2", 1000, ["mini", "gsm8k"]).task == "smollm2"
