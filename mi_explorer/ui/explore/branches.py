"""Branches: a trace that goes on from a token of another one, at a λ of its own.

Where the server holds the trace, its tokens are given; from a link, the path of the branch as a schedule makes the same tokens again,
for keys and values never cross coefficients and the noise of a token depends on the seed and its place alone.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from mi_explorer.generation.snapshots import AppliedChange, GenerationRequest, Snapshot
from mi_explorer.recipe import LAM_RANGE, number
from mi_explorer.ui.access.limits import Limits
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.active_runs import FinishedTraces
from mi_explorer.ui.explore.branch_path import parse_branch
from mi_explorer.ui.explore.run_plan import RunPlan, RunRequestError, held_trace, run_token
from mi_explorer.untyped import Json, JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

BRANCH_ID = "branch"  # of the one frame of its run


def plan_branch(request: JsonObject, bench: "Workbench", limits: Limits, traces: FinishedTraces) -> RunPlan:
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
        before, decoding, shared, expected = view.recipe(path.lam), view.decoding, path.shared, path.check
        ask = GenerationRequest(BRANCH_ID, view.prompt, before, decoding, gold, schedule=path.schedule)
        own = replace(before.at(path.own_lam), template=bench.prompts.parent(before))
    else:
        trace = held_trace(request.get("source"), view, bench, traces)
        shared, decoding, expected = _token_number(request.get("at"), trace.trace.tokens), trace.decoding, ""
        is_thinking = shared < trace.trace.think_tokens  # the answer's λ is to come; else it is over
        before = trace.recipe if is_thinking else trace.recipe.for_thought
        lam = number(request.get("lam"), "λ of a branch", *LAM_RANGE)
        own = replace(before.at(lam), template=bench.prompts.parent(before))
        ask = GenerationRequest(BRANCH_ID, view.prompt, own, decoding, gold, given=trace.ids[:shared])
    limits.check(decoding)
    if shared >= decoding.cap:
        raise RunRequestError(
            f"The token limit of {decoding.cap:,} leaves no token after token {shared:,}. Begin earlier, or run with a higher limit."
        )
    bench.check(own)
    return RunPlan(token, [ask], [], expected=expected, shared=shared, branch=own)


def as_given(snapshot: Snapshot, plan: RunPlan) -> Snapshot:
    """The snapshot of a run as it is held: a branch that a schedule made is the one that its first tokens were given to."""
    if plan.branch is None or snapshot.given:
        return snapshot
    later = (change for change in snapshot.changes if change.cause != "lam" and change.at >= plan.shared)
    given = AppliedChange(0, "given", None, min(plan.shared, snapshot.trace.tokens))
    return replace(snapshot, recipe=plan.branch, changes=(given, *later), schedule=())


def _token_number(value: Json, tokens: int) -> int:
    at = number(value, "The token to go on from", 0, 10**9)
    if at != int(at) or at > tokens:
        raise RunRequestError(
            f"Token {at:g} is no token of this trace, which has {tokens:,}. Choose a whole number up to that."
        )
    return int(at)
