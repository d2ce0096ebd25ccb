"""Fold: bit-exact ends, only what changed is written, every layout of `transformers` in memory is understood."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.merging.blend import bind
from mi_explorer.merging.merged_weights import MergedWeights, MergedWeightsError, parameter_views
from mi_explorer.recipe import MODULES, Recipe, Scope
from tests.fixtures import KINDS, make_pair


def load(path, dtype):
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_fold_matches_the_library_s_own_loading(kind, dtype, tmp_path):
    pair = make_pair(kind, tmp_path, dtype=dtype, base=False, shards=("50GB", "20KB"))
    parents = Parents.open(pair)
    instruct, thinking, model = (load(p, dtype) for p in (pair.instruct, pair.thinking, pair.instruct))
    fold = MergedWeights(model, parents.names())
    fold.to(bind(Recipe(lam=1.0), parents))
    assert same(model, thinking)
    fold.to(bind(Recipe(lam=0.3), parents))
    for i, t, w in zip(*(m.state_dict().values() for m in (instruct, thinking, model)), strict=True):
        exact = i.double() * 0.7 + t.double() * 0.3
        unit = torch.finfo(dtype).eps
        assert ((w.double() - exact).abs() <= 0.5 * unit * exact.abs() + 3e-7 * (i.abs() + t.abs()).double()).all()
    fold.to(bind(Recipe(lam=0.0), parents))
    assert same(model, instruct)


def test_only_changed_groups_are_written(tmp_path):
    parents = Parents.open(make_pair("qwen3", tmp_path, base=False))
    model = load(parents.pair.instruct, torch.float32)
    fold = MergedWeights(model, parents.names())
    every = {(m, layer) for m in ("attention", "mlp", "norm") for layer in range(3)} | {
        ("embedding", None),
        ("norm", None),
    }
    assert set(fold.to(bind(Recipe(lam=0.5), parents))) == every
    assert fold.to(bind(Recipe(lam=0.5), parents)) == ()
    without = Scope("all", tuple(m for m in MODULES if m != "mlp"))
    assert set(fold.to(bind(Recipe(lam=0.5, scope=without), parents))) == {("mlp", 0), ("mlp", 1), ("mlp", 2)}
    assert set(fold.to(bind(Recipe(lam=0.5, scope=Scope("0,2")), parents))) == {("mlp", 0), ("mlp", 2)} | {
        ("attention", 1),
        ("norm", 1),
    }


def test_no_drift_after_a_thousand_moves(tmp_path):
    parents = Parents.open(make_pair("llama", tmp_path, base=False, dtype=torch.bfloat16))
    model, fresh = (load(parents.pair.instruct, torch.bfloat16) for _ in range(2))
    fold = MergedWeights(model, parents.names())
    generator = torch.Generator().manual_seed(5)
    moves = torch.randint(-20, 121, (1000,), generator=generator).tolist()
    scopes = [Scope(), Scope("0-1"), Scope("2", ("attention",)), Scope("none")]
    for step, move in enumerate(moves):
        fold.to(bind(Recipe(lam=move / 100, scope=scopes[step % 4]), parents))
    fold.to(bind(Recipe(lam=0.37), parents))
    MergedWeights(fresh, parents.names()).to(bind(Recipe(lam=0.37), parents))
    assert same(model, fresh)
    fold.to(bind(Recipe(lam=0.0), parents))
    assert same(model, load(parents.pair.instruct, torch.bfloat16))


def test_a_model_with_an_unclaimed_parameter_is_refused(tmp_path):
    parents = Parents.open(make_pair("qwen3", tmp_path, base=False))
    model = load(parents.pair.instruct, torch.float32)
    model.model.extra = torch.nn.Parameter(torch.zeros(3))
    with pytest.raises(MergedWeightsError, match="'model.extra'.*filled by 0 bytes"):
        parameter_views(model, parents.names())
    with pytest.raises(MergedWeightsError, match="'nowhere.weight' has no parameter"):
        parameter_views(load(parents.pair.instruct, torch.float32), (*parents.names(), "nowhere.weight"))


def test_fold_into_a_wider_model_keeps_fp32(tmp_path):
    """A bf16 pair in an fp32 model: the blend is not rounded to bf16 on the way."""
    parents = Parents.open(make_pair("qwen3", tmp_path, base=False, dtype=torch.bfloat16))
    model = load(parents.pair.instruct, torch.float32)
    MergedWeights(model, parents.names()).to(bind(Recipe(lam=0.3), parents))
    name = "model.layers.1.mlp.up_proj.weight"
    i, t = (parents.tensor(role, name).double() for role in ("instruct", "thinking"))
    assert torch.allclose(model.state_dict()[name].double(), 0.7 * i + 0.3 * t, rtol=0, atol=1e-7)
