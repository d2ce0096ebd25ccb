"""The Curves tab's handlers: which studies are listed and shown, the samples of a point."""

import json

from mi_explorer.studies.store.store import Store
from mi_explorer.ui.curves import curve
from tests.ui.curve_studies import swept, tab


def test_studies_are_listed_and_shown(measured, tmp_path):
    handlers = tab(measured, tmp_path)
    assert [name for _, name in handlers.choices()] == ["b", "a"]  # the latest first
    assert handlers.first(["a", "gone"])[0] == ["a"] and "no study “gone”" in handlers.first(["a", "gone"])[1][0]
    assert handlers.first([])[0] == ["b"]
    shown = handlers.show(["a", "b", "nobody"], [curve.overlays()[0]], 50)
    bar = json.loads(shown["bar"])
    assert [line["name"] for line in bar["lines"]] == ["a", "b", f"published: {curve.overlays()[0]}"]
    assert "n = 12 questions × 3 samples" in bar["lines"][0]["about"]
    assert len(bar["budget"]) == 2 and any("nobody" in m for m in bar["messages"])
    assert all(json.loads(shown[name])["figure"]["data"] for name in ("multiples", "pareto", "difference"))
    nothing = handlers.show([], [])
    assert nothing["multiples"] == nothing["pareto"] == nothing["difference"] == ""


def test_what_a_search_measured_is_opened_last(measured, tmp_path):
    from mi_explorer.studies.store.exchange import export_study

    with Store(tmp_path / "own.db") as own:
        swept(own, "of a search", range(2), 1, kind="search")
        handlers = tab(own, tmp_path)
        assert handlers.first([])[0] == ["of a search"]
        export_study(measured, "a", tmp_path / "shipped.parquet")
        assert tab(own, tmp_path).first([])[0] == ["a"]
        swept(own, "mine", range(2), 1)
        swept(own, "of another search", range(2), 1, kind="search")
        assert tab(own, tmp_path).first([])[0] == ["mine"]


def test_precomputed_studies_are_there_and_labelled(measured, tmp_path):
    from mi_explorer.studies.store.exchange import export_study

    export_study(measured, "a", tmp_path / "shipped.parquet")
    handlers = tab(Store(tmp_path / "own.db"), tmp_path)
    ((label, name),) = handlers.choices()
    assert name == "a" and "precomputed" in label and handlers.first([])[0] == ["a"]
    assert "precomputed" in json.loads(handlers.show(["a"])["bar"])["lines"][0]["about"]
    for act in (("delete", "a"), ("rename", "a", "c")):
        assert "your own studies" in handlers.act(*act)[1]


def test_a_page_without_a_store_still_says_something(tmp_path):
    handlers = tab(None, tmp_path)
    assert handlers.choices() == [] and handlers.first([], "mini") == ([], []) and handlers.sweep_states() == []
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
