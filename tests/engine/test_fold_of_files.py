"""Blends that are written from the files themselves, where memory has no room for the endpoints: the numbers of every other way."""

import torch

from mi_explorer.engine.memory_plan import plan_memory
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.recipe import Recipe
from tests.fixtures import make_pair

IDS = list(range(3, 40))


def logits(resident, plan, lam):
    blends = {str(lam): resident.blend(Recipe(resident.pair.name, lam=lam))}
    with torch.inference_mode():
        return torch.cat([c[0] for c in resident.load_weights(plan).teacher_forced_logits(blends, IDS, 0, 64)])


def test_half_precision_files_in_fp32_are_rounded_no_second_time(tmp_path):
    pair = make_pair("qwen3", tmp_path, dtype=torch.bfloat16, delta=0.05, base=False)
    one, two = (ResidentPair.load(pair, dtype="float32") for _ in range(2))
    folds = plan_memory(one.sizes, None, 1, 64, only="fold")
    assert folds.endpoints == "files"
    for lam in (0.3, 0.0, 1.0):
        assert (logits(one, folds, lam) - logits(two, None, lam)).abs().max() < 1e-4
