"""Probes of a finished study: its stored samples are read, probed, and their points saved beside them.

    for progress in ProbeRunner(store, "name", bench_for, ProbeOptions(points=12)).run(): ...

No sample is decoded anew. A sample's points are saved together when the last of them has come, so that a run that was killed goes on
where it stopped. Samples without a thought, and those whose text was not kept, are passed over and counted.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mi_explorer.engine.events import BULK, Token
from mi_explorer.errors import UserError
from mi_explorer.generation.generate import TextGenerator
from mi_explorer.generation.probe_points import ProbeError, ProbeOptions
from mi_explorer.generation.probes import ProbeRun, ProbeTarget
from mi_explorer.generation.request_engine import EventSource
from mi_explorer.generation.running_trace import RunningTrace
from mi_explorer.generation.snapshots import LIVE_STATES
from mi_explorer.prompts import Prompt
from mi_explorer.studies.progress import Progress, RunState
from mi_explorer.studies.runner import PROGRESS_EVERY_S, RunnerWorkbench
from mi_explorer.studies.store.sample import Sample, trace_from
from mi_explorer.studies.store.store import CellRow, Store
from mi_explorer.studies.store.stored_probes import StoredProbes, setting_text
from mi_explorer.studies.versions import versions

WINDOW = 768  # requests in the engine's hands: enough that it chooses what runs together


class ProbeRunError(UserError):
    """A study that cannot be probed: other weights, no gold answers, nothing in it."""


@dataclass
class _Work:
    """A sample that is being probed."""

    sample: Sample
    run: ProbeRun
    left: int


class ProbeRunner:
    """`stop` may be called from any thread. `bench_for(pair)` gives the workbench of a pair."""

    def __init__(
        self,
        store: Store,
        name: str,
        bench_for: Callable[[str], RunnerWorkbench],
        options: ProbeOptions,
        command: str = "",
    ) -> None:
        self.store, self.info, self.bench_for, self.options = store, store.study(name), bench_for, options
        self.name, self.command = name, command
        self.cells = {row.key: row for row in store.cells(self.info.id)}
        self.items = {item.key: item for item in store.items(self.info.id)}
        samples = store.samples(self.info.id)
        if not samples:
            raise ProbeRunError(
                f"The study {name!r} has no samples yet, so there is nothing to probe. Run its sweep first."
            )
        if not any(self.items[s.item].answer.strip() for s in samples):
            raise ProbeRunError(
                f"The questions of the study {name!r} have no known answers here, so no probe of it is right or wrong."
            )
        have = {one.sample for one in store.probes(self.info.id, setting_text(options))}
        self.todo = [s for s in samples if s.key not in have]
        self._total, self._reused = len(samples), len(have)
        self._counts: Counter[str] = Counter()
        self._message = ""
        self._tokens = 0
        self._stop = threading.Event()

    def stop(self) -> None:
        """End after the next event; what is saved stays."""
        self._stop.set()

    def run(self) -> Iterator[Progress]:
        """Probe what has no points under this setting yet."""
        began = time.monotonic()
        yield self._progress("running", began)
        for pair in dict.fromkeys(self.cells[s.cell].cell.recipe.pair for s in self.todo):
            mine = deque(s for s in self.todo if self.cells[s.cell].cell.recipe.pair == pair)
            if mine and not self._stop.is_set():
                yield from self._probe(self.bench_for(pair), mine, began)
        yield self._progress("stopped" if self._stop.is_set() else "done", began)

    def _check_weights(self, bench: RunnerWorkbench, rows: list[CellRow]) -> None:
        for row in rows:
            if (row.fingerprint, row.dtype) != (bench.fingerprint, bench.dtype):
                raise ProbeRunError(
                    f"The study {self.name!r} was made with other weights or in {row.dtype}, and {bench.dtype} is loaded here: "
                    "its samples cannot be probed by this pair. Run the sweep anew, and then probe it."
                )

    def _probe(self, bench: RunnerWorkbench, pending: deque[Sample], began: float) -> Iterator[Progress]:
        self._check_weights(bench, [self.cells[key] for key in {s.cell for s in pending}])
        run = self.store.begin_run(bench.device, bench.dtype, versions(), self.command)
        generator = bench.generator
        rows: dict[str, tuple[_Work, RunningTrace]] = {}
        ended: dict[str, None] = {}
        stream: EventSource | None = None
        ticked = time.monotonic()
        try:
            while (rows or pending) and not self._stop.is_set():
                while pending and len(rows) <= WINDOW // 2:
                    stream = self._submit(generator, pending.popleft(), rows, stream, run)
                for event in TextGenerator.next_events(stream, 0.05) if stream is not None else ():
                    if event.id in rows and rows[event.id][1].state in LIVE_STATES:
                        trace = rows[event.id][1]
                        generator.apply(trace, event)
                        self._tokens += isinstance(event, Token)
                        if trace.ended:
                            ended[event.id] = None
                for key in [key for key in ended if generator.settle(rows[key][1])]:
                    work, trace = rows.pop(key)
                    del ended[key]
                    self._take(work, trace, run)
                if ended and not rows.keys() - ended.keys():
                    time.sleep(0.002)  # only verdicts are still sought
                if time.monotonic() >= ticked + PROGRESS_EVERY_S:
                    ticked = time.monotonic()
                    yield self._progress("running", began)
        finally:
            if stream is not None:
                stream.cancel()

    def _submit(
        self,
        generator: TextGenerator,
        sample: Sample,
        rows: dict[str, tuple[_Work, RunningTrace]],
        stream: EventSource | None,
        run: int,
    ) -> EventSource | None:
        """Ask all probes of a sample; those that have no thought are noted as looked at."""
        item, cell = self.items[sample.item], self.cells[sample.cell].cell
        body = self.store.body(sample.key)
        if body is None:
            self._pass_over("their text was not kept")
            return stream
        trace = trace_from(sample, body, item.answer)
        if not trace.thought.strip():
            self._save(sample, StoredProbes(sample.key, self.options, ()), run)
            return stream
        cell_recipe, decoding = cell.recipe, cell.decoding.with_seed(sample.seed)
        target = ProbeTarget(item.prompt, cell_recipe, decoding, trace, item.answer, sample.correct, item.kind)
        batch, mine, prompts = [], {}, dict[str, Prompt]()
        try:
            work = _Work(sample, ProbeRun(generator, target, self.options, sample.key), 0)
            for request in work.run.requests:
                parent = generator.prompts.parent(request.recipe)
                if parent not in prompts:
                    prompts[parent] = generator.prompts.render(request.prompt, request.recipe)
                mine[request.id] = work, generator.new_trace(request, prompts[parent])
                batch.append(generator.engine_request(request, prompts[parent], BULK))
        except (
            UserError
        ) as error:  # a question that was not kept, a cap that memory cannot keep: one sample must not end the others
            self._pass_over(str(error))
            return stream
        work.left = len(batch)
        rows.update(mine)
        return generator.engine.submit(batch, stream)

    def _take(self, work: _Work, trace: RunningTrace, run: int) -> None:
        """A probe has ended; with the last one of its sample the points are saved."""
        work.left -= 1
        try:
            work.run.add([trace.snapshot(time.monotonic())])
        except ProbeError as error:
            self._message = str(error)
        if work.left == 0:
            if work.run.complete:
                self._save(work.sample, StoredProbes(work.sample.key, self.options, work.run.result.points), run)
            elif not self._stop.is_set():
                self._counts["failed"] += 1

    def _save(self, sample: Sample, probes: StoredProbes, run: int) -> None:
        self.store.add_probes([probes], run)
        self._counts["done"] += 1
        self._counts["without thought"] += not probes.points

    def _pass_over(self, why: str) -> None:
        """A sample that cannot be probed; it is looked at again by the next run."""
        self._counts["failed"] += 1
        self._message = why

    def _progress(self, state: RunState, began: float) -> Progress:
        done, failed = self._counts["done"], self._counts["failed"]
        seconds = time.monotonic() - began
        left = self._total - self._reused - done - failed
        return Progress(
            self.name,
            state,
            self._total,
            done,
            self._reused,
            failed,
            tokens=self._tokens,
            tokens_per_second=self._tokens / seconds if seconds > 0 else 0.0,
            seconds=seconds,
            eta=left * seconds / done if state == "running" and done else None,
            message=self._message,
        )
