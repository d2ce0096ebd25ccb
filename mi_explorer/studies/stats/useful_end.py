"""Where more tokens stop buying accuracy: from which λ on stage 3 pays nothing that is certain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mi_explorer.studies.stats.metrics import Estimate, Measures
from mi_explorer.studies.stats.stages import Transition


@dataclass(frozen=True)
class UsefulEnd:
    """Where stage 3 stops paying: from `lam` on, the paired gain in points per 1,000 extra tokens is not above 0 for certain.

    `gain` is that rate for the step from `lam` to `to`. `last`: where there is no such step, the last one that bought accuracy for
    certain, as its two λs.
    """

    lam: float | None
    gain: Estimate | None
    message: str
    to: float | None = None
    last: tuple[float, float] | None = None


def end_of_useful_stage_3(measures: Measures, lams: Sequence[float], found: Transition) -> UsefulEnd:
    """First λ of stage 3 whose step to the next λ has an interval of Δaccuracy per 1,000 extra tokens that contains 0."""
    if found.lambda50 is None:
        return UsefulEnd(None, None, "No transition, so there is no stage 3.")
    order = [int(i) for i in np.argsort(np.asarray(lams)) if found.stage(lams[int(i)]) == 3]
    if len(order) < 2:
        return UsefulEnd(None, None, "Fewer than two λs lie in stage 3.")
    last = None
    for i, j in pairwise(order):
        gain = measures.gain_per_1k(j, i)
        if math.isnan(gain.value):  # no extra tokens: nothing was paid
            continue
        if not gain.low > 0:
            points, tokens = measures.paired(j, i, "mean"), measures.paired(j, i, "tokens")
            return UsefulEnd(
                lams[i], gain,
                f"From λ {lams[i]:g} on, more tokens buy no certain accuracy: {tokens.value:+.0f} tokens "
                f"and {100 * points.value:+.1f} points up to λ {lams[j]:g} "
                f"(95 %: {100 * points.low:+.1f} to {100 * points.high:+.1f}, n = {gain.questions}).",
                lams[j],
            )  # fmt: skip
        last = lams[i], lams[j]
    if last is None:
        return UsefulEnd(None, None, "No λ of stage 3 takes more tokens than the one before it.")
    return UsefulEnd(None, None, f"Accuracy still rises with tokens up to λ {last[1]:g}.", last=last)
