"""What Explore does when the page asks: open an address, run a strip, stop it, draw a question, score a trace.

No gradio here: every handler takes and gives JSON types, so that tests call them directly. One `Explore` serves all
visitors; what belongs to a visitor travels with the request or hangs on the run's unguessable token.
"""

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.generation.generate import Ask, Snapshot
from mi_explorer.studies.store.bundled import open_study
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.limits import Limits, Visitor
from mi_explorer.ui.explore import board, stored_sample
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.rail import Rail
from mi_explorer.ui.explore.run_queue import Throughput, slot_wait
from mi_explorer.ui.explore.strip_sentence import strip_bands, strip_sentence
from mi_explorer.ui.explore.token_scores import token_scores
from mi_explorer.ui.spaces import GpuError

log = logging.getLogger(__name__)
MAX_KEPT_TRACES = 400  # finished traces that can still be scored
MAX_EARLY_STOPS = 1000  # runs stopped before they began that are remembered
STATES_PER_SECOND = 10  # states a second: counters that move for the eye; each takes time from the engine, and from the browser beside it
HEARTBEAT_S = 2.0  # seconds; the page knows by it that the server is there


class RunRequestError(UserError):
    """A request of the page that is not one."""


class Explore:
    """The handlers of one page on one workbench (anything with its `pair`, `check`, `stream` and `score`)."""

    def __init__(self, bench: Any, questions: tuple[Any, ...] = (), limits: Limits | None = None) -> None:
        self.bench, self.questions, self.limits = bench, questions, limits or Limits()
        self._stops: dict[str, threading.Event] = {}
        self._traces: OrderedDict[tuple[str, str], Snapshot] = OrderedDict()
        self._lock = threading.Lock()
        self._unwanted: OrderedDict[str, None] = OrderedDict()  # runs that were stopped before they began
        self.pace = Throughput()  # of runs
        self._rail = Rail(bench)
        self.landing: dict[str, Any] | None = None  # a precomputed strip, shown where a run could not have a GPU

    # -- addresses ---------------------------------------------------------------------------------------------------
    def open(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The view that an address asks for, with messages about what could not be used."""
        view, messages = views.from_query(query)
        if view.pair != self.bench.pair.name:
            if "pair" in query:
                messages += (
                    f"The address names the pair “{view.pair[:60]}”, but “{self.bench.pair.name}” is loaded here.",
                )
            view = views.plain(view, self.bench.pair.name)
        try:
            self.bench.check(view.recipe())
        except UserError as error:
            messages += (str(error),)
            view = views.plain(view, self.bench.pair.name)
        given = set(query) & set(views.DEFAULTS)
        given |= (
            {"gold"} if "q" in given else set()
        )  # a question brings its known answer along, or none: never another question's
        return {"view": views.as_dict(view), "given": sorted(given), "messages": list(messages)}

    # -- running -----------------------------------------------------------------------------------------------------
    def run(self, request: Any, who: Visitor | None = None) -> Iterator[dict[str, Any]]:
        """Run a strip (`kind` "strip") or one frame ("here"); yields whole states whose texts only grow.

        A state: `{"token", "state", "message", "frames": {id: frame}, "sentence", "bands", "beat", "waits"}`; `waits` says where
        the run stands while rows of it wait for a slot (`waiting.for_slot`). Never raises: what went wrong is the last state's
        message, and the frames keep their partial text. `verified`, at the end of a frame that was made from another one's tokens:
        `{"lam": of that one, "kept": how many of them this λ writes too}`. `instead`, where it is there, is a precomputed strip to show.
        """
        token, frames, last = "", {}, {}
        state: dict[str, Any] = {"state": "failed", "message": "", "sentence": "", "bands": []}
        stop, held = threading.Event(), ExitStack()
        try:
            token, asks, kept, base, draft = self._asks(request)
            held.enter_context(self.limits.run(who))
            with self._lock:
                self._stops[token] = stop
                if token in self._unwanted:  # stopped while it waited in line
                    stop.set()
            for beat, changed in enumerate(self._stream(asks, stop)):
                for snapshot in changed:
                    self._keep(token, snapshot)
                    frames[snapshot.id] = board.trace_frame(snapshot)
                    last[snapshot.id] = snapshot
                if not any(f["state"] in ("queued", "running") for f in frames.values()):
                    continue  # the end says it all
                yield {
                    "token": token,
                    "state": "running",
                    "message": "",
                    "frames": dict(frames),
                    "sentence": "",
                    "bands": [],
                    "beat": beat,
                    "waits": next((slot_wait(s.waits) for s in last.values() if s.waits), None),
                }
            base = next((s for s in last.values() if s.recipe.lam == 0), base)
            for name, snapshot in last.items():
                frames[name] = {**frames[name], "parted": board.first_difference(snapshot, base) if base else None}
            told = [*kept, *frames.values()]
            state = {
                "state": "stopped" if stop.is_set() else "done",
                "message": "",
                "sentence": strip_sentence(told),
                "bands": strip_bands(told),
                "verified": next(
                    ({"lam": draft.recipe.lam, "kept": s.kept} for s in last.values() if draft and s.kept is not None),
                    None,
                ),
            }
            failed = [f["message"] for f in frames.values() if f["state"] == "failed"]
            if failed:
                state |= {"state": "failed", "message": failed[0]}
        except UserError as error:
            state |= {"message": str(error)}
            if isinstance(error, GpuError) and self.landing and not any(f["tokens"] for f in frames.values()):
                state["instead"] = {
                    **self.landing,
                    "label": f"{self.landing['label']} · shown because the run could not have a GPU",
                }
        except GeneratorExit:  # the tab was closed
            stop.set()
            raise
        except Exception as error:
            log.exception("A run failed")
            state |= {
                "message": f"Something broke on the server ({type(error).__name__}). What was written so far is kept; running again usually helps."
            }
        finally:
            stop.set()
            held.close()
            with self._lock:
                if self._stops.pop(token, None) is not None:
                    self.pace.ended()
        yield {"token": token or run_token(request), **state, "frames": _ended(frames), "beat": -1, "waits": None}

    def _asks(self, request: Any) -> tuple[str, list[Ask], list[dict[str, Any]], Snapshot | None, Snapshot | None]:
        """Token, asks, what the page has already, and of that the traces at λ = 0 and at the λ nearest to the asked one."""
        if not isinstance(request, dict) or not run_token(request):
            raise RunRequestError("This request is not a run.")
        asked, sent = request.get("view"), request.get("kept")
        view = views.from_dict(asked if isinstance(asked, dict) else {})
        if not view.prompt.strip():
            raise RunRequestError("There is no question yet. Write one, or take an example.")
        recipe = view.recipe()
        self.bench.check(recipe)
        self.limits.check(view.decoding)
        at = (view.lam,) if request.get("kind") == "here" else board.strip_lambdas(view.lam, view.pins)
        kept = [s for s in sent if isinstance(s, dict)][: board.MAX_FRAMES * 4] if isinstance(sent, list) else []
        held = (
            [
                h
                for s in kept
                if (h := self._held(s)) and h.decoding == view.decoding and h.recipe.at(view.lam) == recipe
            ]
            if len(at) == 1
            else []
        )
        base = next((h for h in held if h.recipe.lam == 0), None)
        draft = min(held, key=lambda h: abs(h.recipe.lam - at[0]), default=None)
        old = (draft.ids, draft.prompt_ids) if draft else ((), ())
        asks = [
            Ask(board.frame_id(x), view.prompt, recipe.at(x), view.decoding, view.gold or None, "auto", *old)
            for x in at
        ]
        told = [s for s in map(board.frame_summary, kept) if s and s["lam"] not in at]
        return run_token(request), asks, told, base, draft

    def _held(self, frame: dict[str, Any]) -> Snapshot | None:
        """The trace of a frame on the page, as long as the server has it."""
        with self._lock:
            return self._traces.get((str(frame.get("run")), str(frame.get("id"))))

    def _stream(self, asks: list[Ask], stop: threading.Event) -> Iterator[tuple[Snapshot, ...]]:
        """The workbench's stream; a run that waits for its turn still gives a sign of life."""
        yield from self.bench.stream(asks, stop=stop, hz=STATES_PER_SECOND, beat=HEARTBEAT_S)

    def stop(self, token: Any) -> bool:
        """End a run; its traces keep what they have. False if there is no such run: one that begins later will end at once."""
        with self._lock:
            event = self._stops.get(str(token))
            if event is None:
                self._unwanted[str(token)[:64]] = None
                while len(self._unwanted) > MAX_EARLY_STOPS:
                    self._unwanted.popitem(last=False)
        if event is not None:
            event.set()
        return event is not None

    def busy(self) -> bool:
        """Whether any run is going on."""
        with self._lock:
            return bool(self._stops)

    def alive(self, token: Any) -> bool:
        """Whether a run is still going on."""
        with self._lock:
            return str(token) in self._stops

    # -- what studies know -------------------------------------------------------------------------------------------
    def curve(self, view: Any) -> dict[str, Any] | None:
        """What a study knows of this view's recipe over λ (see `rail.Rail.study`), or None."""
        try:
            return self._rail.study(views.from_dict(view if isinstance(view, dict) else {}))
        except UserError:  # a view that cannot be run has no curve; a run says why
            return None
        except Exception:
            log.exception("The studies could not be read")
            return None

    # -- questions and scores -----------------------------------------------------------------------------------------
    def draw(self) -> dict[str, Any]:
        """A random question of the task: `{"q", "gold", "family", "level"}`."""
        if not self.questions:
            return {"error": "This page has no task with questions."}
        return question_dict(secrets.choice(self.questions))

    def score(self, request: Any) -> dict[str, Any]:
        """Per-token scores of a finished trace under both parents and the blend, or `{"error"}`."""
        request = request if isinstance(request, dict) else {}
        with self._lock:
            snapshot = self._traces.get((str(request.get("token")), str(request.get("id"))))
        if snapshot is None:
            return {"error": "This trace is no longer held by the server. Run it again to look at its tokens."}
        try:
            return token_scores(self.bench, snapshot)
        except UserError as error:
            return {"error": str(error)}
        except Exception as error:
            log.exception("Scoring failed")
            return {"error": f"The trace could not be scored ({type(error).__name__})."}

    def sample(self, study: str, key: str, store: Store | None = None) -> dict[str, Any]:
        """What `MI.show({}, …)` opens of a stored sample: the strip around it (see `stored_sample.content`), or `{"error"}`.

        The study is looked for among the user's own and the precomputed ones, or in `store`.
        """
        opened = None
        try:
            own = store or self.bench.store
            opened, info = (own, own.study(str(study))) if store else open_study(own, str(study))
            content, traces = stored_sample.stored_strip(opened, info, str(key), self.bench)
        except UserError as error:
            return {"error": str(error)}
        finally:
            if opened is not None and opened is not own:
                opened.close()
        self.keep(content["token"], traces)
        return content

    def keep(self, token: str, snapshots: Mapping[str, Snapshot]) -> None:
        """Hold finished traces for scoring (those of the landing strip and of studies, which no run made)."""
        for snapshot in snapshots.values():
            self._keep(token, snapshot)

    def _keep(self, token: str, snapshot: Snapshot) -> None:
        if snapshot.live or not snapshot.trace.ids:
            return
        with self._lock:
            self._traces[token, snapshot.id] = snapshot
            while len(self._traces) > MAX_KEPT_TRACES:
                self._traces.popitem(last=False)


def question_dict(item: Any) -> dict[str, Any]:
    """A task's question as the page holds it."""
    return {"q": item.text, "gold": item.answer, "family": item.family, "level": item.level}


def run_token(request: Any) -> str:
    """The token of a run that is asked for; "" where the request is none."""
    token = request.get("token") if isinstance(request, dict) else None
    return token if isinstance(token, str) and 8 <= len(token) <= 64 and token.isalnum() else ""


def _ended(frames: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Frames in which nothing runs any more: what was live when the run broke is cut short, not lost."""
    return {
        k: {**f, "state": "cancelled"} if f["state"] in ("queued", "running") else dict(f) for k, f in frames.items()
    }
