"""The page's endpoints for programs: `gradio_client`, curl, or another language through the API page.

    from gradio_client import Client
    for frames in Client("http://127.0.0.1:7860").submit("What is 14 + 3 * 6 - 9?", lams="0,0.4,1", gold="23", api_name="/strip"):
        print([(f["lam"], f["tokens"], f["answer"]) for f in frames])

Plain values in, JSON types out (`values.py`), a `UserError` for everything that is wrong from outside. What a visitor may ask for is
bounded by the operator's settings.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator

from mi_explorer.command_line import export_command
from mi_explorer.errors import UserError, unknown
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.mergekit_yaml import to_mergekit
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.recipe_io import from_dict, to_json, to_query, to_yaml
from mi_explorer.studies.jobs import Job, Jobs
from mi_explorer.studies.plan import Plan, grid, parse_lambdas
from mi_explorer.studies.refine import next_cells
from mi_explorer.studies.runner import items_of
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.bundled import open_study
from mi_explorer.tasks import load_task
from mi_explorer.tasks.task import choose
from mi_explorer.ui.access.limits import MAX_BACKGROUND_RUNS, check_sample_count
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.api.values import (
    PairInfo,
    RecipeForms,
    ResponseFrame,
    RoutedInfo,
    SweepInfo,
    response_frame,
    sweep_info,
)
from mi_explorer.ui.explore import view
from mi_explorer.ui.explore.explore_handlers import QuestionInfo, question_dict
from mi_explorer.ui.explore.page_setup import method_controls
from mi_explorer.ui.explore.routed_lambda import route_for_page
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.page_workers import PageWorkers
from mi_explorer.untyped import JsonObject

AUTO = "auto"  # a λ that a router chooses
MAX_LAMBDAS = 24  # frames of one strip
STATES_PER_SECOND = 4  # while text streams


class ApiError(UserError):
    """A request that cannot be carried out; says what to change."""


class Api:
    """The handlers, on the resident pairs of a page. `jobs` are the background runs that the page's tabs show too."""

    def __init__(
        self,
        pairs: PagePairs,
        settings: Settings | None = None,
        jobs: Jobs | None = None,
        workers: PageWorkers | None = None,
    ) -> None:
        settings = settings or Settings()
        self._workers = workers or PageWorkers(settings)
        self._pairs, self._jobs = pairs, jobs or Jobs()
        self._max_tokens, self._task = settings.tokens, settings.task
        self._started: OrderedDict[str, str] = OrderedDict()  # token → study
        self._starting = threading.Lock()

    # -- what there is -----------------------------------------------------------------------------------------------
    def pairs(self) -> list[PairInfo]:
        """The pairs of this page: those that are loaded answer; the rest can be loaded on the page."""
        return [self._pair_info(offered["name"], offered["title"]) for offered in self._pairs.offered()]

    def _pair_info(self, name: str, title: str) -> PairInfo:
        if not self._pairs.is_open(name):
            return {"name": name, "title": title, "loaded": False, "layers": 0, "modules": [], "methods": []}
        pair = self._pairs.at(name)
        methods = [m["name"] for m in method_controls(bool(pair.bench.pair.base)) if m["available"]]
        modules, layers = list(pair.setup["pair"]["modules"]), int(pair.bench.layers or 0)
        return {"name": name, "title": title, "loaded": True, "layers": layers, "modules": modules, "methods": methods}

    def questions(self, limit: int = 10, seed: int = 0, family: str = "") -> list[QuestionInfo]:
        """Questions of the page's task with their known answers, drawn by the seed; of one family where it is named."""
        held = self._pairs.at("").explore.questions
        if family and family not in (families := {q.family for q in held}):
            raise unknown("family", family, families)
        if not 1 <= limit <= 1000:
            raise ApiError(f"limit must be a number from 1 to 1000, not {limit}.")
        drawn = choose([q for q in held if not family or q.family == family], limit, seed)
        return [question_dict(q) for q in drawn]

    def recipe(
        self, lam: float = 0.5, method: str = "linear", layers: str = "all", modules: str = "all", params: dict[str, float] | None = None,
        template: str = "own", pair: str = "",
    ) -> RecipeForms:  # fmt: skip
        """A blend as YAML, JSON, address, command line and (where there is one) mergekit configuration, checked against the pair."""
        opened, made = self._recipe(pair, lam, method, layers, modules, params, template)
        bench = opened.bench
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
        cap: int = 512, seed: int = 0, pair: str = "", router: str = "",
    ) -> Iterator[ResponseFrame]:  # fmt: skip
        """Answer one prompt at one λ (0 = Instruct, 1 = Thinking). Streams the growing response; the last state has the verdict.

        A `router` ("auto" or "confidence") chooses λ instead; `/route` says why.
        """
        lam = self.route(prompt, router, pair)["lam"] if router else lam
        decoding = self._decoding(temperature, top_p, top_k, cap, seed)
        for frames in self._answers(
            prompt, (lam,), gold, decoding, self._recipe(pair, lam, method, layers, modules, params, template)
        ):
            yield frames[0]

    def strip(
        self, prompt: str, lams: str = "0:1:0.1", gold: str = "", method: str = "linear", layers: str = "all", modules: str = "all",
        params: dict[str, float] | None = None, template: str = "own", temperature: float = 0.6, top_p: float = 0.95, top_k: int = 20,
        cap: int = 512, seed: int = 0, pair: str = "",
    ) -> Iterator[list[ResponseFrame]]:  # fmt: skip
        """Answer one prompt at every λ of a range (`0:1:0.1`) or list (`0,0.4,1`) in one batch. Streams all responses as they grow.

        "auto" in a list is the λ that the pair's router gives the prompt; `/route` says why.
        """
        words = [word.strip() for word in lams.split(",")]
        if AUTO in words:
            chosen = repr(self.route(prompt, AUTO, pair)["lam"])
            lams = ",".join(chosen if word == AUTO else word for word in words)
        many = tuple(dict.fromkeys(parse_lambdas(lams)))
        if len(many) > MAX_LAMBDAS:
            raise ApiError(f"A strip has at most {MAX_LAMBDAS} λs, not {len(many)}. Ask for them in several calls.")
        decoding = self._decoding(temperature, top_p, top_k, cap, seed)
        yield from self._answers(
            prompt, many, gold, decoding, self._recipe(pair, many[0], method, layers, modules, params, template)
        )

    def route(self, prompt: str, router: str = "auto", pair: str = "") -> RoutedInfo:
        """The λ that a router gives a prompt, and why: both parents read it once. `router`: auto (the pair's own, else confidence) or
        confidence."""
        found = route_for_page(self._opened(pair).bench, prompt, router)
        return {"lam": found.lam, "score": found.score, "why": found.why}

    def _answers(
        self, prompt: str, lams: tuple[float, ...], gold: str, decoding: Decoding, made: tuple[OpenPair, Recipe]
    ) -> Iterator[list[ResponseFrame]]:
        pair, recipe = made
        if len(prompt) > view.PROMPT_LIMIT:
            raise ApiError(f"The prompt has {len(prompt):,} characters; at most {view.PROMPT_LIMIT:,} are read here.")
        asks = [
            GenerationRequest(str(i), prompt, recipe.at(lam), decoding, gold.strip()[:500] or None)
            for i, lam in enumerate(lams)
        ]
        last: dict[str, Snapshot] = {}
        with pair.explore.runs.stoppable(secrets.token_hex(16)) as stop:
            for changed in pair.bench.stream(asks, stop=stop, hz=STATES_PER_SECOND):
                last |= {snapshot.id: snapshot for snapshot in changed}
                yield [response_frame(last[ask.id]) for ask in asks]

    # -- sweeps ------------------------------------------------------------------------------------------------------
    def sweep(
        self, lams: str = "0:1:0.1", questions: int = 20, samples: int = 2, method: str = "linear", layers: str = "all",
        modules: str = "all", params: dict[str, float] | None = None, template: str = "own", temperature: float = 0.6,
        top_p: float = 0.95, top_k: int = 20, cap: int = 512, seed: int = 0, refine: int = 0, pair: str = "",
    ) -> SweepInfo:  # fmt: skip
        """Start (or extend, or go on with) a sweep of the page's task in the background; `/sweep_status` says how it stands."""
        many = parse_lambdas(lams)
        opened, made = self._recipe(pair, many[0], method, layers, modules, params, template)
        bench = opened.bench
        task = self._task or bench.pair.task
        if not task:
            raise ApiError("This page has no task with questions.")
        decoding = self._decoding(temperature, top_p, top_k, cap, seed)
        size = len(many) * questions * samples
        if questions < 1 or samples < 1:
            raise ApiError(f"questions and samples must be 1 or more, not {questions} and {samples}.")
        check_sample_count(size)
        items = items_of(load_task(task, questions))
        cells = grid(made, many, decoding)
        plan = Plan(task, cells, len(items), samples, command="the page's /sweep endpoint")
        with self._starting:
            running = sum(
                job.state.running for name in set(self._started.values()) if (job := self._jobs.get(name)) is not None
            )
            if running >= MAX_BACKGROUND_RUNS:
                raise ApiError(f"{running} sweeps are running already. Try again when one of them is done.")
            rounds = max(0, min(refine, 5))
            more: JsonObject = {"refine": rounds, "next_cells": next_cells}
            job = self._workers.start_study(self._jobs, bench.store, plan, items, lambda _: bench, **more)
            token = secrets.token_urlsafe(16)
            self._started[token] = job.name
            while len(self._started) > 1000:
                self._started.popitem(last=False)
        return {**self._sweep_status(job.name, job), "token": token}

    def sweep_status(self, study: str) -> SweepInfo:
        """How a study stands, with the figures of the cells that have samples: a running sweep, a saved one, or a precomputed one."""
        return self._sweep_status(study, self._jobs.get(study))

    def sweep_stop(self, token: str) -> bool:
        """Stop the sweep that this token was given for. What is finished is saved; false if it runs no more."""
        job = self._jobs.get(self._started.get(token, ""))
        if job is None or not job.state.running:
            return False
        job.runner.stop()
        return True

    def _sweep_status(self, name: str, job: Job | None) -> SweepInfo:
        own = self._pairs.at("").bench.store if job is None else job.runner.store
        state = job.state if job is not None else None
        if state is not None and own.find(name) is None:  # the first moment of a run: nothing is written yet
            return sweep_info(name, state, 0, 0, {"cells": [], "stages": {}})
        store, info = open_study(own, name)
        try:
            return sweep_info(name, state, info.samples, info.units, summarise(store, name).json())
        finally:
            if store is not own:
                store.close()

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
    ) -> tuple[OpenPair, Recipe]:
        """A loaded pair and the checked recipe on it."""
        opened = self._opened(pair)
        made = from_dict({
            "pair": opened.name, "lambda": lam, "method": method, "layers": layers, "modules": modules, "params": params,
            "template": template,
        })  # fmt: skip
        opened.bench.check(made)
        return opened, made

    def _opened(self, pair: str) -> OpenPair:
        """The loaded pair of this name; the first one for ""."""
        opened = self._pairs.at(pair)
        if pair and opened.name != pair:
            loaded = ", ".join(repr(other.name) for other in self._pairs.all())
            raise ApiError(f"The pair {pair[:80]!r} is not loaded here. Loaded: {loaded}.")
        return opened

    def _decoding(self, temperature: float, top_p: float, top_k: int, cap: int, seed: int) -> Decoding:
        decoding = Decoding(temperature, top_p, top_k, cap=cap, seed=seed)
        if decoding.cap > self._max_tokens:
            raise ApiError(f"cap may be at most {self._max_tokens:,} tokens on this page, not {decoding.cap:,}.")
        return decoding
