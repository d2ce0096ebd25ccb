"""Step times at start-up: what a step costs folded and row-wise, by number of lanes. The policy's only facts."""

import time
from collections.abc import Callable
from typing import Any

import torch

from mi_explorer.engine.policy import Costs
from mi_explorer.recipe import Recipe

PATIENCE = 1.5  # seconds; sizes that would take longer are extrapolated
ROUNDS = 5
PROMPTS, PROMPT = 8, 48  # how many prompts are timed together, or one where that takes too long, and their tokens
READING = 1.0  # seconds for that; of a model that needs more it stays unknown


def measure(resident: Any, backend: Any, rows: int, patience: float = PATIENCE, report: Callable[[str, int, int], None] = lambda *_: None) -> Costs:
    """Time decode steps of 1, 2, 4, … lanes in both modes on empty slots, a prompt, and one full fold.

    The best of several rounds over all sizes, so that a disturbance does not hit one size only; a disturbance makes a step
    longer, never shorter, so a step of fewer lanes is not taken to be dearer than one of more.
    `report` is told of the phases "bind" and "measure".
    """
    recipes = [Recipe(resident.pair.name, lam=lam) for lam in (0.5, 0.4)]
    blends = [backend.bind(r.hash, resident.blend(r)) for r in recipes]
    modes = ["folded"] + (["rowwise"] if backend.rowwise and blends[0].plane is not None else [])
    if len(modes) == 1:
        backend.refold(blends[0])  # the first fold reads the checkpoints; a plane has read them by now
    report("bind", 0, 0)
    if "rowwise" in modes:
        for slot in range(rows):
            backend.place(slot, blends[slot % 2])
    width = min(128, backend.context)

    def step(mode: str, n: int) -> float:
        ids = torch.zeros(n, 1, dtype=torch.long, device=backend.device)
        positions = torch.full((n, 1), width - 1, device=backend.device)
        start = time.perf_counter()
        float(backend.run(blends[0], mode, 0, ids, positions, width).sum())  # waits for an asynchronous device
        return time.perf_counter() - start

    def read(mode: str, n: int) -> float:
        """Seconds a token of `n` prompts that are read together."""
        positions = torch.arange(min(PROMPT, width), device=backend.device).expand(n, -1)
        start = time.perf_counter()
        logits = backend.run(blends[0], mode, 0, torch.zeros_like(positions), positions, positions.shape[1], [positions.shape[1] - 1] * n)
        float(logits.sum())
        return (time.perf_counter() - start) / positions.numel()

    for mode in modes:
        step(mode, 1)
    end = time.perf_counter() + patience
    sizes = [*(2**i for i in range((rows - 1).bit_length())), rows]
    best: dict[tuple[str, int], float] = {}
    for turn in range(ROUNDS):
        for i, n in enumerate(sizes):
            report("measure", turn * len(sizes) + i, ROUNDS * len(sizes))
            if best and time.perf_counter() > end and (n > 1 or len(best) >= len(modes)):
                break
            for mode in modes:
                best[mode, n] = min(step(mode, n), best.get((mode, n), float("inf")))
    measured = [n for n in sizes if (modes[-1], n) in best]
    for n, more in reversed(list(zip(measured, measured[1:]))):
        for mode in modes:
            best[mode, n] = min(best[mode, n], best[mode, more])
    costs = Costs({mode: [(n, best[mode, n]) for n in measured] for mode in modes})
    for n in (min(PROMPTS, rows), 1):
        once = sum(costs.step(mode, n * PROMPT) for mode in modes)
        if rounds := min(ROUNDS, int(READING / once)):
            costs.read = {mode: min(read(mode, n) for _ in range(rounds)) for mode in modes}
            break
    start = time.perf_counter()
    backend.refold(blends[1])
    costs.fold = time.perf_counter() - start
    return costs
