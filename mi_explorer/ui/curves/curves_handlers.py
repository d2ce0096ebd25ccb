"""What the Curves tab does when the page asks: list studies, show curves, list a point's samples, open a sample.

No gradio here: JSON types in and out, so that tests call it directly. One `Curves` serves all visitors.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.search.routing import RoutingResult
from mi_explorer.search.saved_routing import saved_routing
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.stats.curve import curves, intervened
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.studies.store.sample import Sample
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.curves import compare, curve_sentences, point_samples
from mi_explorer.ui.curves.curve import Curve, curves_of_summary, needs_relative_tokens, overlay, overlays
from mi_explorer.ui.curves.curve_lines import study_lines
from mi_explorer.ui.curves.curve_marks import Figure
from mi_explorer.ui.curves.frontier_figure import frontier_figure
from mi_explorer.ui.curves.intervention_figure import intervention_figure
from mi_explorer.ui.curves.panels_figure import panels_figure
from mi_explorer.ui.curves.pareto_figure import pareto_figure
from mi_explorer.ui.curves.probe_figure import probe_figure
from mi_explorer.ui.curves.router_lines import router_note
from mi_explorer.ui.curves.study_probe_runs import KIND as PROBES
from mi_explorer.ui.curves.study_probe_runs import ProbeRuns
from mi_explorer.ui.curves.sweep_runs import SweepRuns
from mi_explorer.ui.handler_errors import broken, errors_as_dict
from mi_explorer.ui.open_pairs import PagePairs
from mi_explorer.ui.page_workers import PageWorkers
from mi_explorer.ui.plotly_component import figure_content
from mi_explorer.ui.study_library import StudyLibrary, study_label
from mi_explorer.untyped import Json, JsonObject

log = logging.getLogger(__name__)
MAX_SHOWN = 6  # studies and overlays at a time
FIGURES = ("multiples", "pareto", "probes", "grid", "difference")


class CurvesHandlers:
    """The handlers of one page. `folder` holds the precomputed studies (default: those of the checkout)."""

    def __init__(
        self,
        pairs: PagePairs,
        jobs: Jobs,
        settings: Settings | None = None,
        folder: Path | None = None,
        workers: PageWorkers | None = None,
    ) -> None:
        self.pairs, self.jobs = pairs, jobs
        self.library = StudyLibrary(lambda: pairs.at("").bench.store, folder)
        self.runs = SweepRuns(pairs, jobs, self.library, settings, workers)
        self.probes = ProbeRuns(self.runs)

    # -- studies -----------------------------------------------------------------------------------------------------
    def choices(self) -> list[tuple[str, str]]:
        """The studies to choose from, as (label, name): the label says whose they are and how much there is of them."""
        return [(study_label(info), info.name) for info in self.library.curves()]

    def first(self, asked: Sequence[str], pair: str = "") -> tuple[list[str], list[str]]:
        """Which studies to open with, and messages: the asked ones; else one that runs; else the latest own; else precomputed. What a
        search measured (it has its own tab) comes last."""
        studies = self.library.curves()
        names = {info.name for info in studies}
        known = [name for name in dict.fromkeys(asked) if name in names][:MAX_SHOWN]
        messages = [f"There is no study “{name[:80]}” here (any more)." for name in asked if name not in names]
        if known:
            return known, messages
        running = [job.state.name for job in self.jobs.all() if job.state.running and job.state.name in names]
        filled = [i for i in studies if i.samples]
        live = [i for i in filled if i.origin == "live"]
        own = [i.name for i in live if i.plan.kind != "search"]
        searched = [i.name for i in live if i.plan.kind == "search"]
        others = [i for i in filled if i.origin != "live"]
        others.sort(
            key=lambda i: (
                pair not in i.plan.pairs,
                i.foreign,
                i.plan.kind != "sweep",
                len(curves(i.plan.cells)),
                -i.samples,
            )
        )
        return [*running, *own, *(i.name for i in others), *searched][:1], messages

    def opening(
        self, studies: Sequence[str], published: Sequence[str], pair: str = ""
    ) -> tuple[list[str], list[str], list[str]]:
        """Studies, published curves and messages to open with. Where nothing is measured yet, a published curve fills the page."""
        names, messages = self.first(studies, pair)
        known = [name for name in published if name in overlays()][:MAX_SHOWN]
        return names, known if names or known else list(overlays()[:1]), messages

    def show(
        self, names: Sequence[str], published: Sequence[str] = (), budget: Json = None, messages: Sequence[str] = ()
    ) -> JsonObject:
        """Everything that these studies and overlays show: the figures of `FIGURES` as their content ("" without data), `bar` as JSON
        text (names, lines about each curve, budget sentences, messages, other precomputed studies), `budget` as it was used.
        """
        messages = list(messages)
        shown: list[Curve] = []
        summaries: list[Summary] = []
        for name in list(names or ())[:MAX_SHOWN]:
            try:
                summary = self.library.summary(name)
            except UserError as error:
                messages.append(str(error))
                continue
            shown += curves_of_summary(summary)
            summaries.append(summary)
            if not summary.cells:
                messages.append(f"“{name}” has no samples yet.")
        own = list(shown)
        for name in list(published or ())[:MAX_SHOWN]:
            try:
                shown.append(overlay(name))
            except UserError as error:
                messages.append(str(error))
        if needs_relative_tokens(shown) and any(c.full is None for c in shown):
            missing = ", ".join(c.name for c in shown if c.full is None)
            messages.append(f"Tokens are shown relative to λ = 1, which was not measured for {missing}.")
        best_of = [c for c in own if not intervened(c.rows[0].cell)]
        apart = self._apart(own) if len(summaries) != 1 or not summaries[0].grids else ()
        messages += [d.message for d in apart if d.message]
        drawn = compare.difference_figure(apart)
        limit = _amount(budget)
        if limit is None and best_of:
            limit = curve_sentences.default_budget(best_of[0])
        routing = self._routing(summaries, messages) if len(shown) == len(own) == 1 else None
        frontier = frontier_figure(summaries[0]) if len(summaries) == 1 and len(shown) == len(own) else None
        return {
            "multiples": figure_content(*panels_figure(shown), "curves") if shown else "",
            "pareto": figure_content(*(frontier or pareto_figure(shown, routing)), "pareto") if shown else "",
            "probes": _first(map(probe_figure, summaries), "probes"),
            "grid": _first(map(intervention_figure, summaries), "interventions"),
            "difference": figure_content(*drawn, "difference") if drawn else "",
            "budget": limit,
            "bar": json.dumps(
                {
                    "studies": list(names or ()),
                    "overlays": list(published or ()),
                    "lines": study_lines(shown, summaries),
                    "budget": [curve_sentences.budget_sentence(c, limit) for c in best_of] if limit is not None else [],
                    "routers": router_note(routing) if routing and not frontier else "",
                    "messages": messages,
                    "others": [i.name for i in self.library.curves() if i.origin != "live" and i.name not in names],
                    "stamp": time.time(),  # an answer that says the same is an answer too
                },
                ensure_ascii=False,
            ),
        }

    def _routing(self, summaries: Sequence[Summary], messages: list[str]) -> RoutingResult | None:
        """What routers did on the one study that is shown, if any were judged on it (`search route`)."""
        if len(summaries) != 1:
            return None
        info, own = summaries[0].info, self.library.own
        try:
            return saved_routing(Path(own.path).parent if own else None, info.name, info.origin != "live")
        except UserError as error:
            messages.append(str(error))
            return None

    def _apart(self, curves: Sequence[Curve]) -> tuple[compare.Difference, ...]:
        """The curves against the first one, where there are several."""
        if len(curves) < 2:
            return ()
        samples: dict[str, Sequence[Sample]] = {}
        kinds: dict[str, str] = {}
        for name in dict.fromkeys(c.study for c in curves):
            with self.library.open(name) as (store, info):
                samples[name] = store.samples(info.id)
                kinds |= {item.key: item.kind for item in store.items(info.id)}
        return compare.differences(curves, samples, kinds)

    # -- sweeps ------------------------------------------------------------------------------------------------------
    def sweep_states(self, owner: Json = "") -> list[JsonObject]:
        """The state of every sweep and of all probes (see `SweepRuns.states`); [] where the store cannot be read, which the next
        action reports."""
        try:
            return [*self.probes.states(str(owner or "")), *self.runs.states(str(owner or ""))]
        except UserError:
            return []

    def act(self, action: str, *args: Json) -> tuple[Json, str]:
        """Do what a button asks (a method of `SweepRuns`, or "probe"): its result, or None and what went wrong."""
        return self._do(self.probes.start if action == "probe" else getattr(self.runs, action), *args)

    def _do(self, action: Callable[..., Json], *args: Json) -> tuple[Json, str]:
        try:
            return action(*args), ""
        except UserError as error:
            return None, str(error)
        except Exception as error:
            log.exception("%s failed", action.__name__)
            return None, f"{broken(error)} What was finished is saved."

    def stop_sweep(self, asked: Json) -> str:
        """Stop what a request names (`kind`, `study`, `owner`); "" or what went wrong."""
        return self._steer("stop", asked)

    def resume_sweep(self, asked: Json) -> str:
        """Go on with what a request names; "" or what went wrong."""
        return self._steer("resume", asked)

    def change_workers(self, asked: Json) -> str:
        """Add a worker to a sweep (`study`), or let one go (`change` 1 or -1); "" or what went wrong."""
        asked = asked if isinstance(asked, dict) else {}
        return self._do(self.runs.resize, str(asked.get("study") or ""), asked.get("change"))[1]

    def _steer(self, action: str, asked: Json) -> str:
        asked = asked if isinstance(asked, dict) else {}
        runs = self.probes if asked.get("kind") == PROBES else self.runs
        return self._do(getattr(runs, action), str(asked.get("study") or ""), str(asked.get("owner") or ""))[1]

    # -- samples -----------------------------------------------------------------------------------------------------
    @errors_as_dict
    def samples(self, asked: Json) -> JsonObject:
        """A page of the samples of a point (see `sample_listing`), or `{"error"}`. `asked` names `study` and `cell`."""
        if not isinstance(asked, Mapping):
            raise UserError("This request names no point.")
        with self.library.open(str(asked.get("study"))) as (store, info):
            return point_samples.sample_listing(store, info, asked)

    @errors_as_dict
    def sample(self, asked: Json) -> JsonObject:
        """What Explore opens of a stored sample (`study`, `key`), or `{"error"}`."""
        if not isinstance(asked, Mapping):
            raise UserError("This request names no sample.")
        name = str(asked.get("study"))
        with self.library.open(name) as (store, info):
            return self.pairs.at(info.plan.pairs[0]).explore.sample(name, str(asked.get("key")), store)


def _first(figures: Iterable[Figure | None], name: str) -> str:
    """The content of the first figure that there is; "" without one."""
    found = next((figure for figure in figures if figure), None)
    return figure_content(*found, name) if found else ""


def _amount(value: Json) -> float | None:
    """A budget as typed: a positive number, or none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 1e9 else None
