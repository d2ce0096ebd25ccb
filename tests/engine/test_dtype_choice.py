"""In which dtype a pair runs where nobody says it: by size, by what is stored, by what this CPU is quick with."""

from types import SimpleNamespace

import pytest
import torch

from mi_explorer.engine import dtype_choice
from mi_explorer.engine.dtype_choice import DtypeError, bfloat16_gain, choose_dtype

TINY, SMALL, LARGE = 1_300_000, 135_000_000, 4_000_000_000


def parents(parameters, stored):
    """What `choose_dtype` reads of opened checkpoints: a matrix and an fp32 vector."""
    entries = {
        "matrix": SimpleNamespace(numel=parameters - 10, dtype=stored),
        "norm": SimpleNamespace(numel=10, dtype=torch.float32),
    }
    return SimpleNamespace(loaded=list(entries), entry=lambda _parent, name: entries[name])


@pytest.mark.parametrize(
    "parameters, stored, device, gain, want",
    [
        (TINY, torch.bfloat16, "cpu", 4.0, torch.float32),
        (SMALL, torch.bfloat16, "cpu", 4.0, torch.bfloat16),
        (SMALL, torch.bfloat16, "cpu", 1.2, torch.float32),
        (SMALL, torch.float32, "cpu", 4.0, torch.float32),
        (SMALL, torch.float16, "cpu", 4.0, torch.float32),
        (LARGE, torch.bfloat16, "cpu", 0.5, torch.bfloat16),
        (TINY, torch.bfloat16, "cuda", 0.5, torch.bfloat16),
    ],
)
def test_the_default_follows_size_and_what_the_cpu_is_quick_with(monkeypatch, parameters, stored, device, gain, want):
    monkeypatch.setattr(dtype_choice, "bfloat16_gain", lambda: gain)
    assert choose_dtype(None, device, parents(parameters, stored)) == want


def test_what_is_asked_for_is_taken(monkeypatch):
    pair = parents(SMALL, torch.bfloat16)
    assert choose_dtype("float16", "cpu", pair) == choose_dtype(torch.float16, "cpu", pair) == torch.float16
    with pytest.raises(DtypeError, match="bfloat16"):
        choose_dtype("int4", "cpu", pair)


def test_the_gain_is_a_ratio_of_times():
    assert 0.01 < bfloat16_gain() < 100 and bfloat16_gain() == bfloat16_gain()
