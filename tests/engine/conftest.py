"""What a request gives when it runs alone; a machine with a kernel that is not here."""

import itertools

import pytest

from mi_explorer.engine import Engine, fast_paths, memory_plan
from mi_explorer.engine.events import Request
from mi_explorer.engine.native import paged_attention
from tests.engine.asking import PROMPTS
from tests.engine.lab import CHEAP_ROWS, run


@pytest.fixture(scope="module")
def solo(labs):
    """(λ, prompt number, decoding) → tokens of the request run alone, by an engine of its own."""
    lab, known = labs("qwen3"), {}

    def tokens(lam, which, decoding):
        key = lam, which, decoding
        if key not in known:
            with Engine(lab.resident, max_rows=2, max_context=128, costs=CHEAP_ROWS) as engine:
                known[key] = run(engine, [Request("x", PROMPTS[which], lab.recipe(lam), decoding)])["x"]
        return known[key]

    return tokens


@pytest.fixture
def kernel(monkeypatch):
    """A CPU that has the kernel, and has it quicker than the plain way."""
    clock = itertools.cycle((2.0, 1.0))
    monkeypatch.setattr(fast_paths, "path_seconds", lambda path, device: next(clock))
    monkeypatch.setattr(paged_attention, "PAGED_DEVICES", ("cpu",))
    monkeypatch.setattr(memory_plan, "BLOCK_TOKENS", 8)
    return lambda function: monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", function)
