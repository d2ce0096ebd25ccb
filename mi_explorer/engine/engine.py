"""The engine: one thread per resident pair that runs every request of every user, row by row or folded, step by step.

`submit` is thread-safe and returns at once; events come through the `Stream`. A step is: take commands, choose a team, admit,
prefill, decode, emit. The engine knows token ids and coefficients; text, tasks and pages are somebody else's.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mi_explorer.engine.backends import make_backend
from mi_explorer.engine.batch import Batch
from mi_explorer.engine.events import INTERACTIVE, Event, Failed, Finished, Request
from mi_explorer.engine.policy import Costs
from mi_explorer.engine.resident import Report, ResidentPair
from mi_explorer.engine.scheduler import Scheduler, Team
from mi_explorer.engine.sequence import Row
from mi_explorer.engine.step_times import Meter
from mi_explorer.engine.stream import Stream, Waits
from mi_explorer.errors import UserError

log = logging.getLogger(__name__)
REST = 0.5  # seconds without any work, after which step times are looked at again
PACE = 60.0  # seconds over which the pace of the queue is measured
FEW = 3  # rows that must have ended in them for a pace
TOLD = 0.25  # seconds between two words to those who wait


@dataclass(frozen=True)
class Status:
    """What the engine does now. `mode`: "idle", "rowwise" or "folded"; `slots` in use of `max_slots`; `context` positions a row."""

    mode: str
    rows: int
    waiting: int
    slots: int
    max_slots: int
    max_rows: int
    context: int
    supports_rowwise: bool
    why_folded: str
    steps: int
    device: str
    dtype: str
    notes: tuple[str, ...] = ()


class Engine:
    """Runs until `close`; also a context manager.

    `max_rows` lanes decode in one step and `max_context` positions fit into a row (default: the model's own limit, at most
    `CONTEXT`); both are capped to `memory` bytes (default: what is free). `only` forces "fold" or "rowwise"; `costs` replaces the
    measured step times. Raises `MemoryNeed` if the pair does not fit.
    """

    def __init__(
        self,
        resident: ResidentPair,
        max_rows: int = 64,
        max_context: int | None = None,
        *,
        memory: int | None = None,
        only: str = "auto",
        costs: Costs | None = None,
        report: Report | None = None,
    ):
        """`report` is told of the phases of loading, from this thread and the engine's; `wait` returns when they are over."""
        self.resident, resident.report = resident, report
        self._loaded = threading.Event()
        self.backend, self.grant = make_backend(resident, max_rows, max_context, memory)
        self._wake = threading.Condition()
        self._commands: deque[tuple] = deque()
        self._closed = False
        self._orders = itertools.count()
        self._outbox: dict[Stream, list[Event]] = {}
        self._batch = Batch(self.backend, self._emit, self._flush)
        self._schedule = Scheduler(self._batch, costs or Costs({}), self.grant.rows, only)
        self._measure = costs is None
        self._meter: Meter | None = None  # as long as step times may get better
        self._mode, self._steps = "idle", 0
        self._notes = list(self.grant.notes)
        self._ends: deque[float] = deque(maxlen=256)  # when rows left their slots
        self._waiting: list[Stream] = []
        self._told = 0.0
        self._thread = threading.Thread(target=self._run, name="mi-engine", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request], stream: Stream | None = None) -> Stream:
        """Queue requests (ids unique within the stream). What cannot run ends with `Failed`; nothing raises after this returns.

        A stream is one user: all streams share the slots equally. Whoever has more to ask adds it to the `stream` there is.
        """
        ids = [r.id for r in requests]
        if len(set(ids)) != len(ids):
            raise ValueError("request ids must be unique within one submission")
        stream = stream or Stream(self)
        stream._expect(ids)
        with self._wake:
            if self._closed:
                stream._put([Failed(i, "The engine is closed.") for i in ids])
                return stream
            self._commands.append(("submit", stream, tuple(requests)))
            self._wake.notify()
        return stream

    def cancel(self, stream: Stream, ids: frozenset[str] | None = None) -> None:
        """Cancel requests of a stream (None: all); takes effect within one step."""
        with self._wake:
            self._commands.append(("cancel", stream, ids))
            self._wake.notify()

    def status(self) -> Status:
        """A snapshot; cheap, from any thread."""
        return Status(
            mode=self._mode,
            rows=len(self._batch.rows),
            waiting=len(self._schedule.queue),
            slots=self._batch.used,
            max_slots=len(self._batch.at),
            max_rows=self._schedule.rows,
            context=self.backend.context,
            supports_rowwise=self.backend.rowwise,
            why_folded=self.backend.why_folded,
            steps=self._steps,
            device=str(self.resident.device),
            dtype=str(self.resident.dtype).removeprefix("torch."),
            notes=tuple(self._notes),
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the weights are read and the step times known; False if `timeout` seconds pass before. Requests need not wait."""
        return self._loaded.wait(timeout)

    def rate(self) -> float | None:
        """Tokens a second of a full batch by the measured step times, for estimates; None before they are known."""
        costs, rows = self._schedule.costs, self._schedule.rows
        times = [costs.step(mode, rows) for mode in costs.steps]
        return rows / min(times) if times else None

    def close(self) -> None:
        """Stop the thread; what still runs ends as cancelled. A second call does nothing."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- the engine's own thread ----

    def _run(self) -> None:
        with torch.inference_mode():
            resident = self.resident
            if self._measure:
                with resident.lock:
                    self._schedule.costs = self._measured()
            resident.report = None
            self._loaded.set()
            while True:
                with self._wake:
                    while not (
                        busy := bool(self._commands or self._closed or self._schedule.queue or self._batch.rows)
                    ):
                        self._mode = "idle"
                        if not self._wake.wait(REST if self._meter else None):
                            break
                    commands, closed = list(self._commands), self._closed
                    self._commands.clear()
                try:
                    with resident.lock:
                        for command in commands:
                            self._take(*command)
                        if closed:
                            self._end_all()
                        elif busy:
                            self._step()
                        else:
                            self._probe()
                except Exception as error:  # a fault of ours; nobody may be left waiting for a thread that died
                    log.exception("the engine's loop broke")
                    self._fail_all(f"The engine broke: {type(error).__name__}: {str(error)[:300]}")
                self._tell()
                self._flush()
                if closed:
                    return

    def _measured(self) -> Costs:
        """Step times, or assumed ones with a note where they cannot be measured: a request then meets the fault and names it."""
        try:
            report = self.resident.report or (lambda *_: None)
            self._meter = Meter(self.resident, self.backend, self._schedule.rows)
            return self._meter.start(report)
        except Exception as error:
            self._meter = None
            log.warning("step times could not be measured", exc_info=error)
            self._notes.append(
                f"Step times could not be measured ({type(error).__name__}: {str(error)[:200]}); assumed instead."
            )
            return Costs(
                {"folded": [(1, 1.0), (64, 10.0)], "rowwise": [(1, 1.5), (64, 15.0)]}
                if self.backend.rowwise
                else {"folded": [(1, 1.0)]},
                1.0,
            )

    def _probe(self) -> None:
        """Nobody is here: look again at a step time, for the machine may have been busy at start-up."""
        meter = self._meter
        assert meter is not None
        try:
            if meter.probe():
                self._schedule.costs = meter.costs()
            else:
                self._meter = None
        except Exception as error:
            self._meter = None
            log.warning("step times could not be looked at again", exc_info=error)

    def _fail_all(self, message: str) -> None:
        self._batch.forget()
        self._schedule.changed = True
        for row in list(self._batch.rows):
            self._batch.fail(row, message)
        for row in self._schedule.queue.clear():
            self._emit(row, Failed(row.request.id, message))

    def _end_all(self) -> None:
        for row in list(self._batch.rows):
            self._batch.finish(row, "cancelled")
        for row in self._schedule.queue.clear():
            self._emit(row, Finished(row.request.id, "cancelled", 0))

    def _take(self, kind: str, stream: Stream, what: Any) -> None:
        self._schedule.changed = True
        if kind == "cancel":

            def meant(row: Row) -> bool:
                return row.stream is stream and (what is None or row.request.id in what)

            for row in [r for r in self._batch.rows if meant(r)]:
                self._batch.finish(row, "cancelled")
            for row in self._schedule.queue.remove(stream, meant):
                self._emit(row, Finished(row.request.id, "cancelled", 0))
            return
        for request in what:
            row = Row(request, stream, next(self._orders))
            if why := self._refuse(row):
                self._emit(row, Failed(request.id, why))
            else:
                self._schedule.queue.add(row)

    def _refuse(self, row: Row) -> str:
        prompt, context = row.request.prompt, self.backend.context
        if not prompt:
            return "The prompt is empty."
        if len(prompt) >= context:
            return (
                f"The prompt has {len(prompt)} tokens, and a row holds {context} with its response. Shorten the prompt."
            )
        if min(prompt) < 0 or max(prompt) >= self.backend.vocab:
            return f"The prompt holds a token id outside 0–{self.backend.vocab - 1}."
        try:
            row.bind(self.resident, self.backend)
        except UserError as error:
            return str(error)
        except Exception as error:  # a blend that breaks must not take the others down
            log.exception("a recipe could not be bound")
            return f"The blend could not be prepared: {type(error).__name__}: {error}"
        return ""

    def _step(self) -> None:
        batch, schedule = self._batch, self._schedule
        team = schedule.next()
        if team is None:
            return
        self._mode = team.mode
        try:
            if team.ready:
                batch.decode(team.ready, team.mode)
            if team.fresh:
                first = sum(len(r.lanes) for r in team.ready if r in batch.rows)
                batch.prefill([r for r in team.fresh if not r.ready], team.mode, first, schedule.by_fold)
        except Exception as error:
            self._recover(team, error)
        self._steps += 1
        if team.fresh:
            schedule.changed = True

    def _recover(self, team: Team, error: Exception) -> None:
        """A step that ran out of memory is tried again with half the rows; any other fault ends the rows that were in it."""
        batch, schedule = self._batch, self._schedule
        schedule.changed = True
        batch.forget()
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) and schedule.rows > 1:
            schedule.rows //= 2
            self._notes.append(f"Out of memory in a step: at most {schedule.rows} rows from now on.")
            return
        log.error("a step failed", exc_info=error)
        for row in [*team.ready, *team.fresh]:
            if row in batch.rows:
                batch.fail(row, f"The step failed: {type(error).__name__}: {str(error)[:300]}")

    def _tell(self) -> None:
        """Say to those who wait where they stand."""
        now = time.monotonic()
        if not (self._waiting or len(self._schedule.queue)) or now < self._told + TOLD:
            return
        self._told = now
        busy: dict[object, int] = {}
        for row in self._batch.rows:
            if row.priority == INTERACTIVE:
                busy[row.stream] = busy.get(row.stream, 0) + len(row.lanes)
        line = self._schedule.queue.order(INTERACTIVE, busy)
        gone = [stream for stream in self._waiting if all(stream is not other for other, _, _ in line)]
        self._waiting = []
        ends = [t for t in self._ends if t > now - PACE]
        pace = len(ends) / max(now - ends[0], TOLD) if len(ends) >= FEW else 0.0
        for place, (stream, rows, ahead) in enumerate(line, 1):
            assert isinstance(stream, Stream)
            stream.waits = Waits(place, len(line), rows, ahead, float(round((ahead + 1) / pace)) if pace else None)
            self._waiting.append(stream)
        for stream in gone:
            stream.waits = None

    def _emit(self, row: Row, event: Event) -> None:
        if isinstance(event, (Finished, Failed)):
            self._ends.append(time.monotonic())
        self._outbox.setdefault(row.stream, []).append(event)

    def _flush(self) -> None:
        if self._outbox:
            outbox, self._outbox = self._outbox, {}
            for stream, events in outbox.items():
                stream._put(events)
