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
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mi_explorer.engine import Engine, ResidentPair  # noqa: E402
from mi_explorer.engine.costs import Costs
from mi_explorer.engine.events import BULK, Failed, Finished, Request, Token  # noqa: E402
from mi_explorer.engine.kv_cache import KVCache  # noqa: E402
from mi_explorer.engine.native.decoder import Decoder  # noqa: E402
from mi_explorer.engine.native.endpoints import Endpoints  # noqa: E402
from mi_explorer.engine.native.weights import RowwiseWeights  # noqa: E402
from mi_explorer.pairs import Pair, get_pair  # noqa: E402
from mi_explorer.recipe import Decoding, Recipe  # noqa: E402

LAMS = tuple(i / 10 for i in range(11))
ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "assets" / "tasks" / "mini.jsonl"


class Usual:
    """Blend into a resident model (lerp in place), then `generate`; finished rows stay in the batch, as they do."""

    def __init__(self, resident: ResidentPair):
        pair, dtype = resident.pair, resident.dtype
        self.model = AutoModelForCausalLM.from_pretrained(pair.instruct, dtype=dtype).eval()
        self.ends = [
            AutoModelForCausalLM.from_pretrained(p, dtype=dtype).state_dict() for p in (pair.instruct, pair.thinking)
        ]

    @torch.no_grad()
    def fold(self, lam: float) -> None:
        state = self.model.state_dict()
        for name, out in state.items():
            torch.lerp(self.ends[0][name], self.ends[1][name], lam, out=out)

    @torch.no_grad()
    def batch(self, lam: float, prompts: list[tuple[int, ...]], cap: int, stops: tuple[int, ...]) -> int:
        """Fold, generate, and count the tokens that belong to the responses."""
        self.fold(lam)
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        out = self.model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=cap,
            do_sample=False,
            eos_token_id=list(stops) or None,
            pad_token_id=0,
            use_cache=True,
        )[:, width:].tolist()
        return sum(next((i for i, t in enumerate(row) if t in stops), len(row)) for row in out)


def ours(engine: Engine, requests: list[Request]) -> tuple[int, float]:
    """Tokens and seconds from submission to the last event."""
    start, tokens = time.perf_counter(), 0
    for event in engine.submit(requests):
        assert not isinstance(event, Failed), event
        if isinstance(event, Finished):
            tokens += event.tokens
    return tokens, time.perf_counter() - start


def mini_prompts(resident: ResidentPair, n: int) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """The first n questions of the embedded task as its template writes them, and the stop ids."""
    tokenizer = AutoTokenizer.from_pretrained(resident.pair.thinking)
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()[:n]
    texts = [json.loads(line)["question"] for line in lines]
    chats = [
        tokenizer.apply_chat_template([{"role": "user", "content": t}], add_generation_prompt=True, return_dict=False)
        for t in texts
    ]
    return [tuple(chat) for chat in chats], (tokenizer.eos_token_id,)


def medium_pair(folder: Path) -> Pair:
    """Two random Qwen3 checkpoints of 135M parameters in bf16."""
    shape = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
    }
    config = Qwen3Config(vocab_size=49152, tie_word_embeddings=True, max_position_embeddings=2048, **shape)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    torch.manual_seed(1)
    for name in ("instruct", "thinking"):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p) * 0.02)
        model.save_pretrained(folder / name)
    return Pair("medium", str(folder / "instruct"), str(folder / "thinking"))


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


def strip_requests(
    resident: ResidentPair, prompt: tuple[int, ...], cap: int, stops: tuple[int, ...], caps: tuple[int, ...] = ()
) -> list[Request]:
    return [
        Request(
            str(lam),
            prompt,
            Recipe(resident.pair.name, lam=lam),
            Decoding(temperature=0, cap=caps[i] if caps else cap),
            stops,
        )
        for i, lam in enumerate(LAMS)
    ]


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
