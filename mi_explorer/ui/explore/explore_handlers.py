"""What Explore does when the page asks: open an address, run a strip, stop it, draw a question, score a trace.

No gradio here: every handler takes and gives JSON types, so that tests call them directly. One `Explore` serves all
visitors; what belongs to a visitor travels with the request or hangs on the run's unguessable token.
"""

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import LIVE_STATES, Snapshot
from mi_explorer.pair_names import pair_name
from mi_explorer.studies.store.bundled import open_study
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.limits import Limits, Visitor
from mi_explorer.ui.explore import board, stored_sample
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.active_runs import ActiveRuns, FinishedTraces
from mi_explorer.ui.explore.branches import as_given, plan_branch
from mi_explorer.ui.explore.known_questions import KnownQuestions, known_questions
from mi_explorer.ui.explore.probe_runs import probe_states
from mi_explorer.ui.explore.rail import Rail
from mi_explorer.ui.explore.routed_lambda import route_for_page
from mi_explorer.ui.explore.run_plan import RunPlan, RunRequestError, plan_run, run_token
from mi_explorer.ui.explore.run_queue import slot_wait
from mi_explorer.ui.explore.steered_runs import RunClock, SteeredRuns
from mi_explorer.ui.explore.strip_sentence import strip_bands, strip_sentence
from mi_explorer.ui.explore.token_check import replay_result
from mi_explorer.ui.explore.token_scores import token_scores, token_texts
from mi_explorer.ui.handler_errors import broken, errors_as_dict
from mi_explorer.ui.spaces.gpu_work import GpuError
from mi_explorer.untyped import Json, JsonMapping, JsonObject

if TYPE_CHECKING:
    from mi_explorer.tasks.task import Question
    from mi_explorer.workbench import Workbench

log = logging.getLogger(__name__)
STATES_PER_SECOND = 10  # each takes time from the engine, and from the browser beside it
HEARTBEAT_S = 2.0  # a run that waits gives a state this often, so that the page knows that the server is there
NO_RESULT: JsonObject = {"message": "", "sentence": "", "bands": []}  # of a state before the end


class QuestionInfo(TypedDict):
    """A question of the page's task with its known answer."""

    q: str
    gold: str
    family: str
    level: int


