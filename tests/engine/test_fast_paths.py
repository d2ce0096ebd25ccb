"""Fast paths are used only where they give the plain path's numbers and are quicker; paged attention on its documented contract."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mi_explorer.engine import Engine, ResidentPair, backends, fast_paths, memory_plan
from mi_explorer.engine.events import Request
from mi_explorer.engine.fast_paths import check_path
from mi_explorer.engine.native import paged_attention
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run

CPU = torch.device("cpu")
LAMS = (0.0, 0.4, 1.0)


def one():
    return torch.ones(3)


@pytest.mark.parametrize(
    ("fast", "times", "used", "why"),
    [
        (one, (2.0, 1.0), True, "and faster"),
        (one, (1.0, 2.0), False, "not faster"),
        (lambda: torch.full((3,), 1.2), (2.0, 1.0), False, "differ by 2.0e-01"),
        (lambda: torch.full((3,), float("nan")), (2.0, 1.0), False, "differ"),
        (lambda: torch.ones(4), (2.0, 1.0), False, "shape"),
        (lambda: 1 / 0, (2.0, 1.0), False, "ZeroDivisionError"),
    ],
)
def test_a_path_is_used_only_if_it_is_right_and_faster(monkeypatch, fast, times, used, why):
    clock = itertools.cycle(times)
    monkeypatch.setattr(fast_paths, "_seconds", lambda path, device: next(clock))
    check = check_path("a path", one, fast, 1e-3, CPU)
    assert check.used is used and why in check.why


def reference(q, k, v, starts, ends, max_q, max_k, *, scale, enable_gqa, seqused_k, block_table):
    """`varlen_attn` as its documentation has it: pages [blocks, block, heads, dim], one query a sequence."""
    assert (starts.tolist(), ends, max_q, enable_gqa) == (list(range(len(q) + 1)), None, 1, True)
    assert seqused_k.dtype == block_table.dtype == torch.int32 and int(seqused_k.max()) <= max_k
    out = torch.empty_like(q)
    for i, (pages, used) in enumerate(zip(block_table.long(), seqused_k.tolist())):
        keys, values = (side[pages].flatten(0, 1)[:used].transpose(0, 1) for side in (k, v))
        out[i] = F.scaled_dot_product_attention(q[i][:, None], keys, values, scale=scale, enable_gqa=True)[:, 0]
    return out


@pytest.fixture
def kernel(monkeypatch):
    """A CPU that has the kernel, and has it quicker than the plain way."""
    clock = itertools.cycle((2.0, 1.0))
    monkeypatch.setattr(fast_paths, "_seconds", lambda path, device: next(clock))
    monkeypatch.setattr(paged_attention, "PAGED_DEVICES", ("cpu",))
    monkeypatch.setattr(memory_plan, "BLOCK_TOKENS", 8)
    return lambda function: monkeypatch.setattr(paged_attention.varlen, "varlen_attn", function)


@pytest.mark.parametrize("only", ["rowwise", "fold"])
@pytest.mark.parametrize("scattered", [False, True])
def test_paged_attention_gives_the_tokens_of_the_plain_way(labs, kernel, monkeypatch, only, scattered):
    from dataclasses import replace

    lab = labs("qwen3")
    kernel(reference)
    plan = backends.plan_pair
    if scattered:
        monkeypatch.setattr(backends, "plan_pair", lambda *args: replace(plan(*args), blocks=30))
    asked = [Request(str(lam), prompt(7 + 9 * i), lab.recipe(lam), greedy(30)) for i, lam in enumerate(LAMS)]
    with Engine(ResidentPair.load(lab.pair), max_rows=4, max_context=80, only=only, costs=CHEAP_ROWS) as engine:
        assert engine.backend.decoder.paged and "paged attention: used" in engine.status().paths[0]
        assert run(engine, asked) == {r.id: lab.generate(float(r.id), r.prompt, 30) for r in asked}


def test_a_kernel_that_is_wrong_or_missing_is_not_used(labs, kernel):
    lab = labs("qwen3")
    kernel(lambda *args, **more: 1.1 * reference(*args, **more))
    with Engine(ResidentPair.load(lab.pair), max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine:
        assert not engine.backend.decoder.paged and "differ" in engine.status().paths[0]
    kernel(None)
    with Engine(ResidentPair.load(lab.pair), max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine:
        assert not engine.backend.decoder.paged and "does not run here" in engine.status().paths[0]
