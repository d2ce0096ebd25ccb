"""Recipe codecs: round trips by property, strictness by example, the hash pinned across versions."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.recipe import MODULES, TEMPLATES, Recipe, RecipeError, Scope
from mi_explorer.recipe_io import from_dict, from_json, from_query, from_yaml, to_dict, to_json, to_query, to_yaml

letters = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), exclude_characters="\u0085\u2028\u2029")
words = st.text(letters, min_size=1, max_size=40).filter(str.isprintable)
spans = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9)), max_size=5).map(
    lambda s: ",".join(f"{a}-{a + n}" for a, n in s) or "none"
)
scopes = st.builds(Scope, st.one_of(st.just("all"), spans), st.lists(st.sampled_from(MODULES), unique=True).map(tuple))
numbers = st.floats(-1e12, 1e12)
params = st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,12}", fullmatch=True), numbers, max_size=4).map(
    lambda d: tuple(d.items())
)
recipes = st.builds(Recipe, words, words, st.floats(-1, 2), scopes, params, st.sampled_from(TEMPLATES))


@settings(max_examples=150, deadline=None)
@given(recipes)
def test_every_form_round_trips(recipe):
    for encode, decode in ((to_yaml, from_yaml), (to_json, from_json), (to_query, from_query), (to_dict, from_dict)):
        again = decode(encode(recipe))
        assert again == recipe and again.hash == recipe.hash
    assert yaml.safe_load(to_yaml(recipe)) == json.loads(to_json(recipe)) == to_dict(recipe)
    assert from_query("?" + to_query(recipe)) == recipe


def test_forms_read_as_a_person_would_write_them():
    assert from_yaml("lambda: 0.4") == Recipe(lam=0.4)
    assert from_yaml("layers: 3\nmodules: [mlp, attention]") == Recipe(scope=Scope("3", ("attention", "mlp")))
    assert from_yaml("modules: all\nlayers: ' 4-7, 0-3 '") == Recipe(scope=Scope("0-7"))
    assert from_query("lambda=0.4&layers=12-35&modules=mlp,norm&p.density=0.2&method=ties") == Recipe(
        method="ties", lam=0.4, scope=Scope("12-35", ("mlp", "norm")), params=(("density", 0.2),)
    )
    assert to_query(Recipe(lam=0.4)) == "method=linear&lambda=0.4"
    assert from_query("") == Recipe()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lambda: abc", "λ must be a number, not 'abc'"),
        ("lambda: .nan", "λ must lie between"),
        ("lambda: .inf", "λ must lie between"),
        ("lambda: 7", "λ must lie between -1 and 2, not 7"),
        ("lambda: true", "λ must be a number, not bool"),
        ("lambda: [1]", "λ must be a number, not list"),
        ("lamda: 0.4", "Unknown recipe key 'lamda'. Did you mean 'lambda'?"),
        ("lambda: 0.4\nlambda: 0.5", "'lambda' appears twice"),
        ("a: &x [1]\nb: *x", "aliases are not allowed"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("- 1\n- 2", "not list"),
        ("just text", "not str"),
        ("layers: 9-3", "runs backwards"),
        ("layers: banana", "Layers must look like"),
        ("layers: true", "layers must be a short text"),
        ("modules: [mpl]", "Unknown module 'mpl'"),
        ("modules: 7", "modules must be a list"),
        ("params: 3", "params must map names to numbers"),
        ("params: {density: x}", "parameter density must be a number"),
        ("template: mine", "Template policy must be one of"),
        ("pair: ''", "pair must be a short text"),
        ('method: "a\\nb"', "method must be a short text"),
        ("x" * 70_000, "70000 characters long"),
        ("{" * 1200, "not valid YAML"),
    ],
)
def test_bad_yaml_is_named(text, says):
    with pytest.raises(RecipeError) as caught:
        from_yaml(text)
    assert says in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("decode", "text", "says"),
    [
        (from_json, '{"lambda": 1, "lambda": 0}', "appears twice"),
        (from_json, "[" * 60_000, "not valid JSON"),
        (from_json, "{", "not valid JSON"),
        (from_json, '{"lambda": NaN}', "λ must lie between"),
        (from_query, "lambda=0.4&lambda=0.5", "'lambda' twice"),
        (from_query, "lambda", "not a valid query"),
        (from_query, "lambda=0.4&evil=1", "Unknown recipe key 'evil'"),
        (from_query, "p.x=1e999", "parameter x must lie"),
        (from_query, "params=1", "written p.<name>"),
        (from_query, "pair=%FF", "not a valid query"),
    ],
)
def test_bad_json_and_links_are_named(decode, text, says):
    with pytest.raises(RecipeError) as caught:
        decode(text)
    assert says in str(caught.value)


def test_the_hash_is_stable_across_versions():
    """These three are in users' stores and file names; changing them orphans finished work."""
    assert Recipe().hash == "9d311277c1da8e40"
    assert (
        Recipe("qwen3-4b", "ties", 0.5, Scope("0-11,24-35", ("mlp",)), (("density", 0.2),), "thinking").hash
        == "c9953d87048b0576"
    )
    assert Recipe(lam=-0.0).hash == Recipe(lam=0).hash == "6d7e3855652f1abe"
