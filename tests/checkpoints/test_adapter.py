"""LoRA parents against `peft` itself: the logits of `PeftModel` or a refusal by name, and adapters that `peft` loads again."""

import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.errors import UserError
from mi_explorer.merging.blend import bind
from mi_explorer.merging.distances import distances
from mi_explorer.merging.export import export_checkpoint
from mi_explorer.merging.export_adapter import export_adapter
from mi_explorer.merging.staging import ExportError
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe, Scope
from tests.checkpoints.adapters import (
    KINDS,
    edit,
    exported_logits,
    logits,
    make_adapter,
    merged,
    peft_logits,
)
from tests.fixtures import make, make_pair

# Whatever `peft` can initialise or train: accepted with its logits, or refused by name.
OPTIONS = {
    "no-init": {"target_modules": ["q_proj"], "init_lora_weights": False},
    "gaussian": {"target_modules": ["q_proj"], "init_lora_weights": "gaussian"},
    "orthogonal": {"target_modules": ["q_proj", "down_proj"], "init_lora_weights": "orthogonal"},
    "eva": {"target_modules": ["v_proj"], "init_lora_weights": "eva"},
    "pissa": {"target_modules": ["q_proj", "down_proj"], "init_lora_weights": "pissa"},
    "pissa-rslora": {"target_modules": ["q_proj", "up_proj"], "init_lora_weights": "pissa", "use_rslora": True},
    "pissa-head": {"target_modules": ["lm_head", "q_proj"], "init_lora_weights": "pissa"},
    "olora": {"target_modules": ["q_proj", "down_proj"], "init_lora_weights": "olora"},
    "olora-patterns": {**KINDS["patterns"], "init_lora_weights": "olora"},
    "embedding": {"target_modules": ["embed_tokens", "k_proj"]},
    "embedding-pissa": {"target_modules": ["embed_tokens", "k_proj"], "init_lora_weights": "pissa"},
    "head": {"target_modules": ["lm_head", "q_proj"]},
    "both": {"target_modules": ["embed_tokens", "lm_head"]},
    "saved-embedding": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "saved-head": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "saved-both": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]},
    "tied-embedding": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "tied-factors": {"target_modules": ["embed_tokens", "q_proj"], "ensure_weight_tying": True},
    "saved-mlp": {"target_modules": ["q_proj"], "modules_to_save": ["mlp", "input_layernorm"]},
    "all-biases": {"target_modules": ["q_proj"], "bias": "all"},
    "layers": {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "layers"},
    "excluded": {"target_modules": ["q_proj", "k_proj"], "exclude_modules": ["layers.0.self_attn.k_proj"]},
    "regex": {"target_modules": r".*layers\.[01]\.self_attn\.(q|k)_proj"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_parent_is_what_peft_merges(kind, base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS[kind])
    parents = Parents.open(Pair("x", str(base), str(folder)))
    oracle = merged(base, folder)
    touched = set(parents.thinking.touched())
    for name in parents.names():
        want = oracle[name]
        assert (parents.tensor("thinking", name) - want).abs().max() < 1e-6
        assert torch.equal(want, parents.tensor("instruct", name)) != (name in touched)
        half = bind(Recipe(lam=0.5), parents).tensor(name)
        assert (half - (parents.tensor("instruct", name) + want) / 2).abs().max() < 1e-6
    n = parents.thinking.entry("model.embed_tokens.weight").numel
    pieces = [parents.block("thinking", "model.embed_tokens.weight", s, min(n, s + 77)) for s in range(0, n, 77)]
    torch.testing.assert_close(
        torch.cat(pieces), parents.tensor("thinking", "model.embed_tokens.weight").flatten(), rtol=0, atol=3e-7
    )


@pytest.mark.parametrize("head", ["tied", "untied"])
@pytest.mark.parametrize("kind", OPTIONS)
def test_every_accepted_option_has_the_logits_of_peft(kind, head, base, untied, tmp_path):
    below = base if head == "tied" else untied
    folder = make_adapter(below, tmp_path / "lora", **OPTIONS[kind])
    pair = Pair("x", str(below), str(folder), untie=True)
    want = peft_logits(below, folder)
    assert (exported_logits(pair, 1.0, tmp_path / "out") - want).abs().max() < 1e-4
    assert (
        exported_logits(pair, 0.0, tmp_path / "zero") - logits(AutoModelForCausalLM.from_pretrained(below))
    ).abs().max() < 1e-5
    export_adapter(bind(Recipe(lam=1.0), Parents.open(pair)), tmp_path / "again")
    assert (peft_logits(below, tmp_path / "again") - want).abs().max() < 1e-4


def test_an_embedding_trained_on_a_tied_base_unties_it_only_when_asked(base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **OPTIONS["saved-embedding"])
    with pytest.raises(UserError, match="--untie"):
        Parents.open(Pair("x", str(base), str(folder)))
    assert [f.topic for f in preflight(Pair("x", str(base), str(folder))).findings if f.level == "refused"] == ["tied"]
    assert preflight(Pair("x", str(base), str(folder), untie=True)).ok


@pytest.mark.parametrize("options", [
    {"target_modules": ["c_attn", "c_proj", "c_fc"]}, {"target_modules": ["c_proj"], "fan_in_fan_out": True, "init_lora_weights": "pissa"},
    {"target_modules": ["wte"]}, {"target_modules": ["c_attn"], "modules_to_save": ["ln_f"]}])  # fmt: skip
def test_layers_that_are_stored_transposed(options, gpt2, tmp_path):
    folder = make_adapter(gpt2, tmp_path / "lora", **options)
    for value in (True, False):  # `peft` looks at the layer, not at the setting
        pair = Pair("x", str(gpt2), str(edit(folder, fan_in_fan_out=value)), untie=True)
        assert (exported_logits(pair, 1.0, tmp_path / f"{value}") - peft_logits(gpt2, folder)).abs().max() < 1e-4


def test_a_square_linear_layer_is_not_turned_by_a_setting_that_peft_ignores(base, tmp_path):
    folder = edit(make_adapter(base, tmp_path / "lora", target_modules=["q_proj", "o_proj"]), fan_in_fan_out=True)
    got = exported_logits(Pair("x", str(base), str(folder)), 1.0, tmp_path / "out")
    assert (got - peft_logits(base, folder)).abs().max() < 1e-4


def test_factors_rebuild_the_other_endpoint(base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS["plain"])
    for pair, sign in ((Pair("x", str(base), str(folder)), 1), (Pair("x", str(folder), str(base)), -1)):
        parents = Parents.open(pair)
        blend = bind(Recipe(lam=0.3), parents)
        found = {n: blend.factors(n) for n in parents.names() if blend.factors(n)}
        assert set(found) == {
            f"model.layers.{i}.{t}.weight"
            for i in range(3)
            for t in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
        }
        for name, (a, b, s) in found.items():
            p, q = blend.endpoints(name)
            assert s * sign == pytest.approx(6 / 4)
            assert (q - (p + s * b @ a)).abs().max() < 1e-6


@pytest.mark.parametrize("lam", [0.4, 1.0, -0.3])
@pytest.mark.parametrize("kind", ["plain", "patterns", "saved"])
def test_the_scaled_adapter_gives_the_blend_in_peft(kind, lam, base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS[kind])
    parents = Parents.open(Pair("x", str(base), str(folder)))
    blend = bind(Recipe(lam=lam, scope=Scope("0-1")), parents)
    done = export_adapter(blend, tmp_path / "out")
    assert done.tensors == len(load_file(folder / "adapter_model.safetensors"))
    oracle = merged(base, tmp_path / "out")
    for name in parents.names():
        assert (oracle[name] - blend.tensor(name)).abs().max() < 2e-6, name
    card = (tmp_path / "out/README.md").read_text()
    assert "library_name: peft" in card and "--adapter --out DIR" in card
    if kind == "plain":
        a = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
        assert torch.equal(
            load_file(tmp_path / "out/adapter_model.safetensors")[a], load_file(folder / "adapter_model.safetensors")[a]
        )


def test_a_blend_with_an_adapter_exports_as_a_checkpoint(base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS["all"])
    parents = Parents.open(Pair("x", str(base), str(folder)))
    blend = bind(Recipe(lam=0.25), parents)
    export_checkpoint(blend, tmp_path / "out")
    written = load_file(tmp_path / "out/model.safetensors")
    assert all(torch.equal(written[n], blend.tensor(n)) for n in parents.names())
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()


def test_instruct_may_be_the_adapter_and_is_measured_like_any_parent(base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS["plain"])
    parents = Parents.open(Pair("x", str(folder), str(base)))
    blend = bind(Recipe(lam=0.25, scope=Scope("0")), parents)
    export_checkpoint(blend, tmp_path / "out")
    written = load_file(tmp_path / "out/model.safetensors")
    assert set(written) == set(load_file(base / "model.safetensors")) and all(
        torch.equal(written[n], blend.tensor(n)) for n in written
    )
    oracle = merged(base, folder)
    outside = "model.layers.2.self_attn.q_proj.weight"
    assert (written[outside] - oracle[outside]).abs().max() < 1e-6
    rows = {r.name: r for r in distances(parents).tensors}
    assert {n for n, r in rows.items() if r.l2} == set(parents.instruct.touched())
    assert rows[outside].l2 == pytest.approx(
        float((oracle[outside] - parents.tensor("thinking", outside)).norm()), rel=1e-5
    )


def test_where_an_adapter_sits(base, tmp_path):
    """Its own config decides, then the other endpoint, then the base; the pair may say it."""
    pair = make_pair("qwen2", tmp_path / "full")
    folder = make_adapter(pair.base, tmp_path / "lora", **KINDS["plain"])
    on = Parents.open(Pair("x", pair.instruct, str(folder), pair.base)).thinking.under
    assert on.label == pair.base  # adapter_config.json names it
    moved = edit(shutil.copytree(folder, tmp_path / "moved"), base_model_name_or_path="somewhere/else")
    assert Parents.open(Pair("x", pair.instruct, str(moved), pair.base)).thinking.under.label == pair.instruct
    assert (
        Parents.open(Pair("x", pair.instruct, str(moved), pair.base, adapter_on="base")).thinking.under.label
        == pair.base
    )
    (said,) = [
        f.text() for f in preflight(Pair("x", pair.instruct, str(moved), pair.base)).findings if f.topic == "adapter"
    ]
    assert "'somewhere/else'" in said and "--adapter-on" in said
    edit(moved, base_model_name_or_path="hub/base")  # a hub id, and the pair gives a folder of that name
    assert Parents.open(Pair("x", pair.instruct, str(moved), pair.base)).thinking.under.label == pair.base
    both = Parents.open(Pair("x", str(moved), str(folder), pair.base))
    assert both.instruct.under.label == both.thinking.under.label == pair.base
    with pytest.raises(ExportError, match="adapter"):
        export_adapter(bind(Recipe(), both), tmp_path / "out")
    with pytest.raises(CheckpointError, match="--adapter-on"):
        Parents.open(Pair("x", str(moved), str(folder)))


def test_bf16_parents_are_rounded_once(tmp_path):
    base = make("llama", tmp_path / "i", dtype=torch.bfloat16)
    folder = make_adapter(base, tmp_path / "lora", target_modules=["q_proj"])
    parents = Parents.open(Pair("x", str(base), str(folder)))
    blend = bind(Recipe(lam=0.3), parents)
    name = "model.layers.0.self_attn.q_proj.weight"
    a, b, s = blend.factors(name)
    exact = parents.tensor("instruct", name).double() + 0.3 * s * (b.double() @ a.double())
    assert blend.tensor(name).dtype == torch.bfloat16
    assert ((blend.tensor(name).double() - exact).abs() <= 2**-8 * exact.abs() + 1e-6).all()
