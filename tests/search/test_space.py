"""What a proposal becomes: the plain line where nothing is off it, a λ for every tensor of a group, and round trips."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.merging.blend import bind
from mi_explorer.pairs import get_pair
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.recipe_io import from_json, from_query, to_json, to_query
from mi_explorer.search.space import VARY, SearchError, SearchSpace


class Table:
    """A trial whose numbers are given; those that are not lie in the middle."""

    def __init__(self, **numbers):
        self.numbers = numbers

    def suggest_float(self, name, low, high, *, step=None):
        return self.numbers.get(name, (low + high) / 2)

    def suggest_int(self, name, low, high):
        return self.numbers.get(name, high)

    def suggest_categorical(self, name, choices):
        return self.numbers.get(name, choices[0])


class Drawn(Table):
    """A trial whose numbers hypothesis draws."""

    def __init__(self, data):
        self.data = data

    def suggest_float(self, name, low, high, *, step=None):
        return low + step * self.data.draw(st.integers(0, round((high - low) / step)), label=name)

    def suggest_int(self, name, low, high):
        return self.data.draw(st.integers(low, high), label=name)

    def suggest_categorical(self, name, choices):
        return self.data.draw(st.sampled_from(choices), label=name)


@pytest.fixture(scope="module")
def parents():
    return Parents.open(get_pair("mini"))


@given(st.data(), st.sets(st.sampled_from(sorted(VARY)), min_size=1))
@settings(max_examples=60, deadline=None)
def test_every_proposal_is_a_recipe_that_is_written_and_read_back(data, vary):
    space = SearchSpace(tuple(vary), 6, groups=data.draw(st.integers(2, 6)), methods=("linear", "ties", "slerp"))
    cell = space.cell(Drawn(data))
    assert from_json(to_json(cell.recipe)) == cell.recipe == from_query(to_query(cell.recipe)) and cell.label
    if "budget" not in vary:
        assert cell.decoding == space.decoding


@given(st.sets(st.sampled_from(sorted(set(VARY) - {"lambda"}))), st.integers(0, 20))
@settings(deadline=None)
def test_the_lines_numbers_propose_the_plain_blend(vary, step):
    space = SearchSpace(("lambda", *vary), 6, methods=("linear", "ties"))
    params = space.line_params(step / 20)
    cell = space.cell(Table(**params))
    assert (cell.recipe, cell.decoding) == (Recipe(lam=step / 20), Decoding())


def test_a_line_that_the_space_does_not_hold_has_no_numbers():
    assert SearchSpace(("lambda",), 6, lams=(0.2, 0.8)).line_params(0.1) is None
    assert SearchSpace(("lambda",), 6).line_params(0.33) is None  # between the steps
    assert SearchSpace(("budget",), 6).line_params(0.5) is None


def test_every_tensor_has_the_lambda_of_its_group(parents):
    space = SearchSpace(("lambda", "layers", "modules"), 6, groups=3)
    numbers = {"lambda": 0.5, "attention 0-1": -0.5, "mlp 0-1": 0.25, "attention 2-3": 0.5, "mlp 4-5": -0.1}
    blend = bind(space.cell(Table(**numbers)).recipe, parents)
    wanted = {("attention", 0): 0.0, ("mlp", 1): 0.75, ("attention", 3): 1.0, ("mlp", 2): 0.5, ("mlp", 5): 0.4}
    seen = set()
    for name in blend.names():
        where = place(name)
        lam = wanted.get(where)
        if lam is not None:
            assert blend.coefficients(name) == pytest.approx((1 - lam, lam)), name
            seen.add(where)
        if where[0] == "norm" and blend.inside(name):
            assert blend.coefficients(name) == pytest.approx((0.5, 0.5))
    assert seen == set(wanted)


def test_budgets_rise_by_half_octaves_to_none():
    space = SearchSpace(("budget",), 6, budgets=(16, 128))
    assert space.budget_steps == (16, 23, 32, 45, 64, 91, None)
    assert space.cell(Table(budget=0)).decoding.think_budget == 16 and space.cell(Table()).decoding.think_budget is None


@pytest.mark.parametrize(
    "change, says",
    [
        ({"vary": ()}, "Nothing may vary"),
        ({"vary": ("layers",), "groups": 7}, "between 2 and 6"),
        ({"vary": ("layers",), "groups": 1}, "between 2 and 6"),
        ({"vary": ("method",), "methods": ("linear",)}, "no parameters"),
        ({"vary": ("method",), "methods": ("ties",), "has_base": False}, "needs a base"),
        ({"vary": ("method",), "methods": ("submodule",)}, "tick those"),
        ({"vary": ("budget",), "budgets": (64, 64)}, "must rise"),
        ({"vary": ("lambda",), "lams": (0.5, 0.5)}, "range"),
    ],
)
def test_spaces_that_cannot_be_meant(change, says):
    with pytest.raises(SearchError, match=says):
        SearchSpace(**{"layers": 6, **change})
