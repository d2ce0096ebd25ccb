"""What workers bring and what the driver costs: two workers on one core each against one, and the driver with 64 simulated workers.

    python -m tests.bench.bench_cluster            # the embedded pair; on a machine that does nothing else
    python -m tests.bench.bench_cluster --quick    # small sizes, to see that it works; its figures mean nothing
    python -m tests.bench.bench_cluster --json FILE

`speedup` is the time of a sample with one worker ÷ that with two, each worker on a core of its own, loading not counted (median of interleaved
pairs of runs). `samples_per_second` is what the driver saves of simulated workers that have every sample ready; `memory` its resident
bytes after a tenth and at the end.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.cluster.crew import Crew
from mi_explorer.cluster.links import Reply, WorkerLink, answer
from mi_explorer.cluster.own_worker import OwnWorkerEngine
from mi_explorer.cluster.process_worker import ProcessLauncher
from mi_explorer.cluster.worker_engine import EngineFacts, EngineSetup, UnitMade, WorkPlan, WorkReport
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.progress import SampleDone
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.sample import Sample, pack
from mi_explorer.studies.store.store import Store
from mi_explorer.workbench import Workbench
from tests.bench.figures import benchmark_options, put_out

LAMS = tuple(i / 10 for i in range(11))
IDS = list(range(400))
BODY = pack({"text": "word " * 400, "ids": IDS, "logprobs": [-(i % 97) / 100 for i in IDS], "ends": IDS})


def items(count: int) -> tuple[Item, ...]:
    return tuple(Item("sums", f"q{i}", f"What is {i} + {i % 7}?", str(i + i % 7)) for i in range(count))


def pinned(core: int) -> OwnWorkerEngine:
    """Our engine in a process that has one core."""
    os.sched_setaffinity(0, {core})
    return OwnWorkerEngine()


class PinnedLauncher(ProcessLauncher):
    """Worker i on core i."""

    def start(self, index: int) -> Any:
        self.make = partial(pinned, sorted(os.sched_getaffinity(0))[index])
        return super().start(index)


def seconds_of(folder: Path, workers: int, questions: int, cap: int, seed: int) -> float:
    """Seconds a sample, once all workers have loaded."""
    plan = Plan("sums", grid(Recipe(), LAMS, Decoding(cap=cap, seed=seed)), questions, 1)
    crew = Crew(PinnedLauncher(OwnWorkerEngine, workers), workers, lambda pair: EngineSetup(pair))
    with Store(folder / f"{workers}-{seed}.db") as store:
        runner, first, done, at_first = ClusterRunner(store, plan, items(questions), crew), 0.0, 0, 0
        try:
            for event in runner.run():
                done += isinstance(event, SampleDone)
                if not first and done and all(m.work for m in crew.members):
                    first, at_first = time.perf_counter(), done
            return (time.perf_counter() - first) / (done - at_first)
        finally:
            crew.close()


def speedup(folder: Path, questions: int, cap: int, rounds: int) -> dict[str, Any]:
    """One worker against two, a round after the other."""
    found = [
        seconds_of(folder, 1, questions, cap, turn) / seconds_of(folder, 2, questions, cap, turn)
        for turn in range(rounds)
    ]
    return {"speedup": statistics.median(found), "all": found, "goal": 1.7}


def seconds_alone(folder: Path, questions: int, cap: int, seed: int) -> float:
    """Seconds a sample without workers, the engine in this process, all of it on the first core."""
    plan = Plan("sums", grid(Recipe(), LAMS, Decoding(cap=cap, seed=seed)), questions, 1)
    cores, done, first = os.sched_getaffinity(0), 0, 0.0
    os.sched_setaffinity(0, {min(cores)})
    try:
        with Workbench.open("mini") as bench, Store(folder / f"alone-{seed}.db") as store:
            for event in Runner(store, plan, items(questions), lambda pair: bench).run():
                done += isinstance(event, SampleDone)
                first = first or (time.perf_counter() if done else 0.0)
            return (time.perf_counter() - first) / (done - 1)
    finally:
        os.sched_setaffinity(0, cores)


def overhead(folder: Path, questions: int, cap: int, rounds: int) -> dict[str, Any]:
    """What a sample takes longer with one worker and the driver (on another core) than in one process on one core; and the processor
    time of the driver as a share of the study's."""
    found, shares = [], []
    for turn in range(10, 10 + rounds):
        alone = seconds_alone(folder, questions, cap, turn)
        began, spent = time.process_time(), time.perf_counter()
        found.append(seconds_of(folder, 1, questions, cap, turn) / alone - 1)
        shares.append((time.process_time() - began) / (time.perf_counter() - spent))
    return {"overhead": statistics.median(found), "all": found, "driver's processor": shares, "goal": 0.05}


