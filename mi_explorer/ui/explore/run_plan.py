"""A run as the page asks for it → what is generated, checked before anything runs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mi_explorer.errors import UserError
from mi_explorer.generation.schedule import parse_schedule
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.recipe import Recipe, number
from mi_explorer.ui.access.limits import Limits
from mi_explorer.ui.explore import board
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.active_runs import FinishedTraces
from mi_explorer.untyped import Json, JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench


STEERED_ID = "steered"  # of the one frame of a steered run
MAX_PACE = 1000.0  # tokens a second


class RunRequestError(UserError):
    """A request of the page that is not one."""


@dataclass(frozen=True)
class RunPlan:
    """What a run makes: `asks`, beside finished frames that the page has (`kept`), and the traces that help.

    `base` is the page's trace at λ = 0 of the same recipe; `draft` is the one nearest in λ, whose tokens are verified first.
    """

    token: str
    asks: list[GenerationRequest]
    kept: list[JsonObject]
    base: Snapshot | None = None
    draft: Snapshot | None = None
    expected: str = ""
    """Of a replay: the tokens that it should give (`token_check.token_check`)."""
    shared: int = 0
    """Of a branch: how many tokens another trace wrote."""
    branch: Recipe | None = None
    """Of a branch that is made by a schedule: the recipe that it would have had with those tokens given."""

    @property
    def paced(self) -> bool:
        return any(ask.pace for ask in self.asks)


def run_token(request: Json) -> str:
    """The token of a run that is asked for; "" where the request is none."""
    token = request.get("token") if isinstance(request, dict) else None
    valid = isinstance(token, str) and 8 <= len(token) <= 64 and token.isascii() and token.isalnum()
    return str(token) if valid else ""


def plan_run(request: Json, bench: "Workbench", limits: Limits, traces: FinishedTraces) -> RunPlan:
    """The run of a request, checked. Raises `UserError`."""
    token = run_token(request)
    if not token:
        raise RunRequestError("This request is not a run.")
    asked, sent = request.get("view"), request.get("kept")
    view = views.view_of_dict(asked if isinstance(asked, dict) else {})
    if not view.prompt.strip():
        raise RunRequestError("There is no question yet. Write one, or take an example.")
    recipe = view.recipe()
    bench.check(recipe)
    limits.check(view.decoding)
    if request.get("kind") == "steer":
        return _steered_plan(request, token, view)
    one = request.get("kind") == "here"
    lams = (view.lam,) if one else board.strip_lambdas(view.lam, view.pins)
    known = [f for f in sent if isinstance(f, dict)][: board.MAX_FRAMES * 4] if isinstance(sent, list) else []
    kept = [f for f in map(board.frame_summary, known) if f and f["lam"] not in lams]
    base = draft = None
    if one:
        held = [trace for f in known if (trace := traces.get(f.get("run"), f.get("id")))]
        same = [t for t in held if t.decoding == view.decoding and t.recipe.at(view.lam) == recipe]
        base = next((t for t in same if t.recipe.lam == 0), None)
        draft = min(same, key=lambda t: abs(t.recipe.lam - view.lam), default=None)
    old = (draft.ids, draft.prompt_ids) if draft else ((), ())
    gold = view.gold or None
    asks = [
        GenerationRequest(board.frame_id(x), view.prompt, recipe.at(x), view.decoding, gold, "auto", *old) for x in lams
    ]
    return RunPlan(token, asks, kept, base, draft)


def _steered_plan(request: Json, token: str, view: views.View) -> RunPlan:
    """One response that is steered while it is written, at the `pace` of whoever reads it; with a schedule, a replay of one."""
    value = request.get("pace")
    pace = number(value, "The pace", 1, MAX_PACE) if value else 0.0
    schedule = parse_schedule(view.schedule)
    ask = GenerationRequest(
        STEERED_ID, view.prompt, view.recipe(), view.decoding, view.gold or None, schedule=schedule, pace=pace
    )
    return RunPlan(token, [ask], [], expected=view.expected)


def held_trace(source: Json, view: views.View, bench: "Workbench", traces: FinishedTraces) -> Snapshot:
    """The trace that a page names by `{"run", "id"}`, which answers the question of `view`. Raises `RunRequestError`."""
    source = source if isinstance(source, dict) else {}
    trace = traces.get(source.get("run"), source.get("id"))
    if trace is None:
        raise RunRequestError(
            "The tokens of this trace are not here: it still runs, it was made with other weights, or it is too old. "
            "Run it again first."
        )
    if trace.prompt_ids and bench.prompts.render(view.prompt, trace.recipe).ids != trace.prompt_ids:
        raise RunRequestError(
            "This trace answers another question than the one that was sent with it. Run it again first."
        )
    return trace
