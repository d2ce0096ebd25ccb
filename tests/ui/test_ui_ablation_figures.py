"""The Ablations tab: our cells beside the paper's numbers, and the marks of the figures."""

import pandas as pd
import pytest

from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies import ablations
from mi_explorer.studies.plan import Cell
from mi_explorer.ui.ablations import ablation_rows, ablations_figures, ablations_handlers

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
