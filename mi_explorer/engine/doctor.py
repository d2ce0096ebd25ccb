"""What a machine can do with a pair, measured on it: fast paths, step times against the bandwidth of its memory, merges, `transformers`.

Everything is a plain value, to be printed or pasted into a report. Times are the least of several, for a disturbance makes them longer.
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict

import torch

from mi_explorer.engine.backend import Backend
from mi_explorer.engine.backends import make_backend
from mi_explorer.engine.fast_paths import synchronize
from mi_explorer.engine.memory import available
from mi_explorer.engine.memory_plan import PROMPT_TOKENS, MemoryPlan
from mi_explorer.engine.paper_plan import plan_values
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.engine.step_times import FOLD, WIDTH, StepTimer
from mi_explorer.untyped import JsonObject, ModelModule

STEP_ROWS = (1, 11, 64)
STEP_REPEATS = 3
COPY_BYTES = 1 << 28  # what is copied to learn the bandwidth
LIBRARY_TOKENS = 8  # that `transformers.generate` writes for each row
SLOW_STEP = 3.0  # times the floor, above which a step is called slow

Say = Callable[[str], None]


def machine_facts(device: torch.device) -> JsonObject:
    """What this machine is."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": str(device),
        "name": name,
        "free_bytes": available(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }


def examine(resident: ResidentPair, rows: int, cap: int, say: Say = lambda text: None) -> JsonObject:
    """Load a pair by its memory plan and measure it; `say` hears what is done now. Raises `NotEnoughMemory` if it does not fit."""
    device = resident.device
    say("looking at the machine")
    report: JsonObject = {
        "machine": machine_facts(device),
        "pair": resident.pair.name,
        "dtype": str(resident.dtype)[6:],
    }
    say("reading the weights")
    backend, plan = make_backend(resident, rows, cap + PROMPT_TOKENS, None)
    report |= plan_values(plan)
    with torch.inference_mode(), resident.lock:
        say("measuring the memory's bandwidth")
        report["bandwidth_bytes_s"] = bandwidth(device)
        report["steps"], report["merge_s"] = _steps(resident, backend, plan, report["bandwidth_bytes_s"], say)
        report["checks"] = [asdict(check) for check in backend.checks]  # of fast paths, known once the weights are read
        say("timing transformers.generate")
        report["generate"] = _generate(resident, plan)
    report["verdict"] = verdict(report)
    return report


def bandwidth(device: torch.device) -> float:
    """Bytes a second that the device's memory reads, from a large copy (which reads and writes)."""
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    least = float("inf")
    for _ in range(STEP_REPEATS):
        synchronize(device)
        start = time.perf_counter()
        target.copy_(source)
        synchronize(device)
        least = min(least, time.perf_counter() - start)
    return 2 * COPY_BYTES / least


def _steps(
    resident: ResidentPair, backend: Backend, plan: MemoryPlan, bytes_s: float, say: Say
) -> tuple[list[JsonObject], float | None]:
    """Seconds of a decode step by mode and rows beside the time to read its weights once, and seconds of a merge."""
    timer = StepTimer(resident, backend, min(plan.slots, max(STEP_ROWS)))
    timer.prepare()
    steps = []
    for mode in timer.modes:
        for rows in sorted({min(rows, timer.slots) for rows in STEP_ROWS}):
            say(f"timing steps: {mode}, {rows} rows")
            seconds = timer.seconds(("step", mode, rows), STEP_REPEATS)
            floor = resident.weight_bytes * (2 if mode == "rowwise" else 1) / bytes_s
            steps.append({"mode": mode, "rows": rows, "seconds": seconds, "floor_s": floor, "tokens_s": rows / seconds})
    merge = timer.seconds(FOLD, STEP_REPEATS) if "folded" in timer.modes else None
    return steps, merge


def _generate(resident: ResidentPair, plan: MemoryPlan) -> list[JsonObject] | str:
    """Tokens a second of `transformers.generate` with Instruct at the same numbers of rows, or why that was not measured."""
    have = available(resident.device)
    if resident.spread or have is None or have < 1.3 * resident.weight_bytes:
        return "not measured: a model more does not fit beside the pair"
    from transformers import AutoModelForCausalLM

    model: ModelModule = AutoModelForCausalLM.from_pretrained(
        resident.folder, dtype=resident.dtype, local_files_only=True
    )
    model = model.to(resident.device).eval()
    found = []
    for rows in STEP_ROWS:
        ids = torch.ones(
            rows, min(WIDTH, plan.context) - LIBRARY_TOKENS, dtype=torch.long, device=resident.device
        )  # as wide as our steps
        least = {1: float("inf"), 1 + LIBRARY_TOKENS: float("inf")}
        for repeat in range(1 + STEP_REPEATS):
            for tokens in least:
                seconds = _generate_seconds(model, ids, tokens)
                if repeat:  # the first is a warm-up
                    least[tokens] = min(least[tokens], seconds)
        step = (least[1 + LIBRARY_TOKENS] - least[1]) / LIBRARY_TOKENS
        found.append({"rows": rows, "seconds": step, "tokens_s": rows / step})
    return found


def _generate_seconds(model: ModelModule, ids: torch.Tensor, tokens: int) -> float:
    """Seconds in which the library reads `ids` [rows, prompt] and writes exactly so many tokens for each, greedily."""
    mask = torch.ones_like(ids)
    start = time.perf_counter()
    model.generate(
        ids, attention_mask=mask, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0
    )
    synchronize(ids.device)
    return time.perf_counter() - start


def verdict(report: JsonObject) -> str:
    """What the figures mean, in words."""
    words = [
        f"{report['pair']} runs {report['mode']} with {report['rows']} rows of up to {report['context']:,} positions."
    ]
    if report["notes"]:
        words.append("Memory lowers what was asked for: " + " ".join(report["notes"]))
    one = [step for step in report["steps"] if step["rows"] == 1]
    if one:
        best = min(one, key=lambda step: step["seconds"] / step["floor_s"])
        times = best["seconds"] / best["floor_s"]
        judged = "far from what the memory allows" if times > SLOW_STEP else "near what the memory allows"
        words.append(
            f"A step of one row takes {times:.1f} times the time to read its weights ({best['mode']}): {judged}."
        )
    if isinstance(report["generate"], list):
        best_of = {step["rows"]: 0.0 for step in report["steps"]}
        for step in report["steps"]:
            best_of[step["rows"]] = max(best_of[step["rows"]], step["tokens_s"])
        ratios = [
            f"{best_of[g['rows']] / g['tokens_s']:.1f} × at {g['rows']}"
            for g in report["generate"]
            if g["rows"] in best_of
        ]
        words.append(f"Against transformers.generate: {', '.join(ratios)} rows.")
    unused = [f"{check['name']} ({check['why']})" for check in report["checks"] if not check["used"]]
    words.append("Fast paths not used: " + "; ".join(unused) + "." if unused else "Every fast path is used.")
    return " ".join(words)
