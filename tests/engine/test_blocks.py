"""KV cache in blocks: the table by itself, and an engine whose pool is too small for everybody at once."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.engine import Engine, ResidentPair, backends, memory_plan
from mi_explorer.engine.events import BULK, Failed, Finished, Request, Token
from mi_explorer.engine.kv_blocks import BlockTable
from mi_explorer.engine.kv_cache import KVCache, pool_zeros
from mi_explorer.recipe import Decoding
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run

CPU = torch.device("cpu")
steps = st.lists(st.tuples(st.sampled_from(["take", "release", "exchange"]), st.integers(0, 4), st.integers(0, 40)))


@given(steps, st.integers(1, 30))
def test_blocks_are_held_once_and_come_back(steps, blocks):
    table = BlockTable(5, 40, 4, blocks)
    held = [0] * 5
    for what, slot, n in steps:
        if what == "take":
            wanted, free = max(0, -(-n // 4) - held[slot]), table.free
            assert table.take(slot, n) == (wanted <= free)
            held[slot] += wanted if wanted <= free else 0
        elif what == "release":
            table.release(slot)
            held[slot] = 0
        else:
            other = n % 5
            table.exchange(slot, other)
            held[slot], held[other] = held[other], held[slot]
        assert table.taken == held and table.free == table.blocks - sum(held)
        used = [int(b) for i, k in enumerate(held) for b in table.table[i, :k]]
        assert len(set(used)) == len(used) and all(0 <= b < table.blocks for b in used)
        assert all((table.table[i, k:] == table.blocks).all() for i, k in enumerate(held))
        home = [i * table.home + np.arange(k) for i, k in enumerate(held)]
        at_home = all(k <= table.home and (table.table[i, :k] == home[i]).all() for i, k in enumerate(held))
        assert table.at_home == at_home


moves = st.lists(
    st.tuples(st.sampled_from(["grow", "end", "move", "swap", "fork"]), st.integers(0, 3), st.integers(0, 3))
)


@given(moves, st.sampled_from([6, 9, 20]))
def test_what_was_written_is_read_whatever_moved(moves, blocks):
    cache = KVCache(2, 1, 2, 4, 10, CPU, torch.float32, blocks, 2)
    mine: list[list[float]] = [[] for _ in range(4)]
    number = 0.0
    for what, i, j in moves:
        if what == "grow" and len(mine[i]) < 10 and cache.take(i, len(mine[i]) + 1):
            number += 1
            places = cache.places(i, torch.tensor([[len(mine[i])]]))[:, :, None] + cache.starts
            for layer in cache.flat_layers:
                layer[places] = torch.full((1, 1, 2, 2), number)
            mine[i].append(number)
        elif what == "end":
            cache.release(i)
            mine[i] = []
        elif what == "move" and mine[i] and not mine[j] and i != j:
            cache.move(i, j, len(mine[i]))
            mine[j], mine[i] = mine[i], []
        elif what == "swap" and mine[i] and mine[j]:
            cache.swap(i, j, max(len(mine[i]), len(mine[j])))
            mine[i], mine[j] = mine[j], mine[i]
        elif what == "fork" and i != j and not mine[j] and cache.take(j, len(mine[i])):
            cache.fork(i, j, len(mine[i]))
            mine[j] = list(mine[i])
        width = max(map(len, mine))
        if width:
            for layer in (0, 1):
                keys, values = cache.keys_values(layer, 0, 4, width)
                for slot, expected in enumerate(mine):
                    for side in (keys, values):
                        assert side[slot, 0, : len(expected), 1].tolist() == expected


SAMPLED = Decoding(temperature=1.0, top_p=1.0, top_k=0, cap=60, seed=3)


@pytest.mark.parametrize("only", ["auto", "fold"])
@pytest.mark.parametrize("kind", ["qwen3", "gpt2"])
def test_a_pool_too_small_for_everybody_gives_the_same_tokens(labs, monkeypatch, kind, only):
    """Six rows of up to 80 positions share blocks for two and a half: the youngest wait, are read again, and nothing changes."""
    monkeypatch.setattr(memory_plan, "BLOCK_TOKENS", 8)
    lab = labs(kind)
    requests = [
        Request(f"{i}{d.temperature}", prompt(9 + 3 * i, i), lab.recipe(lam), d, priority=i % 2 * BULK)
        for i, lam in enumerate((0.0, 0.4, 1.0))
        for d in (greedy(60), SAMPLED)
    ]
    with Engine(lab.resident, max_rows=6, max_context=96, costs=CHEAP_ROWS, only=only) as engine:
        whole = run(engine, requests)
        assert engine.room.parked == 0
    plan = backends.plan_pair
    monkeypatch.setattr(backends, "plan_pair", lambda *args: replace(plan(*args), blocks=25))
    with Engine(lab.resident, max_rows=6, max_context=96, costs=CHEAP_ROWS, only=only) as engine:
        got = run(engine, requests)
        assert engine.room.parked > 0
        blocks = engine.backend.cache.blocks
        assert blocks.free == blocks.blocks == 25
    assert got == whole and all(len(tokens) == 60 for tokens in got.values())


def test_a_sequence_that_fills_the_pool_alone_is_cut_by_memory(labs, monkeypatch):
    monkeypatch.setattr(memory_plan, "BLOCK_TOKENS", 8)
    lab = labs("qwen3")
    sizes = lab.resident.sizes
    memory = sizes.weights + sizes.workspace(1, 256) + 48 * (sizes.kv_token + sizes.score_token)
    with Engine(ResidentPair.load(lab.pair), max_rows=1, max_context=256, memory=memory, costs=CHEAP_ROWS) as engine:
        context = engine.memory.context
        assert 40 <= context < 60 and "Context lowered" in engine.status().notes[0]
        events = list(engine.submit([Request("a", prompt(10), lab.recipe(0.5), greedy(500))]))
    assert not any(isinstance(event, Failed) for event in events)
    assert events[-1] == Finished("a", "memory", sum(isinstance(event, Token) for event in events))
    assert events[-1].tokens == context - 10 + 1


def test_who_changes_places_before_it_has_read_anything_stays_at_home():
    """Where there is room for everybody nothing is ever gathered."""
    cache = KVCache(1, 1, 2, 4, 12, CPU, torch.float32, None, 4)
    assert cache.take(0, 9) and cache.take(1, 3)
    cache.move(0, 2, 0)
    assert cache.blocks.at_home and cache.blocks.taken == [0, 1, 3, 0]
    cache.swap(1, 2, 0)
    assert cache.blocks.at_home and cache.blocks.taken == [0, 3, 1, 0]
    cache.swap(1, 2, 2)
    assert cache.blocks.at_home and cache.blocks.taken == [0, 1, 3, 0]


def resident_bytes():
    """Memory of this process that the system has given so far."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_pool_on_a_cpu_takes_memory_as_it_is_written():
    """One token in every layer, head and slot of 400 MB: with pages of 2 MB, all of it would be taken."""
    before = resident_bytes()
    pool = pool_zeros((4, 6, 64 * 2048, 64), torch.device("cpu"), torch.bfloat16)
    for layer in pool:
        for slot in range(64):
            layer[:, slot * 2048] = 1
    taken = resident_bytes() - before
    assert pool.nbytes == 4 * 6 * 64 * 2048 * 64 * 2 and pool.sum(dtype=torch.float32) == 4 * 6 * 64 * 64
    assert taken < 0.1 * pool.nbytes
