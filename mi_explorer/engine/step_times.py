"""Step times at start-up: what a step costs folded and row-wise, by its number of slots. The policy's only facts."""

import os
import time
from collections import Counter
from typing import Literal

import torch

from mi_explorer import machine
from mi_explorer.engine.backend import Backend
from mi_explorer.engine.costs import Costs, Table
from mi_explorer.engine.resident import Report, ResidentPair
from mi_explorer.recipe import Recipe

START_S = 1.5  # seconds for the steps; sizes that would take longer are extrapolated until there is a quiet moment
REPEATS = 5  # how often each time is taken
PROMPTS, PROMPT_TOKENS = (1, 8), 48  # prompts that are timed together, and the tokens of each
READING_S = 1.0  # seconds for that; what needs more stays unknown until there is a quiet moment
WIDTH = 128  # positions that a timed step sees
QUIET_S = 0.5  # what somebody who comes in a quiet moment may have to wait
DOUBTED_REPEATS = (
    3  # times that a longer one is looked at all the same, four times as long at most: it may have been disturbed
)
THREAD_SLOTS = 16  # slots of the step by which threads are chosen
THREAD_GAIN = 0.85  # share of the time that a step may take with more threads, to be worth them
LONG_STEP_S = 0.3  # seconds of a step that surely wants all threads

Task = tuple[Literal["step", "read", "fold"], str, int]
"""What is timed: ("step", mode, slots), ("read", mode, prompts) or ("fold", "", 0)."""
FOLD: Task = ("fold", "", 0)


def assumed_costs(rowwise: bool) -> Costs:
    """Step times of no particular machine, where they cannot be measured."""
    steps = {"folded": [(1, 1.0), (64, 10.0)], "rowwise": [(1, 1.5), (64, 15.0)]}
    return Costs(steps, 1.0) if rowwise else Costs({"folded": [(1, 1.0)]}, 1.0)


