"""Step times at start-up: what a step costs folded and row-wise, by number of lanes. The policy's only facts."""

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from mi_explorer.engine.policy import Costs
from mi_explorer.recipe import Recipe

PATIENCE = 1.5  # seconds; sizes that would take longer are extrapolated until there is a quiet moment
ROUNDS = 5  # how often each time is taken
PROMPTS, PROMPT = 8, 48  # how many prompts are timed together, or one where that takes too long, and their tokens
READING = 1.0  # seconds for that; of a model that needs more it stays unknown
LANES, GAIN, LONG = (
    16,
    0.85,
    0.3,
)  # threads: the step that tells, what more of them must save, seconds of a step that surely wants all
PAUSE = 0.5  # seconds that somebody who comes in a quiet moment may have to wait
DOUBT = 3  # times that a longer one is looked at all the same, four times as long at most: it may have been disturbed

Task = tuple[str, str, int]
"""What is timed: ("step", mode, lanes), ("read", mode, prompts) or ("fold", "", 0)."""


class Meter:
    """Times decode steps of 1, 2, 4, … lanes in both modes on empty slots, prompts, and full folds.

    Of each the least time counts: a disturbance makes it longer, never shorter. `start` takes what a start may take; `probe` looks
    again, one step at a time, so that a machine that was busy at start-up does not decide for good. No row may be in a slot meanwhile.
    """

    def __init__(self, resident: Any, backend: Any, rows: int):
        self.backend, self.rows = backend, rows
        self.blends = [
            backend.bind(r.hash, resident.blend(r)) for r in (Recipe(resident.pair.name, lam=lam) for lam in (0.5, 0.4))
        ]
        self.modes = ["folded"] + (["rowwise"] if backend.rowwise and self.blends[0].endpoints_key is not None else [])
        self.sizes = [*(2**i for i in range((rows - 1).bit_length())), rows]
        self.width = min(128, backend.context)
        self.best: dict[Task, float] = {}
        self.seen: Counter[Task] = Counter()
        self._readers = 0

    def start(self, report: Callable[[str, int, int], None] = lambda *_: None) -> Costs:
        """Read the weights and take the first times. `report` is told of the phases "bind" and "measure"."""
        if len(self.modes) == 1:
            self.backend.refold(self.blends[0])  # the first fold reads the checkpoints; a plane has read them by now
        report("bind", 0, 0)
        if "rowwise" in self.modes:
            for slot in range(self.rows):
                self.backend.place(slot, self.blends[slot % 2])
        for mode in self.modes:
            self._step(mode, 1)
        self._choose_threads()
        end = time.perf_counter() + PATIENCE
        for turn in range(ROUNDS):
            for i, n in enumerate(self.sizes):
                report("measure", turn * len(self.sizes) + i, ROUNDS * len(self.sizes))
                if self.best and time.perf_counter() > end and (n > 1 or len(self.best) >= len(self.modes)):
                    break
                for mode in self.modes:
                    self._time(("step", mode, n))
        costs = self.costs()
        for n in (min(PROMPTS, self.rows), 1):
            once = sum(costs.step(mode, n * PROMPT) for mode in self.modes)
            if rounds := min(ROUNDS, int(READING / once)):
                self._readers = n
                for mode in self.modes * rounds:
                    self._time(("read", mode, n))
                break
        self._time(("fold", "", 0))
        return self.costs()

    def probe(self) -> bool:
        """Time once more what was timed least often; False when all has been that can be in such a moment."""
        costs = self.costs()

        def takes(task: Task) -> float:
            return self.best.get(task) or costs.step(task[1], task[2])

        tasks: list[Task] = [("step", mode, n) for n in self.sizes for mode in self.modes]
        tasks += [("read", mode, self._readers) for mode in self.modes if self._readers] + [("fold", "", 0)]
        left = [
            task
            for task in tasks
            if self.seen[task] < ROUNDS and takes(task) <= (PAUSE if self.seen[task] >= DOUBT else 4 * PAUSE)
        ]
        if left:
            self._time(min(left, key=lambda task: self.seen[task]))
        return bool(left)

    def costs(self) -> Costs:
        """What is known now. A step of fewer lanes is not taken to be dearer than one of more."""
        steps: dict[str, list[tuple[int, float]]] = {}
        for mode in self.modes:
            least, table = float("inf"), []
            for n in reversed([n for n in self.sizes if ("step", mode, n) in self.best]):
                least = min(least, self.best["step", mode, n])
                table.append((n, least))
            steps[mode] = table[::-1]
        read = {
            mode: self.best["read", mode, self._readers]
            for mode in self.modes
            if ("read", mode, self._readers) in self.best
        }
        tokens = self._readers * min(PROMPT, self.width)
        further = {mode: max(seconds - steps[mode][0][1], 0.0) / (tokens - 1) for mode, seconds in read.items()}
        return Costs(steps, self.best.get(("fold", "", 0), 0.0), further)

    def _choose_threads(self) -> None:
        """As many threads of this process as pay, unless the environment says how many.

        Operations of a small model are too short to share, and where another program has a core, all of them wait for it.
        """
        most = torch.get_num_threads()
        if self.backend.device.type != "cpu" or most == 1 or "OMP_NUM_THREADS" in os.environ:
            return
        mode, lanes = self.modes[-1], min(LANES, self.rows)
        if self._step(mode, lanes) > LONG:
            return
        counts = [2**i for i in range((most - 1).bit_length())] + [most]
        took = dict.fromkeys(counts, float("inf"))
        for _ in range(ROUNDS):
            for n in counts:
                torch.set_num_threads(n)
                took[n] = min(took[n], self._step(mode, lanes))
        best = counts[0]
        for n in counts[1:]:
            if took[n] < GAIN * took[best]:
                best = n
        torch.set_num_threads(best)

    def _time(self, task: Task) -> None:
        kind, mode, n = task
        if mode != "rowwise":
            self.backend.refold(self.blends[0])  # only a fold is to be timed as one
        took = self._step(mode, n) if kind == "step" else self._read(mode, n) if kind == "read" else self._fold()
        self.best[task] = min(took, self.best.get(task, took))
        self.seen[task] += 1

    def _step(self, mode: str, n: int) -> float:
        ids = torch.zeros(n, 1, dtype=torch.long, device=self.backend.device)
        positions = torch.full((n, 1), self.width - 1, device=self.backend.device)
        start = time.perf_counter()
        float(
            self.backend.run(self.blends[0], mode, 0, ids, positions, self.width).sum()
        )  # waits for an asynchronous device
        return time.perf_counter() - start

    def _read(self, mode: str, n: int) -> float:
        positions = torch.arange(min(PROMPT, self.width), device=self.backend.device).expand(n, -1)
        start = time.perf_counter()
        logits = self.backend.run(
            self.blends[0],
            mode,
            0,
            torch.zeros_like(positions),
            positions,
            positions.shape[1],
            [positions.shape[1] - 1] * n,
        )
        float(logits.sum())
        return time.perf_counter() - start

    def _fold(self) -> float:
        start = time.perf_counter()
        self.backend.refold(self.blends[1])
        return time.perf_counter() - start
