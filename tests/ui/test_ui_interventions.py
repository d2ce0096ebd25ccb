"""Budgets, λs of the answer and probes on the page, in the report and on the command line: the same numbers in each."""

import json
import time

import pytest
from curve_studies import tab

from mi_explorer.cli import main
from mi_explorer.errors import UserError
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.report.html_page import html_report
from mi_explorer.studies.report.intervention_tables import frontier_rows, gap_rows, grid_rows
from mi_explorer.studies.report.probe_curve import probe_curve, probes_sentence
from mi_explorer.studies.report.svg_interventions import frontiers_svg, grid_svg
from mi_explorer.studies.report.svg_probes import probes_svg
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.exchange import export_study, import_study
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.curves.frontier_figure import frontier_figure
from mi_explorer.ui.curves.intervention_figure import intervention_figure
from mi_explorer.ui.curves.probe_figure import probe_figure
from tests.ui.intervened import LAMS, OPTIONS, answer_cells, budget_cells, made, with_probes


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("intervened") / "studies.db") as store:
        made(store, "budgets", budget_cells())
        made(store, "answers", answer_cells())
        made(store, "probed", budget_cells(seed=1)[-len(LAMS) :], questions=5)
        with_probes(store, "probed")
        yield store


def test_the_frontiers_hold_the_cells(store):
    summary = summarise(store, "budgets")
    figure, columns, rows = frontier_figure(summary)
    by_name = {trace["name"]: trace for trace in figure["data"]}
    line = by_name["λ without a budget"]
    plain = [c for c in summary.cells if "think_budget" not in c]
    assert [round(x, 9) for x in line["x"]] == [round(c["tokens"], 9) for c in plain] and line["text"] == [
        "0.4",
        "0.7",
        "1",
    ]
    assert (
        by_name["budget at λ 1"]["text"] == ["10", "20", ""]
        and by_name["budget at λ 1"]["customdata"][0][0] == "budgets"
    )
    assert len(rows) == 9 and len(columns) == len(rows[0])
    svg = frontiers_svg(summary)
    assert svg.count('class="grid"') == 4 and svg.count("<rect") == 1 + 3, "frame and budgets"
    assert [row["budget"] for row in frontier_rows(summary)] == ["10", "20", "none"]
    assert {row["λ"] for row in gap_rows(summary)} <= {"0.4", "0.7"}


@pytest.mark.parametrize("name, across", [("budgets", ["10", "20", "none"]), ("answers", ["0", "1", "as thought"])])
def test_a_grid_shows_every_cell(store, name, across):
    summary = summarise(store, name)
    figure, _, rows = intervention_figure(summary)
    accuracy, tokens = figure["data"]
    assert accuracy["x"] == across and accuracy["y"] == ["0.4", "0.7", "1"] and len(rows) == 9
    by_key = {cell["key"]: cell for cell in summary.cells}
    for line, keys in zip(tokens["z"], tokens["customdata"], strict=True):
        assert line == [by_key[key]["tokens"] for _, key in keys]
    table = grid_rows(summary, summary.grids[0], "mean")
    assert [row["λ"] for row in table] == ["0.4", "0.7", "1"] and table[2][across[0]].startswith(
        f"{accuracy['z'][2][0]:.1f} ["
    )
    assert grid_svg(summary, summary.grids[0]).count(f">{accuracy['z'][0][0]:.1f}<") >= 1


