"""The Curves tab without a page: curves, figures and words from samples; handlers and background sweeps called directly."""

import csv
import json
import shlex
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.curves import compare, curve, curve_sentences, curves_figures, sweep_request
from mi_explorer.ui.curves.curves_handlers import CurvesHandlers
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from tests.fakes import ScriptedEngine, scripted_bench

LAMS = tuple(i / 10 for i in range(11))
DECODING = Decoding(cap=200)


def item(i: int) -> Item:
    return Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4))


def swept(
    store: Store, name: str, questions: range = range(12), samples: int = 3, lams=LAMS, recipe: Recipe | None = None
) -> None:
    items = tuple(map(item, questions))
    plan = Plan("sums", grid(recipe or Recipe(), lams, DECODING), len(items), samples)
    list(Runner(store, plan, items, lambda pair: scripted_bench(), name=name).run())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A store with two studies: "a", and "b", which asks other questions in part and twice as many samples."""
    store = Store(tmp_path_factory.mktemp("curves") / "s.db")
    swept(store, "a")
    swept(store, "b", range(6, 18), 2, LAMS[::2], Recipe(method="slerp"))
    return store


@pytest.fixture(scope="module")
def a(measured) -> curve.Curve:
    return curve.curves_of_summary(summarise(measured, "a"))[0]


@pytest.fixture(scope="module")
def rows_of_a(measured) -> dict[float, list]:
    """The samples of "a" by λ."""
    info = measured.study("a")
    return {row.cell.recipe.lam: measured.samples(info.id, cell=row.key) for row in measured.cells(info.id)}


def traces(figure: dict, axis: str) -> list[dict]:
    return [t for t in figure["data"] if t.get("yaxis", "y") == axis and t["mode"] == "lines+markers"]


def test_the_small_multiples_show_what_was_measured(a, rows_of_a):
    figure, columns, rows = curves_figures.panels_figure([a])
    mean, passed, vote = traces(figure, "y")
    assert mean["x"] == list(LAMS) and [mean["name"], passed["name"], vote["name"]] == ["mean", "pass@k", "vote@k"]
    assert mean["y"] == pytest.approx([np.mean([s.verdict == "correct" for s in rows_of_a[lam]]) for lam in LAMS])
    by_question = [
        {q: [s.correct for s in rows_of_a[lam] if s.item == q] for q in {s.item for s in rows_of_a[lam]}}
        for lam in LAMS
    ]
    assert passed["y"] == pytest.approx(
        [np.mean([any(c) for c in questions.values()]) for questions in by_question]
    )  # k = n
    assert traces(figure, "y2")[0]["y"] == pytest.approx(
        [np.mean([s.think_closed for s in rows_of_a[lam]]) for lam in LAMS]
    )
    assert traces(figure, "y3")[0]["y"] == pytest.approx([np.mean([s.tokens for s in rows_of_a[lam]]) for lam in LAMS])
    over = [[1 - s.first_correct / s.tokens for s in rows_of_a[lam] if s.correct] for lam in LAMS]
    weights = [
        np.mean(x) for x in over
    ]  # every question has as many samples, so the mean over right samples is the ratio of sums
    assert traces(figure, "y4")[0]["y"] == pytest.approx(weights)
    assert (
        figure["layout"]["xaxis"]["anchor"] == "y4" and "yaxis5" not in figure["layout"]
    )  # one λ axis, no second y axis
    assert not any("overlaying" in axis for name, axis in figure["layout"].items() if name.startswith("yaxis"))
    assert mean["customdata"][3] == ["a", a.rows[3].key] and "n = 12 questions × 3 samples" in mean["hovertext"][3]
    table = [dict(zip(columns, row, strict=True)) for row in rows]
    assert [r["λ"] for r in table] == list(LAMS) and len(columns) == len(set(columns))
    assert all(r["Mean low"] <= r["Mean (%)"] <= r["Mean high"] for r in table)
    assert table[10]["Tokens"] == pytest.approx(np.mean([s.tokens for s in rows_of_a[1.0]]), abs=0.01)


def test_bands_are_the_intervals_and_stages_are_painted(a):
    figure, *_ = curves_figures.panels_figure([a])
    band = next(t for t in figure["data"] if t.get("fill") == "toself")
    n = len(LAMS)
    assert band["x"] == [*LAMS, *reversed(LAMS)]
    assert band["y"][:n] == [p["mean_ci"][1] for p in a.points] and band["y"][n:] == [
        p["mean_ci"][0] for p in reversed(a.points)
    ]
    low, high = a.stages["stage2"]
    spans = [x for s in figure["layout"]["shapes"] for x in (s["x0"], s["x1"])]
    assert spans == pytest.approx([0, low, low, high, high, 1])
    assert 0.4 < a.stages["lambda50"] < 0.6  # the scripted transition lies at 0.5
    assert [t["text"] for t in figure["layout"]["annotations"]] == ["stage 1", "stage 2", "stage 3"]


def test_a_published_curve_is_the_paper_s_and_says_so(a):
    name = "Qwen3-4B on AIME25, arXiv 2510.10977"
    paper = curve.overlay(name)
    with (ASSETS / "paper" / "mi_dynamics.csv").open() as file:
        want = {
            float(r["lambda"]): r for r in csv.DictReader(file)
            if (r["model"], r["method"], r["benchmark"]) == ("Qwen3-4B-2507", "MI", "AIME25")
        }  # fmt: skip
    assert [p["lambda"] for p in paper.points] == sorted(want)
    for p in paper.points:
        row = want[p["lambda"]]
        assert p["mean"] == pytest.approx(float(row["mean_at_k"]) / 100) and p["tokens"] == float(row["tokens"])
        assert p["think_ratio"] == pytest.approx(float(row["think_ratio"]) / 100)
    assert paper.name.startswith("published: ") and "arXiv 2510.10977" in paper.about
    figure, columns, rows = curves_figures.panels_figure([a, paper])
    tokens = traces(figure, "y3")
    assert (
        figure["layout"]["yaxis3"]["title"]["text"] == "tokens ÷ tokens at λ 1"
    )  # 20,000 and 70 tokens have no common scale
    assert tokens[0]["y"][-1] == 1 and tokens[1]["y"] == pytest.approx([p["tokens"] / 22813 for p in paper.points])
    assert tokens[1]["name"].startswith("published: ") and tokens[1]["customdata"] == [None] * len(paper.points)
    assert {row[1] for row in rows} == {"live", "published"}
    assert len(curve.overlays()) == 17 and sum("2509.22034" in x for x in curve.overlays()) == 11
    with pytest.raises(UserError, match="published curve"):
        curve.overlay("Qwen3-4B on AIME26")


def test_the_pareto_chart_marks_improvements_with_their_probability(a):
    points = list(a.points)
    points[8] = {**points[8], "improves_instruct": 0.31, "improves_thinking": 0.976}
    points[6] = {**points[6], "improves_instruct": 0.62, "improves_thinking": 0.1}
    chart, columns, rows = curves_figures.pareto_figure([replace(a, points=tuple(points))])
    (line,) = chart["data"]
    assert line["x"] == [p["tokens"] for p in points] and line["y"] == [p["mean"] for p in points]
    assert line["text"][8] == "0.8 ▲98 %" and line["text"][6] == "0.6 ▲62 %" and line["text"][0] == "0"
    rings = line["marker"]["line"]["width"]
    assert (rings[8], rings[6], rings[0]) == (4, 2, 0)
    assert "improves on Thinking (more right, fewer tokens): 97.6 % of draws" in line["hovertext"][8]
    table = [dict(zip(columns, row, strict=True)) for row in rows]
    for (
        r
    ) in table:  # by definition: nobody has fewer or equal tokens and higher or equal accuracy, one of them strictly
        better = [
            o for o in table
            if o["Tokens"] <= r["Tokens"] and o["Mean (%)"] >= r["Mean (%)"] and (o["Tokens"], o["Mean (%)"]) != (r["Tokens"], r["Mean (%)"])
        ]  # fmt: skip
        assert r["On the Pareto front"] == ("no" if better else "yes")
    assert (
        a.points[0]["improves_thinking"] is None and a.points[5]["improves_thinking"] is not None
    )  # a parent improves on nobody


def test_a_hostile_name_is_text(a):
    bad = "<img src=x onerror=alert(1)>&amp;"
    figure, _, rows = curves_figures.panels_figure([replace(a, name=bad), replace(a, name="b")])
    names = {t.get("name") for t in figure["data"]} | {h for t in figure["data"] for h in t.get("hovertext", ())}
    assert not any("<img" in str(n) for n in names) and any(
        "&lt;img src=x onerror=alert(1)&gt;&amp;amp;" in str(n) for n in names
    )
    assert rows[0][0] == bad  # the table is made of text nodes


def test_the_best_lambda_for_a_budget(a, rows_of_a):
    assert curve_sentences.default_budget(a) == round(0.85 * np.mean([s.tokens for s in rows_of_a[1.0]]))
    tokens = {lam: np.mean([s.tokens for s in rows]) for lam, rows in rows_of_a.items()}
    right = {lam: np.mean([s.correct for s in rows]) for lam, rows in rows_of_a.items()}
    limit = 40
    best = max((lam for lam in LAMS if tokens[lam] <= limit), key=lambda lam: (right[lam], -tokens[lam]))
    told = curve_sentences.budget_sentence(a, limit)
    gap = 100 * (right[best] - right[1.0])
    assert (
        f"λ {best:g}: {100 * right[best]:.1f} %" in told and f"{gap:+.1f} points [" in told and "12 questions" in told
    )
    assert "no measured λ stays within 1 tokens" in curve_sentences.budget_sentence(a, 1)
    same = replace(a, points=a.points[9:], rows=(a.rows[9], a.rows[10]))  # λ 0.9 and 1 are alike
    twin = curve_sentences.budget_sentence(same, 1000)
    assert ("no λ within 1,000 tokens is distinguishable from λ = 1" in twin) or "nothing beats λ 1 itself" in twin


def test_curves_are_subtracted_question_by_question(measured, a):
    (b,) = curve.curves_of_summary(summarise(measured, "b"))
    samples = {name: measured.samples(measured.study(name).id) for name in "ab"}
    (found,) = compare.differences([a, b], samples, {})
    assert [p["lambda"] for p in found.points] == list(LAMS[::2])
    shared = {item(i).key for i in range(6, 12)}
    for p in found.points:
        mean = {}
        for name, c in (("a", a), ("b", b)):
            key = c.rows[c.at(p["lambda"])].key
            mine = [s for s in samples[name] if s.cell == key and s.item in shared]
            mean[name] = np.mean([np.mean([s.correct for s in mine if s.item == q]) for q in shared])
        assert p["mean"].questions == 6 and p["mean"].value == pytest.approx(mean["b"] - mean["a"])
        assert p["mean"].low <= p["mean"].value <= p["mean"].high
    chart, columns, rows = compare.difference_figure([found])
    assert [t["y"] for t in chart["data"] if t["mode"] == "lines+markers"][0] == pytest.approx(
        [100 * p["mean"].value for p in found.points]
    )
    assert dict(zip(columns, rows[0], strict=True))["Shared questions"] == 6
    (itself,) = compare.differences([a, a], samples, {})
    assert all((p["mean"].value, p["mean"].low, p["mean"].high) == (0, 0, 0) for p in itself.points)
    far = {"a": samples["a"], "b": [s for s in samples["b"] if s.item not in shared]}
    (apart,) = compare.differences([a, b], far, {})
    assert (
        apart.points == () and "they share no question" in apart.message and compare.difference_figure([apart]) is None
    )


# -- handlers ----------------------------------------------------------------------------------------------------------


def tab(
    store: Store, folder, jobs: Jobs | None = None, engine: ScriptedEngine | None = None, settings=None
) -> CurvesHandlers:
    bench = scripted_bench(engine or ScriptedEngine(), store)
    bench.pair.title = ""
    pairs = PagePairs(OpenPair(Explore(bench), {}), lambda pair, report: None, "any")
    return CurvesHandlers(pairs, jobs or Jobs(), settings, folder)


def test_studies_are_listed_and_shown(measured, tmp_path):
    handlers = tab(measured, tmp_path)
    assert [name for _, name in handlers.choices()] == ["b", "a"]  # the latest first
    assert handlers.first(["a", "gone"])[0] == ["a"] and "no study “gone”" in handlers.first(["a", "gone"])[1][0]
    assert handlers.first([])[0] == ["b"]
    shown = handlers.show(["a", "b", "nobody"], [curve.overlays()[0]], 50)
    bar = json.loads(shown["bar"])
    assert [line["name"] for line in bar["lines"]] == ["a", "b", f"published: {curve.overlays()[0]}"]
    assert "your own · pair mini · task sums · n = 12 questions × 3 samples" in bar["lines"][0]["about"]
    assert len(bar["budget"]) == 2 and any("nobody" in m for m in bar["messages"])
    assert all(json.loads(shown[name])["figure"]["data"] for name in ("multiples", "pareto", "difference"))
    nothing = handlers.show([], [])
    assert nothing["multiples"] == nothing["pareto"] == nothing["difference"] == ""


def test_precomputed_studies_are_there_and_labelled(measured, tmp_path):
    from mi_explorer.studies.store.exchange import export_study

    export_study(measured, "a", tmp_path / "shipped.parquet")
    handlers = tab(Store(tmp_path / "own.db"), tmp_path)
    ((label, name),) = handlers.choices()
    assert name == "a" and "precomputed" in label and handlers.first([])[0] == ["a"]
    assert "precomputed" in json.loads(handlers.show(["a"])["bar"])["lines"][0]["about"]
    for act in (("delete", "a"), ("rename", "a", "c")):
        assert "not one of your own studies" in handlers.act(*act)[1]


def test_a_page_without_a_store_still_says_something(tmp_path):
    handlers = tab(None, tmp_path)
    assert handlers.choices() == [] and handlers.first([], "mini") == ([], []) and handlers.stands() == []
    names, published, messages = handlers.opening(
        [], [], "mini"
    )  # nothing measured: a published curve, which says that it is one
    assert (names, messages) == ([], []) and "published · arXiv" in json.loads(handlers.show(names, published)["bar"])[
        "lines"
    ][0]["about"]
    assert "no store" in handlers.act("start", {"task": "mini"}, "mini")[1]


def test_the_samples_of_a_point(measured, rows_of_a, tmp_path):
    handlers = tab(measured, tmp_path)
    row = next(r for r in measured.cells(measured.study("a").id) if r.cell.recipe.lam == 0.7)
    samples = rows_of_a[0.7]
    asked = {"study": "a", "cell": row.key}
    whole = handlers.samples(asked)
    assert whole["counts"]["all"] == len(samples) == whole["found"] == len(whole["rows"])
    assert whole["counts"]["correct"] == sum(s.verdict == "correct" for s in samples) > 0
    assert (
        whole["counts"]["wrong"] == sum(s.verdict == "wrong" for s in samples) > 0 and whole["counts"]["truncated"] == 0
    )
    wrong = handlers.samples({**asked, "filter": "wrong", "sort": "most tokens"})
    assert [r["verdict"] for r in wrong["rows"]] == ["wrong"] * whole["counts"]["wrong"]
    assert [r["tokens"] for r in wrong["rows"]] == sorted((r["tokens"] for r in wrong["rows"]), reverse=True)
    hits = handlers.samples({**asked, "search": "IS 7 +"})["rows"]  # in the question
    assert len(hits) == 3 and {r["question"] for r in hits} == {"What is 7 + 4?"}
    thinks = handlers.samples({**asked, "search": "let me see"})["found"]  # in the response alone
    assert thinks == sum(s.think_closed for s in samples)
    assert (
        "no such point" in handlers.samples({"study": "a", "cell": "x"})["error"]
        and "no point" in handlers.samples([])["error"]
    )
    content = handlers.sample({"study": "a", "key": hits[0]["key"]})
    assert (
        content["view"]["lam"] == 0.7
        and content["view"]["q"] == "What is 7 + 4?"
        and "sample 1 of this question" in content["label"]
    )
    stored = measured.sample(hits[0]["key"])
    assert content["view"]["seed"] == stored.seed and content["frames"]["0.7"]["tokens"] == stored.tokens


# -- sweeps ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text(
        "".join(json.dumps({"question": f"What is {i} + 4?", "answer": str(i + 4)}) + "\n" for i in range(20))
    )
    return str(path)


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
    assert handlers.runs.cost(form(task), "mini").startswith(
        "50 samples; at most 10 thousand tokens (200 a sample, the token limit"
    )
    name, problem = handlers.act("start", form(task, name="mine"), "mini", "me")
    assert (name, problem) == ("mine", "") and store.find("mine") is not None
    assert "running already" in handlers.act("start", form(task, name="mine"), "mini", "me")[1]
    assert "Stop it first" in handlers.act("delete", "mine")[1]
    job = jobs.get("mine")
    while job.state.progress.done < 3:
        job.wait(job.state.version, 5)
    (now,) = handlers.stands()
    assert now["state"] == "running" and now["total"] == 50 and now["done"] >= 3 and now["cells"] == 5 and now["mine"]
    assert handlers.act("stop", "mine")[0] is True
    job.join(20)
    kept = store.study("mine").samples
    assert 3 <= kept < 50 and handlers.stands()[0]["state"] == "stopped"

    engine = ScriptedEngine()  # another server on the same store
    jobs = Jobs()
    handlers = tab(Store(tmp_path / "s.db"), tmp_path, jobs, engine)
    (now,) = handlers.stands()
    assert (now["state"], now["done"], now["total"]) == ("unfinished", kept, 50)
    assert handlers.act("resume", "mine") == ("mine", "")
    assert jobs.get("mine").join(30).progress.state == "done" and store.study("mine").samples == 50
    assert len(engine.asked) == 50 - kept  # nothing that was there is made again
    assert handlers.stands()[0]["state"] == "done"
    assert handlers.runs.cost(form(task), "mini") == "50 samples, all of them made."
    assert "80 samples, 30 of them still to make; about" in handlers.runs.cost(form(task, questions=8), "mini")

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
    handlers = tab(store, tmp_path, jobs, ScriptedEngine(), SimpleNamespace(open=True))
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
