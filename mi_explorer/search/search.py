"""A search: measure the λ line, propose candidates and measure them in batches, judge the best on questions never seen.

    search = Search(store, bench, items, space, settings, task="mini")
    print(search.cost().text)
    for event in search.run(): ...           # SearchProgress, CandidateMeasured, FrontierMoved, at last SearchDone

`stop` may be called from any thread. A search of the same name goes on where it was stopped or killed: samples are in the store,
proposals in optuna's storage beside it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import cast

from mi_explorer.recipe import Recipe
from mi_explorer.search.candidates import Candidates
from mi_explorer.search.frontier import ROOM
from mi_explorer.search.heldout import heldout_volume, judge, line_scores
from mi_explorer.search.identity import plain_space, search_identity, search_name
from mi_explorer.search.measuring import Measurer, RunnerFor, SearchWorkbench
from mi_explorer.search.proposals import Proposals
from mi_explorer.search.result import SearchResult
from mi_explorer.search.score_table import ScoreTable
from mi_explorer.search.search_cost import SearchCost, search_cost
from mi_explorer.search.search_events import (
    CandidateMeasured,
    CandidateScore,
    Phase,
    SearchDone,
    SearchEvent,
    SearchProgress,
)
from mi_explorer.search.settings import LEAST_QUESTIONS, SearchSettings
from mi_explorer.search.space import SearchError, SearchSpace, describe_candidate
from mi_explorer.search.split import choose_questions, split_items
from mi_explorer.search.warm_start import known_lengths
from mi_explorer.studies.cost import Lengths
from mi_explorer.studies.plan import Cell, Item, Plan
from mi_explorer.studies.runner import Runner, RunnerWorkbench
from mi_explorer.studies.store.store import Store
from mi_explorer.untyped import JsonObject

POOL = 3  # the line is measured on so many times the questions of a candidate, to choose those from
FIRST_LOOK = 0.5  # share of the questions after which clearly dominated candidates stop


class Search:
    """One search. Raises `SearchError` (or another `UserError`) for what cannot be run, before anything is made."""

    def __init__(
        self,
        store: Store,
        bench: SearchWorkbench,
        items: Sequence[Item],
        space: SearchSpace,
        settings: SearchSettings,
        *,
        task: str,
        task_seed: int = 0,
        name: str | None = None,
        runner_for: RunnerFor | None = None,
    ) -> None:
        """`runner_for`: how plans are run, where it is not by the workbench's own engine."""
        self.store, self.bench, self.space, self.settings = store, bench, space, settings
        self.task, self.task_seed = task, task_seed
        self.name = name or search_name(space, settings, task, task_seed)
        search, heldout = split_items(items)
        self._pool = search[: POOL * settings.questions]
        self._heldout = heldout[: settings.heldout_questions]
        self._check()
        plain = Recipe(space.recipe.pair, template=space.recipe.template)
        self.line = tuple(Cell(plain.at(lam), space.decoding, f"λ {lam:g}", "line") for lam in settings.line)
        runs = runner_for or self._own_runner
        self._measurer = Measurer(store, bench, task, task_seed, self.name, ScoreTable(), runs)
        self._judge = Measurer(store, bench, task, task_seed, f"{self.name}-heldout", ScoreTable(), runs)
        self._began = time.monotonic()
        self._lengths: Lengths | None = None
        self.candidates: Candidates | None = None
        self.result: SearchResult | None = None

    def _own_runner(self, store: Store, plan: Plan, items: Sequence[Item], name: str) -> Runner:
        return Runner(store, plan, items, lambda _: cast(RunnerWorkbench, self.bench), name=name)

    def _check(self) -> None:
        recipe = self.space.recipe
        for method in self.space.methods if "method" in self.space.vary else (recipe.method,):
            self.bench.check(replace(recipe, method=method, params=recipe.params if method == recipe.method else ()))
        self.bench.generator.check_cap(self.space.decoding.cap)
        if "budget" in self.space.vary or self.space.decoding.think_budget is not None:
            self.bench.generator.check_tags()

    def cost(self) -> SearchCost:
        """What the search will take, as far as studies of this pair and task tell. `SearchError` for a budget below any candidate."""
        if self._lengths is None:
            self._lengths = known_lengths(self.store, self.task, self.space.recipe.pair)
        rate = getattr(getattr(self.bench, "engine", None), "rate", None)
        found = search_cost(
            self.settings, self.line, len(self._pool), len(self._heldout), self._lengths, rate() if rate else None
        )
        self._check_budget(found.shortest)
        return found

    def _check_budget(self, shortest: float | None) -> None:
        """Refuse budgets that no candidate can meet; `shortest`: mean tokens of the line's shortest point, where it is known."""
        s, least = self.settings, shortest or 1.0
        if s.within is not None and s.within < least:
            raise SearchError(
                f"No point of the λ line answers within {s.within:g} tokens: the shortest has {least:.1f} on average. "
                "Allow more tokens (--within)."
            )
        one = FIRST_LOOK * s.questions * s.samples * least
        if s.tokens is not None and s.tokens < one:
            raise SearchError(
                f"A budget of {s.tokens:,} tokens is below any candidate: one takes {s.questions} questions × {s.samples} samples, "
                f"at least {one:,.0f} tokens. Allow more tokens, or ask fewer questions."
            )

    def stop(self) -> None:
        """Stop within a moment. What is finished is saved; the same search goes on from there."""
        self._measurer.stop()
        self._judge.stop()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._measurer.stopped

    @property
    def evaluations(self) -> int:
        """Candidates that are measured, the line's points apart."""
        return len(self.candidates.searched) if self.candidates else 0

    def run(self) -> Iterator[SearchEvent]:
        """Run to the end; ends with `SearchDone`, or where it is stopped with a `SearchProgress` that says so."""
        self._began = time.monotonic()
        yield from self._opening()
        if self.stopped:
            yield self._progress("stopped")
            return
        self.cost()
        proposals = Proposals(self.store.path.parent, self.name, self.space, self.settings)
        since = self._begin(proposals)
        yield from self._measure_line()
        if (found := self.candidates) is not None:
            yield from self._search(proposals, found)
            if not self._measurer.stopped:
                yield from self._finish(proposals, found, since)
        if self._measurer.stopped:
            yield replace(self._progress(), phase="stopped")

    def _opening(self) -> Iterator[SearchEvent]:
        """Progress while the pair is opened."""
        yield from ()  # a workbench of this process is open

    def _begin(self, proposals: Proposals) -> float:
        """Note what this search is, and since when; refuse to go on with another one of that name."""
        same = search_identity(self.space, self.settings, self.task, self.task_seed)
        notes = proposals.notes
        if notes.get("identity", same) != same:
            raise SearchError(
                f"The search {self.name!r} was made with other settings (space, questions, seed or sampler). Name a new one (--name)."
            )
        if "identity" not in notes:
            proposals.note("began", time.time())
            proposals.note("identity", same)
        proposals.note("settings", self.plain_settings())
        return float(proposals.notes["began"])

    def _measure_line(self) -> Iterator[SearchEvent]:
        """The plain line on the pool; choose the questions of the search by it."""
        s, measurer = self.settings, self._measurer
        measurer.begin(self.line, self._pool, s.samples)
        self._judge.begin(self.line, self._heldout, s.heldout_samples)
        yield from measurer.run(self.line, self._pool, s.samples, self._progress("line"), may_fail=True)
        if measurer.stopped:
            return
        pool = tuple(item for item in self._pool if item.key not in measurer.lost)
        if len(pool) < LEAST_QUESTIONS:
            raise SearchError("Almost every question fails, so nothing can be searched. Run one of them to see why.")
        cells = [(measurer.key(cell), cell) for cell in self.line]
        matrix = measurer.table.matrix([key for key, _ in cells], [item.key for item in pool])
        found = Candidates(s, measurer.table, choose_questions(pool, matrix.right, s.questions))
        for candidate in found.add_line(cells):
            yield CandidateMeasured(candidate)
        self._check_budget(min(c.tokens for c in found.line))
        self.candidates = found
        yield found.moved()

    def _search(self, proposals: Proposals, found: Candidates) -> Iterator[SearchEvent]:
        """Propose and measure until the evaluations or the tokens are used up."""
        s = self.settings
        yield from self._remember(proposals, found)
        while not self._measurer.stopped and self.evaluations < s.evaluations:
            if s.tokens is not None and found.spent >= s.tokens:
                break
            seen = [c for c in found.all if s.warm or not c.on_line]
            known = {Cell(c.cell.recipe, c.cell.decoding): found.values(c) for c in seen}
            asked = proposals.ask(min(s.batch, s.evaluations - self.evaluations), known)
            if not asked:
                break  # the space is used up
            cells = [
                replace(cell, label=describe_candidate(cell.recipe, cell.decoding), group="search") for _, cell in asked
            ]
            scores: list[CandidateScore] = []
            yield from self._measure_batch(found, cells, scores)
            for (number, _), score in zip(asked, scores, strict=False):
                values = {k: v for k, v in asdict(score).items() if k != "cell"}
                proposals.tell(number, found.values(score), {"order": score.number, "score": values})
                found.all.append(score)
                yield CandidateMeasured(score)
            if scores:
                yield found.moved()

    def _remember(self, proposals: Proposals, found: Candidates) -> Iterator[SearchEvent]:
        """Begin with the line's points, and with the candidates of an earlier run of this search."""
        told = proposals.told()
        if self.settings.warm and not any(notes.get("line") for _, notes, _ in told):
            for c in found.line:
                if (params := self.space.line_params(c.cell.recipe.lam)) is not None:
                    proposals.add(params, found.values(c), {"line": True})
        for cell, notes, _ in told:
            if "score" in notes:
                score = CandidateScore(cell, **notes["score"])
                self._measurer.table.put(
                    score.key, self._measurer.samples(cell, found.chosen.items, self.settings.samples)
                )
                found.all.append(score)
                yield CandidateMeasured(score)
        if self.evaluations:
            yield found.moved()

    def _measure_batch(
        self, found: Candidates, cells: Sequence[Cell], out: list[CandidateScore]
    ) -> Iterator[SearchEvent]:
        """Measure cells side by side on half of the questions, then those that are not clearly dominated on the rest."""
        s, items, measurer = self.settings, found.chosen.items, self._measurer
        keys = [measurer.key(cell) for cell in cells]
        first = items[: max(LEAST_QUESTIONS, round(FIRST_LOOK * len(items)))] if s.race else items
        yield from measurer.run(cells, first, s.samples, self._progress())
        if measurer.stopped:
            return
        beaten = {key: by for key in keys if (by := found.beaten_by(key, first)) is not None}
        left = [cell for cell, key in zip(cells, keys, strict=True) if key not in beaten]
        if left and len(first) < len(items):
            yield from measurer.run(left, items, s.samples, self._progress())
            if measurer.stopped:
                return
        for number, (cell, key) in enumerate(zip(cells, keys, strict=True), self.evaluations + 1):
            out.append(found.score(cell, key, first if key in beaten else items, beaten.get(key), number))

    def _finish(self, proposals: Proposals, found: Candidates, since: float) -> Iterator[SearchEvent]:
        """Measure the finalists and the line anew on held-out questions, and say what came out."""
        s, finalists = self.settings, found.finalists()
        cells = {c.key: c.cell for c in finalists} | {self._judge.key(cell): cell for cell in self.line}
        progress = self._progress("held-out")
        yield from self._judge.run(list(cells.values()), self._heldout, s.heldout_samples, progress, may_fail=True)
        if self._judge.stopped:
            return
        items = [item for item in self._heldout if item.key not in self._judge.lost]
        matrix = self._judge.table.matrix(list(cells), [item.key for item in items])
        line = [(cell.recipe.lam, self._judge.key(cell)) for cell in self.line]
        worst = ROOM * float(matrix.tokens[[matrix.cells.index(key) for _, key in line]].mean(axis=1).max())
        self.result = SearchResult(
            self.name,
            tuple(sorted(judge(matrix, finalists, line), key=lambda f: f.heldout.tokens)),
            found.volumes(),
            found.line_volumes(),
            heldout_volume(matrix, [c.key for c in finalists], worst),
            heldout_volume(matrix, [c.key for c in found.line_finalists()], worst),
            self.evaluations,
            sum(c.stopped for c in found.searched),
            found.spent,
            self._measurer.tokens_since(since) + self._judge.tokens_since(since),
            (len(found.chosen.items), s.samples),
            (len(items), s.heldout_samples),
            self.plain_settings(),
            line_scores(matrix, line),
        )
        proposals.note("result", self.result.json())
        yield self._progress("done")
        yield SearchDone(self.result)

    def plain_settings(self) -> JsonObject:
        """What it is, as JSON values: settings, space, task."""
        return {**self.settings.plain(), **plain_space(self.space), "task": self.task, "task_seed": self.task_seed}

    def _progress(self, phase: Phase = "search") -> SearchProgress:
        spent = self.candidates.spent if self.candidates else 0
        seconds = time.monotonic() - self._began
        return SearchProgress(phase, self.evaluations, self.settings.evaluations, tokens=spent, seconds=seconds)
