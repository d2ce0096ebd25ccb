"""Probes of a trace on the board, as the page asks for them → states whose points come one by one.

The trace is one that the server holds (`FinishedTraces`), named by the run that wrote it and its frame.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mi_explorer.errors import UserError
from mi_explorer.generation.probe_points import ProbeOptions
from mi_explorer.generation.probes import ProbeRun, ProbeTarget
from mi_explorer.recipe import number
from mi_explorer.ui.access.limits import Limits, Visitor
from mi_explorer.ui.explore import board
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.active_runs import ActiveRuns, FinishedTraces
from mi_explorer.ui.explore.branch_path import MAX_PAGE_FREE, MAX_PAGE_POINTS
from mi_explorer.ui.explore.run_plan import RunRequestError, held_trace, run_token
from mi_explorer.ui.explore.run_queue import slot_wait
from mi_explorer.ui.handler_errors import broken
from mi_explorer.untyped import Json, JsonObject

if TYPE_CHECKING:
    from mi_explorer.engine.stream import QueuePosition
    from mi_explorer.workbench import Workbench

log = logging.getLogger(__name__)
MAX_CONTINUATIONS = 96  # of one probe run: each is a response of full length
STATES_PER_SECOND = 10
HEARTBEAT_S = 2.0


@dataclass(frozen=True)
class AskedProbe:
    """A probe run, checked. `scored`: whether a known answer tells right from wrong."""

    token: str
    run: ProbeRun
    scored: bool
    first_right: int | None


def plan_probe(request: JsonObject, bench: "Workbench", limits: Limits, traces: FinishedTraces) -> AskedProbe:
    """The probes of `{"token", "view", "source": {"run", "id"}, "points", "lam", "free"}`, checked. Raises `UserError`."""
    token = run_token(request)
    if not token:
        raise RunRequestError("This request is not a run.")
    view = views.view_of_dict(request["view"] if isinstance(request.get("view"), dict) else {})
    gold = view.gold or None
    asked = {"points": request.get("points", ProbeOptions.points), "free": request.get("free", 0)}
    number(asked["points"], "points of a probe", 1, MAX_PAGE_POINTS)
    number(asked["free"], "continuations of a probe", 0, MAX_PAGE_FREE)
    options = ProbeOptions(lam=request.get("lam"), **asked)
    if options.free and gold is None:
        raise RunRequestError(
            "Continuations are counted as right or wrong, and this question has no known answer. Give one, or ask for none."
        )
    if options.free * options.points > MAX_CONTINUATIONS:
        raise RunRequestError(
            f"{options.points} points with {options.free} continuations each are {options.free * options.points} responses; the page "
            f"makes at most {MAX_CONTINUATIONS} at a time. Ask for fewer, or use the command line (probe --free)."
        )
    trace = held_trace(request.get("source"), view, bench, traces)
    target = ProbeTarget.of(trace, view.prompt, gold)
    run = ProbeRun(bench.generator, target, options, needs_gold=False)
    if options.free:
        limits.check(trace.decoding)
    return AskedProbe(token, run, gold is not None, trace.trace.first_correct)


def probe_value(asked: AskedProbe) -> JsonObject:
    """Where a probe run stands, in JSON types: `ProbedTrace.json`, with `wanted` (tokens of all points) and `place` of each point.

    Without a known answer `right`, `sufficient` and `verbose` are None and `harmful` is False.
    """
    run, trace = asked.run, asked.run.target.trace
    value = run.result.json()
    for point in value["points"]:
        point["place"] = board.token_place(trace, point["token"])
    if not asked.scored:
        value |= {"right": None, "sufficient": None, "verbose": None, "harmful": False}
        value["points"] = [{**point, "right": None} for point in value["points"]]
    options = run.options
    return {
        **value,
        "wanted": list(run.positions),
        "scored": asked.scored,
        "first": asked.first_right if value["right"] else None,
        "lam": options.lam,
        "asked": {"points": options.points, "free": options.free},
    }


def probe_states(
    request: JsonObject,
    bench: "Workbench",
    limits: Limits,
    runs: ActiveRuns,
    traces: FinishedTraces,
    who: Visitor | None,
) -> Iterator[JsonObject]:
    """Probe a trace; yields states like those of `Explore.run`, without frames: `probe` is what `probe_value` gives. Never raises."""
    asked: AskedProbe | None = None
    state, message = "failed", ""

    def of(state: str, message: str = "", **more: Json) -> JsonObject:
        blank = {"frames": {}, "sentence": "", "bands": [], "heartbeat": -1, "waits": None}
        value = None if asked is None else probe_value(asked)
        return {"token": run_token(request), **blank, "state": state, "message": message, "probe": value, **more}

    with ExitStack() as held:
        try:
            asked = plan_probe(request, bench, limits, traces)
            held.enter_context(limits.run(who))
            stop = held.enter_context(runs.stoppable(asked.token))
            waits: dict[str, QueuePosition | None] = {}
            yield of("running", heartbeat=0)
            stream = bench.stream(asked.run.requests, stop=stop, hz=STATES_PER_SECOND, heartbeat=HEARTBEAT_S)
            for heartbeat, changed in enumerate(stream, 1):
                asked.run.add(changed)
                waits |= {s.id: s.waits for s in changed}
                stands = next((slot_wait(w) for w in waits.values() if w), None)
                if not asked.run.complete:
                    yield of("running", heartbeat=heartbeat, waits=stands)
            state = "done" if asked.run.complete else "stopped"
        except UserError as error:
            message = str(error)
        except Exception as error:
            log.exception("A probe failed")
            message = broken(error)
    yield of(state, message)
