"""The page's endpoints for programs: `gradio_client`, curl, or another language through the API page.

    from gradio_client import Client
    for frames in Client("http://127.0.0.1:7860").submit("What is 14 + 3 * 6 - 9?", lams="0,0.4,1", gold="23", api_name="/strip"):
        print([(f["lam"], f["tokens"], f["answer"]) for f in frames])

`Api` holds the handlers: plain values in, JSON types out, a `UserError` for everything that is wrong from outside. `add` puts
them on an app; the page's own events stay private. What a visitor may ask for is bounded by the operator's settings.
"""

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import isgeneratorfunction, signature
from typing import Any, TypedDict

import gradio as gr

from mi_explorer.command_line import export_command
from mi_explorer.errors import UserError
from mi_explorer.generation.generate import Ask, Snapshot
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import MODULES, Decoding, Recipe
from mi_explorer.studies.jobs import Job, Jobs
from mi_explorer.studies.plan import Plan, grid, parse_lambdas
from mi_explorer.ui.access.limits import MAX_BACKGROUND_RUNS, MAX_BACKGROUND_SAMPLES, Limits, Visitor, visitor_of
from mi_explorer.ui.explore import view
from mi_explorer.ui.open_pairs import OpenPairs

log = logging.getLogger(__name__)
MAX_LAMBDAS = 24  # frames of one strip
DEFAULT_MAX_TOKENS = 32_768
STATES_PER_SECOND = 4  # states a second while text streams


class ApiError(UserError):
    """A request that cannot be carried out; says what to change."""


class Frame(TypedDict):
    """One response at one λ. `state`: queued, running, done, cancelled, failed; `verdict` (with a gold answer): correct, wrong, no_answer.

    Tokens count thought and answer; `first_correct` is their number when the answer was first right, `overthinking` the share after it.
    """

    lam: float
    state: str
    text: str
    thought: str
    answer_text: str
    answer: str | None
    verdict: str | None
    tokens: int
    think_tokens: int
    think_closed: bool
    truncated: bool
    looped: bool
    first_correct: int | None
    overthinking: float | None
    tokens_per_second: float
    message: str


class RecipeForms(TypedDict):
    """One recipe in every form it can be taken away in; `mergekit` is None where mergekit has no such method."""

    hash: str
    yaml: str
    json: str
    query: str
    command: str
    mergekit: str | None


class SweepInfo(TypedDict):
    """A study: `state` is running, paused, stopped, done or saved; `eta` in seconds; `cells` and `stages` as `sweep --json` gives them.

    `token` stops it (`/sweep_stop`); it is given to whoever started it, and to nobody else.
    """

    study: str
    state: str
    done: int
    total: int
    failed: int
    eta: float | None
    message: str
    cells: list[dict[str, Any]]
    stages: dict[str, Any]
    token: str


class PairInfo(TypedDict):
    """A pair of this page; only a loaded one answers. `modules` can be blended in `layers` layers."""

    name: str
    title: str
    loaded: bool
    layers: int
    modules: list[str]
    methods: list[str]


class QuestionInfo(TypedDict):
    """A question of the page's task with its known answer."""

    q: str
    gold: str
    family: str
    level: int


