"""Every preset's family, as a tiny look-alike: preflight, strip, distances, export and reload agree with plain `transformers`."""

import itertools

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.library import export, strip
from mi_explorer.merging.distances import distances
from mi_explorer.pairs import Pair, list_pairs
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.workbench import Workbench
from tests.checkpoints.families import (
    ADAPTED,
    EXTRAS,
    FAMILIES,
    UNKNOWN,
    auto_class,
    make_adapted,
    make_checkpoint,
    make_family,
    ministral3,
    qwen2_5_vl,
)
from tests.checkpoints.ways_in import outcomes
from tests.fixtures import make_tokenizer

LAMBDAS = (0.0, 0.5, 1.0)
TOKENS = 5


@torch.no_grad()
def greedy(model, ids):
    """The most likely tokens, by whole forward passes without a cache; stops at the tokenizer's end."""
    ids, out = list(ids), []
    for _ in range(TOKENS):
        out.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        ids.append(out[-1])
        if out[-1] == 2:
            break
    return out


def tensors_of(folder):
    return load_file(folder / "model.safetensors")


def test_every_preset_has_a_look_alike():
    assert {pair.name for pair in list_pairs()} == {*FAMILIES, *UNKNOWN, *ADAPTED, "mini"}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_runs_and_exports_as_transformers_reads_it(name, tmp_path):
    pair = make_family(name, tmp_path)
    judged = preflight(pair)
    assert judged.ok and judged.facts["layers"] == 2
    make = auto_class(FAMILIES[name]())
    ends = [make.from_pretrained(where, dtype=torch.float32).eval() for where in (pair.instruct, pair.thinking)]
    states = [{k: v.clone() for k, v in model.state_dict().items()} for model in ends]
    with Workbench.open(pair, max_rows=3, max_context=64) as bench:
        shots = strip("Hi", Recipe(pair.name), lams=LAMBDAS, decoding=Decoding(temperature=0, cap=TOKENS), bench=bench)
    model = ends[1] if pair.untie else ends[0]  # the blend runs with Instruct's config
    for shot in shots:
        model.load_state_dict({k: torch.lerp(states[0][k], states[1][k], shot.recipe.lam) for k in states[0]})
        got = [i for i in shot.ids if i != 2]
        assert got == [i for i in greedy(model, shot.prompt_ids) if i != 2]

    parents = Parents.open(pair)
    assert {d.name for d in distances(parents).tensors} <= set(parents.loaded)
    for lam in LAMBDAS:
        export(Recipe(pair.name, lam=lam), tmp_path / f"{lam}", pair)
    one, two, half = (tensors_of(tmp_path / where) for where in ("instruct", "thinking", "0.5"))
    for lam, end in ((0.0, one), (1.0, two)):
        whole = tensors_of(tmp_path / f"{lam}")
        assert whole.keys() - end.keys() <= ({"lm_head.weight"} if pair.untie else set())
        assert all(torch.equal(whole[k], end[k]) for k in end)
    for key in half.keys() & one.keys():
        kept = key in EXTRAS.get(name, ()) or any(word in key for word in ("visual", "vision_tower", "projector"))
        middle = torch.lerp(one[key].float(), two[key].float(), 0.5).to(one[key].dtype)
        assert torch.equal(half[key], one[key] if kept else middle)
    _, info = make.from_pretrained(tmp_path / "0.5", output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"]
    assert set(info["unexpected_keys"]) <= set(EXTRAS.get(name, ()))


@pytest.mark.parametrize("name", ADAPTED)
def test_an_adapter_s_pair_runs_and_exports_as_peft_reads_it(name, tmp_path):
    pair = make_adapted(name, tmp_path)
    assert preflight(pair).ok
    with Workbench.open(pair, dtype="float32", max_rows=3, max_context=64) as bench:
        shots = strip("Hi", Recipe(pair.name), lams=LAMBDAS, decoding=Decoding(temperature=0, cap=TOKENS), bench=bench)
    for shot in shots:
        model = AutoModelForCausalLM.from_pretrained(pair.instruct, dtype=torch.float32)
        merged = PeftModel.from_pretrained(model, pair.thinking)
        for module in merged.modules():
            if isinstance(module, LoraLayer):
                module.scaling["default"] *= shot.recipe.lam
        merged = merged.merge_and_unload().eval()
        assert [i for i in shot.ids if i != 2] == [i for i in greedy(merged, shot.prompt_ids) if i != 2]
        export(shot.recipe, tmp_path / f"{shot.recipe.lam}", pair)
        own, made = merged.state_dict(), tensors_of(tmp_path / f"{shot.recipe.lam}")
        assert all(torch.allclose(made[k].float(), own[k], rtol=2**-7, atol=1e-3) for k in made)


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_family_that_transformers_does_not_know_is_refused_beforehand(name, tmp_path):
    pair = make_family("qwen3-4b", tmp_path)
    for folder in (pair.instruct, pair.thinking):
        file = tmp_path / folder / "config.json"
        file.write_text(file.read_text().replace('"model_type": "qwen3"', f'"model_type": "{UNKNOWN[name]}"'))
    judged = preflight(pair)
    assert not judged.ok and UNKNOWN[name] in judged.findings[0].what
    with pytest.raises(ValueError, match=UNKNOWN[name]):
        Parents.open(pair)
    preset = next(p for p in list_pairs() if p.name == name)
    assert "transformers" in preset.notes


def test_two_families_do_not_mix(tmp_path):
    """Of all look-alikes, no pair of two different families is accepted."""
    kinds = {make.__name__: name for name, make in FAMILIES.items()}
    made = {kind: make_family(name, tmp_path / kind) for kind, name in kinds.items()}
    for one, two in itertools.combinations(made, 2):
        pair = type(made[one])("x", made[one].instruct, made[two].thinking)
        assert not preflight(pair).ok, (one, two)


@pytest.mark.parametrize("make_config", [qwen2_5_vl, ministral3])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_vision_tower_of_another_size_in_one_parent(make_config, depth, tmp_path):
    """Only the language part is blended: the tower is Instruct's at every λ, and text runs as with equal towers."""
    other = make_config()
    setattr(other.vision_config, "depth" if hasattr(other.vision_config, "depth") else "num_hidden_layers", depth)
    if hasattr(other.vision_config, "fullatt_block_indexes"):
        other.vision_config.fullatt_block_indexes = [0]
    other.vision_config.intermediate_size *= 2
    one, two = (
        make_checkpoint(c, tmp_path / r, seed)
        for seed, (c, r) in enumerate([(make_config(), "instruct"), (other, "thinking")], 1)
    )
    for folder in (one, two):
        make_tokenizer(folder)
    pair = Pair("towers", str(one), str(two))
    found = outcomes(pair)
    assert all(found.values()), found
    assert "towers" in {f.topic for f in preflight(pair).findings}
    theirs = load_file(two / "model.safetensors")
    for lam in (0.5, 1.0):
        export(Recipe(pair.name, lam=lam), tmp_path / f"out{lam}", pair)
        made, own = load_file(tmp_path / f"out{lam}" / "model.safetensors"), load_file(one / "model.safetensors")
        assert made.keys() == own.keys()
        for name, tensor in made.items():
            beside = "vision" in name or "visual" in name or "projector" in name
            want = own[name] if beside else torch.lerp(own[name].float(), theirs[name].float(), lam).to(own[name].dtype)
            assert torch.equal(tensor, want), name
