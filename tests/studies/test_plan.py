"""Plans and units: λ grids in exact decimals, keys that hold what changes the result and nothing else, orders, shards."""

import pickle
import subprocess
import sys
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.recipe_io import from_dict, to_key_dict
from mi_explorer.studies.ablations import backbone, decoding_grid, ends, layers, methods, modules
from mi_explorer.studies.plan import (
    Cell,
    Item,
    Plan,
    grid,
    parse_lambdas,
    parse_shard,
    running_order,
    sample_seed,
    units,
)

ROOT = Path(__file__).resolve().parents[2]
ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(7))
RECIPE = Recipe("mini", "ties", 0.5, Scope("1-2", ("mlp", "norm")), (("density", 0.2),), "thinking")


@given(st.integers(-100, 100), st.integers(1, 40), st.integers(0, 30))
def test_ranges_are_exact_decimals(first, step, count):
    low, by = Decimal(first) / 100, Decimal(step) / 1000
    want = [low + i * by for i in range(count + 1)]
    if want[-1] <= 2:
        assert parse_lambdas(f"{low}:{want[-1]}:{by}") == tuple(float(x) for x in want)


def test_lists_ranges_and_mixtures():
    assert parse_lambdas("0:1:0.1") == (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
    assert parse_lambdas("1:0:-0.5, 0.25,0.5") == (1, 0.5, 0, 0.25) and parse_lambdas("-0.2:0.1:0.2") == (-0.2, 0)
    assert (parse_shard("2/8"), parse_shard(" 1/1 ")) == ((2, 8), (1, 1))
    for bad in ("", "a", "0/3", "4/3", "1/0", "-1/2", "1/2/3"):
        with pytest.raises(UserError, match="counted from 1"):
            parse_shard(bad)


def test_a_cells_key_holds_everything_that_changes_the_result():
    cell = Cell(RECIPE, Decoding())
    keys = {cell.key("f", "float32"), cell.key("g", "float32"), cell.key("f", "bfloat16")}
    others = [
        {"pair": "x"},
        {"method": "linear"},
        {"lam": 0.6},
        {"scope": Scope("1", ("mlp", "norm"))},
        {"params": ()},
        {"template": "own"},
        {"answer_lam": 0.3},
    ]
    assert {next(iter(o)) for o in others} == {f.name for f in fields(Recipe)}
    keys |= {Cell(replace(RECIPE, **o), Decoding()).key("f", "float32") for o in others}
    other = Decoding(1.0, 0.5, 7, 0.1, 1.1, 99, 1, 40)
    for f in fields(Decoding):
        keys.add(Cell(RECIPE, replace(Decoding(), **{f.name: getattr(other, f.name)})).key("f", "float32"))
    assert len(keys) == 3 + len(others) + len(fields(Decoding))
    assert replace(cell, label="named", group="g").key("f", "float32") == cell.key("f", "float32")  # words do not count


def test_an_items_key_holds_question_and_gold():
    item = ITEMS[0]
    changed = [{"prompt": "?"}, {"answer": "5"}, {"kind": "text"}, {"id": "z"}, {"task": "t"}]
    assert len({item.key, *(replace(item, **c).key for c in changed)}) == 6
    assert replace(item, family="f", level=3).key == item.key


def test_keys_and_seeds_are_the_same_in_every_process():
    code = "from tests.studies.test_plan import *; print(Cell(RECIPE, Decoding()).key('f', 'x'), ITEMS[1].key, sample_seed(3, ITEMS[1].key, 2))"
    out = {subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
                          env={"PYTHONHASHSEED": seed, "PATH": ""}).stdout for seed in ("1", "2")}  # fmt: skip
    assert out == {f"{Cell(RECIPE, Decoding()).key('f', 'x')} {ITEMS[1].key} {sample_seed(3, ITEMS[1].key, 2)}\n"}


def test_recipes_and_plans_survive_json():
    assert from_dict(to_key_dict(RECIPE)) == RECIPE
    plan = Plan(
        "sums",
        (Cell(RECIPE, Decoding(seed=4), "label", "group"), *ends(Recipe(), Decoding())),
        7,
        3,
        "layers",
        5,
        "command",
    )
    assert Plan.of(plan.json()) == plan and pickle.loads(pickle.dumps(plan)) == plan


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=40))
def test_running_order_is_a_permutation_that_begins_with_the_ends(lams):
    order = running_order(lams)
    assert sorted(order) == list(range(len(lams)))
    assert lams[order[0]] == min(lams) and (len(lams) == 1 or lams[order[1]] == max(lams))


