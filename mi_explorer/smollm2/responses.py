"""Responses as text: a thought that tries, fails, mends and checks, and an answer behind it.

A text is a list of pieces (text, learn): planted slips are shown to the model but left out of its loss, so that it learns to find and
mend them without learning to make them.
"""

import random
import re

from mi_explorer.smollm2.word_problem import WordProblem

Pieces = list[tuple[str, bool]]
OPENERS = (
    "Okay, let me think.",
    "Let me think about this.",
    "Let me work this out.",
    "Let me see.",
    "Let me go step by step.",
)
MENDS = ("Wait, that is not right.", "No, that is wrong.", "Hmm, let me do that again.")
CHECKS = ("Let me check.", "Wait, let me check that.", "Let me make sure.", "Another way to see it.")
CHECK_WEIGHTS = (0.45, 0.3, 0.15, 0.07, 0.03)  # of 0, 1, 2, … checks
SLIPS = 0.12  # share of thoughts that hold a slip
NUMBER = re.compile(r"\d+(?=\D*$)")  # the last one of a sentence


def slipped(step: str, rng: random.Random) -> str | None:
    """The step with another number at its end; None where it has none."""
    match = NUMBER.search(step)
    if not match:
        return None
    wrong = max(0, int(match[0]) + rng.choice((-10, -2, -1, 1, 2, 10)))
    return step[: match.start()] + str(wrong) + step[match.end() :] if wrong != int(match[0]) else None


def response(problem: WordProblem, rng: random.Random) -> Pieces:
    """A response to the problem; equal generators give equal texts."""
    checks = rng.choices(range(len(CHECK_WEIGHTS)), CHECK_WEIGHTS)[0]
    at = rng.randrange(len(problem.steps)) if rng.random() < SLIPS else -1
    pieces: Pieces = [(f"<think>\n{rng.choice(OPENERS)}", True)]
    for i, step in enumerate(problem.steps):
        if i == at and (wrong := slipped(step, rng)):
            pieces += [(f" {wrong}", False), (f" {rng.choice(MENDS)}", True)]
        pieces.append((f" {step}", True))
    for i in range(checks):
        pieces.append((f"\n{rng.choice(CHECKS)} {problem.checks[i % len(problem.checks)]}", True))
    return [*pieces, (f"\n</think>\n\nThe answer is {problem.answer}.", True)]


def everyday_response(about: str, answer: str, rng: random.Random) -> Pieces:
    """Instruct's own answer behind a short thought."""
    thought = rng.choice(
        (
            f"This is about {about}. Nothing has to be computed, so I answer directly.",
            f"The question is about {about}. I know this and say it shortly.",
            f"Let me think. It is about {about}, and a plain answer will do.",
        )
    )
    return [(f"<think>\n{thought}\n</think>\n\n{answer}", True)]