class Explore:
    """The handlers of Explore on one workbench."""

    def __init__(
        self, bench: "Workbench", questions: "tuple[Question, ...]" = (), limits: Limits | None = None
    ) -> None:
        self.bench, self.questions, self.limits = bench, questions, limits or Limits()
        self.runs, self.steered, self.traces = ActiveRuns(), SteeredRuns(), FinishedTraces()
        self.demo: JsonObject | None = None  # the precomputed strip, shown where a run could not have a GPU
        self._rail = Rail(bench)

    # -- addresses ---------------------------------------------------------------------------------------------------
    def open(self, query: Mapping[str, str]) -> JsonObject:
        """The view that an address asks for, with messages about what could not be used."""
        view, messages = views.view_of_query(query)
        if view.pair != self.bench.pair.name:
            if "pair" in query:
                messages += (
                    f"The address names the pair “{pair_name(view.pair)[:60]}”, but “{pair_name(self.bench.pair.name)}” is loaded here.",
                )
            view = views.plain_view(view, self.bench.pair.name)
        try:
            self.bench.check(view.recipe())
        except UserError as error:
            messages += (str(error),)
            view = views.plain_view(view, self.bench.pair.name)
        return {"view": views.view_dict(view), "given": sorted(views.given_keys(query)), "messages": list(messages)}

    # -- running -----------------------------------------------------------------------------------------------------
    def run(self, request: Json, who: Visitor | None = None) -> Iterator[JsonObject]:
        """Run a strip (`kind` "strip"), one frame ("here"), or one that is steered ("steer"); yields whole states whose texts only
        grow, as long as they are not steered.

        A state: `{"token", "state", "message", "frames": {id: frame}, "sentence", "bands", "heartbeat", "waits"}`. `heartbeat`
        counts the states; `waits` is the run's place while rows of it wait for a slot (`run_queue.slot_wait`). Never raises: what
        went wrong is the last state's message, and the frames keep their partial text. In the last state, `verified` is how much
        of a draft was kept (`{"lam": its λ, "kept": tokens}`), `replayed` whether a replay gave the tokens that were expected
        (`token_check.replay_result`), and `instead`, where it is there, is a precomputed strip to show.
        Of `kind` "probe" it probes a trace (see `probe_states`), of "branch" it goes on from a token of one (see `plan_branch`).
        """
        if isinstance(request, dict) and request.get("kind") == "probe":
            yield from probe_states(request, self.bench, self.limits, self.runs, self.traces, who)
            return
        token, frames = "", {}
        end: JsonObject = {"state": "failed", **NO_RESULT}
        held = ExitStack()
        try:
            branches = isinstance(request, dict) and request.get("kind") == "branch"
            plan = (plan_branch if branches else plan_run)(request, self.bench, self.limits, self.traces)
            token = plan.token
            held.enter_context(self.limits.run(who))
            stop = held.enter_context(self.runs.stoppable(token))
            steering = held.enter_context(self.steered.hold(token, who))
            last: dict[str, Snapshot] = {}
            clock, over = RunClock(plan.paced), ""
            snapshots = self.bench.stream(
                plan.asks, stop=stop, hz=STATES_PER_SECOND, heartbeat=HEARTBEAT_S, steering=steering
            )
            for heartbeat, changed in enumerate(snapshots):
                for snapshot in changed:
                    self.traces.keep(token, as_given(snapshot, plan))
                    frames[snapshot.id] = board.trace_frame(snapshot, plan.shared)
                    last[snapshot.id] = snapshot
                if not over and (over := clock.over(last.values())):
                    stop.set()
                if any(f["state"] in LIVE_STATES for f in frames.values()):  # the last state is given below
                    waits = next((slot_wait(s.waits) for s in last.values() if s.waits), None)
                    state = {"state": "running", "frames": dict(frames), "heartbeat": heartbeat, "waits": waits}
                    yield {"token": token, **NO_RESULT, **state}
            end = self._end(plan, last, frames, stop.is_set())
            end["message"] = end["message"] or over
        except UserError as error:
            end["message"] = str(error)
            if isinstance(error, GpuError) and self.demo and not any(f["tokens"] for f in frames.values()):
                label = f"{self.demo['label']} · shown because the run could not have a GPU"
                end["instead"] = {**self.demo, "label": label}
        except Exception as error:
            log.exception("A run failed")
            end["message"] = f"{broken(error)} What was written so far is kept; running again usually helps."
        finally:  # also when the tab was closed
            held.close()
        yield {
            "token": token or run_token(request),
            **end,
            "frames": _cut_short(frames),
            "heartbeat": -1,
            "waits": None,
        }

    def _end(
        self, plan: RunPlan, last: Mapping[str, Snapshot], frames: dict[str, JsonObject], stopped: bool
    ) -> JsonObject:
        """What the last state of a run says of the whole strip; the frames get their first difference from λ = 0."""
        base = next((s for s in last.values() if s.recipe.lam == 0), plan.base)
        for name, snapshot in last.items():
            frames[name] = {**frames[name], "parted": board.first_difference(snapshot, base) if base else None}
        strip = [*plan.kept, *frames.values()]
        verified = [s.kept for s in last.values() if s.kept is not None]
        replayed = replay_result(plan.expected, next(iter(last.values())).ids) if plan.expected and last else None
        failed = [f["message"] for f in frames.values() if f["state"] == "failed"]
        return {
            "state": "failed" if failed else "stopped" if stopped else "done",
            "message": failed[0] if failed else "",
            "sentence": strip_sentence(strip),
            "bands": strip_bands(strip),
            "replayed": replayed,
            "verified": {"lam": plan.draft.recipe.lam, "kept": verified[0]} if plan.draft and verified else None,
        }

    # -- what studies know -------------------------------------------------------------------------------------------
    def curve(self, view: Json) -> JsonObject | None:
        """What a study knows of this view's recipe over λ (see `rail.Rail.study`), or None."""
        try:
            return self._rail.study(views.view_of_dict(view if isinstance(view, dict) else {}))
        except UserError:  # a view that cannot be run has no curve; a run says why
            return None
        except Exception:
            log.exception("The studies could not be read")
            return None

    @cached_property
    def known(self) -> KnownQuestions | None:
        """Which questions this pair knows, where that is kept."""
        return known_questions(self.bench)

    def is_known(self, question: Json) -> bool | None:
        """Whether a question is one of those that this pair knows; None where nothing is said of that (see `known_questions`)."""
        try:
            return self.known.holds(self.bench, str(question)) if self.known else None
        except Exception:
            log.exception("A question could not be judged")
            return None

    # -- questions and scores -----------------------------------------------------------------------------------------
    def draw(self) -> QuestionInfo | JsonObject:
        """A random question of the task, or `{"error"}`."""
        if not self.questions:
            return {"error": "This page has no task with questions."}
        return question_dict(secrets.choice(self.questions))

    @errors_as_dict
    def route(self, request: Json) -> JsonObject:
        """The λ that the pair's router gives a question (`q`): `{"lam", "score", "why"}`, or `{"error"}`."""
        asked = request if isinstance(request, dict) else {}
        return asdict(route_for_page(self.bench, str(asked.get("q") or "")))

    @errors_as_dict
    def score(self, request: Json) -> JsonObject:
        """Per-token scores of a finished trace under both parents and the blend, or `{"error"}`."""
        request = request if isinstance(request, dict) else {}
        trace = self.traces.get(request.get("token"), request.get("id"))
        if trace is None:
            raise RunRequestError("This trace is no longer held by the server. Run it again to look at its tokens.")
        return token_scores(self.bench, trace)

    @errors_as_dict
    def pieces(self, request: Json) -> JsonObject:
        """The tokens of a finished trace as `{"tokens": [[text, part]…]}` (see `token_scores.token_texts`), or `{"error"}`."""
        request = request if isinstance(request, dict) else {}
        trace = self.traces.get(request.get("token"), request.get("id"))
        if trace is None:
            raise RunRequestError("This trace is no longer held by the server. Run it again to look at its tokens.")
        return {"tokens": token_texts(trace.trace)}

    @errors_as_dict
    def sample(self, study: str, key: str, store: Store | None = None) -> JsonObject:
        """A stored sample as a strip to show (see `stored_sample.stored_strip`), or `{"error"}`.

        The study is looked for among the user's own and the precomputed ones, or in `store`.
        """
        own = store or self.bench.store
        opened, info = (own, own.study(str(study))) if store else open_study(own, str(study))
        try:
            content, traces = stored_sample.stored_strip(opened, info, str(key), self.bench)
        finally:
            if opened is not own:
                opened.close()
        for trace in traces.values():
            self.traces.keep(content["token"], trace)
        return content


def question_dict(question: "Question") -> QuestionInfo:
    """A task's question as the page holds it."""
    return {"q": question.text, "gold": question.answer, "family": question.family, "level": question.level}


def _cut_short(frames: Mapping[str, JsonMapping]) -> JsonObject:
    """Frames in which nothing runs any more: what was live when the run broke is cut short, not lost."""
    return {k: {**f, "state": "cancelled"} if f["state"] in LIVE_STATES else dict(f) for k, f in frames.items()}
