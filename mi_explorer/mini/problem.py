"""A problem of the embedded pair: a value with a solution that can be written short, worked, or thought through.

 Its `key` holds the structure and every number, but no names or wording; the
hash of the key decides the split, so that no training document shares structure and numbers with a held-out problem.
"""

import hashlib
from collections.abc import Callable
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


@dataclass(frozen=True)
class SolutionStep:
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
    steps: tuple[SolutionStep, ...] = ()
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


def step_values(steps: tuple[SolutionStep, ...], slip: tuple[int, int] | None = None) -> list[tuple[int, int, int]]:
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


def structure_key(steps: tuple[SolutionStep, ...]) -> str:
    """The key text of arithmetic steps: operands and operators, no words."""
    return ";".join(f"{s.a}{s.op}{s.b}" for s in steps)
