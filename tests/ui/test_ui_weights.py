"""The Weights tab without a browser: figures against the distances they show, and handlers on real and scripted pairs."""

import json
import threading

import numpy as np
import pytest

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.merging import distances
from mi_explorer.recipe import Scope
from mi_explorer.ui.weights import weights_figures, weights_handlers
from tests.fixtures import make_pair
from tests.ui.fake import FakeBench


class Bench:
    """A workbench with weights and a home, without an engine."""

    def __init__(self, pair, home):
        self.pair = pair
        self.resident = type("Resident", (), {"parents": Parents.open(pair)})()
        self.store = type("Store", (), {"path": home / "studies.db"})()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair("qwen3", tmp_path_factory.mktemp("pair"), delta=0.03)


@pytest.fixture
def bench(pair, tmp_path):
    return Bench(pair, tmp_path)


@pytest.fixture(scope="module")
def found(pair):
    return distances.distances(Parents.open(pair))


def test_the_heat_map_holds_what_numpy_says(found, pair):
    drawn, columns, rows = weights_figures.heat_map_figure(found, "relative_l2")
    heat, parents = drawn.data[0], Parents.open(pair)
    assert list(heat.x) == ["0", "1", "2", "no layer"] and list(heat.y) == ["attention", "MLP", "norms", "embedding"]
    names = [n for n in parents.names() if "layers.1.mlp." in n]
    a, b = (
        np.concatenate([parents.tensor(r, n).double().numpy().ravel() for n in names]) for r in ("instruct", "thinking")
    )
    assert heat.z[1][1] == pytest.approx(100 * np.linalg.norm(b - a) / np.linalg.norm(a))
    assert (
        heat.z[0][3] is None and heat.z[3][0] is None and heat.z[3][3] > 0
    )  # no attention outside layers, no embedding in one
    assert heat.zmin == 0 and f"{a.size:,} numbers in 3 tensors" in heat.text[1][1]
    assert columns[5] == "relative L2 (%)" and [r[5] for r in rows if r[0] == "layer 1 mlp"] == [
        pytest.approx(heat.z[1][1], abs=1e-6)
    ]


def test_kinship_is_signed_around_zero_and_cosine_ends_at_one(found):
    kin, cosine = (
        weights_figures.heat_map_figure(found, "kin_cosine")[0].data[0],
        weights_figures.heat_map_figure(found, "cosine")[0].data[0],
    )
    assert kin.zmin == -kin.zmax < 0 and kin.zmax == max(abs(x) for line in kin.z for x in line if x is not None)
    assert cosine.zmax == 1 and cosine.reversescale
    assert [name for _, name in weights_figures.offered_measures(found)] == list(weights_figures.MEASURES)


def test_without_a_base_there_is_no_kinship_to_choose(pair):
    parents = Parents.open(pair)
    alone = distances.distances(Parents(pair, parents.instruct, parents.thinking))
    assert "kin_cosine" not in [name for _, name in weights_figures.offered_measures(alone)]
    assert "kinship cosine" not in weights_figures.distance_table(alone, alone.tensors)[0] and not any(
        "Kinship" in k for k, _ in weights_figures.distance_facts(alone)
    )


def test_every_cell_names_a_scope_that_blends_its_group(found):
    heat = weights_figures.heat_map_figure(found, "sigma")[0].data[0]
    groups = {(r.module, r.layer) for r in found.groups}
    for i, line in enumerate(heat.customdata):
        for j, custom in enumerate(line):
            module, layer = custom.split("|")
            at = (module, int(layer) if layer else None)
            if heat.z[i][j] is None:
                assert at not in groups
                continue
            scope = Scope(layer or "none", (module,))  # what a click on the cell asks for
            inside = {g for g in groups if scope.includes(*g)}
            assert inside == {at} or inside == {at, ("norm", None)}  # the final norm goes with its module


def test_the_gauge_stands_between_published_pairs(found):
    drawn, columns, rows = weights_figures.gauge_figure(found, "<b>mine</b>")
    published, mine = drawn.data
    assert mine.x[0] == pytest.approx(100 * found.overall.relative_l2) and "&lt;b&gt;" in mine.hovertemplate
    assert (
        7.9 in published.x
        and 3.78 in published.x
        and 109 in published.x
        and "published, arXiv 2509.22034" in published.hovertemplate
    )
    assert [(s.x0, s.x1) for s in drawn.layout.shapes][1:3] == [(10, 25), (25, 50)]
    assert (
        rows[0] == ["<b>mine</b>", pytest.approx(100 * found.overall.relative_l2, abs=1e-4), "measured here"]
        and len(rows) == 11
    )


