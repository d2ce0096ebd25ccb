"""Curves from samples, without a page: figures, words, the best λ for a budget, differences."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Recipe
from mi_explorer.studies.report.html_page import html_report
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.curves import compare, curve, curve_sentences
from mi_explorer.ui.curves.panels_figure import panels_figure
from mi_explorer.ui.curves.pareto_figure import pareto_figure
from tests.ui.curve_studies import LAMS, item, swept


def traces(figure: dict, axis: str) -> list[dict]:
    return [t for t in figure["data"] if t.get("yaxis", "y") == axis and t["mode"] == "lines+markers"]


def test_the_small_multiples_show_what_was_measured(a, rows_of_a):
    figure, columns, rows = panels_figure([a])
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
    figure, *_ = panels_figure([a])
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
    figure, columns, rows = panels_figure([a, paper])
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
    chart, columns, rows = pareto_figure([replace(a, points=tuple(points))])
    (line,) = chart["data"]
    assert line["x"] == [p["tokens"] for p in points] and line["y"] == [p["mean"] for p in points]
    assert line["text"][8] == "0.8 ▲98 %" and line["text"][6] == "0.6 ▲62 %" and line["text"][0] == "0"
    crowded = [{**p, "tokens": 100 + i, "mean": 0.5} for i, p in enumerate(points)]
    (near,) = pareto_figure([replace(a, points=tuple(crowded))])[0]["data"]
    assert [text for text in near["text"] if text] == ["0", "0.6 ▲62 %", "0.8 ▲98 %"]  # the others would lie on them
    rings = line["marker"]["line"]["width"]
    assert (rings[8], rings[6], rings[0]) == (4, 2, 0)
    assert "97.6 %" in line["hovertext"][8]
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
    figure, _, rows = panels_figure([replace(a, name=bad), replace(a, name="b")])
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
    assert "no measured λ" in curve_sentences.budget_sentence(a, 1)
    same = replace(a, points=a.points[9:], rows=(a.rows[9], a.rows[10]))  # λ 0.9 and 1 are alike
    twin = curve_sentences.budget_sentence(same, 1000)
    assert "1,000 tokens" in twin and ("distinguishable" in twin or "nothing beats" in twin)


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


def test_a_pair_of_folders_is_shown_by_its_short_name(tmp_path):
    store = Store(tmp_path / "s.db")
    swept(store, "own", range(4), 1, LAMS[::5], Recipe("/data/run/instruct|/data/run/thinking"))
    summary = summarise(store, "own")
    (one,) = curve.curves_of_summary(summary)
    shown = one.about + html_report(store, "own")
    assert "pair instruct | thinking" in one.about and "/data/run" not in shown
