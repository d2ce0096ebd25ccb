"""What Explore does when the page asks: open an address, run a strip, stop it, draw a question, score a trace.

No gradio here: every handler takes and gives JSON types, so that tests call them directly. One `Explore` serves all
visitors; what belongs to a visitor travels with the request or hangs on the run's unguessable token.
"""

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.studies.store.bundled import open_study
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.limits import Limits, Visitor
from mi_explorer.ui.explore import board, stored_sample
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.rail import Rail
from mi_explorer.ui.explore.run_queue import Throughput, slot_wait
from mi_explorer.ui.explore.strip_sentence import strip_bands, strip_sentence
from mi_explorer.ui.explore.token_scores import token_scores
from mi_explorer.ui.handler_errors import errors_as_dict
from mi_explorer.ui.spaces import GpuError

if TYPE_CHECKING:
    from mi_explorer.tasks.task import Question
    from mi_explorer.workbench import Workbench

log = logging.getLogger(__name__)
MAX_KEPT_TRACES = 400  # finished traces that can still be scored
MAX_EARLY_STOPS = 1000  # runs stopped before they began that are remembered
STATES_PER_SECOND = (
    10  # counters that move for the eye; each state takes time from the engine, and from the browser beside it
)
HEARTBEAT_S = 2.0  # a run that waits gives a state this often, so that the page knows that the server is there


class QuestionInfo(TypedDict):
    """A question of the page's task with its known answer."""

    q: str
    gold: str
    family: str
    level: int


class RunRequestError(UserError):
    """A request of the page that is not one."""


@dataclass(frozen=True)
class RunPlan:
    """What a run makes: `asks`, beside finished frames that the page has (`kept`), and the traces that help.

    `base` is the page's trace at λ = 0 of the same recipe; `draft` is the one nearest in λ, whose tokens are verified first.
    """

    token: str
    asks: list[GenerationRequest]
    kept: list[dict[str, Any]]
    base: Snapshot | None = None
    draft: Snapshot | None = None


