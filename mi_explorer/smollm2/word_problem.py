"""A problem in everyday words: a question, its answer, and the sentences of an honest solution."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "dev", "test"]
DRAWS = 1000  # after which a kind is taken to have no more of a split
BUCKETS = 20  # of the hash; two of them are held out for "dev" and two for "test"


@dataclass(frozen=True)
class WordProblem:
    """`steps` lead to the answer, `checks` confirm it in other ways, each a sentence or a few. `key`: what the problem asks without its
    wording; its hash decides the split, so that no training document shares names and numbers with a held-out problem."""

    kind: str
    question: str
    answer: str
    key: str
    steps: tuple[str, ...]
    checks: tuple[str, ...]

    @property
    def split(self) -> Split:
        """One key in ten each is held out."""
        bucket = int(hashlib.sha256(f"{self.kind}|{self.key}".encode()).hexdigest()[:8], 16) % BUCKETS
        return "dev" if bucket < 2 else "test" if bucket < 4 else "train"


Draw = Callable[[random.Random], WordProblem]


def problems_of(kinds: dict[str, Draw], split: Split, count: int, rng: random.Random) -> list[WordProblem]:
    """So many problems of a split, no key twice; the kinds in turn, as long as they have more."""
    found: dict[tuple[str, str], WordProblem] = {}
    left = list(kinds)
    while len(found) < count and left:
        for name in tuple(left):
            problem = next(
                (
                    p
                    for p in (kinds[name](rng) for _ in range(DRAWS))
                    if p.split == split and (name, p.key) not in found
                ),
                None,
            )
            if problem is None:
                left.remove(name)
            elif len(found) < count:
                found[name, problem.key] = problem
    return list(found.values())
