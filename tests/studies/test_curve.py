"""One definition of a curve: which cells are of one, in what order, and what it is called."""

from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.stats.curve import curve_key, curve_names, curves, longest_curve


def test_a_curve_is_one_recipe_apart_from_lambda_under_one_decoding():
    cells = [
        Cell(Recipe(lam=1.0), group="a"),
        Cell(Recipe(lam=0.0), label="Instruct", group="ends"),
        Cell(Recipe(lam=0.2), group="a"),
        Cell(Recipe(lam=0.5, method="slerp"), group="b"),
        Cell(Recipe(lam=0.6), group="a"),
        Cell(Recipe(lam=0.2, method="slerp"), group="b"),
        Cell(Recipe(lam=0.2, scope=Scope("0-1")), group="a"),
        Cell(Recipe(lam=0.2), Decoding(temperature=0), group="a"),
    ]
    assert list(curves(cells).values()) == [(2, 4, 0), (5, 3)]
    assert list(curves(cells, least=1).values()) == [(2, 4, 0), (5, 3), (6,), (7,)]
    assert longest_curve(cells) == (2, 4, 0) and longest_curve(cells[1:2]) == () == longest_curve([])
    assert curve_key(cells[1]) is None and curve_key(cells[0]) == curve_key(cells[4]) != curve_key(cells[7])
    assert list(curve_names(cells).values()) == ["a", "b"]


def test_curves_of_one_group_are_told_apart_by_what_differs():
    caps = [Cell(Recipe(lam=lam), Decoding(cap=cap)) for cap in (100, 200) for lam in (0, 1)]
    first, second = curve_names(caps).values()
    assert "cap 100" in first and "cap 200" in second
    densities = [Cell(Recipe(method="ties", lam=lam, params=(("density", d),))) for d in (0.2, 0.5) for lam in (0, 1)]
    assert list(curve_names(densities).values()) == ["density 0.2", "density 0.5"]


def test_curves_of_several_pairs_are_told_apart_by_short_names():
    specs = ["mini", "/data/a/instruct|/data/a/thinking", "/data/b/instruct|/data/b/thinking"]
    cells = [Cell(Recipe(spec, lam=lam)) for spec in specs for lam in (0, 1)]
    names = list(curve_names(cells).values())
    assert names == ["mini", "a/instruct | a/thinking", "b/instruct | b/thinking"]
