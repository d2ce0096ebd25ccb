"""The chosen mode against the better of pure fold and pure row-wise: λs × questions × length spread × priority, embedded pair.

    OMP_NUM_THREADS=1 python tests/bench/bench_grid.py [--rounds 9] [--json FILE] [--only "11 λ × 16"]

Each round runs a job in all three modes, one after the other and in changing order; a ratio compares runs of one round, for the speed of
a shared machine changes more from minute to minute than the modes differ. A shape's figure is the median over its rounds of mode ÷ auto, of
the mode in which it is smaller (above 1: auto is faster than both); its interval is the 95 % bootstrap interval of that.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from bench_engine import ours  # noqa: E402

from mi_explorer.engine import Engine, ResidentPair  # noqa: E402
from mi_explorer.engine.events import BULK, INTERACTIVE, Request  # noqa: E402
from mi_explorer.pairs import get_pair  # noqa: E402
from mi_explorer.recipe import Decoding, Recipe  # noqa: E402

SHAPES = [(1, 1), (1, 64), (2, 16), (4, 8), (4, 44), (11, 1), (11, 4), (11, 16)]
MODES = ("auto", "fold", "rowwise")
QUIET = 8.0  # seconds in which every engine looks at its step times again
DRAWS = 2000
LEAST = 0.4  # seconds of a mode's turn; short jobs are repeated
GOAL = 0.95


def job(pair: str, lams: int, questions: int, spread: str, priority: int) -> list[Request]:
    """Greedy requests with prompts of 60 tokens; lengths of 48 tokens, or from 12 to 96."""
    requests = []
    for i in range(lams):
        for j in range(questions):
            cap = 48 if spread == "equal" else int(12 * 8 ** ((i * questions + j * 7) % 11 / 10))
            recipe = Recipe(pair, lam=i / (lams - 1) if lams > 1 else 0.5)
            requests.append(
                Request(
                    f"{i} {j}", tuple(range(20 + j, 80 + j)), recipe, Decoding(temperature=0, cap=cap), (), priority
                )
            )
    return requests


def better(rounds: list[dict[str, float]]) -> float:
    """Median over rounds of mode ÷ auto, of the mode in which it is smaller."""
    return min(statistics.median(r[mode] / r["auto"] for r in rounds) for mode in MODES[1:])


def interval(rounds: list[dict[str, float]]) -> tuple[float, float]:
    """95 % bootstrap interval of `better` over rounds."""
    dice = random.Random(0)
    drawn = sorted(better(dice.choices(rounds, k=len(rounds))) for _ in range(DRAWS))
    return drawn[int(0.025 * DRAWS)], drawn[int(0.975 * DRAWS) - 1]


def measure(resident: ResidentPair, count: int, only: str) -> list[dict]:
    """A row per shape; printed as they come."""
    engines = {mode: Engine(resident, max_context=512, only=mode) for mode in MODES}
    rows = []
    try:
        for engine in engines.values():
            engine.wait()
        time.sleep(QUIET)
        for lams, questions in SHAPES:
            for spread in ("equal", "wide"):
                for priority in (BULK, INTERACTIVE):
                    name = f"{lams} λ × {questions}, {spread}, {'bulk' if priority == BULK else 'interactive'}"
                    if only not in name:
                        continue
                    requests, order, rounds = (
                        job(resident.pair.name, lams, questions, spread, priority),
                        list(MODES),
                        [],
                    )
                    first = max(ours(engines[mode], requests)[1] for mode in order)  # makes folds and buffers
                    again = max(1, round(LEAST / first))
                    for _ in range(count):
                        order = [*order[1:], order[0]]
                        rounds.append(
                            {
                                mode: sum(ours(engines[mode], requests)[1] for _ in range(again)) / again
                                for mode in order
                            }
                        )
                    low, high = interval(rounds)
                    seconds = {f"{mode} s": statistics.median(r[mode] for r in rounds) for mode in MODES}
                    rows.append({"shape": name, "better ÷ auto": better(rounds), "from": low, "to": high, **seconds})
                    print(
                        "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{v:32}" for k, v in rows[-1].items()),
                        flush=True,
                    )
    finally:
        for engine in engines.values():
            engine.close()
    return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="shapes whose name holds this")
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows = measure(ResidentPair.load(get_pair("mini")), args.rounds, args.only)
    ratios = [row["better ÷ auto"] for row in rows]
    below = [row["shape"] for row in rows if row["better ÷ auto"] < GOAL]
    surely = [row["shape"] for row in rows if row["to"] < GOAL]
    print(
        f"median {statistics.median(ratios):.3f}, least {min(ratios):.3f}; below {GOAL}: {below}; with all of the interval: {surely}"
    )
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