class StepTimer:
    """Times decode steps of 1, 2, 4, … slots in both modes on empty slots, prompts, and full folds.

    Of each the least time counts: a disturbance makes it longer, never shorter. `start` takes what a start may take;
    `measure_again` looks again, one time at a time, so that a machine that was busy at start-up does not decide for good. No
    sequence may be in a slot meanwhile.
    """

    def __init__(self, resident: ResidentPair, backend: Backend, slots: int):
        self.backend, self.slots = backend, slots
        recipes = [Recipe(resident.pair.name, lam=lam) for lam in (0.5, 0.4)]
        self.bound = [backend.bind(recipe.hash, resident.blend(recipe)) for recipe in recipes]
        rowwise = backend.rowwise and self.bound[0].rowwise_key is not None
        folded = (
            backend.merged or not rowwise
        )  # a fold that takes the endpoints' place is nothing to choose by its time
        self.modes = ["folded"] * folded + ["rowwise"] * rowwise
        self.sizes = [*(2**i for i in range((slots - 1).bit_length())), slots]
        self.width = min(WIDTH, backend.context)
        self.best: dict[Task, float] = {}
        self.repeats: Counter[Task] = Counter()
        self._warm: set[int] = set()  # numbers of slots that were in use before
        self._prompts = sorted({min(n, slots) for n in PROMPTS})  # that are timed together, where there is time for it

    def start(self, report: Report | None = None) -> Costs:
        """Read the weights and take the first times. `report` gets the phases "bind" and "measure"."""
        report = report or (lambda *_: None)
        self.prepare(report)
        if machine.owns_process():
            self.choose_threads()
        self._time_steps(report)
        self._time_reading()
        if "folded" in self.modes:
            self._time(FOLD)
        return self.costs()

    def prepare(self, report: Report = lambda *_: None) -> None:
        """Read the weights, give every slot a recipe, and run each mode once. `report` gets the phase "bind"."""
        if self.modes == ["folded"]:
            self.backend.fold(
                self.bound[0]
            )  # the first fold reads the checkpoints; row-wise weights have read them by now
        report("bind", 0, 0)
        if "rowwise" in self.modes:
            for slot in range(self.slots):
                self.backend.assign(slot, self.bound[slot % 2])
        for mode in self.modes:
            self.step_seconds(mode, 1)

    def _time_steps(self, report: Report) -> None:
        end = time.perf_counter() + START_S
        for turn in range(REPEATS):
            for i, n in enumerate(self.sizes):
                report("measure", turn * len(self.sizes) + i, REPEATS * len(self.sizes))
                if self.best and time.perf_counter() > end and (n > 1 or len(self.best) >= len(self.modes)):
                    break
                for mode in self.modes:
                    self._time(("step", mode, n))

    def _time_reading(self) -> None:
        costs, left = self.costs(), READING_S
        for n in self._prompts:
            once = sum(costs.step(mode, n * PROMPT_TOKENS) for mode in self.modes)
            repeats = min(REPEATS, int(left / once))
            left -= repeats * once
            for mode in self.modes * repeats:
                self._time(("read", mode, n))

    def measure_again(self) -> bool:
        """Time once more what was timed least often; False when all has been that can be in such a moment."""
        costs = self.costs()
        tasks: list[Task] = [("step", mode, n) for n in self.sizes for mode in self.modes]
        tasks += [("read", mode, n) for mode in self.modes for n in self._prompts]
        tasks += [FOLD] if "folded" in self.modes else []

        def worth_it(task: Task) -> bool:
            slots = task[2] * (PROMPT_TOKENS if task[0] == "read" else 1)
            seconds = self.best.get(task) or costs.step(task[1], slots)
            longest = QUIET_S if self.repeats[task] >= DOUBTED_REPEATS else 4 * QUIET_S
            return self.repeats[task] < REPEATS and seconds <= longest

        left = [task for task in tasks if worth_it(task)]
        if left:
            self._time(min(left, key=lambda task: self.repeats[task]))
        return bool(left)

    def costs(self) -> Costs:
        """What is known now. A step of fewer slots is not taken to be dearer than one of more."""
        steps: dict[str, Table] = {}
        read: dict[str, Table] = {}
        timed = [n for n in self._prompts if all(("read", mode, n) in self.best for mode in self.modes)]
        for mode in self.modes:
            least, table = float("inf"), []
            for n in reversed([n for n in self.sizes if ("step", mode, n) in self.best]):
                least = min(least, self.best["step", mode, n])
                table.append((n, least))
            steps[mode] = table[::-1]
            if timed:
                tokens = min(PROMPT_TOKENS, self.width)
                read[mode] = [(n * tokens, self.best["read", mode, n]) for n in timed]
        return Costs(steps, self.best.get(FOLD, 0.0), read)

    def choose_threads(self) -> None:
        """As many threads of this process as pay, unless the environment says how many.

        Operations of a small model are too short to share, and where another program has a core, all of them wait for it.
        """
        most = torch.get_num_threads()
        if self.backend.device.type != "cpu" or most == 1 or "OMP_NUM_THREADS" in os.environ:
            return
        mode, slots = self.modes[-1], min(THREAD_SLOTS, self.slots)
        if self.step_seconds(mode, slots) > LONG_STEP_S:
            return
        counts = [2**i for i in range((most - 1).bit_length())] + [most]
        seconds = dict.fromkeys(counts, float("inf"))
        for _ in range(REPEATS):
            for n in counts:
                torch.set_num_threads(n)
                seconds[n] = min(seconds[n], self.step_seconds(mode, slots))
        best = counts[0]
        for n in counts[1:]:
            if seconds[n] < THREAD_GAIN * seconds[best]:
                best = n
        torch.set_num_threads(best)

    def seconds(self, task: Task, repeats: int = REPEATS) -> float:
        """The least time that a task takes, looked at so many times."""
        for _ in range(repeats):
            self._time(task)
        return self.best[task]

    def _time(self, task: Task) -> None:
        kind, mode, n = task
        if mode != "rowwise":
            self.backend.fold(self.bound[0])  # only a fold is to be timed as one
        if kind != "fold" and task not in self.best and n not in self._warm:
            self._warm.add(n)
            self.step_seconds(
                mode, n
            )  # the first use of so many slots takes memory from the system: seconds, for large ones
        seconds = (
            self.step_seconds(mode, n) if kind == "step" else self._read(mode, n) if kind == "read" else self._fold()
        )
        self.best[task] = min(seconds, self.best.get(task, seconds))
        self.repeats[task] += 1

    def step_seconds(self, mode: str, n: int) -> float:
        """Seconds of a decode step of n slots."""
        return self._pass(mode, torch.full((n, 1), self.width - 1, device=self.backend.device))

    def _read(self, mode: str, n: int) -> float:
        positions = torch.arange(min(PROMPT_TOKENS, self.width), device=self.backend.device)
        return self._pass(mode, positions.expand(n, -1))

    def _pass(self, mode: str, positions: torch.Tensor) -> float:
        """Seconds of a forward pass at these positions [n, c]."""
        n, c = positions.shape
        width, ids = int(positions[0, -1]) + 1, torch.zeros_like(positions)
        start = time.perf_counter()
        logits = self.backend.run(self.bound[0], mode, 0, ids, positions, width, None if c == 1 else [c - 1] * n)
        float(logits.sum())  # waits for an asynchronous device
        seconds = time.perf_counter() - start
        for slot in range(n):
            self.backend.cache.release(slot)
        return seconds

    def _fold(self) -> float:
        start = time.perf_counter()
        self.backend.fold(self.bound[1])
        return time.perf_counter() - start
