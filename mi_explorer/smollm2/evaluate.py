"""What a pair does along λ on checked everyday questions. Held-out problems are an ordinary task: `sweep --task smollm2`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.smollm2.everyday import Everyday, mentions_accepted
from mi_explorer.workbench import Workbench

BOOTSTRAPS = 2000


@dataclass(frozen=True)
class EverydayCell:
    """A λ over all questions: share of answers that mention an accepted word, with a 95 % interval by bootstrap over questions; share of
    responses that think; share that end without an answer; mean tokens."""

    lam: float
    questions: int
    samples: int
    right: float
    right_ci: tuple[float, float]
    thinks: float
    unclosed: float
    tokens: float


def measure_everyday(
    bench: Workbench, questions: Sequence[Everyday], lams: Sequence[float], samples: int, cap: int = 400
) -> list[EverydayCell]:
    """Responses at T 0.6 and top-p 0.95, every λ with the same seeds."""
    return [_cell(lam, questions, _responses(bench, questions, lam, samples, cap)) for lam in lams]


def _responses(
    bench: Workbench, questions: Sequence[Everyday], lam: float, samples: int, cap: int
) -> list[list[Snapshot]]:
    """The finished responses of each question."""
    requests = [
        GenerationRequest(f"{i}-{k}", question.question, Recipe(bench.pair.name, lam=lam), Decoding(cap=cap, seed=k))
        for i, question in enumerate(questions)
        for k in range(samples)
    ]
    last: dict[str, Snapshot] = {}
    for shots in bench.stream(requests):
        last |= {shot.id: shot for shot in shots}
    return [[last[f"{i}-{k}"] for k in range(samples)] for i in range(len(questions))]


def _cell(lam: float, questions: Sequence[Everyday], responses: list[list[Snapshot]]) -> EverydayCell:
    traces = [shot.trace for shots in responses for shot in shots]
    right = np.array(
        [
            np.mean([mentions_accepted(shot.trace.answer_text, question.accepted) for shot in shots])
            for question, shots in zip(questions, responses, strict=True)
        ]
    )
    drawn = right[np.random.default_rng(0).integers(0, len(right), (BOOTSTRAPS, len(right)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return EverydayCell(
        lam,
        len(questions),
        len(traces),
        float(right.mean()),
        (float(low), float(high)),
        float(np.mean([bool(trace.thought) for trace in traces])),
        float(np.mean([trace.truncated or trace.think_open for trace in traces])),
        float(np.mean([trace.tokens for trace in traces])),
    )
