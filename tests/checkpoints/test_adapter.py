"""LoRA parents against `peft` itself: the same merged weights, and adapters that `peft` loads again."""

import json
import shutil

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.merging.blend import bind
from mi_explorer.merging.distances import distances
from mi_explorer.merging.export import ExportError, export
from mi_explorer.merging.export_adapter import export_adapter
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe, Scope
from tests.fixtures import make, make_pair, make_tokenizer

KINDS = {
    "plain": {"target_modules": ["q_proj", "v_proj", "down_proj"]},
    "all": {"target_modules": "all-linear"},
    "rslora": {"target_modules": ["q_proj"], "use_rslora": True},
    "patterns": {
        "target_modules": ["q_proj", "up_proj"],
        "rank_pattern": {"up_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 3},
    },
    "embedding": {"target_modules": ["embed_tokens", "k_proj"]},
    "saved": {"target_modules": ["o_proj"], "modules_to_save": ["norm"]},
    "bias": {"target_modules": ["q_proj"], "bias": "lora_only"},
}


def make_adapter(base, folder, seed=3, **settings):
    """An adapter with random factors, saved by `peft`."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(seed)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**{"r": 4, "lora_alpha": 6, **settings}))
    with torch.no_grad():
        for name, p in wrapped.named_parameters():
            if "lora_" in name or p.requires_grad:
                p.add_(torch.randn_like(p) * 0.05)
    wrapped.save_pretrained(folder)
    return folder


def merged(base, folder):
    """`peft`'s own merge in fp32: checkpoint name → tensor."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return peft.PeftModel.from_pretrained(model, folder).merge_and_unload().state_dict()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = make("qwen2", tmp_path_factory.mktemp("lora") / "instruct")
    return make_tokenizer(folder)


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
@pytest.mark.parametrize("kind", ["plain", "patterns", "embedding", "saved"])
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
    export(blend, tmp_path / "out")
    written = load_file(tmp_path / "out/model.safetensors")
    assert all(torch.equal(written[n], blend.tensor(n)) for n in parents.names())
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()


def test_instruct_may_be_the_adapter_and_is_measured_like_any_parent(base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS["plain"])
    parents = Parents.open(Pair("x", str(folder), str(base)))
    blend = bind(Recipe(lam=0.25, scope=Scope("0")), parents)
    export(blend, tmp_path / "out")
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
    moved = shutil.copytree(folder, tmp_path / "moved")
    settings = json.loads((moved / "adapter_config.json").read_text())
    (moved / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "somewhere/else"}))
    assert Parents.open(Pair("x", pair.instruct, str(moved), pair.base)).thinking.under.label == pair.instruct
    assert (
        Parents.open(Pair("x", pair.instruct, str(moved), pair.base, adapter_on="base")).thinking.under.label
        == pair.base
    )
    both = Parents.open(Pair("x", str(moved), str(folder), pair.base))
    assert both.instruct.under.label == both.thinking.under.label == pair.base
    with pytest.raises(ExportError, match="Neither parent is a LoRA adapter on the other"):
        export_adapter(bind(Recipe(), both), tmp_path / "out")
    with pytest.raises(CheckpointError, match="needs a full checkpoint under it"):
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


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"use_dora": True}, "uses DoRA"),
        ({"peft_type": "IA3"}, "a IA3 adapter is not a low-rank delta"),
        ({"target_parameters": ["experts.gate_up_proj"]}, "LoRA on raw parameters"),
        ({"trainable_token_indices": [1]}, "trained token rows"),
    ],
)
def test_other_adapters_are_refused_by_name(change, says, base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS["plain"])
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, **change}))
    with pytest.raises(CheckpointError, match=says):
        Parents.open(Pair("x", str(base), str(folder)))


def test_an_adapter_for_another_model_is_refused(base, tmp_path):
    folder = make_adapter(base, tmp_path / "lora", **KINDS["plain"])
    other = make("qwen2", tmp_path / "wide", hidden_size=64)
    with pytest.raises(CheckpointError, match="have shapes"):
        Parents.open(Pair("x", str(other), str(folder)))
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({k.replace("q_proj", "z_proj"): v for k, v in tensors.items()}, folder / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="does not have as one tensor"):
        Parents.open(Pair("x", str(base), str(folder)))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="not loaded here for safety"):
        Parents.open(Pair("x", str(base), str(folder)))