def test_the_facts_and_the_slerp_note_are_computed(found):
    facts = dict(weights_figures.distance_facts(found))
    assert (
        facts["Relative L2"] == f"{100 * found.overall.relative_l2:.2f} %"
        and "0.027" not in facts["σ"]
        and "2.69 %" in facts["σ"]
    )
    assert "Kinship with “base”" in facts  # the folder's name, never its path
    s = distances.slerp_against_linear(found)
    note = weights_figures.slerp_note(found)
    assert f"{s.tensors - s.linear} of {s.tensors} tensors" in note and f"{s.angle:.1f}°" in note and s.name in note
    assert ("less" if s.longer < 2**-8 else "more") in note


def test_a_pair_is_measured_once_and_read_back_from_the_home_folder(bench, monkeypatch):
    calls = []
    real = weights_handlers.distances
    monkeypatch.setattr(weights_handlers, "distances", lambda *a: calls.append(1) or real(*a))
    measuring = weights_handlers.Measurements()
    last = list(weights_handlers.watch_measurement(measuring, bench))[-1]
    again = list(weights_handlers.watch_measurement(measuring, bench))
    elsewhere = list(
        weights_handlers.watch_measurement(weights_handlers.Measurements(), bench)
    )  # another process of the same home
    assert last["found"] is again[-1]["found"] and len(again) == 1 and len(calls) == 1
    assert repr(elsewhere[-1]["found"]) == repr(last["found"])
    shown = json.loads(weights_handlers.distances_board(bench, last))
    assert (
        shown["columns"][0] == "tensor"
        and len(shown["rows"]) == len(last["found"].tensors)
        and shown["gauge"] == last["found"].gauge
    )
    assert json.loads(weights_handlers.heat_map_content(bench, last["found"], "nonsense"))["name"].startswith("sigma-")


def test_progress_is_told_while_it_runs_and_a_fault_can_be_tried_again(bench, monkeypatch):
    go, measuring = threading.Event(), weights_handlers.Measurements()

    def slow(parents, tell):
        tell(3, 12)
        go.wait(20)
        raise RuntimeError("device on fire")

    monkeypatch.setattr(weights_handlers, "distances", slow)
    monkeypatch.setattr(weights_handlers, "PROGRESS_INTERVAL_S", 0.02)
    states = weights_handlers.watch_measurement(measuring, bench)
    state = next(states)
    while not state["done"]:
        state = next(states)
    assert (state["done"], state["total"]) == (3, 12) and "25 % of 12 numbers" in state["text"]
    go.set()
    end = list(states)[-1]
    assert "RuntimeError" in end["error"] and end["ask"] == "Try again" and end["found"] is None
    monkeypatch.undo()
    assert list(weights_handlers.watch_measurement(measuring, bench, True))[-1]["found"] is not None


def test_a_large_pair_waits_for_its_button(bench, monkeypatch):
    monkeypatch.setattr(weights_handlers, "AUTO_MEASURE_NUMBERS", 10)
    (state,) = weights_handlers.watch_measurement(measuring := weights_handlers.Measurements(), bench)
    assert state["ask"] == "Measure this pair" and measuring.known(bench) is None
    assert list(weights_handlers.watch_measurement(measuring, bench, True))[-1]["found"] is not None


def test_a_pair_without_weights_says_so():
    (state,) = weights_handlers.watch_measurement(weights_handlers.Measurements(), FakeBench())
    assert (
        "nothing to measure" in state["error"] and weights_handlers.heat_map_content(FakeBench(), None, "sigma") == ""
    )


def test_numbers_that_are_none_stay_empty_in_the_table(pair):
    same = distances.distances(Parents(pair, (p := Parents.open(pair)).instruct, p.instruct, p.instruct))
    columns, rows = weights_figures.distance_table(same, same.tensors)
    assert rows[0][columns.index("kinship cosine")] is None and rows[0][columns.index("σ (%)")] == 0
