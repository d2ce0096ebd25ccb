"""Submodule profiles: every path from the recipe to tokens against state dicts that are mixed by hand, block by block."""

import argparse
import copy
import re

import pytest
import torch

from mi_explorer import recipe_io
from mi_explorer.cli.options import recipe_of
from mi_explorer.engine import Engine
from mi_explorer.engine.events import Request
from mi_explorer.merging.blend import bind
from mi_explorer.merging.merged_weights import MergedWeights
from mi_explorer.recipe import Recipe, RecipeError, Scope
from tests.engine.lab import CHEAP_ROWS, Lab, greedy, prompt, run

PROFILE = {"attention.0": 0.9, "attention.2": 0.1, "mlp.0": 0.2, "mlp.1": 0.75, "mlp.2": 1.0, "rest": 0.3}
BLOCKS = {"self_attn": "attention", "mlp": "mlp", "feed_forward": "mlp", "conv": "other"}


@pytest.fixture(
    scope="module", params=["qwen3", "olmo2", "lfm2"]
)  # row-wise by our own layout, by lines, and folded only
def lab(request, tmp_path_factory):
    made = Lab(request.param, tmp_path_factory.mktemp(request.param))
    made.kind = request.param
    return made


def recipe(lab, lam: float, profile=PROFILE, **more) -> Recipe:
    return Recipe(lab.pair.name, "submodule", lam, params=tuple(profile.items()), **more)


def share(name: str, profile=PROFILE) -> float:
    """The value of a tensor's block, read off its name here once more."""
    found = re.search(r"layers\.(\d+)\.(self_attn|mlp|feed_forward|conv)\.", name)
    return profile.get(f"{BLOCKS[found[2]]}.{found[1]}" if found else "", profile["rest"])


def by_hand(lab, lam: float):
    """The plain model with every parameter mixed by hand."""
    model = copy.deepcopy(lab.plain)
    model.load_state_dict(
        {n: p + lam * share(n) * (lab.ends[1][n] - p) if p.is_floating_point() else p for n, p in lab.ends[0].items()}
    )
    return model.eval()


def test_every_tensor_has_its_block_s_own_weight(lab):
    parents = lab.resident.parents
    for lam in (0.0, 0.5, 1.0, 1.3):
        blend = bind(recipe(lab, lam), parents)
        for name in parents.names():
            i, t = (parents.tensor(r, name).double() for r in ("instruct", "thinking"))
            assert blend.coefficients(name) == pytest.approx((1 - lam * share(name), lam * share(name)))
            assert (blend.tensor(name).double() - (i + lam * share(name) * (t - i))).abs().max() < 1e-6
            if lam * share(name) in (0.0, 1.0):
                assert torch.equal(
                    blend.tensor(name), parents.tensor("thinking" if lam * share(name) else "instruct", name)
                )
    same = dict.fromkeys((k for k in PROFILE), 0.7)
    flat, linear = bind(recipe(lab, 1.0, same), parents), bind(Recipe(lab.pair.name, lam=0.7), parents)
    assert flat.endpoints_key == linear.endpoints_key and all(
        flat.key(n) == linear.key(n) for n in parents.names()
    )  # one plane, one batch


def test_a_fold_writes_the_profile_and_only_what_changed(lab):
    model, parents = by_hand(lab, 1.0), lab.resident.parents
    target = copy.deepcopy(lab.plain)
    fold = MergedWeights(target, parents.names())
    fold.to(bind(recipe(lab, 1.0), parents))
    for (name, a), b in zip(target.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6, msg=name)
    if lab.kind == "qwen3":
        assert fold.to(bind(recipe(lab, 1.0, PROFILE | {"mlp.1": 0.5}), parents)) == (("mlp", 1),)


@pytest.mark.parametrize("only", ["auto", "fold"])
def test_tokens_are_those_of_the_model_mixed_by_hand(lab, only):
    requests = [Request(str(lam), prompt(11), recipe(lab, lam), greedy()) for lam in (0.0, 0.6, 1.0)]
    requests.append(Request("linear", prompt(11), lab.recipe(0.6), greedy()))  # beside them in the batch
    with Engine(lab.resident, max_rows=8, max_context=128, only=only, costs=CHEAP_ROWS) as engine:
        got = run(engine, requests)
    assert got.pop("linear") == lab.generate(0.6, prompt(11), 24)
    for lam in (0.0, 0.6, 1.0):
        ids = torch.tensor([prompt(11)])
        more = {"max_new_tokens": 24, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
        out = by_hand(lab, lam).generate(ids, attention_mask=torch.ones_like(ids), **more)
        assert got[str(lam)] == out[0, ids.shape[1] :].tolist()


def test_outside_the_scope_instruct_stays(lab):
    blend = bind(recipe(lab, 1.0, scope=Scope("1", ("mlp",))), lab.resident.parents)
    moved = {n for n in blend.names() if blend.coefficients(n) != (1.0, 0.0)}
    assert moved and all(".1." in n and share(n) == 0.75 for n in moved)


def test_a_profile_survives_every_form_of_a_recipe():
    profile = {f"{m}.{i}": 0.01 * i for m in ("attention", "mlp") for i in range(94)}  # the deepest published pair
    made = Recipe("mini", "submodule", 1.0, params=tuple(profile.items()))
    assert (
        recipe_io.from_yaml(recipe_io.to_yaml(made))
        == recipe_io.from_json(recipe_io.to_json(made))
        == recipe_io.from_query(recipe_io.to_query(made))
        == made
    )


def test_what_is_no_block_is_told(lab):
    bad = (
        ({"mlp.7": 0.5}, "layers 0-2"),
        ({"norm.0": 0.5}, "norm.0"),
        ({"mlp.01": 0.5}, "mlp.01"),
        ({"mlp.0": 3}, "between -1 and 2"),
    )
    for wrong, match in bad:
        with pytest.raises(RecipeError, match=match):
            bind(recipe(lab, 1.0, wrong), lab.resident.parents)


def test_the_command_line_names_blocks_as_parameters():
    given = [
        "mlp.2=0.7",
        "submodule.attention.0=0.2",
        "rest=0.4",
        "ties.density=0.2",
    ]  # the last one is another method's
    args = argparse.Namespace(method="submodule", param=given, template="own")
    assert recipe_of(args, "mini", 1.0) == Recipe(
        "mini", "submodule", 1.0, params=(("attention.0", 0.2), ("mlp.2", 0.7), ("rest", 0.4))
    )
    args = argparse.Namespace(method="ties", param=["ties.density=0.2", "dare_ties.drop=0.1"], template="own")
    assert recipe_of(args, "mini").params == (("density", 0.2),)
