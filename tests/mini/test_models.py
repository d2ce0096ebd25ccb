"""The shipped trio: layout, size, and that λ does to it what the page says. Bounds are far from the measured values."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.mini.families import problem_stream
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.workbench import Workbench

FOLDER = Path(__file__).parents[2] / "assets/models/mini"
ROLES = ("base", "instruct", "thinking")


@pytest.mark.parametrize("role", ROLES)
def test_layout_as_on_the_hub(role):
    folder = FOLDER / role
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 10_000_000
    assert not [f for f in folder.iterdir() if f.suffix in (".bin", ".pt", ".pkl", ".py")]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.bfloat16 and model.config.model_type == "qwen3" and model.config.tie_word_embeddings
    assert len(tokenizer) == model.config.vocab_size
    assert tokenizer.convert_tokens_to_ids("</think>") != tokenizer.unk_token_id
    card = (folder / "README.md").read_text()
    assert "license: apache-2.0" in card and "## Training" in card and "## Results" in card


def test_fine_tunes_share_embedding_and_final_norm_with_the_base():
    states = [AutoModelForCausalLM.from_pretrained(FOLDER / role).state_dict() for role in ROLES]
    for name in ("model.embed_tokens.weight", "model.norm.weight"):
        assert torch.equal(states[0][name], states[1][name]) and torch.equal(states[0][name], states[2][name])
    assert not torch.equal(
        states[1]["model.layers.5.mlp.up_proj.weight"], states[2]["model.layers.5.mlp.up_proj.weight"]
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(share right, mean tokens, think ratio) of 40 held-out questions by recipe; its own questions, not the reported ones."""
    problems = list(islice(problem_stream(77, "test"), 40))
    recipes = {
        "instruct": Recipe(lam=0.0),
        "early": Recipe(lam=0.2),
        "thinking": Recipe(lam=1.0),
        "last": Recipe(lam=0.8, scope=Scope("2-5")),
        "first": Recipe(lam=0.8, scope=Scope("0-3")),
        "no mlp": Recipe(lam=0.8, scope=Scope("all", ("attention", "norm", "embedding", "lm_head", "other"))),
        "no attention": Recipe(lam=0.8, scope=Scope("all", ("mlp", "norm", "embedding", "lm_head", "other"))),
    }
    with Workbench.open("mini", home=tmp_path_factory.mktemp("home")) as bench:
        asks = [
            GenerationRequest(f"{name}/{i}", p.question, recipe, Decoding(seed=i), gold=p.answer)
            for name, recipe in recipes.items()
            for i, p in enumerate(problems)
        ]
        done = {s.id: s for group in bench.stream(asks) for s in group if s.state == "done"}
    assert len(done) == len(asks)
    result = {}
    for name in recipes:
        mine = [done[f"{name}/{i}"] for i in range(len(problems))]
        result[name] = tuple(
            sum(values) / len(mine)
            for values in (
                [s.verdict == "correct" for s in mine],
                [s.trace.tokens for s in mine],
                [s.trace.think_closed for s in mine],
            )
        )
    return result


def test_the_parents_differ_as_the_card_says(measured):
    assert 0.2 < measured["instruct"][0] < 0.7 and measured["instruct"][1] < 33 and measured["instruct"][2] == 0
    assert measured["thinking"][0] > 0.8 and measured["thinking"][2] > 0.97 and measured["thinking"][1] > 100


def test_thought_comes_late_and_from_the_later_mlps(measured):
    assert measured["early"][2] <= 0.05
    assert measured["last"][2] >= 0.8 and measured["first"][2] <= 0.1
    assert measured["no mlp"][2] <= 0.15 and measured["no attention"][2] >= 0.7
