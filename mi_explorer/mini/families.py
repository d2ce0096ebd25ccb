"""The families of problems by name, and streams of problems drawn from them by a seed alone."""

import random
from collections.abc import Callable, Iterator, Mapping

from mi_explorer.mini.clock_problems import time
from mi_explorer.mini.computed_problems import comparing, expressions, shopping, stories
from mi_explorer.mini.problem import Problem, Redraw, Split
from mi_explorer.mini.search_problems import pairs, remainders, tickets
from mi_explorer.mini.sequence_problems import sequences, unit_conversion

LEVELS = (1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8)  # most problems are small, as in a school book

FAMILIES: dict[str, Callable[[random.Random, int], Problem]] = {
    "stories": stories,
    "expressions": expressions,
    "shopping": shopping,
    "comparing": comparing,
    "time": time,
    "sequences": sequences,
    "units": unit_conversion,
    "pairs": pairs,
    "tickets": tickets,
    "remainders": remainders,
}
WEIGHTS = {"stories": 2.0, "expressions": 1.5, "pairs": 0.8, "tickets": 0.8, "remainders": 0.8}
SEARCH = ("pairs", "tickets", "remainders")


def draw_problem(rng: random.Random, split: Split | None, weights: Mapping[str, float]) -> Problem:
    """One problem of `split` (None: any): family by weight, size by one of `LEVELS`, which each family reads in its own way."""
    names = list(FAMILIES)
    name = rng.choices(names, [weights.get(n, 1.0) for n in names])[0]
    while True:
        try:
            problem = FAMILIES[name](rng, rng.choice(LEVELS))
        except Redraw:
            continue
        if split is None or problem.split == split:
            return problem


def problem_stream(seed: int, split: Split | None, weights: Mapping[str, float] | None = None) -> Iterator[Problem]:
    """An endless deterministic stream of problems; equal arguments give equal problems on every machine.

    `weights` replaces the weights of the families it names.
    """
    mixed = {**WEIGHTS, **(weights or {})}
    rng = random.Random(f"mini-{split}-{seed}")
    while True:
        yield draw_problem(rng, split, mixed)


def distinct_problems(seed: int, split: Split, count: int) -> list[Problem]:
    """`count` problems with pairwise different keys, in the order of the stream."""
    seen: dict[str, Problem] = {}
    for problem in problem_stream(seed, split):
        seen.setdefault(f"{problem.family}|{problem.key}", problem)
        if len(seen) == count:
            return list(seen.values())
    raise AssertionError("the stream never ends")
