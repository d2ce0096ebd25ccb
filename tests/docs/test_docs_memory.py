"""The table of memory says what the engine's budget asks for."""

import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3Config

from mi_explorer.engine.backends import DEFAULT_CONTEXT
from mi_explorer.engine.memory import USABLE_GPU_SHARE, pair_sizes
from mi_explorer.engine.memory_plan import NotEnoughMemory, plan_memory

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
    weights, cache, folded, whole, rowwise = (float(cell.replace("GB", "")) * 1e9 for cell in cells.split("|"))
    hidden, inner, layers, heads, tied = SHAPES[name]
    config = Qwen3Config(vocab_size=151_936, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
                         num_key_value_heads=8, head_dim=128, tie_word_embeddings=tied, max_position_embeddings=262_144)  # fmt: skip
    with torch.device("meta"):
        parameters = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    position = layers * 2 * 8 * 128 * 2
    assert weights == pytest.approx(2 * parameters, abs=0.06e9) and cache == pytest.approx(1000 * position, rel=0.01)
    sizes = pair_sizes(config, parameters, 2)

    def given(free: float):
        return plan_memory(sizes, int(free * USABLE_GPU_SHARE), 64, DEFAULT_CONTEXT)

    near = 0.06e9
    assert given(folded + near).mode == "folded" and given(folded + near).context < DEFAULT_CONTEXT
    assert given(whole + near).context > 32_768 >= given(whole - near).context
    assert given(rowwise + near).mode == "rowwise" and given(rowwise - near).mode == "folded"
    with pytest.raises(NotEnoughMemory):
        given(folded - near)
