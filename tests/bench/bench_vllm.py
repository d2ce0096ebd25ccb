"""A sweep of 11 λ × 32 questions three ways, one core each: our engine as a worker, vLLM as a worker, and the practice without either:
export a folder for each λ, then start vLLM on it.

    python -m tests.bench.bench_vllm             # after make vllm-env; on a machine that does nothing else
    python -m tests.bench.bench_vllm --quick     # 2 λ × 4 questions; its figures mean nothing
    python -m tests.bench.bench_vllm --json FILE

Seconds from beginning to end (`whole`), and without loading (`run`: from the first progress after the pair is loaded). For the third way
`whole` is the sum over λ of export and of a process from its start to its end, `run` what `generate` took of it. `tokens` as they came:
our noise and vLLM's differ, and so do the responses.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.cluster.staffing import Staff, open_crew, vllm_python
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.library import export
from mi_explorer.pairs import get_pair
from mi_explorer.prompts import Prompts
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Plan, grid, sample_seed
from mi_explorer.studies.progress import Progress
from mi_explorer.studies.runner import items_of
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.registry import load_task
from tests.bench.figures import benchmark_options, put_out

ROWS, CAP = 64, 256
PLAIN = Path(__file__).with_name("plain_vllm.py")


def by_worker(folder: Path, engine: str, lams: tuple[float, ...], questions: int) -> dict[str, Any]:
    """One worker with this engine."""
    items = items_of(load_task("mini", questions, 0))
    plan = Plan("mini", grid(Recipe(), lams, Decoding(cap=CAP)), questions, 1)
    began = time.perf_counter()
    crew = open_crew(Staff(1, engine=engine), lambda pair: EngineSetup(pair, dtype="float32", rows=ROWS))
    loaded = 0.0
    with Store(folder / f"{engine}.db") as store:
        try:
            last = None
            for event in ClusterRunner(store, plan, items, crew).run():
                loaded = loaded or time.perf_counter()
                last = event if isinstance(event, Progress) else last
        finally:
            crew.close()
        ended = time.perf_counter()
        tokens = sum(s.tokens for s in store.samples(store.studies()[0].id))
    assert last is not None and last.done == len(lams) * questions
    return {"whole": ended - began, "run": ended - loaded, "tokens": tokens}


def by_folders(folder: Path, lams: tuple[float, ...], questions: int) -> dict[str, Any]:
    """A checkpoint and a vLLM for each λ."""
    items, pair = items_of(load_task("mini", questions, 0)), get_pair("mini")
    prompts = Prompts.load([pair.instruct, pair.thinking], pair)
    found = {"whole": 0.0, "run": 0.0, "tokens": 0}
    for lam in lams:
        recipe, began, place = Recipe(lam=lam), time.perf_counter(), folder / f"blend-{lam:g}"
        export(recipe, place)
        job = {
            "folder": str(place),
            "prompts": [list(prompts.render(item.prompt, recipe).ids) for item in items],
            "seeds": [sample_seed(0, item.key, 0) for item in items],
            "stop": list(prompts.stop_ids),
            "cap": CAP,
            "context": 1024,
            "rows": ROWS,
            "dtype": "float32",
        }
        (folder / "job.json").write_text(json.dumps(job))
        command = [vllm_python(Staff()), str(PLAIN), str(folder / "job.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        told = json.loads(done.stdout.strip().splitlines()[-1])
        found["whole"] += time.perf_counter() - began
        found["run"] += told["generate"]
        found["tokens"] += told["tokens"]
    return found


def main() -> None:
    args = benchmark_options(__doc__).parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    lams = (0.0, 1.0) if args.quick else tuple(i / 10 for i in range(11))
    questions = 4 if args.quick else 32
    with tempfile.TemporaryDirectory() as name:
        found = {
            "size": f"{len(lams)} λ × {questions} questions, cap {CAP}, {ROWS} rows, fp32, one thread",
            "own worker": by_worker(Path(name), "own", lams, questions),
            "vLLM worker": by_worker(Path(name), "vllm", lams, questions),
            "export, then vLLM": by_folders(Path(name), lams, questions),
        }
    put_out(found, args.json)


if __name__ == "__main__":
    main()
