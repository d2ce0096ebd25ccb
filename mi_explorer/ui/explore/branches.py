"""Branches: a trace that goes on from a token of another one, at a λ of its own.

A branch has a path: the λ that the first trace began with, and the schedule that leads here, the branch's own λ last. It is written
`1~120:0.5,200:0.2` (and `~225-1f0c9ab37e44` after that for the tokens that came of it, see `token_check`). Where the server holds the
trace, its tokens are given; from a link, the path as a schedule makes the same tokens again, for keys and values never cross
coefficients and the noise of a token depends on the seed and its place alone.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mi_explorer.generation.schedule import ScheduleStep, parse_schedule, schedule_text
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.recipe import LAM_RANGE, number
from mi_explorer.recipe_io import digits
from mi_explorer.ui.access.limits import Limits
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.active_runs import FinishedTraces
from mi_explorer.ui.explore.run_plan import RunPlan, RunRequestError, held_trace, run_token
from mi_explorer.ui.explore.token_check import TOKEN_CHECK

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

BRANCH_ID = "branch"  # of the one frame of its run
LONGEST_PATH = 2_000  # characters


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
    def own_lam(self) -> float | None:
        """λ of the branch itself."""
        return self.schedule[-1].lam

    def text(self) -> str:
        """In one line; `parse_branch` is the inverse."""
        return "~".join([digits(self.lam), schedule_text(self.schedule), *([self.check] if self.check else [])])


def parse_branch(text: str) -> BranchPath:
    """The path of a line; raises a `UserError` for another one."""
    lam, tilde, rest = text.partition("~")
    steps, _, check = rest.rpartition("~") if TOKEN_CHECK.fullmatch(rest.rpartition("~")[2]) else (rest, "", "")
    schedule = parse_schedule(steps) if tilde and len(text) <= LONGEST_PATH else ()
    if not schedule or schedule[-1].lam is None:
        raise RunRequestError(f"A branch is written 1~120:0.5 (λ, then token:λ), not {text[:40]!r}.")
    return BranchPath(number(lam, "λ of a branch", *LAM_RANGE), schedule, check)


def plan_branch(request: dict[str, Any], bench: "Workbench", limits: Limits, traces: FinishedTraces) -> RunPlan:
    """The run of `{"token", "view", "source": {"run", "id"}, "at", "lam"}`, or with `path` in place of the last three, checked.

    The first `at` tokens of the source are given, and its prompt stays. Raises `UserError`.
    """
    token = run_token(request)
    if not token:
        raise RunRequestError("This request is not a run.")
    view = views.view_of_dict(request["view"] if isinstance(request.get("view"), dict) else {})
    gold = view.gold or None
    if request.get("path") is not None:
        path = parse_branch(str(request["path"]))
        recipe, decoding, shared = view.recipe(path.lam), view.decoding, path.shared
        ask = GenerationRequest(BRANCH_ID, view.prompt, recipe, decoding, gold, schedule=path.schedule)
        expected = path.check
    else:
        trace = held_trace(request.get("source"), view, bench, traces)
        shared, decoding, expected = _token_number(request.get("at"), trace.trace.tokens), trace.decoding, ""
        lam = number(request.get("lam"), "λ of a branch", *LAM_RANGE)
        before = (
            trace.recipe if shared < trace.trace.think_tokens else trace.recipe.for_thought
        )  # the answer's λ was to come, or is over
        recipe = replace(before.at(lam), template=bench.prompts.parent(trace.recipe))
        ask = GenerationRequest(BRANCH_ID, view.prompt, recipe, decoding, gold, given=trace.ids[:shared])
    limits.check(decoding)
    if shared >= decoding.cap:
        raise RunRequestError(
            f"The token limit of {decoding.cap:,} leaves no token after token {shared:,}. Begin earlier, or run with a higher limit."
        )
    bench.check(recipe)
    return RunPlan(token, [ask], [], expected=expected, shared=shared)


def _token_number(value: Any, tokens: int) -> int:
    at = number(value, "The token to go on from", 0, 10**9)
    if at != int(at) or at > tokens:
        raise RunRequestError(
            f"Token {at:g} is no token of this trace, which has {tokens:,}. Choose a whole number up to that."
        )
    return int(at)
