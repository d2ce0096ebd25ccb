"""A response's schedule as a value and as text: from which token on which λ writes, where a hint stands, where the thought is closed.

    40:0.8,95:hint=Check%20the%20units.,130:close      # λ 0.8 from token 40 on, a hint at 95, the thought closed at 130

The recorded schedule of a response that was steered by hand gives the same tokens again. No models here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from mi_explorer.errors import UserError
from mi_explorer.prompts.token_codec import check_text
from mi_explorer.recipe import LAM_RANGE, number
from mi_explorer.recipe_io import digits

MAX_STEPS = 1_000
MAX_HINT = 4_000  # characters
MAX_TOKEN = 1_000_000


class ScheduleError(UserError):
    """A schedule that cannot be meant: out of order, no change at all, a hint that is too long."""


@dataclass(frozen=True)
class ScheduleStep:
    """From response token number `at` (from 0) on: another λ, a hint that is put there, or the thought closed. One of the three."""

    at: int
    lam: float | None = None
    hint: str = ""
    close: bool = False

    def __post_init__(self) -> None:
        at = number(self.at, "The token of a schedule", 0, MAX_TOKEN)
        if at != int(at):
            raise ScheduleError(f"The token of a schedule must be a whole number, not {at:g}.")
        object.__setattr__(self, "at", int(at))
        if (self.lam is not None) + bool(self.hint) + bool(self.close) != 1:
            raise ScheduleError(
                f"At token {self.at} the schedule needs one of three: a λ, a hint, or the end of the thought."
            )
        if self.lam is not None:
            object.__setattr__(self, "lam", number(self.lam, "λ", *LAM_RANGE))
        check_hint(self.hint)


def check_hint(hint: str) -> None:
    """Raise a `UserError` for a hint that no tokenizer takes, or that is too long."""
    if len(hint) > MAX_HINT:
        raise ScheduleError(f"The hint has {len(hint):,} characters; at most {MAX_HINT:,} are read.")
    check_text(hint)


def check_schedule(steps: Sequence[ScheduleStep], given: int = 0) -> None:
    """Raise `ScheduleError` for steps out of order, or inside the `given` first tokens of the response."""
    if len(steps) > MAX_STEPS:
        raise ScheduleError(f"The schedule has {len(steps):,} steps; at most {MAX_STEPS:,} are taken.")
    if steps and steps[0].at < given:
        raise ScheduleError(
            f"The schedule begins at token {steps[0].at}, inside the {given} tokens that are given. Its steps come after them."
        )
    for before, after in zip(steps, steps[1:]):
        if after.at < before.at:
            raise ScheduleError(
                f"The schedule is out of order: token {after.at} comes after token {before.at}. Sort its steps by their tokens."
            )


def schedule_text(steps: Sequence[ScheduleStep]) -> str:
    """The schedule in one line, for links, recipes and reports; `parse_schedule` reads it."""
    return ",".join(f"{step.at}:{_what(step)}" for step in steps)


def _what(step: ScheduleStep) -> str:
    if step.lam is not None:
        return digits(step.lam)
    return "close" if step.close else "hint=" + quote(step.hint, safe="")


def parse_schedule(text: str) -> tuple[ScheduleStep, ...]:
    """The schedule of a line; raises `ScheduleError` (or `RecipeError` for a λ out of range)."""
    steps = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = re.fullmatch(r"(\d{1,7}):(?:(close)|hint=(.*)|(.+))", part, re.DOTALL)
        if not match:
            raise ScheduleError(
                f"A schedule is written 40:0.8,95:close (token:λ, token:close, token:hint=…), not {part[:40]!r}."
            )
        at, close, hint, lam = match.groups()
        if hint is not None:
            steps.append(ScheduleStep(int(at), hint=unquote(hint)))
        elif close:
            steps.append(ScheduleStep(int(at), close=True))
        else:
            steps.append(ScheduleStep(int(at), lam=number(lam, "λ", *LAM_RANGE)))
    check_schedule(steps)
    return tuple(steps)