class ReadyEngine:
    """A simulated worker: every sample is there at once."""

    def load(self, setup: EngineSetup) -> EngineFacts:
        return EngineFacts("simulated", "1", "simulated", "float32", "none", {})

    def check(self, cells: Sequence[Any]) -> None:
        pass

    def begin(self, work: WorkPlan) -> None:
        self.work = work

    def exchange(self, units: Sequence[Any], seconds: float, order: str) -> WorkReport:
        made = []
        for unit in units:
            cell, item = self.work.cell_keys[unit.cell], self.work.items[unit.item].key
            numbers = (
                unit.number,
                unit.seed,
                "stop",
                "correct",
                "7",
                400,
                300,
                100,
                True,
                False,
                False,
                False,
                None,
                None,
                0,
                1.0,
            )
            made.append(UnitMade(unit, Sample(unit.key, cell, item, *numbers), BODY))
        return WorkReport(tuple(made), 400 * len(made), 256)

    def close(self) -> None:
        pass


class ReadyLink:
    """A link to one in this process."""

    def __init__(self) -> None:
        self.engine, self.reply = ReadyEngine(), Reply()

    def call(self, method: str, *args: Any) -> None:
        self.reply = answer(self.engine, method, args)

    def take(self) -> Reply:
        return self.reply

    def kill(self) -> None:
        pass


class ReadyLauncher:
    """Starts simulated workers."""

    patient, dashboard = False, ""

    def start(self, index: int) -> ReadyLink:
        return ReadyLink()

    def wait(self, links: Sequence[WorkerLink], seconds: float) -> None:
        pass

    def capacity(self) -> int | None:
        return None

    def close(self) -> None:
        pass


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def driver_rate(folder: Path, samples: int) -> dict[str, Any]:
    """Samples a second into the store with 64 simulated workers, and the driver's memory."""
    questions = 100
    per_question = -(-samples // (len(LAMS) * questions))
    plan = Plan("sums", grid(Recipe(), LAMS, Decoding()), questions, per_question)
    crew = Crew(ReadyLauncher(), 64, lambda pair: EngineSetup(pair))
    memory, count, total = [], 0, len(LAMS) * questions * per_question
    with Store(folder / "driver.db") as store:
        began = time.perf_counter()
        for event in ClusterRunner(store, plan, items(questions), crew).run():
            if isinstance(event, SampleDone):
                count += 1
                if count == total // 10:
                    memory.append(resident())
        spent = time.perf_counter() - began
        memory.append(resident())
    assert count == total
    return {"samples": total, "samples_per_second": count / spent, "workers": 64, "memory": memory}


def main() -> None:
    args = benchmark_options(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, size = Path(name), (2, 16, 1) if args.quick else (48, 256, 3)
        found = {
            "driver": driver_rate(folder, 2_000 if args.quick else 200_000),
            "two workers": speedup(folder, *size)
            if len(os.sched_getaffinity(0)) > 1
            else "this process may use one core",
            "driver beside one worker": overhead(folder, *((2, 16, 1) if args.quick else (96, 256, 5))),
        }
    put_out(found, args.json)


if __name__ == "__main__":
    main()
