"""Adapters that are no plain difference of weights, or not what their settings say: refused by name, before any weight is read."""

import json

import peft
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mi_explorer.checkpoints.adapter_settings import KNOWN, read_settings
from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.pairs import Pair
from tests.checkpoints.adapters import (
    KINDS,
    edit,
    make_adapter,
    save_adapter,
)
from tests.fixtures import make

REFUSED = {
    "random numbers": {"target_modules": ["q_proj"], "init_lora_weights": "pissa_niter_4"},
    "gradients": {"target_modules": ["q_proj"], "init_lora_weights": "lora_ga", "lora_ga_config": {}},
    "DoRA": {"target_modules": ["q_proj"], "use_dora": True},
    "LoRA bias": {"target_modules": ["q_proj"], "lora_bias": True},
    "token rows": {"target_modules": ["q_proj"], "trainable_token_indices": [1, 2]},
    "layer replication": {"target_modules": ["q_proj"], "layer_replication": [[0, 3], [1, 3]]},
    "activated": {"target_modules": ["q_proj"], "alora_invocation_tokens": [1], "task_type": "CAUSAL_LM"},
    "raw parameters": {"target_modules": [], "target_parameters": ["q_proj.weight"]},
    "kasa_config": {"target_modules": ["q_proj"], "kasa_config": {}},
}


OTHER_TYPES = {
    "IA3": peft.IA3Config(target_modules=["q_proj"], feedforward_modules=[]),
    "LOHA": peft.LoHaConfig(target_modules=["q_proj"]),
    "LOKR": peft.LoKrConfig(target_modules=["q_proj"]),
    "VERA": peft.VeraConfig(target_modules=["q_proj"]),
    "OFT": peft.OFTConfig(target_modules=["q_proj"], oft_block_size=4),
    "PROMPT_TUNING": peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
    "LN_TUNING": peft.LNTuningConfig(target_modules=["norm"]),
    "ADALORA": peft.AdaLoraConfig(target_modules=["q_proj"], total_step=10),
}


@pytest.mark.parametrize("word", REFUSED)
def test_options_that_are_no_plain_delta_are_refused_by_name(word, untied, tmp_path):
    options = dict(REFUSED[word])
    for key, kind in (("lora_ga_config", peft.LoraGAConfig), ("kasa_config", peft.KasaConfig)):
        options |= {key: kind()} if key in options else {}
    folder = make_adapter(untied, tmp_path / "lora", **options)
    with pytest.raises(CheckpointError, match=word):
        Parents.open(Pair("x", str(untied), str(folder)))
    assert not preflight(Pair("x", str(untied), str(folder))).ok


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_other_kinds_of_adapters_are_refused_by_name(kind, base, tmp_path):
    folder = save_adapter(base, tmp_path / "other", OTHER_TYPES[kind])
    with pytest.raises(CheckpointError, match=kind):
        Parents.open(Pair("x", str(base), str(folder)))


@pytest.mark.parametrize(("change", "word"), [
    ({"init_lora_weights": "corda"}, "data"), ({"init_lora_weights": "loftq"}, "quantised"), ({"init_lora_weights": "newer"}, "newer"),
    ({"megatron_config": {"a": 1}}, "Megatron"), ({"some_new_option": 3}, "some_new_option"), ({"peft_type": None}, "peft_type"),
    ({"r": 8}, "rank"), ({"r": "x"}, "ranks"), ({"r": True}, "ranks"), ({"lora_alpha": "6"}, "scales"),
    ({"lora_alpha": float("nan")}, "scales"),
    ({"rank_pattern": [4]}, "rank_pattern"), ({"alpha_pattern": {"q_proj": None}}, "scales"),
    ({"alpha_pattern": {"(.+)" * 14 + r"\14\13\12": 1}}, "pattern"), ({"alpha_pattern": {"(": 1}}, "pattern"),
     ({"rank_pattern": {"x" * 20_000: 1}}, "pattern"),
    ({"target_modules": ["v_proj"]}, "target"), ({"target_modules": None}, "target_modules"), ({"target_modules": [3]}, "target_modules"),
    ({"exclude_modules": ["q_proj"]}, "target"), ({"layers_to_transform": [0]}, "target"),
    ({"modules_to_save": ["self_attn"]}, "target")])  # fmt: skip
def test_settings_that_peft_reads_otherwise_than_the_file_are_refused(change, word, base, tmp_path):
    folder = edit(make_adapter(base, tmp_path / "lora", target_modules=["q_proj"]), **change)
    with pytest.raises(CheckpointError, match=word):
        Parents.open(Pair("x", str(base), str(folder)))


@given(values=st.dictionaries(
    st.sampled_from(sorted(KNOWN)),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3)),
    max_size=4,
))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_odd_settings_end_in_a_sentence(values):
    class Source:
        label = "odd"

        def read(self, name):
            return json.dumps({"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], **values}).encode()

    try:
        found = read_settings(Source())
        found.targets("model.layers.0.self_attn.q_proj")
        assert found.scale_of("model.layers.0.self_attn.q_proj") == pytest.approx(
            found.scale_of("model.layers.0.self_attn.q_proj")
        )
    except CheckpointError as error:
        assert str(error).startswith("odd")


def test_an_adapter_for_another_model_is_refused(base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS["plain"])
    other = make("qwen2", tmp_path / "wide", hidden_size=64)
    with pytest.raises(CheckpointError, match="have shapes"):
        Parents.open(Pair("x", str(other), str(folder)))
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({k.replace("q_proj", "z_proj"): v for k, v in tensors.items()}, folder / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="z_proj"):
        Parents.open(Pair("x", str(base), str(folder)))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="adapter_model.bin"):
        Parents.open(Pair("x", str(base), str(folder)))
