"""Recipe codecs: round trips by property, strictness by example, the hash pinned across versions."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.input_limits import read_text
from mi_explorer.mergekit_reader import from_mergekit, read_recipe
from mi_explorer.recipe import MODULES, TEMPLATES, Recipe, RecipeError, Scope
from mi_explorer.recipe_io import (
    KEYS,
    from_dict,
    from_json,
    from_query,
    from_yaml,
    to_dict,
    to_json,
    to_key_dict,
    to_query,
    to_yaml,
)
from mi_explorer.studies.store.bundled import bundled_study, precomputed
from mi_explorer.ui.explore.view import given_keys, view_of_dict, view_of_query, view_query

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
    assert to_query(Recipe(lam=0.4)) == "v=1&lam=0.4"
    assert from_query("") == from_query(to_query(Recipe())) == Recipe()


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
        ("params: {3: 0.2}", "a parameter's name must be"),
        ("!!binary AAAA", "not bytes"),
        ("!!int ''", "not valid YAML"),
        ("!!timestamp x", "not valid YAML"),
        ("!!bool x", "not valid YAML"),
        ("lambda: " + "9" * 5000, "not valid YAML"),
        ("lambda: 0x" + "f" * 5000, "λ must be a number"),
        ("layers: 0x" + "f" * 5000, "layers must be a short text"),
        ("lambda: 0.1\nlam: 0.2", "Unknown recipe key 'lam'"),
        ("scope: {layers: all, wings: 2}", "Unknown recipe key 'scope'"),
        ('pair: "\\uD800"', "pair must be a short text"),
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
        (from_query, "params=1:x", "parameter 1 must be a number"),
        (from_query, "lam=1&lambda=1", "twice"),
        (from_query, "v=2&lam=1", "another version"),
        (from_json, '{"lambda": ' + "9" * 5000 + "}", "not valid JSON"),
        (from_json, '{"modules": null}', "modules must be a list"),
        (from_query, "pair=%FF", "not a valid query"),
    ],
)
def test_bad_json_and_links_are_named(decode, text, says):
    with pytest.raises(RecipeError) as caught:
        decode(text)
    assert says in str(caught.value)


def test_older_spellings_are_read_everywhere():
    """What this package wrote before: `lambda` and `p.<name>` in links, the form of stored studies, `lam` in dicts."""
    ties = Recipe("qwen3-4b", "ties", 0.8, Scope("0-3", ("mlp",)), (("density", 0.3),), "thinking")
    old = "pair=qwen3-4b&method=ties&lambda=0.8&layers=0-3&modules=mlp&p.density=0.3&template=thinking"
    assert from_query(old) == ties and view_of_query(old)[0].recipe() == ties
    assert given_keys(old) == {"pair", "method", "lam", "layers", "modules", "params", "template"}
    stored = {**asdict(ties), "params": dict(ties.params)}
    del stored["answer_lam"]  # younger than the keys of stored samples
    assert json.loads(json.dumps(to_key_dict(ties))) == json.loads(json.dumps(stored))
    assert from_dict(stored) == from_dict(json.loads(json.dumps(stored))) == ties
    assert from_dict({"lam": 0.8}) == from_yaml("lam: 0.8") == from_json('{"lambda": 0.8}') == Recipe(lam=0.8)


@settings(max_examples=150, deadline=None)
@given(recipes)
def test_a_link_opens_on_the_page_as_the_same_recipe(recipe):
    """What `export --show url` prints and the API gives, through the reader of the page; and what the page writes, the other way."""
    view, messages = view_of_query(to_query(recipe))
    assert view.recipe() == recipe and messages == ()
    served = dict(parse_qsl(to_query(recipe), keep_blank_values=True))  # as a web framework hands it over
    assert view_of_query(served) == (view, ())
    assert view_query(view) == to_query(recipe)


READERS = (from_yaml, from_json, from_query, from_mergekit, read_recipe, view_of_query)
pieces = st.sampled_from(
    ["lambda", "lam", "params", "modules", "layers", "merge_method", "linear", "ties", "slerp", "models", "slices", "sources", "layer_range", "parameters", "weight", "t", "density", "value", "filter", "base_model", "model", "!!binary", "!!int", "!!float", "!!set", "!!timestamp", "!!python/name:os.system", "&", "*", "<<", ":", "-", "?", "|", ">", "{", "}", "[", "]", ",", "'", '"', "\n", "\t", "#", "%YAML", "---", "...", "null", "true", "~", ".nan", ".inf", "1e999", "0x10", "1:30:00", "2001-01-01", "-1", "0.5", "p.x=1", "&", "=", "%FF", "v=1", "�", "\x00", "\u2028"]
)  # fmt: skip
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=8) | pieces,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(pieces | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
keyed = st.dictionaries(st.sampled_from([*KEYS, "lam", "scope"]), plain)
mergekit = st.fixed_dictionaries(
    {"merge_method": st.sampled_from(["linear", "ties", "slerp", "dare_ties", "task_arithmetic"])},
    optional={
        "models": plain | st.lists(st.fixed_dictionaries({"model": st.just("a/b")}, optional={"parameters": plain})),
        "slices": plain
        | st.lists(
            st.fixed_dictionaries(
                {"sources": st.lists(st.fixed_dictionaries({"model": plain, "layer_range": plain}), max_size=3)}
            )
        ),
        "base_model": plain,
        "parameters": plain | st.dictionaries(st.sampled_from(["weight", "t", "density", "lambda"]), plain),
        "modules": plain,
    },
)
texts = st.text(max_size=200) | st.lists(pieces | st.text(max_size=4), max_size=40).map(" ".join)
documents = (plain | keyed | mergekit).flatmap(
    lambda x: st.sampled_from([json.dumps(x), yaml.safe_dump(json.loads(json.dumps(x)))])
)


@settings(max_examples=400, deadline=2000)
@given(texts | documents)
def test_whatever_is_read_only_a_user_error_comes_out(text):
    for read in READERS:
        try:
            read(text)
        except UserError as error:
            str(error).encode()  # a sentence that every terminal and store can take


@settings(max_examples=200, deadline=None)
@given(plain | keyed)
def test_whatever_dict_is_read_only_a_user_error_comes_out(data):
    for read in (from_dict, lambda data: view_of_dict(data if isinstance(data, dict) else {})):
        try:
            read(data)
        except UserError as error:
            str(error).encode()


@pytest.mark.parametrize("what", ["pipe", "endless", "folder", "missing", "binary", "large", "name"])
def test_files_that_are_no_recipe_are_refused_at_once(tmp_path, what):
    path = tmp_path / "recipe.yaml"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "endless":
        path = Path("/dev/zero")
    elif what == "folder":
        path.mkdir()
    elif what == "binary":
        path.write_bytes(b"lambda: \xff")
    elif what == "large":
        path.write_bytes(b"x" * 1_000_001)
    elif what == "name":
        path = tmp_path / ("x" * 5000)
    with pytest.raises(UserError):
        read_text(path, 1_000_000)


def test_the_hash_is_stable_across_versions():
    """These three are in users' stores and file names; changing them orphans finished work."""
    assert Recipe().hash == "9d311277c1da8e40"
    assert (
        Recipe("qwen3-4b", "ties", 0.5, Scope("0-11,24-35", ("mlp",)), (("density", 0.2),), "thinking").hash
        == "c9953d87048b0576"
    )
    assert Recipe(lam=-0.0).hash == Recipe(lam=0).hash == "6d7e3855652f1abe"


def test_the_keys_of_the_bundled_studies_are_made_from_their_recipes_as_ever():
    """Every cell's stored key, made again from its recipe and decoding as they are read today."""
    count = 0
    for path in precomputed():
        _, _, rows = bundled_study(path.stem)
        for row in rows:
            assert row.cell.key(row.fingerprint, row.dtype) == row.key
            count += 1
    assert count > 50
