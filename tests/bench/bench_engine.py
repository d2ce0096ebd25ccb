"""The engine against the usual way: for each λ blend into a model, then `generate` with the same batch. Ratios within one run.

    OMP_NUM_THREADS=1 python tests/bench/bench_engine.py [--quick] [--json FILE]
        [--only strip,sweep,first,overhead,threads,packed,medium,adapter]

Same tokens, same threads, greedy. On the embedded pair (fp32, its own stop ids) and on a random Qwen3 of 135M parameters (bf16,
lengths that grow with λ). Every figure is the median of several runs taken in turns. Larger is better, except where it says cost.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine_runs import LAMS, ROOT, Usual, medium_pair, mini_prompts, ours, strip_requests  # noqa: E402
from engine_steps import adapter_step, overhead, packed_step  # noqa: E402

from mi_explorer.engine import Engine, ResidentPair  # noqa: E402
from mi_explorer.engine.events import BULK, Request, Token  # noqa: E402
from mi_explorer.pairs import get_pair  # noqa: E402
from mi_explorer.recipe import Decoding, Recipe  # noqa: E402


def strip_mini(resident: ResidentPair, rounds: int) -> dict:
    """11 λ × 1 question, several questions."""
    prompts, stops = mini_prompts(resident, rounds)
    usual = Usual(resident)
    ratios, same = [], []
    with Engine(resident) as engine:
        ours(engine, strip_requests(resident, prompts[0], 8, stops))
        for prompt in prompts:
            tokens, fast = ours(engine, strip_requests(resident, prompt, 256, stops))
            start = time.perf_counter()
            others = sum(usual.batch(lam, [prompt], 256, stops) for lam in LAMS)
            ratios.append((time.perf_counter() - start) / fast)
            same.append(tokens == others)
    return {
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "target": 5.0,
        "same tokens": f"{sum(same)}/{len(same)}",
    }


STRIPS = """
import json, statistics, sys, time
sys.path.insert(0, "tests/bench")
from bench_engine import mini_prompts, ours, strip_requests
from mi_explorer.machine import own_process
from mi_explorer.workbench import Workbench
own_process()
with Workbench.open("mini") as bench:
    bench.engine.wait()
    prompts, stops = mini_prompts(bench.resident, int(sys.argv[1]))
    ours(bench.engine, strip_requests(bench.resident, prompts[0], 8, stops))
    print(json.dumps([ours(bench.engine, strip_requests(bench.resident, prompt, 256, stops))[1] for prompt in prompts]))