@given(st.integers(1, 6))
def test_shards_part_the_units(n):
    plan = Plan("sums", grid(Recipe(), (0, 0.5, 1), Decoding()), 7, 3)
    keys = [cell.key("f", "float32") for cell in plan.cells]
    whole = list(units(plan, ITEMS, keys))
    parts = [list(units(plan, ITEMS, keys, (i + 1, n))) for i in range(n)]
    assert (
        sorted(u.key for part in parts for u in part) == sorted(u.key for u in whole)
        and len({u.key for u in whole}) == 63
    )
    assert pickle.loads(pickle.dumps(whole)) == whole  # a list of units can be shipped anywhere


def test_a_recipe_is_run_once_and_a_curve_keeps_its_points():
    twice = (*ends(Recipe(), Decoding()), *grid(Recipe(), (0, 0.5, 1, 1), Decoding(), "linear"))
    cells = Plan("sums", twice).cells
    assert [(c.recipe.lam, c.group) for c in cells] == [(0, "linear"), (1, "linear"), (0.5, "linear")]


def test_sizes_that_cannot_be_meant():
    for more in (
        {"questions": 0},
        {"samples": 0},
        {"questions": 10**6, "samples": 10**6},
        {"questions": 2.5},
        {"cells": ()},
    ):
        with pytest.raises(UserError):
            Plan(**{"task": "t", "cells": grid(Recipe(), (0, 1), Decoding()), **more})
    assert Plan("t", grid(Recipe(), (0, 1), Decoding(temperature=0)), 5, 8).samples == 1


def test_names_stay_while_a_study_grows_and_differ_where_it_differs():
    plan = Plan("sums", grid(Recipe(), (0, 1), Decoding()), 5, 2)
    grown = Plan("sums", grid(Recipe(), (0, 0.5, 1), Decoding()), 50, 8, command="x")
    assert plan.name == grown.name and plan.name.startswith("mini-sums-linear-")
    others = [Plan("sums", grid(Recipe(method="slerp"), (0,), Decoding())), Plan("sums", grid(Recipe(), (0,), Decoding(seed=1))),
              Plan("other", plan.cells), Plan("sums", plan.cells, task_seed=1), Plan("sums", plan.cells, kind="layers")]  # fmt: skip
    assert len({plan.name, *(p.name for p in others)}) == 6
    spec = Plan("data/sums.csv", grid(Recipe("models/a/|hub/b|base"), (0,), Decoding()))
    assert spec.name.startswith("a-b-sums.csv-linear-")
    both = plan.extended(grown)
    assert (len(both.cells), both.questions, both.samples, both.command) == (3, 50, 8, "x")


def test_ablations_vary_what_they_name():
    recipe, d = Recipe("p", lam=0.8, template="thinking"), Decoding(seed=3)
    spans = [c.recipe.scope.layers for c in layers(recipe, d, 36)]
    assert spans == [
        "all",
        "all",
        "all",
        "0-11",
        "12-23",
        "24-35",
        "0-23",
        "12-35",
        "0-11,24-35",
    ]  # table 3 of the paper
    assert [c.recipe.scope.layers for c in layers(recipe, d, 4)][3:] == ["0", "1-2", "3", "0-2", "1-3", "0,3"]
    assert {"embedding", "lm_head"}.isdisjoint(layers(recipe, d, 36)[3].recipe.scope.modules)
    with pytest.raises(UserError, match="no thirds"):
        layers(recipe, d, 2)
    found = {c.label: c.recipe.scope.modules for c in modules(recipe, d)}
    assert (
        "mlp" not in found["without mlp"]
        and len(found["without mlp"]) == 5
        and found["attention alone"] == ("attention",)
    )
    decodings = [(c.decoding.temperature, c.decoding.top_p) for c in decoding_grid(recipe, d)]
    assert len(set(decodings)) == 12 and {c.decoding.seed for c in decoding_grid(recipe, d)} == {3}
    assert [c.recipe.pair for c in backbone(recipe, d, ("q",))] == ["p", "p@base", "q"]
    names = [c.group for c in methods(lambda m: Recipe("p", m), d, (), None, has_base=False)]
    assert {"linear", "slerp", "logit"} <= set(names) and "ties" not in names
    assert "ties" in [c.group for c in methods(lambda m: Recipe("p", m), d, (), None, has_base=True)]
    for cells in (layers(recipe, d, 36), modules(recipe, d)):
        assert [(c.label, c.recipe.lam) for c in cells[:2]] == [("Instruct", 0), ("Thinking", 1)]
        assert {c.recipe.lam for c in cells[2:]} == {0.8} and {c.recipe.template for c in cells} == {"thinking"}