class Explore:
    """The handlers of Explore on one workbench."""

    def __init__(
        self, bench: "Workbench", questions: "tuple[Question, ...]" = (), limits: Limits | None = None
    ) -> None:
        self.bench, self.questions, self.limits = bench, questions, limits or Limits()
        self.throughput = Throughput()  # of runs
        self.demo: dict[str, Any] | None = None  # the precomputed strip, shown where a run could not have a GPU
        self._stops: dict[str, threading.Event] = {}
        self._ending = False
        self._early_stops: OrderedDict[str, None] = OrderedDict()  # tokens of runs that were stopped before they began
        self._traces: OrderedDict[tuple[str, str], Snapshot] = OrderedDict()
        self._lock = threading.Lock()
        self._rail = Rail(bench)

    # -- addresses ---------------------------------------------------------------------------------------------------
    def open(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The view that an address asks for, with messages about what could not be used."""
        view, messages = views.view_of_query(query)
        if view.pair != self.bench.pair.name:
            if "pair" in query:
                messages += (
                    f"The address names the pair “{view.pair[:60]}”, but “{self.bench.pair.name}” is loaded here.",
                )
            view = views.plain_view(view, self.bench.pair.name)
        try:
            self.bench.check(view.recipe())
        except UserError as error:
            messages += (str(error),)
            view = views.plain_view(view, self.bench.pair.name)
        return {"view": views.view_dict(view), "given": sorted(views.given_keys(query)), "messages": list(messages)}

    # -- running -----------------------------------------------------------------------------------------------------
    def run(self, request: Any, who: Visitor | None = None) -> Iterator[dict[str, Any]]:
        """Run a strip (`kind` "strip") or one frame ("here"); yields whole states whose texts only grow.

        A state: `{"token", "state", "message", "frames": {id: frame}, "sentence", "bands", "beat", "waits"}`; `beat` counts the
        states, `waits` says where the run stands while rows of it wait for a slot (`run_queue.slot_wait`). Never raises: what went
        wrong is the last state's message, and the frames keep their partial text. In the last state, `verified` tells how much of a
        draft was kept (`{"lam": its λ, "kept": tokens}`), and `instead`, where it is there, is a precomputed strip to show.
        """
        token, frames = "", {}
        end: dict[str, Any] = {"state": "failed", "message": "", "sentence": "", "bands": []}
        held = ExitStack()
        try:
            plan = self._plan(request)
            token = plan.token
            held.enter_context(self.limits.run(who))
            stop = held.enter_context(self.stoppable(token))
            last: dict[str, Snapshot] = {}
            for beat, changed in enumerate(
                self.bench.stream(plan.asks, stop=stop, hz=STATES_PER_SECOND, heartbeat=HEARTBEAT_S)
            ):
                for snapshot in changed:
                    self._keep(token, snapshot)
                    frames[snapshot.id] = board.trace_frame(snapshot)
                    last[snapshot.id] = snapshot
                if any(f["state"] in ("queued", "running") for f in frames.values()):  # the last state is given below
                    waits = next((slot_wait(s.waits) for s in last.values() if s.waits), None)
                    state = {
                        "state": "running",
                        "message": "",
                        "sentence": "",
                        "bands": [],
                        "beat": beat,
                        "waits": waits,
                    }
                    yield {"token": token, "frames": dict(frames), **state}
            end = self._end(plan, last, frames, stop.is_set())
        except UserError as error:
            end["message"] = str(error)
            if isinstance(error, GpuError) and self.demo and not any(f["tokens"] for f in frames.values()):
                label = f"{self.demo['label']} · shown because the run could not have a GPU"
                end["instead"] = {**self.demo, "label": label}
        except Exception as error:
            log.exception("A run failed")
            end["message"] = (
                f"Something broke on the server ({type(error).__name__}). What was written so far is kept; "
                "running again usually helps."
            )
        finally:  # also when the tab was closed
            held.close()
        yield {"token": token or run_token(request), **end, "frames": _cut_short(frames), "beat": -1, "waits": None}

    def _end(
        self, plan: RunPlan, last: Mapping[str, Snapshot], frames: dict[str, dict[str, Any]], stopped: bool
    ) -> dict[str, Any]:
        """What the last state of a run says of the whole strip; the frames get their first difference from λ = 0."""
        base = next((s for s in last.values() if s.recipe.lam == 0), plan.base)
        for name, snapshot in last.items():
            frames[name] = {**frames[name], "parted": board.first_difference(snapshot, base) if base else None}
        strip = [*plan.kept, *frames.values()]
        verified = [s.kept for s in last.values() if s.kept is not None]
        failed = [f["message"] for f in frames.values() if f["state"] == "failed"]
        return {
            "state": "failed" if failed else "stopped" if stopped else "done",
            "message": failed[0] if failed else "",
            "sentence": strip_sentence(strip),
            "bands": strip_bands(strip),
            "verified": {"lam": plan.draft.recipe.lam, "kept": verified[0]} if plan.draft and verified else None,
        }

    def _plan(self, request: Any) -> RunPlan:
        """The run of a request, checked. Raises `UserError`."""
        token = run_token(request)
        if not token:
            raise RunRequestError("This request is not a run.")
        asked, sent = request.get("view"), request.get("kept")
        view = views.view_of_dict(asked if isinstance(asked, dict) else {})
        if not view.prompt.strip():
            raise RunRequestError("There is no question yet. Write one, or take an example.")
        recipe = view.recipe()
        self.bench.check(recipe)
        self.limits.check(view.decoding)
        one = request.get("kind") == "here"
        lams = (view.lam,) if one else board.strip_lambdas(view.lam, view.pins)
        known = [f for f in sent if isinstance(f, dict)][: board.MAX_FRAMES * 4] if isinstance(sent, list) else []
        kept = [f for f in map(board.frame_summary, known) if f and f["lam"] not in lams]
        base = draft = None
        if one:
            traces = [trace for f in known if (trace := self._trace(f.get("run"), f.get("id")))]
            same = [t for t in traces if t.decoding == view.decoding and t.recipe.at(view.lam) == recipe]
            base = next((t for t in same if t.recipe.lam == 0), None)
            draft = min(same, key=lambda t: abs(t.recipe.lam - view.lam), default=None)
        old = (draft.ids, draft.prompt_ids) if draft else ((), ())
        gold = view.gold or None
        asks = [
            GenerationRequest(board.frame_id(x), view.prompt, recipe.at(x), view.decoding, gold, "auto", *old)
            for x in lams
        ]
        return RunPlan(token, asks, kept, base, draft)

    @contextmanager
    def stoppable(self, token: str) -> Iterator[threading.Event]:
        """Count a run as going on; gives the event that ends it, which is set at the end in any case."""
        stop = threading.Event()
        with self._lock:
            self._stops[token] = stop
            if self._ending or token in self._early_stops:  # stopped while it waited for its turn
                stop.set()
        try:
            yield stop
        finally:
            stop.set()
            with self._lock:
                self._stops.pop(token, None)
            self.throughput.ended()

    def stop(self, token: Any) -> bool:
        """End a run; its traces keep what they have. False if there is no such run: one that begins later will end at once."""
        with self._lock:
            event = self._stops.get(str(token))
            if event is None:
                self._early_stops[str(token)[:64]] = None
                while len(self._early_stops) > MAX_EARLY_STOPS:
                    self._early_stops.popitem(last=False)
        if event is not None:
            event.set()
        return event is not None

    def stop_all(self) -> None:
        """End every run that is going on or begins later: the server ends."""
        with self._lock:
            self._ending = True
            for event in self._stops.values():
                event.set()

    def is_busy(self) -> bool:
        """Whether any run is going on."""
        with self._lock:
            return bool(self._stops)

    def is_running(self, token: Any) -> bool:
        with self._lock:
            return str(token) in self._stops

    # -- what studies know -------------------------------------------------------------------------------------------
    def curve(self, view: Any) -> dict[str, Any] | None:
        """What a study knows of this view's recipe over λ (see `rail.Rail.study`), or None."""
        try:
            return self._rail.study(views.view_of_dict(view if isinstance(view, dict) else {}))
        except UserError:  # a view that cannot be run has no curve; a run says why
            return None
        except Exception:
            log.exception("The studies could not be read")
            return None

    # -- questions and scores -----------------------------------------------------------------------------------------
    def draw(self) -> QuestionInfo | dict[str, Any]:
        """A random question of the task, or `{"error"}`."""
        if not self.questions:
            return {"error": "This page has no task with questions."}
        return question_dict(secrets.choice(self.questions))

    @errors_as_dict
    def score(self, request: Any) -> dict[str, Any]:
        """Per-token scores of a finished trace under both parents and the blend, or `{"error"}`."""
        request = request if isinstance(request, dict) else {}
        trace = self._trace(request.get("token"), request.get("id"))
        if trace is None:
            raise RunRequestError("This trace is no longer held by the server. Run it again to look at its tokens.")
        return token_scores(self.bench, trace)

    @errors_as_dict
    def sample(self, study: str, key: str, store: Store | None = None) -> dict[str, Any]:
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
        self.keep_traces(content["token"], traces)
        return content

    def keep_traces(self, token: str, snapshots: Mapping[str, Snapshot]) -> None:
        """Hold finished traces that no run of this page made (the demo strip's, a study's), so that they can be scored."""
        for snapshot in snapshots.values():
            self._keep(token, snapshot)

    def _trace(self, token: Any, frame_id: Any) -> Snapshot | None:
        """A finished trace by its run and frame, as long as it is held."""
        with self._lock:
            return self._traces.get((str(token), str(frame_id)))

    def _keep(self, token: str, snapshot: Snapshot) -> None:
        if snapshot.live or not snapshot.trace.ids:
            return
        with self._lock:
            self._traces[token, snapshot.id] = snapshot
            while len(self._traces) > MAX_KEPT_TRACES:
                self._traces.popitem(last=False)


def question_dict(question: "Question") -> QuestionInfo:
    """A task's question as the page holds it."""
    return {"q": question.text, "gold": question.answer, "family": question.family, "level": question.level}


def run_token(request: Any) -> str:
    """The token of a run that is asked for; "" where the request is none."""
    token = request.get("token") if isinstance(request, dict) else None
    valid = isinstance(token, str) and 8 <= len(token) <= 64 and token.isascii() and token.isalnum()
    return str(token) if valid else ""


def _cut_short(frames: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Frames in which nothing runs any more: what was live when the run broke is cut short, not lost."""
    return {
        k: {**f, "state": "cancelled"} if f["state"] in ("queued", "running") else dict(f) for k, f in frames.items()
    }