"""


def threads_mini(questions: int, rounds: int) -> dict:
    """Strips of a workbench with a thread for every core, which is what PyTorch takes unasked, against one thread; processes in turn."""
    every = os.cpu_count() or 1
    took: dict[int, list[float]] = {1: [], every: []}
    for _ in range(rounds):
        for n, into in took.items():
            command = [sys.executable, "-c", STRIPS, str(questions)]
            env = {**os.environ, "OMP_NUM_THREADS": str(n), "PYTHONPATH": str(ROOT)}
            done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
            into += json.loads(done.stdout.splitlines()[-1])
    ratios = [b / a for a, b in zip(took[1], took[every])]
    return {
        "every core ÷ one thread": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "cores": every,
    }


def strip_medium(resident: ResidentPair, rounds: int) -> dict:
    """11 λ × 1 question; lengths 32 … 96 grow with λ (a random model never stops)."""
    caps = tuple(32 + int(64 * lam) for lam in LAMS)
    prompt = tuple(range(100, 160))
    usual = Usual(resident)
    ratios = []
    with Engine(resident, max_context=512) as engine:
        ours(engine, strip_requests(resident, prompt, 4, ()))
        for _ in range(rounds):
            _, fast = ours(engine, strip_requests(resident, prompt, 0, (), caps))
            start = time.perf_counter()
            for lam, cap in zip(LAMS, caps):
                usual.batch(lam, [prompt], cap, ())
            ratios.append((time.perf_counter() - start) / fast)
    return {"ratio": statistics.median(ratios), "least": min(ratios), "target": 3.5}


def sweep_mini(resident: ResidentPair, questions: int, rounds: int) -> dict:
    """11 λ × 64 questions as a bulk job."""
    prompts, stops = mini_prompts(resident, questions)
    usual = Usual(resident)
    ratios, counts = [], []
    with Engine(resident) as engine:
        for _ in range(rounds):
            requests = [
                Request(
                    f"{lam} {i}", p, Recipe(resident.pair.name, lam=lam), Decoding(temperature=0, cap=256), stops, BULK
                )
                for lam in LAMS
                for i, p in enumerate(prompts)
            ]
            tokens, fast = ours(engine, requests)
            start = time.perf_counter()
            others = sum(usual.batch(lam, prompts, 256, stops) for lam in LAMS)
            ratios.append((time.perf_counter() - start) / fast)
            counts.append((tokens, others))
    return {"ratio": statistics.median(ratios), "target": 2.0, "tokens (ours, usual)": counts[0]}


def first_token(resident: ResidentPair, rounds: int) -> dict:
    """Cost: time to the first token after a λ move ÷ one prefill of the same prompt (plain `transformers`; own folded prefill)."""
    prompt = tuple(range(20, 80))
    usual = Usual(resident)
    usual.fold(0.5)
    waits, plain, own = [], [], []
    with Engine(resident, max_context=512) as engine, torch.inference_mode():
        ours(engine, strip_requests(resident, prompt, 4, ()))
        ids, where = torch.tensor([prompt]), torch.arange(len(prompt))[None]
        for i in range(rounds):
            recipe = Recipe(resident.pair.name, lam=0.2 + i / (3 * rounds))
            start = time.perf_counter()
            stream = engine.submit([Request("x", prompt, recipe, Decoding(temperature=0, cap=8))])
            while not isinstance(stream.get(), Token):
                pass
            waits.append(time.perf_counter() - start)
            for _ in stream:
                pass
            start = time.perf_counter()
            usual.model(ids, use_cache=True, logits_to_keep=1)
            plain.append(time.perf_counter() - start)
            with resident.lock:
                bound = engine.backend.bind(recipe.hash, resident.blend(recipe))
                engine.backend.fold(bound)
                start = time.perf_counter()
                engine.backend.run(bound, "folded", 0, ids, where, len(prompt), [len(prompt) - 1])
                own.append(time.perf_counter() - start)
    wait = statistics.median(waits)
    return {
        "cost / transformers prefill": wait / statistics.median(plain),
        "cost / own prefill": wait / statistics.median(own),
        "target": "<= 1.5",
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--only", default="strip,sweep,first,overhead,threads,packed,medium,adapter")
    args = parser.parse_args()
    which, quick = set(args.only.split(",")), args.quick
    torch.set_num_threads(1)
    machine = f"{platform.processor() or platform.machine()}, 1 thread, Python {platform.python_version()}, torch {torch.__version__}"
    found: dict = {"machine": machine, "transformers": transformers.__version__}
    print(f"# {found['machine']}, transformers {found['transformers']}")

    def show(name: str, value) -> None:  # noqa: ANN001
        found[name] = value
        for row in value if isinstance(value, list) else [value]:
            print(
                f"{name:24s} "
                + "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()),
                flush=True,
            )

    mini = ResidentPair.load(get_pair("mini"))
    if "strip" in which:
        show("strip, embedded", strip_mini(mini, 3 if quick else 12))
    if "sweep" in which:
        show("sweep, embedded", sweep_mini(mini, 16 if quick else 64, 1 if quick else 3))
    if "first" in which:
        show("first token, embedded", first_token(mini, 10 if quick else 40))
    if "overhead" in which:
        show("overhead, embedded", overhead(mini, 2 if quick else 7))
    if "threads" in which:
        show("threads, embedded", threads_mini(6, 1 if quick else 3))
    if "packed" in which:
        show("packed, embedded", packed_step(mini, 10 if quick else 100))
    if {"medium", "adapter", "packed"} & which:
        with tempfile.TemporaryDirectory() as folder:
            medium = ResidentPair.load(medium_pair(Path(folder)))
            if "medium" in which:
                show("strip, 135M bf16", strip_medium(medium, 1 if quick else 3))
                show("first token, 135M bf16", first_token(medium, 3 if quick else 12))
            if "packed" in which:
                show("packed, 135M bf16", packed_step(medium, 3 if quick else 15))
            if "adapter" in which:
                show("adapter step, 135M bf16", adapter_step(medium, Path(folder), 5 if quick else 30))
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
