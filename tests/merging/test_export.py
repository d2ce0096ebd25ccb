"""Export: the numbers of the blend in the parents' layout, tokenizer, template and card beside them, in little memory."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.command_line import export_command
from mi_explorer.merging import export as module
from mi_explorer.merging.blend import bind
from mi_explorer.merging.export import export_checkpoint
from mi_explorer.merging.merged_weights import MergedWeights
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe, Scope
from mi_explorer.recipe_io import from_yaml
from tests.fixtures import KINDS, make, make_pair, make_tokenizer, reshard
from tests.merging.checkpoint_files import left_over, tensors_of


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_model_is_the_folded_model(kind, tmp_path):
    """Loaded by `transformers`, it gives the same logits as the resident fold, and its layout is Instruct's."""
    dtype = torch.bfloat16 if kind in ("llama", "qwen3-moe") else torch.float32
    pair = make_pair(kind, tmp_path, base=False, dtype=dtype, shards=("20KB", "50GB"))
    parents = Parents.open(pair)
    blend = bind(Recipe(lam=0.3, scope=Scope("0-1")), parents)
    done = export_checkpoint(blend, tmp_path / "out")
    written = tensors_of(tmp_path / "out")
    assert set(written) == set(tensors_of(pair.instruct)) and done.tensors == len(written)
    assert all(torch.equal(written[n], blend.tensor(n)) for n in written)
    for file in Path(pair.instruct).glob("*.safetensors"):
        assert (tmp_path / "out" / file.name).stat().st_size == file.stat().st_size
    index = [
        json.loads((Path(f) / "model.safetensors.index.json").read_text())["weight_map"]
        for f in (pair.instruct, tmp_path / "out")
    ]
    assert index[0] == index[1] and left_over(tmp_path) == []
    resident = AutoModelForCausalLM.from_pretrained(pair.instruct, dtype=dtype)
    MergedWeights(resident, parents.names()).to(blend)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=dtype)
    ids = torch.arange(1, 9).unsqueeze(0)
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, resident(ids).logits)


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_the_ends_are_the_parents_files(lam, tmp_path):
    pair = make_pair("qwen3", tmp_path, base=False, dtype=torch.bfloat16, shards=("20KB", "20KB"))
    export_checkpoint(bind(Recipe(lam=lam), Parents.open(pair)), tmp_path / "out")
    parent = Path(pair.instruct if lam == 0 else pair.thinking)
    for file in parent.glob("*.safetensors"):
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


def test_parents_sharded_and_named_otherwise(tmp_path):
    pair = make_pair("qwen2", tmp_path, base=False)
    odd = reshard(Path(pair.thinking), tmp_path / "odd", 3, name="shard {i}.safetensors", order=-1)
    for k, parents in enumerate(
        (Parents.open(Pair("x", pair.instruct, str(odd))), Parents.open(Pair("x", str(odd), pair.instruct)))
    ):
        export_checkpoint(bind(Recipe(lam=0.25), parents), tmp_path / f"out{k}")
    one, two = tensors_of(tmp_path / "out0"), tensors_of(tmp_path / "out1")
    assert sorted(p.name for p in (tmp_path / "out1").glob("*.safetensors")) == [
        f"shard {i}.safetensors" for i in (1, 2, 3)
    ]
    i, t = tensors_of(pair.instruct), tensors_of(pair.thinking)
    for name in one:
        torch.testing.assert_close(one[name], torch.lerp(i[name], t[name], 0.25), rtol=0, atol=1e-7)
        torch.testing.assert_close(two[name], torch.lerp(i[name], t[name], 0.75), rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", ["slerp", "ties", "dare_linear", "topk_override", "model_stock"])
def test_every_kind_of_method_streams_to_the_same_numbers(method, tmp_path, monkeypatch):
    parents = Parents.open(make_pair("llama", tmp_path, dtype=torch.bfloat16, delta=0.05))
    blend = bind(Recipe(method=method, lam=0.4, scope=Scope("1-2")), parents)
    expected = {n: blend.tensor(n) for n in parents.names()}
    monkeypatch.setattr(module, "CHUNK_BYTES", 512)
    export_checkpoint(blend, tmp_path / "out")
    written = tensors_of(tmp_path / "out")
    assert all(torch.equal(written[n], expected[n]) for n in expected)


def test_wider_and_untied_results(tmp_path):
    half, single = (
        make("qwen3", tmp_path / "half", dtype=torch.bfloat16),
        make("qwen3", tmp_path / "single", delta_seed=1),
    )
    blend = bind(Recipe(lam=0.5), Parents.open(Pair("x", str(half), str(single))))
    export_checkpoint(blend, tmp_path / "wide")
    written = tensors_of(tmp_path / "wide")
    assert all(written[n].dtype == torch.float32 and torch.equal(written[n], blend.tensor(n)) for n in written)
    assert json.loads((tmp_path / "wide/config.json").read_text())["dtype"] == "float32"
    untied = make("qwen3-untied", tmp_path / "untied", dtype=torch.bfloat16, delta_seed=1)
    blend = bind(Recipe(lam=0.5), Parents.open(Pair("x", str(half), str(untied), untie=True)))
    export_checkpoint(blend, tmp_path / "loose")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "loose", dtype=torch.bfloat16)
    assert torch.equal(loaded.lm_head.weight, blend.tensor("lm_head.weight"))
    assert "--untie --out DIR" in (tmp_path / "loose/README.md").read_text()
    assert not torch.equal(loaded.lm_head.weight, loaded.model.embed_tokens.weight)


