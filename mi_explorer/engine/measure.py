"""Step times at start-up: what a step costs folded and row-wise, by number of lanes. The policy's only facts."""

import time
from typing import Any, Callable

import torch

from mi_explorer.engine.policy import Costs
from mi_explorer.recipe import Recipe

PATIENCE = 1.5  # seconds; sizes that would take longer are extrapolated


def measure(resident: Any, backend: Any, rows: int, patience: float = PATIENCE) -> Costs:
    """Time decode steps of 1, 2, 4, … lanes in both modes on empty slots (best of three), and one full fold."""
    recipes = [Recipe(resident.pair.name, lam=lam) for lam in (0.5, 0.4)]
    blends = [backend.bind(r.hash, resident.blend(r)) for r in recipes]
    modes = ["folded"] + (["rowwise"] if backend.rowwise and blends[0].plane is not None else [])
    if "rowwise" in modes:
        for slot in range(rows):
            backend.place(slot, blends[slot % 2])
    width = min(128, backend.context)
    costs = Costs({mode: [] for mode in modes})
    end = time.perf_counter() + patience

    def step(mode: str, n: int) -> Callable[[], float]:
        ids = torch.zeros(n, 1, dtype=torch.long, device=backend.device)
        positions = torch.full((n, 1), width - 1, device=backend.device)
        return lambda: float(backend.run(blends[0], mode, 0, ids, positions, width).sum())

    step("folded", 1)()
    n = 1
    while True:
        for mode in modes:
            costs.steps[mode].append((n, best(step(mode, n), end)))
        if n >= rows or time.perf_counter() > end:
            break
        n = min(2 * n, rows)
    start = time.perf_counter()
    backend.refold(blends[1])
    costs.fold = time.perf_counter() - start
    return costs


def best(run: Callable[[], float], end: float, times: int = 3) -> float:
    """The shortest of up to `times` runs, after one to warm up; fewer when time is up."""
    seconds = []
    for _ in range(times + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
        if time.perf_counter() > end:
            break
    return min(seconds)
