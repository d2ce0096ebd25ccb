"""Pairs that are unusual and right: what is kept, compared and exported of them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from mi_explorer.checkpoints.headers import TensorEntry
from mi_explorer.checkpoints.model_tensors import any_model, plain_decoder, plain_shapes
from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.library import export, strip
from mi_explorer.merging.distances import distances
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.workbench import Workbench
from tests.checkpoints import oddities
from tests.checkpoints.conftest import ROLES
from tests.checkpoints.families import make_checkpoint, qwen2_5_vl
from tests.checkpoints.oddities import (
    ACCEPTED,
    EMBEDDING,
    HEAD,
    REFUSED,
    tensors_edit,
)
from tests.checkpoints.ways_in import outcomes
from tests.fixtures import SIZES, make, make_tokenizer

END = 2  # the tokenizer's end of a turn


def plain(folder: Path, ids: list[int]) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("who", ["instruct", "thinking", "both"])
def test_another_head_under_a_tied_config_survives(who, fresh):
    """λ = 0 and 1 are the parents as `transformers` reads them, and so is an export of them when it is read back."""
    pair = fresh()
    for role in ROLES if who == "both" else (who,):
        tensors_edit(oddities.other_head)(Path(getattr(pair, role)))
    ids, out = [5, 9, 33, 60], Path(pair.instruct).parent
    for lam, parent in ((0, pair.instruct), (1, pair.thinking)):
        export(Recipe(pair.name, lam=lam), out / f"out{lam}", pair)
        assert torch.equal(plain(out / f"out{lam}", ids), plain(parent, ids))
    export(Recipe(pair.name, lam=0.5), out / "half", pair)
    assert json.loads((out / "half" / "config.json").read_text())["tie_word_embeddings"] is False
    with Workbench.open(pair, max_rows=2, max_context=48) as bench:
        shots = strip("Hi", Recipe(pair.name), lams=(0, 0.5, 1), decoding=Decoding(temperature=0, cap=1), bench=bench)
    for shot, folder in zip(shots, (pair.instruct, out / "half", pair.thinking)):
        first = int(plain(folder, list(shot.prompt_ids))[-1].argmax())
        assert list(shot.ids) in ([first], [] if first == END else [first])


def test_what_the_model_does_not_load_is_kept_and_not_compared(fresh):
    pair = fresh()
    for i, folder in enumerate((pair.instruct, pair.thinking)):
        oddities.next_token_layer(Path(folder))
        oddities.add(mtp__norm__weight=torch.full((4,), float(i)))(Path(folder))
    oddities.add(model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(4))(Path(pair.instruct))
    judged = preflight(pair)
    assert judged.facts["layers"] == 2 and {f.topic for f in judged.findings} == {"ignored"}
    parents = Parents.open(pair)
    assert parents.layers == 2 and {d.layer for d in distances(parents).tensors} <= {None, 0, 1}
    assert not any("mtp" in d.name or "layers.2" in d.name for d in distances(parents).tensors)
    out = Path(pair.instruct).parent / "out"
    export(Recipe(pair.name, lam=0.5), out, pair)
    one, made = (load_file(folder / "model.safetensors") for folder in (Path(pair.instruct), out))
    assert made.keys() == one.keys()
    ignored = [n for n in one if "mtp" in n or "layers.2" in n or "inv_freq" in n]
    assert all(torch.equal(made[n], one[n]) for n in ignored) and not torch.equal(made[EMBEDDING], one[EMBEDDING])


def test_the_whole_file_counts_and_not_the_shards_of_an_older_save(fresh):
    pair = fresh()
    oddities.older_shards(Path(pair.thinking))
    theirs = AutoModelForCausalLM.from_pretrained(pair.thinking, dtype=torch.float32).state_dict()
    assert torch.equal(Parents.open(pair).tensor("thinking", EMBEDDING), theirs[EMBEDDING])


def test_yarn_in_one_parent_is_no_small_matter(fresh):
    pair = fresh()
    ACCEPTED["YaRN"](Path(pair.thinking))
    notes = [f.text() for f in preflight(pair).findings]
    assert any("every position" in text for text in notes) and not any("short contexts" in text for text in notes)


def test_a_left_over_quantisation_is_not_exported(fresh):
    pair = fresh("qwen3-moe")
    for folder in (pair.instruct, pair.thinking):
        ACCEPTED["quantisation left in the config"](Path(folder))
    out = Path(pair.instruct).parent / "out"
    export(Recipe(pair.name, lam=0.5), out, pair)
    assert "quantization_config" not in json.loads((out / "config.json").read_text())
    assert plain(out, [1, 2, 3]).isfinite().all()


def test_a_missing_head_is_named(fresh):
    pair = fresh()
    REFUSED["untied without a head"](Path(pair.thinking))
    assert any(HEAD in f.what for f in preflight(pair).findings if f.level == "refused")


def test_a_base_as_backbone_may_have_another_config(fresh):
    """The published bases have another rope_theta; `PAIR@base` runs them on purpose, and says so."""
    pair = fresh()
    REFUSED["another rope_theta"](Path(pair.instruct))
    assert not preflight(pair).ok
    backbone = replace(pair, name="odd@base")
    found = outcomes(backbone)
    assert all(found.values()) and any("rope_theta" in f.what for f in preflight(backbone).findings)


def test_gpt2_as_it_was_published(tmp_path):
    """No prefix before the names, and the masks of the attention stored as tensors."""
    config = GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=96, bos_token_id=0, eos_token_id=2)

    def published(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        for i in range(2):
            tensors[f"h.{i}.attn.bias"] = torch.ones(1, 1, 64, 64)
            tensors[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)

    for seed, role in enumerate(ROLES, 1):
        tensors_edit(published)(make_checkpoint(config, tmp_path / role, seed))
    pair = Pair("gpt2", *(str(tmp_path / role) for role in ROLES))
    found = outcomes(pair)
    assert all(found.values()) and preflight(pair).facts["layers"] == 2
    one, made = (load_file(tmp_path / folder / "model.safetensors") for folder in ("instruct", "out"))
    assert made.keys() == one.keys() and torch.equal(made["h.0.attn.bias"], one["h.0.attn.bias"])


def test_qwen2_5_vl_as_it_was_published(tmp_path):
    """Its files are older than the library's names for its parts (`visual.`, `model.layers.`)."""

    def published(tensors):
        for name in list(tensors):
            old = name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")
            tensors[old] = tensors.pop(name)

    for seed, role in enumerate(ROLES, 1):
        tensors_edit(published)(make_checkpoint(qwen2_5_vl(), tmp_path / role, seed))
    pair = Pair("vl", *(str(tmp_path / role) for role in ROLES))
    found = outcomes(pair)
    assert all(found.values())
    one, two, made = (load_file(tmp_path / f / "model.safetensors") for f in (*ROLES, "out"))
    assert "visual.blocks.0.norm1.weight" in made and "model.norm.weight" in made and made.keys() == one.keys()
    for name in made:
        middle = torch.lerp(one[name].float(), two[name].float(), 0.5).to(one[name].dtype)
        assert torch.equal(made[name], one[name] if name.startswith("visual.") else middle)


