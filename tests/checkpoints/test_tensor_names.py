"""Placement by name: every tensor of many architectures, from their own code or published indexes; unknown ones are reported."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from mi_explorer.checkpoints.tensor_names import inside, layer_count, place, unknown_names
from mi_explorer.recipe import MODULES, RecipeError, Scope

TINY = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
}
MOE = {"num_experts": 4, "moe_intermediate_size": 16}
ARCHITECTURES = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": MOE,
    "gemma2": {"head_dim": 8},
    "gemma3_text": {"head_dim": 8},
    "olmo2": {},
    "olmo3": {},
    "phi3": {"pad_token_id": 0},
    "mistral": {},
    "mixtral": {"num_local_experts": 4},
    "gpt2": {"n_layer": 4, "n_embd": 32, "n_head": 4},
    "gpt_neox": {},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "granite": {},
    "smollm3": {"pad_token_id": 0},
    "qwen3_next": {
        **MOE,
        "shared_expert_intermediate_size": 16,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "head_dim": 8,
    },
}


def names_of(kind):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**TINY, **ARCHITECTURES[kind]}))
    return [n for n, _ in model.named_parameters(remove_duplicate=False)]


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_tensor_of_an_architecture_has_its_place(kind):
    names = names_of(kind)
    assert unknown_names(names) == () and layer_count(names) == 4
    found = {place(n)[0] for n in names}
    assert {"attention", "mlp", "norm", "embedding", "lm_head"} <= found
    for name in names:
        module, layer = place(name)
        assert (layer is None) == (not any(part.isdigit() for part in name.split(".")[:4])), name
        if "mlp" in name or "experts" in name or "feed_forward" in name and "norm" not in name:
            assert module == "mlp", name
        if "attn" in name.split(".") or "self_attn" in name:
            assert module == "attention", name
        if name.endswith(
            (
                "input_layernorm.weight",
                "post_attention_layernorm.weight",
                "operator_norm.weight",
                "ln_1.weight",
                "ln_f.weight",
            )
        ):
            assert module == "norm", name
        if ".conv." in name or "linear_attn" in name:
            assert module == "other", name


def test_names_that_need_care():
    expected = {
        "model.layers.11.self_attn.q_norm.weight": ("attention", 11),
        "model.layers.3.post_feedforward_layernorm.weight": ("norm", 3),
        "model.layers.7.mlp.experts.127.gate_proj.weight": ("mlp", 7),
        "model.layers.7.mlp.gate.weight": ("mlp", 7),
        "model.layers.0.mlp.shared_expert_gate.weight": ("mlp", 0),
        "model.layers.0.conv.conv.weight": ("other", 0),
        "model.layers.0.feed_forward.w1.weight": ("mlp", 0),
        "model.embedding_norm.weight": ("norm", None),
        "model.language_model.layers.5.self_attn.o_proj.weight": ("attention", 5),
        "model.visual.blocks.5.attn.qkv.weight": ("other", None),
        "model.language_model.embed_tokens.weight": ("embedding", None),
        "transformer.wte.weight": ("embedding", None),
        "output.weight": ("lm_head", None),
        "encoder.layer.2.output.dense.weight": ("other", 2),
        "mtp.layers.0.mlp.gate_proj.weight": ("other", None),
        "model.layers.2.mystery.weight": ("other", 2),
        "score": ("other", None),
    }
    assert {n: place(n) for n in expected} == expected
    assert unknown_names(expected) == ("encoder.layer.2.output.dense.weight", "model.layers.2.mystery.weight", "score")


def test_scope_counts():
    names = names_of("qwen3")
    count = {m: sum(inside(Scope("1-2", (m,)), n) for n in names) for m in MODULES}
    assert count == {
        "attention": 12,
        "mlp": 6,
        "norm": 5,
        "embedding": 1,
        "lm_head": 1,
        "other": 0,
    }  # the final norm follows its module
    assert sum(inside(Scope(), n) for n in names) == len(names) and not any(inside(Scope("all", ()), n) for n in names)
    assert Scope(" 4-7 ,0-3, 9") == Scope("0-7,9") and Scope("0-7,9").has_layer(9) and not Scope("0-7,9").has_layer(8)
    with pytest.raises(RecipeError, match="layer 7, .* layers 0-3"):
        Scope("0-7,9").check(4)
