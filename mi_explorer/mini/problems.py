"""Problems of the embedded pair: values with a solution that can be written short, worked, or thought through.

A problem is generated from a seed alone. Its `key` holds the structure and every number, but no names or wording; the
hash of the key decides the split, so that no training document shares structure and numbers with a held-out problem.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "dev", "test"]
Ref = str  # "r0": the result of step 0
OPS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}
LIMIT = 999  # no number of a problem or of its solution is larger
LEVELS = (1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8)  # most problems are small, as in a school book


@dataclass(frozen=True)
class Step:
    """One arithmetic step: `say` is a sentence with one `{}` for "a op b = c"; operands are numbers or earlier results."""

    a: int | Ref
    op: str
    b: int | Ref
    say: str = "{}."


@dataclass(frozen=True)
class Problem:
    """A question, its answer, and what is needed to write solutions of every style.

    Arithmetic families fill `steps`; time fills `lines` (finished sentences); search families fill `trials`, the
    sentences of an honest trial and error up to the hit, and `others`, trials that would come after it.
    """

    family: str
    level: int
    question: str
    answer: str
    key: str
    short: str
    asks: str
    steps: tuple[Step, ...] = ()
    lines: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    proof: str = ""

    @property
    def split(self) -> Split:
        """ "dev" and "test" hold one key in ten each; all wordings and names of a key fall together."""
        bucket = int(hashlib.sha256(f"{self.family}|{self.key}".encode()).hexdigest()[:8], 16) % 20
        return "dev" if bucket in (0, 1) else "test" if bucket in (2, 3) else "train"

    @property
    def searches(self) -> bool:
        """Whether the answer is found by trial, so that a worked solution is only a guess with its proof."""
        return bool(self.trials)


class Redraw(Exception):
    """Raised by a family when the drawn numbers make no good problem; the caller draws again."""


def values(steps: tuple[Step, ...], slip: tuple[int, int] | None = None) -> list[tuple[int, int, int]]:
    """(a, b, result) of every step; `slip` = (index, wrong result) plants one error, which later steps carry on.

    Raises `Redraw` where a result leaves 0..999, a division has a remainder, or a divisor is 0.
    """
    done: list[tuple[int, int, int]] = []
    for i, step in enumerate(steps):
        a, b = (done[int(x[1:])][2] if isinstance(x, str) else x for x in (step.a, step.b))
        if step.op == "/" and (b == 0 or a % b):
            raise Redraw
        result = slip[1] if slip and slip[0] == i else OPS[step.op](a, b)
        if not 0 <= result <= LIMIT:
            raise Redraw
        done.append((a, b, result))
    return done


def structure(steps: tuple[Step, ...]) -> str:
    """The key text of arithmetic steps: operands and operators, no words."""
    return ";".join(f"{s.a}{s.op}{s.b}" for s in steps)


def draw(
    families: dict[str, Callable[[random.Random, int], Problem]],
    rng: random.Random,
    split: Split | None,
    weights: dict[str, float],
) -> Problem:
    """One problem of `split` (None: any), family by weight, size by one of `LEVELS`, which each family reads in its own way."""
    names = list(families)
    name = rng.choices(names, [weights.get(n, 1.0) for n in names])[0]
    while True:
        try:
            problem = families[name](rng, rng.choice(LEVELS))
        except Redraw:
            continue
        if split is None or problem.split == split:
            return problem


def stream(seed: int, split: Split | None, weights: Mapping[str, float] | None = None) -> Iterator[Problem]:
    """An endless deterministic stream of problems; equal arguments give equal problems on every machine.

    `weights` replaces the weights of the families it names.
    """
    from mi_explorer.mini.computed_problems import FAMILIES, WEIGHTS

    mixed = {**WEIGHTS, **(weights or {})}
    rng = random.Random(f"mini-{split}-{seed}")
    while True:
        yield draw(FAMILIES, rng, split, mixed)


def questions(seed: int, split: Split, count: int) -> list[Problem]:
    """`count` problems with pairwise different keys, in the order of the stream."""
    seen: dict[str, Problem] = {}
    for problem in stream(seed, split):
        seen.setdefault(f"{problem.family}|{problem.key}", problem)
        if len(seen) == count:
            return list(seen.values())
    raise AssertionError("the stream never ends")
