"""Branches and probes as short texts, for links: which trace goes on from where at which λ, and which trace was probed how.

A branch has a path: the λ that the first trace began with, and the schedule that leads here, the branch's own λ last. It is written
`1~120:0.5,200:0.2`, and `~225-1f0c9ab37e44` after that for the tokens that came of it (see `token_check`). A probe is written
`1/12` (λ of the trace, number of stops), `b2/12/0.5/4` (of the second branch, answers at λ 0.5, 4 continuations of each stop).
"""

import re
from dataclasses import dataclass

from mi_explorer.errors import UserError
from mi_explorer.generation.schedule import ScheduleStep, parse_schedule, schedule_text
from mi_explorer.recipe import LAM_RANGE, number
from mi_explorer.recipe_io import digits
from mi_explorer.ui.explore.token_check import TOKEN_CHECK

LONGEST_PATH = 2_000  # characters
MAX_PAGE_POINTS = 48
MAX_PAGE_FREE = 8  # continuations of each point
PROBE = re.compile(
    r"(?:b(?P<branch>[1-9]\d?)|(?P<at>[^/]{1,24}))/(?P<points>\d{1,3})(?:/(?P<lam>[^/]{0,24})(?:/(?P<free>\d{1,2}))?)?"
)


class BranchError(UserError):
    """A text that is no branch, or no probe."""


@dataclass(frozen=True)
class BranchPath:
    """How a branch came about. The last step of `schedule` sets its λ; `check` says which tokens came of it, or "" (see `token_check`)."""

    lam: float
    schedule: tuple[ScheduleStep, ...]
    check: str = ""

    @property
    def shared(self) -> int:
        """How many tokens the trace before it wrote."""
        return self.schedule[-1].at

    @property
    def own_lam(self) -> float:
        """λ of the branch itself."""
        lam = self.schedule[-1].lam
        assert lam is not None  # `parse_branch` has looked
        return lam

    def text(self) -> str:
        """In one line; `parse_branch` is the inverse."""
        return "~".join([digits(self.lam), schedule_text(self.schedule), *([self.check] if self.check else [])])


def parse_branch(text: str) -> BranchPath:
    """The path of a line; raises a `UserError` for another one."""
    lam, tilde, rest = text.partition("~")
    steps, _, check = rest.rpartition("~") if TOKEN_CHECK.fullmatch(rest.rpartition("~")[2]) else (rest, "", "")
    schedule = parse_schedule(steps) if tilde and len(text) <= LONGEST_PATH else ()
    if not schedule or schedule[-1].lam is None:
        raise BranchError(f"A branch is written 1~120:0.5 (λ, then token:λ), not {text[:40]!r}.")
    return BranchPath(number(lam, "λ of a branch", *LAM_RANGE), schedule, check)


@dataclass(frozen=True)
class LinkedProbe:
    """Which trace was probed: that at λ `at`, or the branch of this number (from 1); with how many stops and continuations of each, and
    which λ answered (None: the trace's own)."""

    at: float | None
    branch: int | None
    points: int
    lam: float | None = None
    free: int = 0

    def text(self) -> str:
        """In one line; `parse_probe` is the inverse."""
        target = f"b{self.branch}" if self.at is None else digits(self.at)
        lam = "" if self.lam is None else digits(self.lam)
        return (
            f"{target}/{self.points}" + (f"/{lam}" if lam or self.free else "") + (f"/{self.free}" if self.free else "")
        )


def parse_probe(text: str) -> LinkedProbe:
    """The probe of a line; raises a `UserError` for another one."""
    match = PROBE.fullmatch(text)
    if not match:
        raise BranchError(f"A probe is written 1/12 (λ of the trace, then the number of stops), not {text[:40]!r}.")
    at, lam, branch = match["at"], match["lam"], match["branch"]
    return LinkedProbe(
        None if at is None else number(at, "λ of a probed trace", *LAM_RANGE),
        None if branch is None else int(branch),
        int(number(match["points"], "Stops of a probe", 1, MAX_PAGE_POINTS)),
        number(lam, "λ of a probe", *LAM_RANGE) if lam else None,
        int(number(match["free"] or 0, "Continuations of a probe", 0, MAX_PAGE_FREE)),
    )
