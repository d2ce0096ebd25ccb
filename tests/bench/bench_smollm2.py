"""A strip of the pair with real language against the usual way: for each λ merge into a model, then `generate`. One run, same tokens.

    OMP_NUM_THREADS=2 python tests/bench/bench_smollm2.py --instruct FOLDER [--questions 5] [--cap 120]
        [--dtypes float32,bfloat16] [--json FILE]

FOLDER: SmolLM2-135M-Instruct (docs/smollm2.md says how to come by it without a hub). Greedy, 11 λ × one question of the held-out
problems at a time. The usual way ends a response at its stop id, as the engine does.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from engine_runs import LAMS, ROOT, Usual, ours, strip_requests
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.pairs import Pair, get_pair

TASK = ROOT / "assets" / "tasks" / "smollm2.jsonl"


class MergedUsual(Usual):
    """The usual way between a model and the same with its adapter merged into it."""

    def __init__(self, pair: Pair, dtype: torch.dtype):
        self.model = AutoModelForCausalLM.from_pretrained(pair.instruct, dtype=dtype).eval()
        base = AutoModelForCausalLM.from_pretrained(pair.instruct, dtype=torch.float32)
        merged = PeftModel.from_pretrained(base, pair.thinking).merge_and_unload().to(dtype).state_dict()
        self.ends = [{name: w.clone() for name, w in self.model.state_dict().items()}, merged]


def strips(pair: Pair, dtype: str, questions: int, cap: int) -> dict:
    """Seconds of a strip, the ratio of the usual way to it, and how many responses have the same length in both."""
    resident = ResidentPair.load(pair, dtype=dtype)
    tokenizer = AutoTokenizer.from_pretrained(pair.instruct)
    lines = TASK.read_text(encoding="utf-8").splitlines()[:questions]
    chats = [[{"role": "user", "content": json.loads(line)["question"]}] for line in lines]
    prompts = [
        tuple(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)) for chat in chats
    ]
    stops = (tokenizer.eos_token_id,)
    usual = MergedUsual(pair, resident.dtype)
    seconds, ratios, counts = [], [], []
    with Engine(resident, max_context=1024) as engine:
        engine.wait()
        ours(engine, strip_requests(resident, prompts[0], 8, stops))
        for prompt in prompts:
            tokens, fast = ours(engine, strip_requests(resident, prompt, cap, stops))
            begun = time.perf_counter()
            others = sum(usual.batch(lam, [prompt], cap, stops) for lam in LAMS)
            ratios.append((time.perf_counter() - begun) / fast)
            seconds.append(fast)
            counts.append((tokens, others))
    return {
        "seconds": statistics.median(seconds),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "target": 4.0,
        "tokens (ours, usual)": [sum(column) for column in zip(*counts)],
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instruct", required=True)
    parser.add_argument("--questions", type=int, default=5)
    parser.add_argument("--cap", type=int, default=120)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--json")
    args = parser.parse_args()
    pair = replace(get_pair("smollm2"), instruct=args.instruct)
    print(f"# {torch.get_num_threads()} threads, torch {torch.__version__}")
    found = {}
    for dtype in args.dtypes.split(","):
        found[dtype] = strips(pair, dtype, args.questions, args.cap)
        print(dtype, "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in found[dtype].items()))
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
