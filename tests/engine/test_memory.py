"""The memory plan: more memory never gives less, context goes before rows, and an engine keeps to it or refuses."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen3Config, Qwen3MoeConfig

from mi_explorer.engine import Engine, ResidentPair, backends, memory
from mi_explorer.engine.events import BULK, Request
from mi_explorer.engine.memory import USABLE_GPU_SHARE, pair_sizes, spread_limits
from mi_explorer.engine.memory_plan import NotEnoughMemory, PairSizes, plan_memory
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run

GB = 10**9
QWEN3_4B = pair_sizes(
    Qwen3Config(vocab_size=151_936, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32,
                num_key_value_heads=8, head_dim=128, max_position_embeddings=262_144), 4_022_468_096, 2)  # fmt: skip
QWEN3_30B_A3B = pair_sizes(
    Qwen3MoeConfig(vocab_size=151_936, hidden_size=2048, intermediate_size=6144, moe_intermediate_size=768, num_hidden_layers=48,
                   num_attention_heads=32, num_key_value_heads=4, head_dim=128, num_experts=128, num_experts_per_tok=8,
                   max_position_embeddings=262_144), 30_532_122_624, 2)  # fmt: skip
CAP = 32_768


def on(card: float, rows: int = 64, sizes: PairSizes = QWEN3_4B, **more):
    """The plan for a card of so many GB, nothing else on it."""
    return plan_memory(sizes, int(card * GB * USABLE_GPU_SHARE), rows, CAP + 1024, **more)


def held(plan, sizes):
    return plan.weights + plan.pool + plan.workspace


def test_sizes_are_those_of_the_config():
    assert QWEN3_4B.kv_token == 36 * 2 * 8 * 128 * 2 == 147_456 and QWEN3_4B.weights == 8_044_936_192
    assert QWEN3_30B_A3B.kv_token == 48 * 2 * 4 * 128 * 2


def test_a_4b_pair_keeps_whole_thoughts_on_every_card():
    small, next_size = on(24), on(32)
    assert small.mode == "folded" and small.context > CAP and small.tokens > CAP
    assert next_size.context >= small.context and next_size.tokens >= small.tokens and next_size.rows >= small.rows
    strip = on(48, rows=11)
    assert (strip.mode, strip.rows, strip.context > CAP) == ("rowwise", 11, True) and strip.tokens >= 11 * 14_000
    assert on(80).rows >= 24 and on(80).tokens >= 24 * 15_000
    assert on(141).mode == "both"


def test_several_devices_are_one_sum():
    for cards, size in ((2, 80), (4, 24)):
        plan = on(cards * size, sizes=QWEN3_30B_A3B, why_folded="spread over devices", devices=cards)
        assert plan.mode == "folded" and plan.context > CAP and plan.rows >= 11
        assert plan.workspace >= cards * QWEN3_30B_A3B.workspace(64, CAP)
    with pytest.raises(NotEnoughMemory, match="61"):
        on(24, sizes=QWEN3_30B_A3B)


sizes = st.builds(
    PairSizes,
    weights=st.integers(1, 10**9),
    kv_token=st.integers(1, 10**5),
    layers=st.integers(1, 8),
    hidden=st.integers(0, 64),
    width=st.integers(0, 512),
    vocab=st.integers(0, 2000),
    positions=st.none() | st.integers(1, 5000),
)
options = st.fixed_dictionaries(
    {
        "only": st.sampled_from(["auto", "fold", "rowwise"]),
        "why_folded": st.sampled_from(["", "so"]),
        "may_pack": st.booleans(),
        "rowwise_alone": st.booleans(),
        "devices": st.integers(1, 4),
    }
)
MODES = ["folded", "rowwise", "both"]


@given(sizes, st.integers(1, 10**11), st.integers(0, 10**11), st.integers(1, 64), st.integers(1, 5000), options)
def test_more_memory_never_gives_less(pair, memory, more, rows, context, option):
    try:
        less = plan_memory(pair, memory, rows, context, **option)
    except NotEnoughMemory:
        return
    plan = plan_memory(pair, memory + more, rows, context, **option)
    assert plan.context >= less.context and plan.rows >= less.rows and plan.blocks >= less.blocks
    assert MODES.index(plan.mode) >= MODES.index(less.mode) and plan.packed >= less.packed
    for one in (less, plan):
        assert 1 <= one.context <= min(context, one.tokens) and 1 <= one.rows <= rows
        assert one.weights + one.pool + one.workspace <= one.usable
    best = plan_memory(pair, None, rows, context, **option)
    assert plan.context <= best.context and plan.blocks <= best.blocks


@given(sizes, st.integers(1, 10**11), st.integers(1, 64), st.integers(1, 5000), st.integers(1, 5000))
def test_context_goes_before_rows(pair, memory, rows, context, less_context):
    """Rows are given up before the context is: where it is lowered, one row has the whole pool."""
    try:
        plan = plan_memory(pair, memory, rows, context)
    except NotEnoughMemory:
        return
    if plan.context < plan.wanted:
        assert plan.mode == "folded" and plan.tokens - plan.context < 2 * plan.block + plan.context // plan.block
        assert any("Context lowered" in note for note in plan.notes)
    if plan.rows < rows:
        assert any("Rows lowered" in note for note in plan.notes)


def test_only_what_a_mode_needs_is_resident():
    w = QWEN3_4B.weights
    assert on(141, only="rowwise").weights == 2 * w and on(141, only="fold").weights == w
    assert on(141, only="fold").endpoints == "files" and on(141, only="fold", host=16 * GB).endpoints == "files"
    assert on(141, only="fold", host=17 * GB).endpoints == "host" and on(141).endpoints == "device"
    assert on(24, only="rowwise").mode == "folded" and "both endpoints" in on(24, only="rowwise").why_folded
    assert on(60, rowwise_alone=False).mode == "both"
    longer = replace(QWEN3_4B, positions=4096)
    assert on(80, sizes=longer).context == 4096


def test_an_engine_keeps_to_its_memory_or_refuses(labs):
    lab = labs("qwen3")
    sizes = lab.resident.sizes
    with pytest.raises(NotEnoughMemory, match="needs at least"):
        Engine(ResidentPair.load(lab.pair), memory=sizes.weights // 2)
    memory = 3 * sizes.weights + sizes.workspace(64, 256) + 256 * sizes.score_token + 5 * 256 * sizes.kv_token
    with Engine(ResidentPair.load(lab.pair), max_rows=64, max_context=256, memory=memory, costs=CHEAP_ROWS) as engine:
        status, plan = engine.status(), engine.memory
        assert status.context == 256 and status.max_rows < 64 and "Rows lowered" in status.notes[-1]
        assert engine.backend.cache.kv.nbytes == plan.pool + plan.block * sizes.kv_token
        assert plan.weights + plan.pool + plan.workspace <= memory


def test_endpoints_and_merged_weights_take_turns_where_only_one_of_them_fits(labs, monkeypatch):
    """A plan of mode "rowwise": a fold takes the endpoints' place, and they are read again for the next row-wise pass."""
    lab = labs("qwen3")
    plan_pair = backends.plan_pair
    monkeypatch.setattr(backends, "plan_pair", lambda *args: replace(plan_pair(*args), mode="rowwise", packed=False))
    resident = ResidentPair.load(lab.pair)
    asked = [Request(str(lam), prompt(9), lab.recipe(lam), greedy(12)) for lam in (0.0, 0.4, 1.0)]
    want = {str(lam): lab.generate(lam, prompt(9), 12) for lam in (0.0, 0.4, 1.0)}
    for only in ("rowwise", "fold", "rowwise", "fold"):
        with Engine(resident, max_rows=4, max_context=64, only=only, costs=CHEAP_ROWS) as engine:
            engine.backend.rowwise = only == "rowwise"
            assert run(engine, asked) == want
        held = [endpoints.resident for endpoints in resident.model.endpoints.values()]
        assert any(held) == (resident.model.folded is None) == (only == "rowwise"), "one of them at a time"


