"""Pictures of studies: what is drawn lies where the figures say, names cannot break out of the picture."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.report.svg_curves import GAP, LEFT, PANEL, RIGHT, TOP, WIDTH, curves_svg
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, scripted_bench

SVG = "{http://www.w3.org/2000/svg}"
ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(10))
TENTHS = [i / 10 for i in range(11)]


def said(request):
    lam, lucky = request.recipe.lam, request.decoding.seed % 7 < 10 * (request.recipe.lam - 0.15)
    return (
        "<think>" + "Wait. " * round(10 * lam) + "</think>" if lucky else ""
    ) + f"The answer is {4 + request.decoding.seed % 10}."


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("draw") / "s.db")
    cells = grid(Recipe(), TENTHS, Decoding(cap=300))
    bench = scripted_bench(ScriptedEngine(said))
    list(Runner(store, Plan("sums", cells, 10, 4), ITEMS, lambda pair: bench, name="s").run())
    cells = grid(Recipe(), TENTHS[::2], Decoding(cap=300), "linear") + grid(
        Recipe(method="slerp"), TENTHS[::2], Decoding(cap=300), "slerp"
    )
    list(Runner(store, Plan("sums", cells, 10, 4, "methods"), ITEMS, lambda pair: bench, name="two").run())
    return lambda name: summarise(store, name)


def test_every_point_lies_where_its_figures_say(summary):
    found = summary("s")
    root = ElementTree.fromstring(curves_svg(found))
    dots = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    assert len(dots) == 33
    for panel, measure in enumerate(("mean", "tokens", "think_ratio")):
        bottom = TOP + panel * (PANEL + GAP) + PANEL
        mine = dots[11 * panel : 11 * panel + 11]
        heights = [bottom - y for _, y in mine]
        values = [cell[measure] for cell in found.cells]
        unit = max(heights) / max(values)
        assert [x for x, _ in mine] == pytest.approx(
            [LEFT + cell["lambda"] * (WIDTH - LEFT - RIGHT) for cell in found.cells], abs=0.06
        )
        assert heights == pytest.approx([unit * v for v in values], abs=0.11) and max(heights) <= PANEL + 0.06
    bands = [p.get("points").split() for p in root.iter(f"{SVG}polygon")]
    assert [len(b) for b in bands] == [22] * 3  # the interval at each λ, up and back
    words = [t.text for t in root.iter(f"{SVG}text")]
    assert {"accuracy, %", "tokens", "think ratio, %", "stage 2", "λ (0 = Instruct, 1 = Thinking)"} <= set(words)
    assert any("10 questions × 4 samples, T 0.6" in w for w in words)
    assert curves_svg(found) == curves_svg(summary("s"))


def test_several_curves_have_a_legend_and_a_colour_each(summary):
    root = ElementTree.fromstring(curves_svg(summary("two")))
    lines = list(root.iter(f"{SVG}polyline"))
    assert (
        len(lines) == 6
        and len({line.get("stroke") for line in lines}) == 2
        and len({line.get("stroke-dasharray") for line in lines}) == 2
    )
    assert {"linear", "slerp"} <= {t.text for t in root.iter(f"{SVG}text")}


def test_names_are_text(summary):
    found = summary("s")
    evil = "</title><script>alert(1)</script>&\x00\ud800"
    named = [replace(row, cell=replace(row.cell, group=evil)) for row in found.rows]
    slerp = [
        replace(row, cell=replace(row.cell, recipe=replace(row.cell.recipe, method="slerp"))) for row in found.rows
    ]
    named = replace(
        found,
        rows=(*named, *slerp),
        cells=found.cells * 2,
        info=replace(found.info, origin=evil, plan=replace(found.info.plan, task=evil)),
    )
    text = curves_svg(named)
    assert "<script" not in text and ElementTree.fromstring(text) is not None
    assert evil.replace("\x00", "").replace("\ud800", "") in [
        t.text for t in ElementTree.fromstring(text).iter(f"{SVG}text")
    ]


def test_without_gold_answers_accuracy_is_left_out_and_without_a_curve_it_is_said(summary):
    found = summary("s")
    blind = replace(found, cells=tuple(cell | {"mean": None, "mean_ci": [None, None]} for cell in found.cells))
    assert len(re.findall("<circle", curves_svg(blind))) == 22
    with pytest.raises(UserError, match="no curve over λ"):
        curves_svg(replace(found, cells=found.cells[:1], rows=found.rows[:1]))
