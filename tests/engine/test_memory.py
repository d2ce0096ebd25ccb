"""The memory plan: granted in the order of need, kept to, or refused."""

import pytest
import torch

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.memory import NotEnoughMemory, plan_memory
from tests.engine.lab import CHEAP_ROWS

CPU = torch.device("cpu")


def test_memory_is_granted_in_the_order_of_need():
    giga = 10**9
    full = plan_memory(2 * giga, 100_000, 64, 32_768, CPU, budget=500 * giga)
    assert (full.rowwise, full.rows, full.context, full.notes) == (True, 64, 32_768, ())
    tight = plan_memory(2 * giga, 100_000, 64, 32_768, CPU, budget=10 * giga)
    assert tight.rowwise and tight.rows >= 8 and tight.context < 32_768
    assert tight.slots * tight.context * 100_000 * 1.5 + 3 * 2 * giga <= 10 * giga
    assert any("Context capped" in n for n in tight.notes) and any("Rows capped" in n for n in tight.notes)
    folded = plan_memory(2 * giga, 100_000, 64, 32_768, CPU, budget=5 * giga)
    assert not folded.rowwise and "7.6 GB" in folded.why_folded and "5.0 GB" in folded.why_folded
    with pytest.raises(NotEnoughMemory, match=r"2\.0 GB.*1\.0 GB"):
        plan_memory(2 * giga, 100_000, 64, 32_768, CPU, budget=giga)


def test_an_engine_keeps_to_its_memory_or_refuses(labs):
    lab = labs("qwen3")
    need = lab.resident.weight_bytes
    with pytest.raises(NotEnoughMemory):
        Engine(ResidentPair.load(lab.pair), memory=need // 2)
    with Engine(ResidentPair.load(lab.pair), max_rows=64, memory=3 * need + 1_500_000, costs=CHEAP_ROWS) as engine:
        status = engine.status()
        assert status.max_rows < 64 and "Rows capped" in status.notes[-1]
        engine.backend.cache.reserve(status.context)
        assert engine.backend.cache.kv.nbytes <= 1_500_000