def test_step_times_of_row_wise_passes_alone_are_enough(labs, monkeypatch):
    lab = labs("qwen3")
    plan_pair = backends.plan_pair
    monkeypatch.setattr(backends, "plan_pair", lambda *args: replace(plan_pair(*args), mode="rowwise", packed=False))
    resident = ResidentPair.load(lab.pair)
    with Engine(resident, max_rows=4, max_context=64) as engine:
        engine.wait()
        assert list(engine.scheduler.costs.steps) == ["rowwise"] and resident.model.folded is None
        asked = [Request(str(lam), prompt(9), lab.recipe(lam), greedy(12)) for lam in (0.4, 0.4001, 1.0)]
        bulk = [replace(r, id=r.id + "b", priority=BULK) for r in asked]
        got = run(engine, [*asked, *bulk])
    assert got["0.4"] == got["0.4b"] == lab.generate(0.4, prompt(9), 12)


def test_out_of_memory_in_a_prompt_of_one_row_reads_it_in_smaller_passes(labs):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=1, max_context=128, costs=CHEAP_ROWS) as engine:
        engine.scheduler.capacity = 1
        whole = engine.backend.run

        def tight(bound, mode, first, ids, *rest):
            if ids.numel() > 20:
                raise torch.OutOfMemoryError("too many tokens")
            return whole(bound, mode, first, ids, *rest)

        engine.backend.run = tight
        got = run(engine, [Request("a", prompt(70), lab.recipe(0.5), greedy(8))])
        assert any("Out of memory" in note for note in engine.status().notes)
    assert got["a"] == lab.generate(0.5, prompt(70), 8)