def test_one_parent_with_other_names(fresh):
    """The same tensors under other names meet by their place in the model; the export has Instruct's names."""
    pair = fresh("qwen3-moe")
    reference = Path(pair.instruct).parent / "reference"
    export(Recipe(pair.name, lam=0.5), reference, pair)
    ACCEPTED["names without a prefix"](Path(pair.thinking))
    out = Path(pair.instruct).parent / "out"
    export(Recipe(pair.name, lam=0.5), out, pair)
    one, two = (load_file(folder / "model.safetensors") for folder in (reference, out))
    assert one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)


@pytest.mark.parametrize(
    "config",
    [
        Qwen2Config(**SIZES, tie_word_embeddings=True),
        Qwen3Config(**SIZES, head_dim=16, attention_bias=True, tie_word_embeddings=False),
        LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
        MistralConfig(**SIZES, tie_word_embeddings=True),
    ],
    ids=lambda config: config.model_type,
)
def test_the_usual_decoders_are_known_by_heart(config):
    """Names and shapes without the library's model code are those of its model, and so is what both make of a checkpoint."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert plain_shapes(config) == {name: tuple(p.shape) for name, p in model.state_dict().items()}
    shapes = {n: s for n, s in plain_shapes(config).items() if n != HEAD or not config.tie_word_embeddings}
    entries = {n: TensorEntry(n, "x", "F32", s, 0, 0) for n, s in (shapes | {"mtp.x": (2, 2)}).items()}
    raw = json.loads(config.to_json_string(use_diff=False))
    assert plain_decoder(raw, entries) == any_model(raw, entries)


def test_a_tokenizer_with_more_tokens_than_rows(fresh):
    """Refused where a prompt can hold such a token; an added token that nothing uses (a pad token, say) is a note."""
    pair = fresh()
    make_tokenizer(Path(pair.instruct), vocab=97, extra=("<pad>",))
    assert {f.level for f in preflight(pair).findings if "without a row" in f.what} == {"note"}
    found = outcomes(pair)
    assert all(found.values())
    make_tokenizer(Path(pair.instruct), vocab=97, extra=("<pad>",), template="<pad>{{ messages[0].content }}")
    found = outcomes(pair)
    assert not any(found.values())
    small = fresh()
    for seed, role in enumerate(ROLES, 1):
        shutil.rmtree(getattr(small, role))
        make_tokenizer(make("qwen3", Path(getattr(small, role)), delta_seed=seed, num_hidden_layers=2, vocab_size=40))
    found = outcomes(small)
    assert not any(found.values())
