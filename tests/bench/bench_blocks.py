"""A mixed load on the pool of KV blocks against static slots in the same memory: memory touched, rows side by side, seconds.

    OMP_NUM_THREADS=1 python -m tests.bench.bench_blocks [--quick] [--json [FILE]]

Responses of 100 to 4,000 tokens (log-uniform, no stop) on a random Qwen3 of the embedded pair's size, in one run. Static slots: as
many rows as have a full context in that memory. Pool: as many as want to come, in blocks.
"""

import math
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from transformers import AutoModelForCausalLM, Qwen3Config

from mi_explorer.engine import Engine, ResidentPair, backends
from mi_explorer.engine.events import Failed, Finished, Request
from mi_explorer.engine.memory_plan import BLOCK_TOKENS
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe
from tests.bench.figures import benchmark_options, put_out

CONTEXT = 4_096
SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
}


def long_pair(folder: Path) -> Pair:
    """Two random Qwen3 checkpoints with a context of 4,096."""
    for seed, name in enumerate(("instruct", "thinking")):
        torch.manual_seed(seed)
        config = Qwen3Config(vocab_size=512, tie_word_embeddings=True, max_position_embeddings=CONTEXT, **SHAPE)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder / name)
    return Pair("long", str(folder / "instruct"), str(folder / "thinking"))


def load(count: int) -> list[Request]:
    """Requests whose lengths are log-uniform between 100 and 4,000 tokens, λ over the whole range."""
    rng = random.Random(0)
    lengths = [int(100 * math.exp(rng.random() * math.log(40))) for _ in range(count)]
    prompt = tuple(range(20, 60))
    return [
        Request(str(i), prompt, Recipe("long", lam=i / count), Decoding(cap=n, seed=i)) for i, n in enumerate(lengths)
    ]


def run(resident: ResidentPair, requests: list[Request], full_rows: int, pooled: bool) -> dict[str, Any]:
    """One engine on so much KV memory. Its blocks are counted while it runs."""
    plan = backends.plan_pair
    sizes = {"blocks": full_rows * (CONTEXT // BLOCK_TOKENS)} if pooled else {"slots": full_rows}

    def planned(*args: Any) -> Any:
        made = replace(plan(*args), **sizes)
        return made if pooled else replace(made, rows=full_rows, blocks=None)

    with mock.patch.object(backends, "plan_pair", planned), Engine(resident, 64, CONTEXT, only="rowwise") as engine:
        engine.wait()
        used, rows = [], []
        step = engine.step

        def counted() -> None:
            step()
            blocks = engine.backend.cache.blocks
            used.append(blocks.blocks - blocks.free)
            rows.append(len(engine.batch.sequences))

        engine.step = counted  # type: ignore[method-assign]
        begun, tokens = time.perf_counter(), 0
        for event in engine.submit(requests):
            assert not isinstance(event, Failed), event
            tokens += event.tokens if isinstance(event, Finished) else 0
        return {
            "positions held": engine.backend.cache.blocks.blocks * BLOCK_TOKENS,
            "most in use": max(used) * BLOCK_TOKENS,
            "most rows": max(rows),
            "mean rows": round(sum(rows) / len(rows), 1),
            "steps": len(rows),
            "waited for a block": engine.room.parked,
            "tokens": tokens,
            "seconds": round(time.perf_counter() - begun, 1),
        }


def measure(quick: bool) -> dict[str, Any]:
    """Both ways, one after the other."""
    requests = load(12 if quick else 96)
    with tempfile.TemporaryDirectory() as folder:
        resident = ResidentPair.load(long_pair(Path(folder)))
        found = {
            name: run(resident, requests, 8, pooled) for name, pooled in (("static slots", False), ("block pool", True))
        }
    ratio = found["static slots"]["seconds"] / found["block pool"]["seconds"]
    return {"requests": len(requests), **found, "static ÷ pool, seconds": round(ratio, 2)}


def main() -> None:
    """Run and print."""
    args = benchmark_options(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    put_out(measure(args.quick), args.json)


if __name__ == "__main__":
    main()
