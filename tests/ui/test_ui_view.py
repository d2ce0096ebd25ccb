"""The view: address and flat dict round-trip, everything from outside is validated with a word about what is wrong."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.recipe import MODULES, Decoding, Recipe, Scope
from mi_explorer.ui.explore.token_check import replay_result, token_check
from mi_explorer.ui.explore.view import DEFAULTS, LENSES, View, view_dict, view_of_dict, view_of_query, view_query

four = st.integers(-10_000, 20_000).map(lambda n: n / 10_000)
words = st.text(st.characters(exclude_characters="\x00\r", exclude_categories=["Cs"]), max_size=60)
views = st.builds(
    View,
    pair=st.sampled_from(["mini", "qwen3-4b", "a b&c=d|e/f"]),
    lam=four,
    method=st.sampled_from(["linear", "ties", "dare_linear"]),
    params=st.dictionaries(st.sampled_from(["density", "weight"]), st.floats(-1, 1, allow_nan=False)).map(
        lambda d: tuple(sorted(d.items()))
    ),
    scope=st.builds(
        Scope,
        st.sampled_from(["all", "none", "0-3,5", "7"]),
        st.lists(st.sampled_from(MODULES), unique=True).map(tuple),
    ),
    template=st.sampled_from(["own", "instruct", "thinking"]),
    decoding=st.builds(
        Decoding,
        temperature=st.floats(0, 5),
        top_p=st.floats(0, 1),
        cap=st.integers(1, 10**6),
        seed=st.integers(0, 2**53),
    ),
    prompt=words,
    gold=words.map(str.strip),
    pins=st.lists(four, max_size=8, unique=True).map(lambda x: tuple(sorted(x))),
    lens=st.sampled_from(LENSES),
)


@settings(deadline=None)
@given(views)
def test_the_address_holds_the_whole_view(view):
    again, messages = view_of_query(view_query(view))
    assert (again, messages) == (view, ())


@settings(deadline=None)
@given(views)
def test_the_dict_holds_the_whole_view_and_is_json(view):
    assert view_of_dict(json.loads(json.dumps(view_dict(view)))) == view


def test_defaults_are_left_out_of_the_address():
    assert view_query(View()) == "v=1"
    assert view_query(View(lam=0.45, pins=(0.0, 0.3, 1.0))) == "v=1&lam=0.45&pins=0,0.3,1"
    assert view_of_query("v=1") == (View(), ())


def test_a_long_question_stays_out_of_the_address():
    assert "q=" not in view_query(View(prompt="x" * 1501)) and "q=" in view_query(View(prompt="x" * 1500))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("lam=abc", "λ must be a number"),
        ("lam=NaN", "between -1 and 2"),
        ("lam=7", "between -1 and 2, not 7"),
        ("layers=5-2", "runs backwards; write 2-5"),
        ("modules=attention,wings", "Unknown module 'wings'"),
        ("template=mine", "'mine'"),
        ("lens=marker", "Did you mean 'markers'"),
        ("pins=0.3,zebra", "A pin must be a number"),
        ("pins=" + ",".join(f"0.{i}" for i in range(1, 11)), "at most 8"),
        ("t=-1", "temperature must lie between 0 and 5"),
        ("cap=1.5", "cap must be a whole number"),
        ("params=density:much", "must be a number"),
        ("q=" + "x" * 20_001, "20,001 characters"),
        ("v=9&lam=0.4", "another version (v=9)"),
    ],
)
def test_a_broken_part_of_an_address_is_named_and_left_at_its_default(query, said):
    view, messages = view_of_query(query)
    assert len(messages) == 1 and said in messages[0]
    assert view == (View(lam=0.4) if "v=9" in query else View())


def test_the_rest_of_a_broken_address_still_counts():
    view, messages = view_of_query("lam=0.3&layers=zzz&seed=7")
    assert (view.lam, view.decoding.seed, view.scope.layers, len(messages)) == (0.3, 7, "all", 1)


@settings(deadline=None)
@given(st.text(max_size=400))
def test_no_address_breaks_the_page(query):
    view, messages = view_of_query(query)
    assert view_of_dict(view_dict(view)) == view and all(isinstance(m, str) for m in messages)


@pytest.mark.parametrize("key", sorted(DEFAULTS))
@pytest.mark.parametrize("value", [None, [[]], {"a": {}}, 10**400, True, float("inf"), ["<script>"]])
def test_a_flat_dict_of_wrong_types_is_refused_or_meant(key, value):
    try:
        view = view_of_dict({key: value})
    except UserError as error:
        assert len(str(error)) < 400
    else:
        assert view_of_dict(view_dict(view)) == view


def test_the_check_of_tokens_is_of_their_ids_and_number():
    assert token_check((1, 23)) != token_check((12, 3)) and token_check(()).startswith("0-")
    check = token_check((5, 6, 7))
    assert replay_result(check, (5, 6, 7, 8)) == {"tokens": 3, "equal": True}
    assert replay_result(check, (5, 6)) == {"tokens": 3, "equal": False}
    assert replay_result("", (5,)) is None


def test_the_recipe_of_a_view_has_the_answers_lambda():
    view = view_of_dict({"lam": 1, "answer_lam": 0, "budget": 40, "schedule": "40:0.80,95:hint=a%20b", "expected": ""})
    assert view.recipe() == Recipe(lam=1, answer_lam=0) and view.decoding.think_budget == 40
    assert view.schedule == "40:0.8,95:hint=a%20b"
    assert view_of_query(view_query(view)) == (view, ())
    read, messages = view_of_query("v=1&lam=0.3&schedule=9:0.5,3:close&budget=0&answer_lam=soon&expected=%3Cb%3E")
    assert read.lam == 0.3 and read.schedule == "" and read.decoding.think_budget is None and len(messages) == 4