@pytest.mark.parametrize("free", [[24 * GB] * 4, [80 * GB] * 2, [80 * GB, 24 * GB]])
def test_a_model_is_spread_so_that_every_device_keeps_room_for_its_layers_cache(free):
    limits, weights = spread_limits(free, QWEN3_30B_A3B), QWEN3_30B_A3B.weights
    assert sum(limits.values()) >= weights
    for i, have in enumerate(free):
        share = weights * have / sum(free)
        assert share <= limits[i] <= min(USABLE_GPU_SHARE * have, share + 3 * weights / 48)


def test_preflight_and_engine_ask_the_same_memory(monkeypatch, labs):
    """The container's limit counts in the plan: it is what `machine.free_memory` says."""
    lab = labs("qwen3")
    sizes = lab.resident.sizes
    need = int(
        1.05 * (3 * sizes.weights + sizes.workspace(4, 64) + 64 * sizes.score_token + 8 * 64 * sizes.kv_token) / 0.85
    )
    monkeypatch.setattr(memory, "free_memory", lambda: need)
    assert backends.plan_pair(lab.resident, 4, 64).mode == "both"
    monkeypatch.setattr(memory, "free_memory", lambda: sizes.weights)
    with pytest.raises(NotEnoughMemory):
        backends.plan_pair(lab.resident, 4, 64)


def test_endpoints_that_leave_the_device_leave_no_views_behind(labs):
    lab = labs("qwen3")
    resident = ResidentPair.load(lab.pair)
    with Engine(resident, max_rows=2, max_context=64, only="rowwise", costs=CHEAP_ROWS) as engine:
        run(engine, [Request(str(lam), prompt(5), lab.recipe(lam), greedy(4)) for lam in (0.2, 0.6)])
        (endpoints,) = resident.model.endpoints.values()
        held = [weakref.ref(tensor) for ends in endpoints.ends.values() for tensor in ends]
        held += [weakref.ref(tensor) for weights in endpoints.weights.values() for tensor in weights]
        endpoints.drop()
        gc.collect()
        assert held and not any(reference() is not None for reference in held)
        got = run(engine, [Request("a", prompt(5), lab.recipe(0.6), greedy(4))])
    assert got["a"] == lab.generate(0.6, prompt(5), 4)


def test_a_score_borrows_blocks_of_the_engines_pool_and_gives_them_back(labs, monkeypatch):
    lab = labs("qwen3")
    resident = ResidentPair.load(lab.pair)
    ids = prompt(40)
    with Engine(resident, max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine:
        engine.wait()
        cache, model = engine.backend.cache, resident.model
        blend, free = resident.blend(lab.recipe(0.3)), cache.blocks.free
        own, made = model.cache, []
        monkeypatch.setattr(model, "cache", lambda *args: made.append(args) or own(*args))
        with torch.no_grad(), resident.lock:
            ((borrowed,),) = model.teacher_forced_logits({"a": blend}, ids, 0, 64)
            assert cache.blocks.free == free and not made
            for slot in range(cache.slots):
                cache.take(slot, 64)
            ((alone,),) = model.teacher_forced_logits({"a": blend}, ids, 0, 64)
            assert made == [(1, 40)]
            for slot in range(cache.slots):
                cache.release(slot)
    torch.testing.assert_close(borrowed, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(borrowed, lab.fold(0.3)(torch.tensor([ids])).logits[0], atol=1e-4, rtol=0)
