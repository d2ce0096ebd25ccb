"""Single steps of the engine: what is not its forward pass, packed weights, an adapter's factors."""

import statistics
import time
from pathlib import Path

import torch
from engine_runs import LAMS, ours, strip_requests
from transformers import AutoModelForCausalLM

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.costs import Costs
from mi_explorer.engine.events import Request
from mi_explorer.engine.kv_cache import KVCache
from mi_explorer.engine.native.decoder import Decoder
from mi_explorer.engine.native.endpoints import Endpoints
from mi_explorer.engine.native.weights import RowwiseWeights
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe


def overhead(resident: ResidentPair, rounds: int) -> list[dict]:
    """Share of a step that is not its forward pass, sampled decoding, at 1, 11 and 64 rows."""
    rows = []
    for n in (1, 11, 64):
        shares = []
        with Engine(resident, max_context=512) as engine:
            ours(
                engine, strip_requests(resident, tuple(range(20, 80)), 4, ())
            )  # start-up measurements are over after this
            spent = [0.0, 0.0]
            run, step, flush = engine.backend.run, engine.step, engine.flush

            def timed(what, where, spent=spent):
                def call(*a):
                    start = time.perf_counter()
                    out = what(*a)
                    spent[where] += time.perf_counter() - start
                    return out

                return call

            engine.backend.run, engine.step, engine.flush = timed(run, 0), timed(step, 1), timed(flush, 1)
            for _ in range(rounds):
                spent[:] = [0.0, 0.0]
                requests = [
                    Request(
                        str(i),
                        tuple(range(20, 80)),
                        Recipe(resident.pair.name, lam=LAMS[i % 11]),
                        Decoding(cap=100, seed=i),
                    )
                    for i in range(n)
                ]
                ours(engine, requests)
                shares.append(1 - spent[0] / spent[1])
            mode = engine.scheduler.plan.mode if engine.scheduler.plan else "?"
        rows.append({"rows": n, "overhead": statistics.median(shares), "target": "<= 0.15", "mode": mode})
    return rows


def packed_step(resident: ResidentPair, rounds: int) -> list[dict]:
    """Speed: a row-wise decode step with plain weights ÷ with packed ones, at 4, 11 and 44 rows."""
    lay, out = resident.layout, []
    recipes = [Recipe(resident.pair.name, lam=i / 44) for i in range(44)]
    with torch.inference_mode():
        decoder = Decoder(lay, 256, resident.device, resident.dtype)
        cache = KVCache(len(lay.layers), lay.kv_heads, lay.head_dim, 44, 256, resident.device, resident.dtype)
        cache.cover(0, 44, 256)
        both = {}
        for packed in (False, True):
            ends = Endpoints(lay, resident.blend(recipes[0]), resident.device, resident.dtype, packed)
            both[packed] = RowwiseWeights(ends, 44)
            for slot, recipe in enumerate(recipes):
                both[packed].write(slot, both[packed].prepare(resident.blend(recipe)))
        for n in (4, 11, 44):
            ids, where = torch.zeros(n, 1, dtype=torch.long), torch.full((n, 1), 127)
            times: dict[bool, list[float]] = {False: [], True: []}
            for i in range(rounds + 2):
                for packed, weights in both.items():
                    start = time.perf_counter()
                    weights.use(0, n)
                    decoder.logits(weights, decoder.forward(weights, cache, 0, ids, where, 128))
                    if i >= 2:
                        times[packed].append(time.perf_counter() - start)
            out.append({"rows": n, "plain / packed": statistics.median(times[False]) / statistics.median(times[True])})
    return out


def adapter_step(resident: ResidentPair, folder: Path, rounds: int) -> dict:
    """Cost: a row-wise decode step of 16 rows on a rank-16 adapter (all linears) ÷ a plain step; and ÷ it for a full second endpoint."""
    from peft import LoraConfig, get_peft_model

    linears = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(resident.pair.instruct, dtype=torch.bfloat16),
        LoraConfig(r=16, target_modules=linears, init_lora_weights=False),
    )
    model.save_pretrained(folder / "adapter")
    adapted = ResidentPair.load(Pair("adapter", resident.pair.instruct, str(folder / "adapter")))
    n, width, found = 16, 128, {}
    with torch.inference_mode():
        backends = {}
        for name, pair in (("full", resident), ("adapter", adapted)):
            with Engine(pair, max_rows=n, max_context=256, costs=Costs({})) as engine:
                bounds = [
                    engine.backend.bind(r.hash, pair.blend(r))
                    for r in (Recipe(pair.pair.name, lam=i / n) for i in range(n))
                ]
                for slot, bound in enumerate(bounds):
                    engine.backend.assign(slot, bound)
                backends[name] = engine.backend, bounds[0]
        ids, where = torch.zeros(n, 1, dtype=torch.long), torch.full((n, 1), width - 1)
        runs = {"plain": ("full", "folded"), "adapter": ("adapter", "rowwise"), "full": ("full", "rowwise")}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for i in range(rounds + 2):
            for name, (which, mode) in runs.items():
                backend, bound = backends[which]
                start = time.perf_counter()
                backend.run(bound, mode, 0, ids, where, width)
                if i >= 2:
                    times[name].append(time.perf_counter() - start)
        found = {name: statistics.median(t) for name, t in times.items()}
    return {
        "cost, adapter / plain": found["adapter"] / found["plain"],
        "target": "<= 1.25",
        "cost, full / plain": found["full"] / found["plain"],
    }