class Api:
    """The handlers, on the resident pairs of a page. `jobs` are the background runs that the page's tabs show too."""

    def __init__(self, pairs: OpenPairs, settings: Any = None, jobs: Jobs | None = None) -> None:
        self._pairs, self._jobs = pairs, jobs or Jobs()
        self._tokens = int(getattr(settings, "tokens", DEFAULT_MAX_TOKENS))
        self._task = str(getattr(settings, "task", "mini"))
        self._started: OrderedDict[str, str] = OrderedDict()  # token → study
        self._starting = threading.Lock()

    # -- what there is -----------------------------------------------------------------------------------------------
    def pairs(self) -> list[PairInfo]:
        """The pairs of this page: those that are loaded answer; the rest can be loaded on the page."""
        from mi_explorer.ui.explore.page_setup import method_controls

        out: list[PairInfo] = []
        for offered in self._pairs.offered():
            explore, fixed = self._pairs.at(offered["name"])
            loaded = explore.bench.pair.name == offered["name"]
            names = (
                [m["name"] for m in method_controls(bool(explore.bench.pair.base)) if m["available"]] if loaded else []
            )
            modules = list(fixed["pair"]["modules"]) if loaded else []
            out.append({"name": offered["name"], "title": offered["title"], "loaded": loaded,
                        "layers": int(explore.bench.layers or 0) if loaded else 0, "modules": modules, "methods": names})  # fmt: skip
        return out

    def questions(self, limit: int = 10, seed: int = 0, family: str = "") -> list[QuestionInfo]:
        """Questions of the page's task with their known answers, drawn by the seed; of one family where it is named."""
        from mi_explorer.errors import unknown
        from mi_explorer.tasks.task import choose

        held = self._pairs.at("")[0].questions
        if family and family not in (families := {q.family for q in held}):
            raise unknown("family", family, families)
        if not 1 <= int(limit) <= 1000:
            raise ApiError(f"limit must be a number from 1 to 1000, not {limit}.")
        drawn = choose([q for q in held if not family or q.family == family], int(limit), int(seed))
        return [{"q": q.text, "gold": q.answer, "family": q.family, "level": q.level} for q in drawn]

    def recipe(
        self, lam: float = 0.5, method: str = "linear", layers: str = "all", modules: str = "all", params: dict[str, float] | None = None,
        template: str = "own", pair: str = "",
    ) -> RecipeForms:  # fmt: skip
        """A blend as YAML, JSON, address, command line and (where there is one) mergekit configuration, checked against the pair."""
        from mi_explorer.mergekit_yaml import to_mergekit
        from mi_explorer.recipe_io import to_json, to_query, to_yaml

        bench, made = self._recipe(pair, lam, method, layers, modules, params, template)
        try:
            names = tuple(bench.resident.names) if bench.resident is not None else ()
            mergekit = to_mergekit(made, bench.pair, names).replace(
                f"{ASSETS.parent}/", ""
            )  # no path of the server's goes out
        except UserError:
            mergekit = None
        forms = {"yaml": to_yaml(made), "json": to_json(made), "query": to_query(made), "command": export_command(made)}
        return {"hash": made.hash, **forms, "mergekit": mergekit}  # type: ignore[typeddict-item]

    # -- answers -----------------------------------------------------------------------------------------------------
    def generate(
        self, prompt: str, lam: float = 0.5, gold: str = "", method: str = "linear", layers: str = "all", modules: str = "all",
        params: dict[str, float] | None = None, template: str = "own", temperature: float = 0.6, top_p: float = 0.95, top_k: int = 20,
        cap: int = 512, seed: int = 0, pair: str = "",
    ) -> Iterator[Frame]:  # fmt: skip
        """Answer one prompt at one λ (0 = Instruct, 1 = Thinking). Streams the growing response; the last state has the verdict."""
        decoding = self._decoding(temperature, top_p, top_k, cap, seed)
        for frames in self._answers(
            prompt, (lam,), gold, decoding, self._recipe(pair, lam, method, layers, modules, params, template)
        ):
            yield frames[0]

    def strip(
        self, prompt: str, lams: str = "0:1:0.1", gold: str = "", method: str = "linear", layers: str = "all", modules: str = "all",
        params: dict[str, float] | None = None, template: str = "own", temperature: float = 0.6, top_p: float = 0.95, top_k: int = 20,
        cap: int = 512, seed: int = 0, pair: str = "",
    ) -> Iterator[list[Frame]]:  # fmt: skip
        """Answer one prompt at every λ of a range (`0:1:0.1`) or list (`0,0.4,1`) in one batch. Streams all responses as they grow."""
        many = parse_lambdas(lams)
        if len(many) > MAX_LAMBDAS:
            raise ApiError(f"A strip has at most {MAX_LAMBDAS} λs, not {len(many)}. Ask for them in several calls.")
        decoding = self._decoding(temperature, top_p, top_k, cap, seed)
        yield from self._answers(
            prompt, many, gold, decoding, self._recipe(pair, many[0], method, layers, modules, params, template)
        )

    def _answers(
        self, prompt: str, lams: tuple[float, ...], gold: str, decoding: Decoding, made: tuple[Any, Recipe]
    ) -> Iterator[list[Frame]]:
        bench, recipe = made
        if len(prompt) > view.PROMPT_LIMIT:
            raise ApiError(f"The prompt has {len(prompt):,} characters; at most {view.PROMPT_LIMIT:,} are read here.")
        asks = [Ask(str(i), prompt, recipe.at(lam), decoding, gold.strip()[:500] or None) for i, lam in enumerate(lams)]
        last: dict[str, Snapshot] = {}
        stop = threading.Event()
        try:
            for changed in bench.stream(asks, stop=stop, hz=STATES_PER_SECOND):
                last |= {snapshot.id: snapshot for snapshot in changed}
                yield [response_frame(last[ask.id]) for ask in asks]
        finally:
            stop.set()

    # -- sweeps ------------------------------------------------------------------------------------------------------
    def sweep(
        self, lams: str = "0:1:0.1", questions: int = 20, samples: int = 2, method: str = "linear", layers: str = "all", modules: str = "all",
        params: dict[str, float] | None = None, template: str = "own", temperature: float = 0.6, top_p: float = 0.95, top_k: int = 20,
        cap: int = 512, seed: int = 0, refine: int = 0, pair: str = "",
    ) -> SweepInfo:  # fmt: skip
        """Start (or extend, or go on with) a sweep of the page's task in the background; `/sweep_status` says how it stands."""
        from mi_explorer.studies.runner import Runner, items_of
        from mi_explorer.studies.stats.summary import next_cells
        from mi_explorer.tasks import load_task

        if not self._task:
            raise ApiError("This page has no task with questions.")
        many = parse_lambdas(lams)
        bench, made = self._recipe(pair, many[0], method, layers, modules, params, template)
        decoding = self._decoding(temperature, top_p, top_k, cap, seed)
        if (
            not 1 <= int(questions) <= MAX_BACKGROUND_SAMPLES
            or not 1 <= int(samples) <= MAX_BACKGROUND_SAMPLES
            or len(many) * questions * samples > MAX_BACKGROUND_SAMPLES
        ):
            raise ApiError(f"{len(many)} λs × {questions} questions × {samples} samples are not between 1 and {MAX_BACKGROUND_SAMPLES:,}. "
                           "Larger sweeps are made on the command line, where they can be resumed.")  # fmt: skip
        items = items_of(load_task(self._task, int(questions)))
        plan = Plan(
            self._task, grid(made, many, decoding), len(items), int(samples), command="the page's /sweep endpoint"
        )
        with self._starting:
            running = sum(
                job.state.running for name in set(self._started.values()) if (job := self._jobs.get(name)) is not None
            )
            if running >= MAX_BACKGROUND_RUNS:
                raise ApiError(f"{running} sweeps are running already. Try again when one of them is done.")
            runner = Runner(
                bench.store, plan, items, lambda _: bench, refine=max(0, min(int(refine), 5)), next_cells=next_cells
            )
            job = self._jobs.start(runner)
            token = secrets.token_urlsafe(16)
            self._started[token] = runner.name
            while len(self._started) > 1000:
                self._started.popitem(last=False)
        return {**self._stands(runner.name, job), "token": token}

    def sweep_status(self, study: str) -> SweepInfo:
        """How a study stands, with the figures of the cells that have samples: a running sweep, a saved one, or a precomputed one."""
        return self._stands(study, self._jobs.get(study))

    def sweep_stop(self, token: str) -> bool:
        """Stop the sweep that this token was given for. What is finished is saved; false if it runs no more."""
        job = self._jobs.get(self._started.get(token, ""))
        if job is None or not job.state.running:
            return False
        job.runner.stop()
        return True

    def _stands(self, name: str, job: Job | None) -> SweepInfo:
        from mi_explorer.studies.stats.summary import summarise
        from mi_explorer.studies.store.bundled import open_study

        own = self._pairs.at("")[0].bench.store if job is None else job.runner.store
        state = job.state if job is not None else None
        if state is not None and own.find(name) is None:  # the first moment of a run: nothing is written yet
            found: dict[str, Any] = {"cells": [], "stages": {}}
            done = total = 0
        else:
            store, info = open_study(own, name)
            try:
                found, done, total = summarise(store, name).json(), info.samples, info.units
            finally:
                if store is not own:
                    store.close()
        run = state.progress if state else None
        return {
            "study": name,
            "state": "saved" if run is None else "stopped" if state and state.error else run.state,
            "done": run.done + run.reused if run else done,
            "total": run.total if run and run.total else total,
            "failed": run.failed if run else 0,
            "eta": run.eta if run else None,
            "message": (state.error or run.message) if state and run else "",
            "cells": found["cells"],
            "stages": found["stages"],
            "token": "",
        }

    # -- values ------------------------------------------------------------------------------------------------------
    def _recipe(
        self,
        pair: str,
        lam: float,
        method: str,
        layers: str,
        modules: str,
        params: dict[str, float] | None,
        template: str,
    ) -> tuple[Any, Recipe]:
        """The bench of a loaded pair and the checked recipe."""
        bench = self._pairs.at(pair)[0].bench
        if pair and bench.pair.name != pair:
            loaded = ", ".join(repr(room.bench.pair.name) for room in self._pairs.rooms())
            raise ApiError(f"The pair {pair[:80]!r} is not loaded here. Loaded: {loaded}.")
        names = list(MODULES) if modules.strip() == "all" else [m.strip() for m in modules.split(",") if m.strip()]
        given = {
            "pair": bench.pair.name,
            "lam": lam,
            "method": method,
            "layers": layers,
            "modules": names,
            "params": params or {},
        }
        made = view.from_dict({**given, "template": template}).recipe()
        bench.check(made)
        return bench, made

    def _decoding(self, temperature: float, top_p: float, top_k: int, cap: int, seed: int) -> Decoding:
        decoding = Decoding(temperature, top_p, top_k, cap=cap, seed=seed)
        if decoding.cap > self._tokens:
            raise ApiError(f"cap may be at most {self._tokens:,} tokens on this page, not {decoding.cap:,}.")
        return decoding