def test_probes_over_lambda(store):
    summary = summarise(store, "probed")
    points = probe_curve(summary.rows, summary.probes[0])
    assert [p["lambda"] for p in points] == list(LAMS) and {p["free"] for p in points} == {1.0}
    # of three points the first is wrong, the others are as the sample
    for p, cell in zip(points, summary.cells, strict=True):
        assert p["forced_fails"] == pytest.approx(1 - cell["mean"] * 2 / 3)
    figure, columns, rows = probe_figure(summary)
    lines = {t["name"]: t for t in figure["data"] if t.get("customdata")}
    assert lines["forced answer"]["y"] == pytest.approx([100 * p["forced_beside_free"] for p in points])
    assert len(rows) == 3 and len(columns) == len(rows[0])
    assert probes_svg(summary, summary.probes[0]).count("<polyline") == len(lines)
    said = probes_sentence(summary.rows, summary.probes[0])
    assert "λ 1" in said and f"{100 * points[-1]['forced_fails']:.1f} %" in said
    assert probe_figure(summarise(store, "budgets")) is None and frontier_figure(summary) is None


def test_report_page_and_command_line_show_them(store, tmp_path, capsys):
    handlers = tab(store, tmp_path / "nothing")
    shown = handlers.show(["budgets"])
    bar = json.loads(shown["bar"])
    assert shown["grid"] and not shown["probes"] and not shown["difference"] and len(bar["lines"]) == 1
    assert "frontier" in shown["pareto"] or "none beats these" in shown["pareto"]
    assert handlers.show(["probed"])["probes"] and handlers.show(["budgets", "probed"])["difference"]
    report = html_report(store, "budgets")
    assert report.count("<svg") == 3 and "thought budget (columns)" in report
    assert "forced fails %" in html_report(store, "probed")
    assert main.main(["study", "show", "answers", "--home", str(store.path.parent)]) == 0
    out = capsys.readouterr().out
    assert "as thought" in out and "λ of the answer" in out


def test_a_file_keeps_grids_and_probes(store, tmp_path):
    for name in ("budgets", "answers", "probed"):
        export_study(store, name, tmp_path / f"{name}.parquet")
        with Store(tmp_path / f"{name}.db") as own:
            import_study(own, tmp_path / f"{name}.parquet", name)
            a, b = summarise(store, name), summarise(own, name)
            assert (a.grids, a.frontiers, a.budgets) == (b.grids, b.frontiers, b.budgets)
            assert [p.json() for p in a.probes] == [p.json() for p in b.probes]


def test_probes_are_added_stopped_and_gone_on_with_from_the_page(tmp_path):
    from curve_studies import swept

    own = Store(tmp_path / "home" / "studies.db")
    swept(own, "mine", range(4), 2, (0.6, 1.0))
    made(own, "file", budget_cells()[:2])
    (tmp_path / "files").mkdir()
    export_study(own, "file", tmp_path / "files" / "file.parquet")
    own.delete("file")
    jobs = Jobs()
    handlers = tab(own, tmp_path / "files", jobs)
    before = own.study("mine")
    assert handlers.act("probe", "mine", 3, 1, "me") == ("mine", "")
    end = time.monotonic() + 60
    while (state := handlers.sweep_states("me")[0])["state"] == "running" and time.monotonic() < end:
        time.sleep(0.02)
    assert (state["kind"], state["study"], state["state"], state["done"], state["total"]) == (
        "probes",
        "mine",
        "done",
        16,
        16,
    )
    after = own.study("mine")
    assert (after.samples, after.updated) == (before.samples, before.updated), "nothing is decoded anew"
    found = own.probes(after.id)
    assert len(found) == 16 and {one.options for one in found} == {OPTIONS}
    assert handlers.library.summary("mine").probes
    assert handlers.resume_sweep({"kind": "probes", "study": "mine", "owner": "me"}) == ""
    jobs.get("probes of mine").join(30)
    assert own.probes(after.id) == found, "the same settings make nothing twice"
    assert handlers.stop_sweep({"kind": "probes", "study": "mine"}) == ""
    for args, said in (
        (("file", 3, 1), "one of your own"),
        (("mine", 0, 1), "points"),
        (("mine", 3, 1.5), "whole number"),
    ):
        result, problem = handlers.act("probe", *args, "me")
        assert result is None and said in problem
    with pytest.raises(UserError, match="begun here"):
        handlers.probes.resume("file")
    jobs.close()
