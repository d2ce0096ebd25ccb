"""The table of memory says what the engine's budget asks for."""

import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3Config

from mi_explorer.engine.backends import DEFAULT_CONTEXT
from mi_explorer.engine.memory import USABLE_SHARE, NotEnoughMemory, plan_memory

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.findall(
    r"^\| (Qwen3-[\d.]+B) \|(.+)\|$", (ROOT / "docs" / "add-a-pair.md").read_text(encoding="utf-8"), re.MULTILINE
)
SHAPES = {  # hidden, inner, layers, heads, tied: as their configs have them
    "Qwen3-0.6B": (1024, 3072, 28, 16, True),
    "Qwen3-1.7B": (2048, 6144, 28, 16, True),
    "Qwen3-4B": (2560, 9728, 36, 32, True),
    "Qwen3-8B": (4096, 12288, 36, 32, False),
    "Qwen3-14B": (5120, 17408, 40, 40, False),
}


def test_every_size_is_there():
    assert [name for name, _ in TABLE] == list(SHAPES)


@pytest.mark.parametrize(("name", "cells"), TABLE)
def test_the_table_is_the_budget(name, cells):
    weights, cache, folded, rowwise = (float(cell.replace("GB", "")) * 1e9 for cell in cells.split("|"))
    hidden, inner, layers, heads, tied = SHAPES[name]
    config = Qwen3Config(vocab_size=151_936, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads,
                         num_key_value_heads=8, head_dim=128, tie_word_embeddings=tied)  # fmt: skip
    with torch.device("meta"):
        size = 2 * sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    position = layers * 2 * 8 * 128 * 2
    assert weights == pytest.approx(size, abs=0.06e9) and cache == pytest.approx(1000 * position, rel=0.01)

    def given(free: float):
        return plan_memory(size, position, 64, DEFAULT_CONTEXT, torch.device("cpu"), budget=int(free * USABLE_SHARE))

    assert (
        not given(folded + 0.06e9).rowwise and given(rowwise + 0.06e9).rowwise and not given(rowwise - 0.06e9).rowwise
    )
    with pytest.raises(NotEnoughMemory):
        given(folded - 0.06e9)