def response_frame(snapshot: Snapshot) -> Frame:
    """A snapshot in JSON types."""
    t = snapshot.trace
    return {
        "lam": snapshot.recipe.lam,
        "state": snapshot.state,
        "text": t.text,
        "thought": t.thought,
        "answer_text": t.answer_text,
        "answer": t.answer,
        "verdict": snapshot.verdict,
        "tokens": t.tokens,
        "think_tokens": t.think_tokens,
        "think_closed": t.think_closed,
        "truncated": t.truncated,
        "looped": t.looped,
        "first_correct": t.first_correct,
        "overthinking": t.overthinking,
        "tokens_per_second": round(snapshot.tokens_per_second, 1),
        "message": snapshot.message,
    }


@contextmanager
def shown_errors() -> Iterator[None]:
    """Turn errors into what a client shows: ours with their message, a fault of the server without its inside."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None
    except (gr.Error, GeneratorExit):
        raise
    except Exception as error:
        log.exception("An endpoint failed")
        raise gr.Error(f"Something broke on the server ({type(error).__name__}).", print_exception=False) from None


def current_visitor() -> Visitor:
    """Who the running request comes from; nobody outside of one."""
    from gradio.context import LocalContext

    return visitor_of(LocalContext.request.get(None))


def endpoint(handler: Callable[..., Any], gives: Any = None, limits: Limits | None = None) -> Callable[..., Any]:
    """The handler as Gradio calls it. `gives`: what one state of a stream is, for the API page; `limits` on streams of one visitor."""
    held = limits or Limits()
    if isgeneratorfunction(handler):

        @wraps(handler)
        def call(*args: Any, **kwargs: Any) -> Any:
            with shown_errors(), held.run(current_visitor()):
                yield from handler(*args, **kwargs)
    else:

        @wraps(handler)
        def call(*args: Any, **kwargs: Any) -> Any:
            with shown_errors():
                return handler(*args, **kwargs)

    if gives is not None:
        shown = signature(handler)
        del call.__wrapped__  # type: ignore[attr-defined]
        call.__signature__ = shown.replace(return_annotation=gives)  # type: ignore[attr-defined]
    return call


def add_endpoints(pairs: OpenPairs, settings: Any = None, jobs: Jobs | None = None, visitors: int = 40) -> Api:
    """Put the endpoints on the app that is being built (within its `gr.Blocks`). At most `visitors` strips stream at a time."""
    api = Api(pairs, settings, jobs)
    for handler, gives, limit, group in (
        (api.pairs, None, 8, "api"),
        (api.questions, None, 8, "api"),
        (api.recipe, None, 8, "api"),
        (api.generate, Frame, visitors, "api runs"),
        (api.strip, list[Frame], visitors, "api runs"),
        (api.sweep, None, 2, "api sweeps"),
        (api.sweep_status, None, 4, "api status"),
        (api.sweep_stop, None, 8, "api"),
    ):
        gr.api(
            endpoint(handler, gives, pairs.at("")[0].limits),
            api_name=handler.__name__,
            concurrency_limit=limit,
            concurrency_id=group,
        )
    return api