@pytest.mark.parametrize(
    ("template", "lam", "whose"),
    [("own", 0.0, "instruct"), ("own", 0.3, "thinking"), ("instruct", 0.3, "instruct"), ("thinking", 0.0, "thinking")],
)
def test_tokenizer_and_template_follow_the_policy(template, lam, whose, tmp_path):
    pair = make_pair("qwen3", tmp_path, base=False)
    for role in ("instruct", "thinking"):
        make_tokenizer(tmp_path / role, template="{% for m in messages %}" + role + " {{ m.content }}{% endfor %}")
        (tmp_path / role / "modeling_evil.py").write_text("raise SystemExit")
    (tmp_path / "instruct/LICENSE").write_text("Apache")
    export_checkpoint(bind(Recipe(lam=lam, template=template), Parents.open(pair)), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == f"{whose} x"
    assert not list((tmp_path / "out").glob("*.py")) and (tmp_path / "out/LICENSE").read_text() == "Apache"


def test_the_card_says_how_to_make_it_again(tmp_path):
    pair = make_pair("qwen3", tmp_path)
    (tmp_path / "instruct/README.md").write_text("---\nlicense: apache-2.0\n---\n# Instruct")
    recipe = Recipe(method="ties", lam=0.5, scope=Scope("1-2"), params=(("density", 0.3),), template="thinking")
    blend = bind(recipe, Parents.open(pair))
    export_checkpoint(blend, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "apache-2.0" and "merge" in front["tags"] and front["library_name"] == "transformers"
    written = from_yaml(card.split("```yaml\n")[1].split("```")[0])
    assert written == replace(recipe, pair=pair.spec)
    command = card.split("Make it again:\n\n```\n")[1].split("\n")[0]
    assert command == export_command(written)
    config = yaml.safe_load(card.split("```yaml\n")[2].split("```")[0])
    assert config["merge_method"] == "ties" and recipe.hash in card
    export_checkpoint(bind(Recipe(method="topk_override"), Parents.open(pair)), tmp_path / "out2")
    assert "no mergekit equivalent" in (tmp_path / "out2/README.md").read_text()


MEASURE = """
import re, sys, torch
from mi_explorer.recipe import Recipe
from mi_explorer.merging.blend import bind
from mi_explorer.merging.export import export_checkpoint
from mi_explorer.checkpoints.parents import Parents
from mi_explorer.merging.distances import distances
from safetensors import safe_open
# not ru_maxrss: that of a child begins with its parent's
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
parents = Parents.open(sys.argv[1])
torch.lerp(torch.zeros(9), torch.ones(9), 0.5)
before = peak()
export_checkpoint(bind(Recipe(method=sys.argv[2], lam=0.4), parents), sys.argv[3])
distances(parents)
streamed = peak() - before
everything = [parents.block(r, n, 0, 10**9).float() for r in parents.roles for n in parents.names()]
print(streamed, peak() - before)
"""


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_peak_memory_does_not_grow_with_the_model(method, tmp_path):
    """Parents of 76 MB, one tensor of 66 MB, whose fp32 copies alone would be 131 MB each: within 150 MB of the process base."""
    for seed, role in enumerate(("instruct", "thinking", "base")):
        (tmp_path / role).mkdir()
        noise = torch.randn(1 << 16, generator=torch.Generator().manual_seed(seed)).bfloat16()
        sizes = {"vocab_size": 51200, "hidden_size": 640, "intermediate_size": 1024, "num_hidden_layers": 1}
        config = LlamaConfig(**sizes, num_attention_heads=10, num_key_value_heads=2, tie_word_embeddings=True)
        with torch.device("meta"):
            shapes = {name: p.shape for name, p in AutoModelForCausalLM.from_config(config).named_parameters()}
        tensors = {n: noise.repeat(-(-s.numel() // len(noise)))[: s.numel()].view(s) for n, s in shapes.items()}
        save_file(tensors, tmp_path / role / "model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(tmp_path / role)
    pair = Pair("big", *(str(tmp_path / role) for role in ("instruct", "thinking", "base")))
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, pair.spec, method, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    streamed, everything = map(float, run.stdout.split())
    assert streamed < 150 < everything  # the second figure shows that the measurement would notice
