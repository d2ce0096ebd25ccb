"""Qwen3-MoE through the native decoder: the logits and greedy tokens of `transformers`, dense layers among sparse ones too."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.events import Request
from mi_explorer.engine.host_copies import HostCopies
from mi_explorer.engine.native.layout import Layout
from mi_explorer.engine.native.native_backend import NativeModel
from mi_explorer.recipe import Recipe
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run
from tests.engine.stand_in_device import stand_in
from tests.fixtures import make_pair

LAMS = (0.0, 0.35, 1.0)


@pytest.mark.parametrize("changes", [{"mlp_only_layers": [0]}, {"norm_topk_prob": False, "num_experts_per_tok": 3}])
def test_logits_of_other_configs_are_those_of_transformers(tmp_path, changes):
    pair = make_pair("qwen3-moe", tmp_path, delta=0.05, base=False, **changes)
    resident = ResidentPair.load(pair)
    plain = AutoModelForCausalLM.from_pretrained(pair.thinking, dtype=torch.float32).eval()
    blend = resident.blend(Recipe(pair.name, lam=1.0))
    model, ids = resident.load_weights(), prompt(24)
    with torch.no_grad():
        want = plain(torch.tensor([ids])).logits[0]
        ((got,),) = model.teacher_forced_logits({"a": blend}, ids, 0, 64)
    assert isinstance(resident.layout, Layout) and float((got - want).abs().max()) < 1e-4


@pytest.mark.parametrize("only", ["auto", "fold"])
def test_greedy_tokens_are_those_of_transformers(labs, only):
    lab = labs("qwen3-moe")
    resident = ResidentPair.load(lab.pair)
    assert isinstance(resident.layout, Layout)
    asked = [Request(f"{lam} {n}", prompt(n, n), lab.recipe(lam), greedy(20)) for lam in LAMS for n in (5, 17)]
    with Engine(resident, max_rows=4, max_context=64, only=only, costs=CHEAP_ROWS) as engine:
        assert not engine.status().supports_rowwise and "experts" in engine.status().why_folded
        assert run(engine, asked) == {
            f"{lam} {n}": lab.generate(lam, prompt(n, n), 20) for lam in LAMS for n in (5, 17)
        }


def test_experts_are_merged_from_copies_on_the_host_without_files(labs, monkeypatch):
    lab = labs("qwen3-moe")
    resident = ResidentPair.load(lab.pair)
    host = HostCopies(torch.float32)
    model = NativeModel(resident.layout, resident.device, resident.dtype, resident.weight_bytes, "folded", None, host)
    blends = {lam: resident.blend(lab.recipe(lam)) for lam in (0.2, *LAMS)}
    model.fold("first", blends[0.2])
    assert resident.weight_bytes < host.bytes() <= 2 * resident.weight_bytes
    monkeypatch.setattr(type(blends[0.2]), "endpoints", None)  # no file is read again
    for lam in LAMS:
        model.fold(str(lam), blends[lam])
        for part in resident.layout.layers[0].experts.down[:2]:
            name = part.names[0]
            torch.testing.assert_close(model.folded.weight[part], want_of(lab, name, lam), atol=1e-6, rtol=0)


def want_of(lab, name, lam):
    """The definition, on the files' own tensors."""
    p, q = (read(folder, name) for folder in (lab.pair.instruct, lab.pair.thinking))
    return ((1 - lam) * p.double() + lam * q.double()).float()


def read(folder, name):
    from pathlib import Path

    from safetensors import safe_open

    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            if name in set(opened.keys()):
                return opened.get_tensor(name).float()
    raise KeyError(name)


def test_experts_run_on_another_device(labs):
    lab = labs("qwen3-moe")
    asked = [Request(str(lam), prompt(9), lab.recipe(lam), greedy(12)) for lam in LAMS]
    with stand_in() as device, torch.no_grad():
        resident = ResidentPair.load(lab.pair, device=device, dtype=torch.float32)
        with Engine(resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
            got = run(engine, asked)
    assert got == {str(lam): lab.generate(lam, prompt(9), 12) for lam in LAMS}
