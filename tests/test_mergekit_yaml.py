"""mergekit configurations: what we write, mergekit reads and runs to the same weights; what we read, mergekit evaluates alike."""

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge
from safetensors.torch import load_file

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.tensor_names import inside
from mi_explorer.mergekit_reader import from_mergekit
from mi_explorer.mergekit_yaml import MergekitError, prefixes, to_mergekit
from mi_explorer.merging.blend import bind
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe, Scope
from tests.fixtures import make_pair, make_tokenizer

SCOPES = [
    Scope(),
    Scope("0-1"),
    Scope("1", ("attention", "norm")),
    Scope("all", ("mlp", "embedding")),
    Scope("none", ("lm_head",)),
]


@pytest.fixture(scope="module")
def parents(tmp_path_factory):
    pair = make_pair("qwen3-untied", tmp_path_factory.mktemp("pair"), delta=0.05)
    for folder in (pair.instruct, pair.thinking, pair.base):
        make_tokenizer(folder)
    return Parents.open(pair)


@pytest.mark.parametrize(
    ("method", "lam", "params"),
    [
        ("linear", 0.3, {}),
        ("linear", 1.2, {}),
        ("slerp", 0.6, {}),
        ("task_arithmetic", 0.7, {}),
        ("task_arithmetic", 0.3, {"crossfade": 1}),
        ("ties", 0.5, {"density": 0.3}),
        ("breadcrumbs", 0.4, {"density": 0.6, "gamma": 0.05}),
        ("dare_ties", 0.5, {"drop": 0.0}),
        ("model_stock", 0.5, {}),
    ],
)
@pytest.mark.parametrize("scope", SCOPES[:3], ids=lambda s: f"{s.layers}-{len(s.modules)}")
def test_mergekit_runs_what_we_write_to_the_same_weights(method, lam, params, scope, parents, tmp_path):
    if method == "model_stock" and scope != Scope():
        with pytest.raises(MergekitError, match="cannot leave a part"):
            to_mergekit(Recipe(method=method, lam=lam, scope=scope), parents.pair, parents.names())
        return
    recipe = Recipe(method=method, lam=lam, scope=scope, params=tuple(params.items()))
    text = to_mergekit(recipe, parents.pair, parents.names(), dtype="float32")
    run_merge(
        MergeConfiguration.model_validate(yaml.safe_load(text)),
        str(tmp_path / "out"),
        MergeOptions(quiet=True, copy_tokenizer=False),
    )
    theirs = {k: v for f in (tmp_path / "out").glob("*.safetensors") for k, v in load_file(f).items()}
    blend = bind(recipe, parents)
    assert set(theirs) == set(parents.names())
    for name, tensor in theirs.items():
        assert (tensor - blend.tensor(name)).abs().max() < 3e-6, name


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties"]),
    st.integers(1, 99),
    st.sampled_from(SCOPES),
    st.integers(1, 99),
)
def test_what_we_write_we_read(method, percent, scope, density):
    names = [
        f"model.layers.{i}.{t}"
        for i in range(3)
        for t in (
            "self_attn.q_proj.weight",
            "mlp.up_proj.weight",
            "input_layernorm.weight",
            "post_attention_layernorm.weight",
        )
    ]
    names += ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    params = {
        "ties": {"density": density / 100},
        "dare_linear": {"drop": density / 100},
        "dare_ties": {"drop": density / 100},
    }.get(method, {})
    pair = Pair("a/i|a/t|a/b", "a/i", "a/t", "a/b")
    recipe = Recipe("a/i|a/t|a/b", method, percent / 100, scope, tuple(params.items()))
    again, found = from_mergekit(to_mergekit(recipe, pair, names), layers=3, pair=pair)
    assert found == pair and (again.method, again.params, again.pair) == (recipe.method, recipe.params, recipe.pair)
    assert again.lam == pytest.approx(recipe.lam, abs=1e-12)
    assert [inside(again.scope, n) for n in names] == [inside(recipe.scope, n) for n in names]


def test_prefixes_select_exactly_what_is_outside(parents):
    for scope in SCOPES:
        found = prefixes(parents.names(), scope)
        for name in parents.names():
            assert any(f in name for f in found) != inside(scope, name)
    assert prefixes(parents.names(), Scope("0-1")) == ["model.layers.2."]


PARENTS = "models:\n- {model: a/i, parameters: {weight: %s}}\n- {model: a/t, parameters: {weight: %s}}\n"


