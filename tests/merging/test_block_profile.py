"""λ* against what it claims to be: the minimum of the two squared distances, found by blending one block and looking."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.errors import UserError
from mi_explorer.merging import block_profile
from mi_explorer.merging.blend import bind
from tests.fixtures import make_pair

MINE = [[5, 9, 2, 33, 7, 8], [4, 4, 17, 60]]
THEIRS = [[11, 3, 8, 90, 41, 6, 2, 2, 13], [70, 1, 5]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair("qwen3", tmp_path_factory.mktemp("pair"), delta=0.1)


@pytest.fixture(scope="module")
def models(pair):
    return [AutoModelForCausalLM.from_pretrained(p, dtype=torch.float32).eval() for p in (pair.instruct, pair.thinking)]


def outputs(model, path: str, ids, block=None):
    """What the block at `path` puts out for `ids`; `block` runs in its place on the same inputs."""
    seen = []

    def hook(module, args, kwargs, out):
        out = out if block is None else block(*args, **kwargs)
        seen.append((out[0] if isinstance(out, tuple) else out).detach())

    handle = model.get_submodule(path).register_forward_hook(hook, with_kwargs=True)
    with torch.no_grad():
        model(torch.tensor([ids]), use_cache=False)
    handle.remove()
    return seen[0][0]


@pytest.mark.parametrize(
    ("path", "key", "last"),
    [("model.layers.1.mlp", ("mlp", 1), "down_proj"), ("model.layers.2.self_attn", ("attention", 2), "o_proj")],
)
def test_lambda_star_is_where_the_blend_of_a_block_is_nearest_to_both(pair, models, path, key, last):
    """Thinking differs from Instruct in the last matrix of one block only, so its output is linear in λ and the claim is exact."""
    instruct, thinking = models[0], copy.deepcopy(models[0])
    with torch.no_grad():
        end = thinking.get_submodule(path).get_submodule(last).weight
        end.copy_(models[1].get_submodule(path).get_submodule(last).weight)
    folder = str(pair.instruct) + f"-{key[0]}-only"
    thinking.save_pretrained(folder)
    found = block_profile.find_profile(Parents.open(f"{pair.instruct}|{folder}"), MINE, THEIRS)
    (block,) = [b for b in found.blocks if b.lam is not None]
    assert (block.module, block.layer) == key and len(found.blocks) == 6

    def loss(lam: float) -> float:
        blend = copy.deepcopy(instruct.get_submodule(path))
        weight = blend.get_submodule(last).weight
        with torch.no_grad():
            weight.copy_((1 - lam) * weight + lam * thinking.get_submodule(path).get_submodule(last).weight)
        total = 0.0
        for model, sequences in ((instruct, MINE), (thinking, THEIRS)):
            for ids in sequences:
                total += float((outputs(model, path, ids, blend) - outputs(model, path, ids)).square().sum(-1).mean())
        return total

    assert block.lam is not None
    parabola = np.polyfit([0, 0.5, 1], [loss(0.0), loss(0.5), loss(1.0)], 2)
    assert -parabola[1] / (2 * parabola[0]) == pytest.approx(block.lam, abs=1e-3)
    assert loss(block.lam) < min(loss(block.lam - 0.05), loss(block.lam + 0.05))


def test_a_profile_of_a_whole_pair_becomes_a_recipe_that_binds(pair):
    told = []
    parents = Parents.open(pair)
    found = block_profile.find_profile(parents, MINE, THEIRS, progress=lambda *p: told.append(p))
    assert told[-1] == (4, 4) and (found.responses, found.tokens) == (2, 22)
    assert [(b.layer, b.module) for b in found.blocks] == [(i, m) for i in range(3) for m in ("attention", "mlp")]
    assert all(0 < b.lam < 1 for b in found.blocks) and found.mean == pytest.approx(
        np.mean([b.lam for b in found.blocks])
    )
    blend = bind(found.recipe(), parents)
    assert blend.coefficients("model.layers.1.mlp.up_proj.weight")[1] == round(found.blocks[3].lam, 4)
    assert blend.coefficients("model.norm.weight")[1] == pytest.approx(found.mean, abs=1e-4)
    turned = block_profile.find_profile(
        Parents(pair, parents.thinking, parents.instruct), THEIRS, MINE
    )  # the parents change places
    assert [b.lam for b in turned.blocks] == pytest.approx([1 - b.lam for b in found.blocks], rel=1e-5)
    with pytest.raises(UserError, match="at least one response"):
        block_profile.find_profile(parents, [], THEIRS)
