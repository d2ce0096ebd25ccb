"""What the study half costs: the runner against the bare engine, saving, resuming, showing, exporting, intervals.

    python -m tests.bench.bench_study            # on the embedded pair
    python -m tests.bench.bench_study --quick    # small sizes, to see that it works; its figures mean nothing
    python -m tests.bench.bench_study --json     # one object on standard output; --json FILE writes it there

The runner's figure is a ratio within one run, the median of interleaved repetitions, one thread: the same requests through
`Engine.submit` alone, and through the runner with folding, verdicts and saving.
"""

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from mi_explorer.engine.events import BULK, Request
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, digest, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Measures
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.sample import Sample, pack
from mi_explorer.studies.store.store import CellRow, Store
from mi_explorer.studies.versions import versions
from mi_explorer.workbench import Workbench
from tests.bench.figures import benchmark_options, put_out

LAMS = tuple(i / 10 for i in range(11))


def items(count: int) -> tuple[Item, ...]:
    return tuple(Item("sums", f"q{i}", f"What is {i} + {i % 7}?", str(i + i % 7)) for i in range(count))


def runner_share(folder: Path, questions: int, cap: int, rounds: int) -> dict[str, Any]:
    """Tokens per second of the runner ÷ those of the engine alone, on the same prompts, recipes and seeds."""
    ratios, rates = [], []
    with Workbench.open("mini", home=folder / "home") as bench:
        asked = items(questions)
        for turn in range(rounds + 1):
            plan = Plan("sums", grid(Recipe(), LAMS, Decoding(cap=cap, seed=turn)), questions, 1)
            runner = Runner(bench.store, plan, asked, lambda pair: bench, name=f"turn {turn}")
            began = time.perf_counter()
            tokens = [event for event in runner.run() if hasattr(event, "eta")][-1].tokens
            through_runner = tokens / (time.perf_counter() - began)
            requests = []
            for cell in plan.cells:
                for i, item in enumerate(asked):
                    prompt = bench.prompts.render(item.prompt, cell.recipe)
                    decoding = cell.decoding.with_seed(i)
                    requests.append(
                        Request(
                            f"{cell.recipe.lam} {i}", prompt.ids, cell.recipe, decoding, bench.prompts.stop_ids, BULK
                        )
                    )
            began = time.perf_counter()
            count = sum(type(event).__name__ == "Token" for event in bench.engine.submit(requests))
            alone = count / (time.perf_counter() - began)
            if turn:  # the first turn warms up
                ratios.append(through_runner / alone)
                rates.append(alone)
    return {"runner / engine": round(statistics.median(ratios), 3), "engine tokens/s": round(statistics.median(rates))}


def store_costs(folder: Path, questions: int, samples: int) -> dict[str, Any]:
    """Saving one sample at a time, finding what is missing, and the table with all intervals, of one large sweep."""
    plan = Plan("sums", grid(Recipe(), LAMS, Decoding()), questions, samples)
    rows = [CellRow(cell.key("f", "float32"), cell, "f", "float32") for cell in plan.cells]
    asked = items(questions)
    model = Sample("", "", "", 0, 1, "stop", "correct", "7", 120, 100, 20, True, True, False, False, 60, 60, 0, 0.5)
    body = pack(
        {"text": "Let me see. " * 30, "ids": list(range(120)), "logprobs": [-0.123] * 120, "ends": list(range(120))}
    )
    with Store(folder / "big.db") as store:
        study = store.put_study("big", plan, rows, asked)
        total = 0
        began = time.perf_counter()
        keys = []
        for row in rows:
            for item in asked:
                for number in range(samples):
                    key = digest("sample", row.key, item.key, number)
                    keys.append(key)
                    store.add(replace(model, key=key, cell=row.key, item=item.key, number=number), body)
                    total += 1
        saving = time.perf_counter() - began
        began = time.perf_counter()
        found = len(store.have(keys))
        looking = time.perf_counter() - began
        began = time.perf_counter()
        shown = summarise(store, "big")
        showing = time.perf_counter() - began
        assert found == total == sum(cell["total"] for cell in shown.cells) and study
        began = time.perf_counter()
        export_study(store, "big", folder / "big.parquet", texts=1)
        exporting = time.perf_counter() - began
        began = time.perf_counter()
        with Store(folder / "big.parquet", readonly=True) as file:
            opened = file.samples(study)
            opening = time.perf_counter() - began
            began = time.perf_counter()
            assert file.body(opened[0].key) == store.body(opened[0].key)
            trace = time.perf_counter() - began
        return {"export s": round(exporting, 2), "open file s": round(opening, 2), "first trace ms": round(1000 * trace, 1),
                "samples": total, "saved per second": round(total / saving), "resume look-up s": round(looking, 2),
                "table with intervals s": round(showing, 2), "bytes per sample": round(store.size() / total)}  # fmt: skip


def metrics_cost(questions: int, samples: int) -> dict[str, Any]:
    """Every measure of 11 cells with its interval, and the paired differences of each cell to the first in three of them."""
    rng = np.random.default_rng(0)
    cell, item, number = (x.ravel() for x in np.indices((len(LAMS), questions, samples)))
    frame = pd.DataFrame({
        "cell": cell.astype(str), "item": item.astype(str), "number": number, "tokens": rng.integers(10, 300, cell.size),
        "verdict": np.where(rng.random(cell.size) < 0.5, "correct", "wrong"), "answer": rng.integers(0, 99, cell.size).astype(str),
        "think_closed": rng.random(cell.size) < cell / 10, "first_correct": 7,
    })  # fmt: skip
    began = time.perf_counter()
    measures = Measures(Grid.of(frame))
    rows = measures.rows()
    [measures.paired(i, 0, metric) for i in range(len(LAMS)) for metric in ("mean", "tokens", "think_ratio")]
    seconds = time.perf_counter() - began
    return {
        "cells × questions × samples": f"{len(rows)} × {questions} × {samples}",
        "seconds": round(seconds, 2),
        "target": "< 2",
    }


def main() -> None:
    args = benchmark_options(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "runner": runner_share(folder, 8 if args.quick else 64, 40 if args.quick else 200, 1 if args.quick else 5),
            "store": store_costs(folder, 10 if args.quick else 200, 2 if args.quick else 16),
            "metrics": metrics_cost(20 if args.quick else 200, 4 if args.quick else 64),
            "versions": versions(),
        }
    put_out(found, args.json)


if __name__ == "__main__":
    main()
