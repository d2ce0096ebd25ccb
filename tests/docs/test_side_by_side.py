"""The pairs side by side: each column is its own study's or the paper's, and a study that is not there is left out."""

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies import ablations

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import side_by_side  # noqa: E402
from intervention_results import summary_of_file  # noqa: E402


def lines(text, heading):
    """First cell → the other cells, of the table under a heading."""
    part = text.split(f"### {heading}\n")[1].split("\n#")[0]
    rows = [[c.strip() for c in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", part, re.MULTILINE)]
    return {row[0]: row[1:] for row in rows}


@pytest.fixture(scope="module")
def text():
    return side_by_side.side_by_side()


def test_the_lambda_line_holds_each_studys_own_figures_and_the_papers(text):
    table = lines(text, "Along λ")
    paper = pd.read_csv(ROOT / "assets/paper/mi_dynamics.csv").query("method == 'MI' and model == 'Qwen3-4B-2507'")
    paper = paper.query("benchmark == 'AIME25'").set_index("lambda")
    for place, name in enumerate(("mini-sweep", "smollm2-sweep")):
        for cell in summary_of_file(name).cells:
            row = table.get(f"{cell['lambda']:g}")
            assert row is None or float(row[3 * place].split()[0]) == pytest.approx(100 * cell["mean"], abs=0.051)
    for lam in paper.index:
        right, thinks, tokens = table[f"{lam:g}"][-3:]
        assert float(right) == paper["mean_at_k"][lam] and float(thinks) == paper["think_ratio"][lam]
        assert float(tokens) == pytest.approx(100 * paper["tokens"][lam] / paper["tokens"][1.0], abs=0.51)


def test_the_papers_stages_are_computed_from_its_numbers(text):
    table = lines(text, "The three stages")
    assert len(table) == 7 and all(row[0] and row[1] for row in table.values())
    published = [row[-1] for row in table.values()][2:]
    assert "λ 0.49" in published[0] and "+9.2 points, -2,649" in published[1] and "+5,239" in published[4]


def test_a_study_that_is_not_there_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "FOLDER", tmp_path)
    assert "###" not in side_by_side.side_by_side() and side_by_side.studies("layers") == {}
    for kept in (ROOT / "assets/studies").glob("mini-layers.*"):
        shutil.copy(kept, tmp_path)
    left = side_by_side.side_by_side()
    assert "### Layers" in left and "### Modules" not in left and "SmolLM2: right" not in left


def test_a_pair_of_thirty_layers_stands_beside_one_of_six(monkeypatch):
    small = summary_of_file("mini-layers")
    large = ablations.layers(Recipe("smollm2", lam=0.8), Decoding(), 30)
    cells = tuple(
        cell | {"scope": {"layers": c.recipe.scope.layers, "modules": list(c.recipe.scope.modules)}, "mean": i / 100,
                "label": c.label, "lambda": c.recipe.lam, "group": c.group}
        for i, (cell, c) in enumerate(zip(small.cells, large, strict=True))
    )  # fmt: skip
    both = {"mini": small, "smollm2": replace(small, cells=cells)}
    table = lines(f"### x\n{side_by_side.ablation_table('layers', both)}", "x")
    assert len(table) == 2 + len(cells)
    for i, name in enumerate(("Instruct", "Thinking", "all layers and all else", "first third", "middle third")):
        assert float(table[name][3].split()[0]) == i and table[name][0] and table[name][6]
    assert float(table["first and last third"][3].split()[0]) == 8 and not table["first and last third"][6]


def test_modules_match_by_what_is_left_out():
    study = summary_of_file("mini-modules")
    table = lines(f"### x\n{side_by_side.ablation_table('modules', {'mini': study, 'smollm2': study})}", "x")
    assert table["without mlp"][:3] == table["without mlp"][3:6] and float(table["without mlp"][6]) == 51.9
