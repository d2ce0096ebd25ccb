"""A study of the embedded pair during which workers and the driver are killed with −9, twenty times; then it is compared with a quiet one.

    python -m tests.bench.bench_kills            # some minutes
    python -m tests.bench.bench_kills --quick    # four kills, to see that it works

`lost`: samples of the quiet study that are missing; `doubled`: keys that stand twice, or are in no plan; `other`: samples with other tokens. `log-probs`: by
how much any differs; they are stored with three digits, so that the last one may be another where sums were made in another order.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mi_explorer.studies.store.sample import unpack
from mi_explorer.studies.store.store import Store
from tests.bench.figures import benchmark_options, put_out

SIZE = ("--lambda", "0:1:0.1", "--samples", "4", "--cap", "96", "--name", "kills", "--quiet")
DRIVERS = 0.3  # share of kills that hit the driver
STEP = 12  # samples between two kills
WAIT_S = 120.0


def sweep(home: Path, questions: int, *more: str) -> "subprocess.Popen[bytes]":
    """The study as a command of its own."""
    words = [sys.executable, "-m", "mi_explorer", "sweep", *SIZE, "--questions", str(questions), "--home", str(home)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*words, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)


def saved(home: Path) -> int:
    """Samples in the store."""
    try:
        with sqlite3.connect(f"file:{home / 'studies.db'}?mode=ro", uri=True, timeout=5) as db:
            return int(db.execute("select count(*) from samples").fetchone()[0])
    except sqlite3.Error:
        return 0


def children(pid: int) -> list[int]:
    """Worker processes of a driver: those that spawn began."""
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid=,args="], capture_output=True, text=True, check=False)
    lines = [line.split(None, 1) for line in found.stdout.splitlines()]
    return [int(number) for number, words in lines if "spawn_main" in words]


def content(home: Path) -> dict[str, tuple[Any, ...]]:
    """Key → what does not depend on the clock."""
    with Store.open(home) as store:
        (info,) = store.studies()
        samples = store.samples(info.id)
        bodies = dict(store.bodies(s.key for s in samples))
        assert len(samples) == len({s.key for s in samples}), "a key stands twice"
        found = {key: unpack(body) for key, body in bodies.items()}
        return {s.key: (s.seed, s.reason, s.verdict, found[s.key]["ids"], found[s.key]["logprobs"]) for s in samples}


def killed_study(home: Path, questions: int, kills: int, seed: int) -> dict[str, Any]:
    """Kill at random until the study is complete."""
    chance, driver = random.Random(seed), None
    done: dict[str, int] = {"worker": 0, "driver": 0, "starts": 0}
    at, since = 0, time.monotonic()
    while True:
        if driver is None or (code := driver.poll()) is not None:
            if driver is not None and code == 0:
                return done
            driver = sweep(home, questions, "--workers", "2")
            done["starts"] += 1
        time.sleep(0.05)
        if done["worker"] + done["driver"] >= kills:
            driver.wait()
            continue
        if saved(home) < at + STEP:
            assert time.monotonic() < since + WAIT_S, "nothing goes on"
            continue
        what = "driver" if chance.random() < DRIVERS else "worker"
        victims = children(driver.pid) if what == "worker" else [driver.pid]
        if victims:
            os.kill(chance.choice(victims), signal.SIGKILL)
            done[what] += 1
            at, since = saved(home), time.monotonic()


def main() -> None:
    parser = benchmark_options(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        quiet, loud = Path(name) / "quiet", Path(name) / "loud"
        assert sweep(quiet, args.questions).wait() == 0
        kills = killed_study(loud, args.questions, 4 if args.quick else args.kills, args.seed)
        right, found = content(quiet), content(loud)
    both = right.keys() & found.keys()
    made = {
        "samples": len(right),
        "kills": kills,
        "lost": len(right.keys() - found.keys()),
        "doubled": len(found.keys() - right.keys()),
        "other": sum(found[key][:4] != right[key][:4] for key in both),
        "log-probs": max(abs(a - b) for key in both for a, b in zip(right[key][4], found[key][4])),
    }
    put_out(made, args.json)


if __name__ == "__main__":
    main()
