"""What a plan will take, before it runs: tokens by what was measured of such blends, time by a rate. What is not known is said.

A response is as long as those of the same recipe were; else as those of the plain blend at that λ, else of any blend at it
(interpolated between the measured λs of the same pair and task); without any, at most its token limit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mi_explorer.recipe import Recipe, Scope
from mi_explorer.studies.plan import Plan
from mi_explorer.studies.store.sample import Sample

MAX_GAP_S = 5.0  # without a sample: longer is a pause
MIN_TIMED_SAMPLES = 10  # samples from which on a throughput is told
Lengths = dict[Recipe, tuple[int, int]]  # responses and their tokens in all


@dataclass(frozen=True)
class Cost:
    """What a plan takes: samples in all and still to make, tokens of those (an upper bound unless `measured`), tokens a second or None."""

    units: int
    missing: int
    tokens: float
    measured: bool
    rate: float | None

    @property
    def seconds(self) -> float | None:
        """The time of what is still to make, where a rate is known."""
        return self.tokens / self.rate if self.rate else None

    @property
    def text(self) -> str:
        """In words, with what it rests on."""
        made = "" if self.missing == self.units else f", {self.missing:,} of them still to make"
        if not self.missing:
            return f"{self.units:,} samples, all of them made."
        each = self.tokens / self.missing
        size = f"about {token_count(self.tokens)} tokens ({each:,.0f} a sample, as in the studies so far)"
        if not self.measured:
            size = (
                f"at most {token_count(self.tokens)} tokens ({each:,.0f} a sample, the token limit: "
                "no study of this pair and task tells more)"
            )
        time = f", about {roughly(self.seconds)} at {self.rate:,.0f} tokens/s" if self.seconds is not None else ""
        return f"{self.units:,} samples{made}; {size}{time}."


def estimate(plan: Plan, units: int, missing: int, known: Lengths, rate: float | None) -> Cost:
    """The cost of the `missing` of a plan's `units`; `known` from `learn`, `rate` in tokens a second."""
    caps = [cell.decoding.cap for cell in plan.cells]
    found = _lengths([cell.recipe for cell in plan.cells], known)
    mean = float(np.mean([min(x, cap) for x, cap in zip(found or caps, caps, strict=True)])) if caps else 0.0
    return Cost(units, missing, mean * missing, found is not None, rate)


def learn(counted: Iterable[tuple[Recipe, int, int]]) -> Lengths:
    """Lengths by recipe from (recipe, responses, their tokens)."""
    out: Lengths = {}
    for recipe, count, tokens in counted:
        before = out.get(recipe, (0, 0))
        out[recipe] = (before[0] + count, before[1] + tokens)
    return out


def _lengths(recipes: Sequence[Recipe], known: Lengths) -> list[float] | None:
    """Mean tokens a response of each recipe; None where nothing at all is known."""
    plain = {r: found for r, found in known.items() if r.method == "linear" and r.scope == Scope()}
    by: dict[float, tuple[int, int]] = {}
    for recipe, (count, tokens) in (plain or known).items():
        before = by.get(recipe.lam, (0, 0))
        by[recipe.lam] = (before[0] + count, before[1] + tokens)
    lams = sorted(by)
    if not lams:
        return None
    means = [by[lam][1] / by[lam][0] for lam in lams]
    return [known[r][1] / known[r][0] if r in known else float(np.interp(r.lam, lams, means)) for r in recipes]


def throughput(samples: Sequence[Sample]) -> float | None:
    """Tokens a second at which samples came in, pauses left out; None from fewer than ten of them."""
    timed = sorted((s.finished, s.tokens) for s in samples if s.finished)
    if len(timed) < MIN_TIMED_SAMPLES:
        return None
    busy = sum(min(b - a, MAX_GAP_S) for (a, _), (b, _) in zip(timed, timed[1:], strict=False))
    return sum(tokens for _, tokens in timed[1:]) / busy if busy > 0 else None


def token_count(n: float) -> str:
    """A count of tokens: 830, 12 thousand, 3.1 million."""
    return f"{n / 1e6:.1f} million" if n >= 1e6 else f"{n / 1e3:,.0f} thousand" if n >= 1e4 else f"{n:,.0f}"


def roughly(seconds: float) -> str:
    """A time that is an estimate: 40 s, 12 min, 2.5 h."""
    return (
        f"{max(1, round(seconds))} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