def test_configurations_of_the_field_are_read():
    recipe, pair = from_mergekit("merge_method: linear\n" + PARENTS % (3, 1))
    assert (recipe, pair.spec) == (Recipe("a/i|a/t", "linear", 0.25), "a/i|a/t")
    sliced = """
merge_method: slerp
base_model: Qwen/Qwen3-4B-Instruct-2507
slices:
- sources: [{model: Qwen/Qwen3-4B-Instruct-2507, layer_range: [0, 12]}, {model: Qwen/Qwen3-4B-Thinking-2507, layer_range: [0, 12]}]
  parameters: {t: 0}
- sources: [{model: Qwen/Qwen3-4B-Instruct-2507, layer_range: [12, 36]}, {model: Qwen/Qwen3-4B-Thinking-2507, layer_range: [12, 36]}]
  parameters: {t: [{filter: mlp, value: 0.8}, {filter: self_attn, value: 0.8}, {value: 0}]}
"""
    recipe, pair = from_mergekit(sliced, layers=36)
    assert (pair.name, recipe) == ("qwen3-4b", Recipe("qwen3-4b", "slerp", 0.8, Scope("12-35", ("attention", "mlp"))))
    ties = "merge_method: ties\nbase_model: a/b\nparameters: {density: 0.2, lambda: 0.5}\n" + PARENTS % (1, 1)
    assert from_mergekit(ties)[0] == Recipe("a/i|a/t|a/b", "ties", 0.5, params=(("density", 0.2),))
    slerp = "merge_method: slerp\nbase_model: a/t\nparameters: {t: 0.25}\nmodels: [{model: a/i}, {model: a/t}]"
    assert from_mergekit(slerp)[1].instruct == "a/t"  # mergekit's t counts from the base model


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("merge_method: passthrough\n" + PARENTS % (1, 1), "'passthrough' cannot be read"),
        ("models: []", "no merge_method"),
        ("merge_method: linear\n" + PARENTS % (1, -1), "add up to 0"),
        (
            "merge_method: linear\nparameters: {normalize: false}\n" + PARENTS % (1, 1),
            "add up to 2 without normalisation",
        ),
        ("merge_method: linear\n" + PARENTS % (0.5, "[0, 1]"), "say how many layers"),
        ("merge_method: linear\nmodels: [{model: a/i, parameters: {weight: 1}}]", "merges 1 models"),
        ("merge_method: linear\nmodels: [{model: a/i}, {model: a/t}]", "gives no weight for"),
        ("merge_method: ties\n" + PARENTS % (1, 1), "ties needs a base_model"),
        (
            "merge_method: ties\nbase_model: a/b\nparameters: {density: 0.2}\n" + PARENTS % (1, 0.5),
            "different weights (1, 0.5)",
        ),
        ("merge_method: task_arithmetic\nbase_model: a/b\n" + PARENTS % (0.9, 0.4), "neither equal nor of the form"),
        (
            "merge_method: linear\nmodels:\n- {model: a/i+x/lora, parameters: {weight: 1}}\n- {model: a/t, parameters: {weight: 1}}",
            "applies an adapter",
        ),
        (
            "merge_method: slerp\nbase_model: a/i\nmodels: [{model: a/i}, {model: a/t}]\nparameters: {t: [{filter: mlp, value: 0.3}, {value: 0.5}]}",
            "2 different ways",
        ),
        (
            "merge_method: slerp\nbase_model: a/i\nmodels: [{model: a/i}, {model: a/t}]\nparameters: {t: [{filter: q_proj, value: 0.3}, {value: 0}]}",
            "not layers × modules",
        ),
        (
            "merge_method: linear\nslices:\n- sources: [{model: a/i, layer_range: [0, 2]}, {model: a/t, layer_range: [1, 3]}]",
            "another network",
        ),
        (
            "merge_method: linear\nslices:\n- sources: [{model: a/i, layer_range: [1, 2]}, {model: a/t, layer_range: [1, 2]}]",
            "from layer 0 on",
        ),
    ],
)
def test_what_a_recipe_cannot_say_is_named(text, says):
    with pytest.raises(MergekitError) as caught:
        from_mergekit(text)
    assert says in str(caught.value)


def test_what_mergekit_cannot_say_is_named():
    pair = Pair("x", "a/i", "a/t")
    for recipe, says in (
        (Recipe(method="topk_override"), "no method like 'topk_override'"),
        (Recipe(method="karcher", lam=0.3), "only λ = 0.5"),
        (Recipe(method="ties"), "names none"),
        (Recipe(scope=Scope("0")), "needs the pair's tensor names"),
    ):
        with pytest.raises(MergekitError, match=says):
            to_mergekit(recipe, pair)


def test_gradients_are_evaluated_as_mergekit_does(parents):
    """A gradient that happens to be constant inside a layer range is a scope; a sloped one is refused with its values."""
    flat = "merge_method: slerp\nbase_model: a/i\nmodels: [{model: a/i}, {model: a/t}]\n"
    flat += "parameters: {t: [{filter: layers, value: [0, 0.5, 0.5]}, {filter: model.norm, value: 0.5}, {value: 0}]}"
    recipe, _ = from_mergekit(flat, layers=3)
    assert recipe.scope.layers == "1-2" and recipe.lam == 0.5
    assert torch.equal(
        bind(Recipe(lam=0.0), parents).tensor("lm_head.weight"), parents.tensor("instruct", "lm_head.weight")
    )
    with pytest.raises(MergekitError, match="3 different ways"):
        from_mergekit(flat.replace("[0, 0.5, 0.5]", "[0.2, 0.8]"), layers=3)
