"""Pairs to be made odd, and bases for adapters."""

import shutil

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mi_explorer.pairs import Pair
from tests.fixtures import make, make_tokenizer

ROLES = ("instruct", "thinking")


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """kind → folder with instruct and thinking, to be copied; tied (the decoder we run ourselves), and mixed experts (transformers)."""
    found = {}
    for kind in ("qwen3", "qwen3-moe"):
        found[kind] = tmp_path_factory.mktemp(kind)
        for seed, role in enumerate(ROLES, 1):
            make_tokenizer(make(kind, found[kind] / role, delta_seed=seed, num_hidden_layers=2))
    return found


@pytest.fixture
def fresh(originals, tmp_path):
    """A new copy of a pair, and its `Pair`."""
    count = iter(range(1000))

    def copy(kind="qwen3"):
        folder = tmp_path / f"pair{next(count)}"
        shutil.copytree(originals[kind], folder)
        return Pair("odd", *(str(folder / role) for role in ROLES))

    return copy


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A model whose layers are stored as [in, out], one of them square."""
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=96, n_positions=64, n_embd=32, n_layer=2, n_head=4))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.15)
    folder = tmp_path_factory.mktemp("gpt2") / "base"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def untied(tmp_path_factory):
    return make("llama", tmp_path_factory.mktemp("untied") / "base")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = make("qwen2", tmp_path_factory.mktemp("lora") / "instruct")
    return make_tokenizer(folder)
