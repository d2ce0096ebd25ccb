"""The Ablations tab without a browser: our cells beside the paper's numbers, and runs on a scripted pair through the handlers."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies import ablations
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.ablations import ablation_rows, ablation_setup, ablations_figures, ablations_handlers
from mi_explorer.ui.ablations.ablation_setup import AblationSetup
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from tests.fakes import ScriptedEngine, scripted_bench
from tests.ui.fake import FakeBench

PAPER = ASSETS / "paper"


def measured(cells: tuple[Cell, ...], values) -> list[dict]:
    """Cells as `Summary.cells` has them; `values(i)` gives mean, think ratio and tokens."""
    out = []
    for i, c in enumerate(cells):
        mean, think, tokens = values(i)
        out.append({
            "lambda": c.recipe.lam, "method": c.recipe.method, "label": c.label, "group": c.group,
            "scope": {"layers": c.recipe.scope.layers, "modules": list(c.recipe.scope.modules)},
            "temperature": c.decoding.temperature, "top_p": c.decoding.top_p, "key": f"k{i}", "questions": 10, "samples": 4,
            "mean": mean, "mean_ci": [mean - 0.1, mean + 0.05], "pass": None, "pass_ci": [None, None], "vote": None,
            "vote_ci": [None, None],
            "think_ratio": think, "think_ratio_ci": [None, None], "tokens": tokens, "tokens_ci": [tokens - 5, tokens + 5],
        })  # fmt: skip
    return out


def some(i: int) -> tuple[float, float, float]:
    return 0.3 + 0.05 * i, 0.1 * i, 40.0 + 10 * i


def test_thirds_of_six_layers_stand_beside_thirds_of_thirty_six():
    cells = measured(ablations.layers(Recipe(lam=0.8), Decoding(), 6), some)
    found = {line.label: line for line in ablation_rows.ablation_rows("layers", cells, "")}
    paper = pd.read_csv(PAPER / "mi_layers.csv").set_index(["lambda", "first_layer"], drop=False)
    assert [line.theirs["mean"] for line in found.values() if line.theirs][:3] == [
        46.57,
        80.42,
        80.47,
    ]  # Instruct, Thinking, everything
    assert (
        found["last two thirds: layers 2-5"].theirs["think"] == 100.0
        and found["last two thirds: layers 2-5"].theirs["mean"] == 69.48
    )
    assert (
        found["first two thirds: layers 0-3"].theirs["mean"] == 59.06
        and found["first third: layers 0-1"].theirs["tokens"] == 32151
    )
    assert (
        found["layers 0-1,4-5"].theirs is None and len(found) == 9
    )  # the paper has no such line, and loses none of its own
    assert {v.theirs["mean"] for v in found.values() if v.theirs} == set(paper["mean_at_64"])
    assert found["last third: layers 4-5"].theirs["length"] == pytest.approx(100 * 14987 / 22813)


def test_modules_backbones_and_methods_find_their_counterparts():
    cells = measured(ablations.modules(Recipe(lam=0.8), Decoding()), some)
    by = {line.label: line.theirs for line in ablation_rows.ablation_rows("modules", cells, "")}
    assert (
        by["without mlp"]["think"] == 0.68
        and by["without attention"]["length"] == 59.21
        and by["all modules"]["mean"] == 80.47
    )
    assert by["mlp alone"] is None and by["Instruct"] is None
    cells = measured(ablations.backbone(Recipe(lam=0.8), Decoding()), some)
    found = ablation_rows.ablation_rows("backbone", cells, "Qwen3-4B-Thinking-2507 on IFEval")
    assert [(x.label, x.theirs["mean"], x.ours is None) for x in found] == [
        ("into Instruct", 87.0, False), ("into base", 85.0, False), ("into the hybrid Qwen3-4B", 88.0, True)
    ]  # fmt: skip
    cells = measured(
        ablations.methods(lambda m: Recipe(method=m), Decoding(), ("linear", "ties", "task_arithmetic"), None, True),
        some,
    )
    by = {line.label: line for line in ablation_rows.ablation_rows("methods", cells, "Qwen3-30B-A3B-2507 on AIME25")}
    assert by["Instruct"].theirs["mean"] == 62.03 and by["Thinking"].theirs["mean"] == 85.0
    assert by["task_arithmetic at λ 0.7"].theirs["mean"] == 79.84 and by["TIES, other base"].ours is None
    assert "linear at λ 0.4" not in by  # of the paper's curve only what stands beside ours


def test_marks_are_where_the_numbers_are():
    cells = measured(ablations.layers(Recipe(lam=0.8), Decoding(), 6), some)
    found = ablation_rows.ablation_rows("layers", cells, "")
    drawn = ablations_figures.dots_figure("layers", found, "Published: <x>")
    mine, theirs = drawn.data[0], drawn.data[1]
    assert (
        list(mine.x) == pytest.approx([30 + 5 * i for i in range(9)])
        and list(mine.y)[7] == "last two thirds: layers 2-5"
    )
    assert list(mine.error_x.arrayminus) == pytest.approx([10] * 9) and list(mine.error_x.array) == pytest.approx(
        [5] * 9
    )
    assert (
        theirs.x[list(theirs.y).index("last two thirds: layers 2-5")] == 69.48 and "&lt;x&gt;" in theirs.hovertemplate
    )
    lengths = drawn.data[4]
    assert (
        lengths.x[1] == 100 and lengths.x[0] == pytest.approx(80) and "10 questions × 4 samples" in lengths.text[0]
    )  # Thinking took 50 tokens
    assert drawn.layout.annotations[2].text == "Tokens, % of Thinking's"
    below = ablations_figures.dots_figure(
        "layers", found, "Published: <x>", narrow=True
    )  # a phone: the same marks, each panel as wide as the screen
    assert [list(trace.x) for trace in below.data] == [list(trace.x) for trace in drawn.data]
    assert {below.layout[f"xaxis{n}"].domain for n in ("", 2, 3)} == {(0.0, 1.0)} and below.layout.height > 3 * 9 * 20
    assert below.layout.yaxis.domain[0] > below.layout.yaxis2.domain[1] > below.layout.yaxis3.domain[1]
    columns, rows = ablations_figures.ablation_table("layers", found)
    assert (
        columns[:4] == ["Blend", "Mean@4 (%)", "95 % interval", "Mean@64 (%), published"]
        and "Pass@64 (%), published" in columns
    )
    assert rows[7][:4] == ["last two thirds: layers 2-5", 65.0, "55.0 to 70.0", 69.5] and rows[7][-1] == "10 × 4"


def test_backbones_are_compared_with_the_blend_into_instruct():
    cells = measured(ablations.backbone(Recipe(lam=0.8), Decoding()), some)
    found = ablation_rows.ablation_rows("backbone", cells, "Qwen3-4B-Thinking-2507 on AIME25")
    lengths = ablations_figures.dots_figure("backbone", found, "").data[4]
    assert list(lengths.x) == pytest.approx([100, 125])
    assert list(ablations_figures.dots_figure("backbone", found, "").data[5].x) == pytest.approx(
        [100, 100 * 18867 / 17574, 100 * 19963 / 17574]
    )


def test_the_decoding_grid_is_coloured_against_each_panel_s_mean():
    cells = measured(ablations.decoding_grid(Recipe(lam=0.4), Decoding()), some)
    drawn = ablations_handlers.decoding_figure(ablation_rows.ablation_rows("decoding", cells, ""))
    ours, ifeval, gpqa = drawn.data
    assert list(ours.x) == ["0.6", "0.65", "0.7"] and list(ours.y) == ["0.95", "0.9", "0.85", "0.8"]
    assert (
        ours.text[0][0] == "30.0"
        and ours.text[3][2] == "85.0"
        and ours.z[0][0] == pytest.approx(-27.5)
        and ours.zmax == pytest.approx(27.5)
    )
    assert ifeval.text[1][0] == "71.3" and gpqa.text[2][0] == "62.7" and ifeval.zmin == gpqa.zmin == ours.zmin
    assert (
        sum(map(sum, ifeval.z)) == pytest.approx(0, abs=1e-9)
        and drawn.layout.annotations[1].text == "published: IFEval"
    )
    below = ablations_handlers.decoding_figure(ablation_rows.ablation_rows("decoding", cells, ""), narrow=True)
    assert [p.z for p in below.data] == [p.z for p in drawn.data] and {
        below.layout[f"xaxis{n}"].domain for n in ("", 2, 3)
    } == {(0.0, 1.0)}
    assert (
        len(ablations_handlers.decoding_figure(ablation_rows.ablation_rows("decoding", (), "")).data) == 2
    )  # nothing measured: the paper's panels alone


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
    assert "samples, all of them made." in does.estimate("mini", setup)
    assert "as in the studies so far" in does.estimate("mini", AblationSetup.of(kind, 0.7, 8, 2, task, 200))
    again = does.start("mini", setup)  # the same study: nothing is made twice
    made(does, again)
    assert again == name and does.page.jobs.get(name).state.progress.done == 0
    assert does.start("mini", AblationSetup.of(kind, 0.6, 1, 1, task, 200)) != name  # another λ is another study


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
    assert board["status"].startswith("Stopped; run it again to go on: ")
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
    does.page.jobs._jobs.clear()
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
    settings = type("Settings", (), {"task": "mini", "tokens": 1000})()
    assert (
        ablation_setup.setup_for_pair("layers", "mini", settings, ["mini"]).task == "mini"
        and ablation_setup.default_setup("decoding").lam == 0.4
    )
    other = ablation_setup.setup_for_pair("layers", "qwen3-4b", settings, ["mini", "gsm8k"])
    assert (other.task, other.cap, other.samples) == ("gsm8k", 1000, 1)
