"""The engine: one thread per resident pair that runs every request of every user, row-wise or folded, step by step.

`submit` is thread-safe and returns at once; events come through the `EventStream`. A turn of the thread is: take commands,
choose a batch, decode, prefill, hand out events.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import torch

from mi_explorer.engine.backends import make_backend
from mi_explorer.engine.batch import Batch
from mi_explorer.engine.block_room import BlockRoom
from mi_explorer.engine.costs import Costs
from mi_explorer.engine.events import Change, Changed, Event, Failed, Finished, Request
from mi_explorer.engine.interventions import Interventions, request_refusal
from mi_explorer.engine.measured_costs import MeasuredCosts
from mi_explorer.engine.prefill import Prefill
from mi_explorer.engine.queue_positions import QueuePositions
from mi_explorer.engine.resident import Report, ResidentPair
from mi_explorer.engine.scheduler import ScheduledBatch, Scheduler
from mi_explorer.engine.sequence import Sequence
from mi_explorer.engine.status import Status
from mi_explorer.engine.stream import EventStream
from mi_explorer.errors import UserError

log = logging.getLogger(__name__)
IDLE_S = 0.5  # seconds without any work, after which step times are looked at again


class Engine:
    """Runs until `close`; also a context manager.

    `max_rows` slots run in one step and `max_context` positions fit into a slot (default: the model's own limit, at most
    `DEFAULT_CONTEXT`); both are capped to `memory` bytes (default: what is free). `only` forces "fold" or "rowwise"; `costs`
    replaces the measured step times. Raises `NotEnoughMemory` if the pair does not fit. Only its own thread changes its parts.
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
        """`report` gets the phases of loading, from this thread and the engine's; `wait` returns when they are over."""
        self.resident, resident.report = resident, report
        self.backend, self.memory = make_backend(resident, max_rows, max_context, memory, only)
        plan = self.memory
        self.batch = Batch(self.backend, self._emit, "memory" if plan.context < plan.wanted else "context")
        self.prefill = Prefill(self.batch, self.flush)
        self.room = BlockRoom(self.batch)
        self.scheduler = Scheduler(self.batch, costs or Costs({}), self.memory.rows, only, self.room.admits)
        self._interventions = Interventions(resident, self.batch, self.scheduler.queue)
        self._positions = QueuePositions()
        self.measured = MeasuredCosts(resident, self.backend) if costs is None else None
        self._mode, self._steps = "idle", 0
        self._notes = list(self.memory.notes)
        self._orders = itertools.count()
        self._outbox: dict[EventStream, list[Event]] = {}
        self._wake = threading.Condition()  # guards the commands and the flag
        self._commands: deque[Callable[[], None]] = deque()
        self._closed = False
        self._loaded = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mi-engine", daemon=True)
        self._thread.start()

    # ---- for everybody, from any thread ----

    def submit(self, requests: Iterable[Request], stream: EventStream | None = None) -> EventStream:
        """Queue requests (ids unique within the stream). What cannot run ends with `Failed`; nothing raises after this returns.

        A stream is one user: all streams share the slots equally. Whoever has more to ask adds it to the `stream` there is.
        """
        requests = tuple(requests)
        ids = [request.id for request in requests]
        if len(set(ids)) != len(ids):
            raise ValueError("request ids must be unique within one submission")
        stream = stream or EventStream(self.cancel, self.intervene)
        stream.expect(ids)
        if not self._command(partial(self._queue, stream, requests)):
            stream.put(Failed(i, "The engine is closed.") for i in ids)
        return stream

    def cancel(self, stream: EventStream, ids: frozenset[str] | None = None) -> None:
        """Cancel requests of a stream (None: all); takes effect within one step."""
        self._command(partial(self._cancel, stream, ids))

    def intervene(self, stream: EventStream, id: str, what: Change | Literal["pause", "resume"]) -> None:
        """Change a response that is under way, pause or resume it; takes effect within one step. See `EventStream.change`."""
        self._command(partial(self._interventions.make, stream, id, what))

    def status(self) -> Status:
        """A snapshot; cheap."""
        return Status(
            mode=self._mode,
            rows=len(self.batch.sequences),
            waiting=len(self.scheduler.queue),
            slots=self.batch.used,
            max_slots=len(self.batch.slots),
            max_rows=self.scheduler.capacity,
            context=self.backend.context,
            supports_rowwise=self.backend.rowwise,
            why_folded=self.backend.why_folded,
            steps=self._steps,
            device=str(self.resident.device),
            dtype=str(self.resident.dtype).removeprefix("torch."),
            notes=(*self._notes, *((self.measured.note,) if self.measured and self.measured.note else ())),
            paths=tuple(f"{c.name}: {'used' if c.used else 'not used'}, {c.why}" for c in self.backend.checks),
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the weights are read and the step times known; False if `timeout` seconds pass before. Requests need not wait."""
        return self._loaded.wait(timeout)

    def rate(self) -> float | None:
        """Tokens a second of a full batch by the measured step times, for estimates; None before they are known."""
        costs, capacity = self.scheduler.costs, self.scheduler.capacity
        times = [costs.step(mode, capacity) for mode in costs.steps]
        return capacity / min(times) if times else None

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

    def _command(self, command: Callable[[], None]) -> bool:
        """Let the engine's thread do this before its next step; False if it is closed."""
        with self._wake:
            if not self._closed:
                self._commands.append(command)
                self._wake.notify()
            return not self._closed

    # ---- the engine's own thread ----

    def _run(self) -> None:
        with torch.inference_mode():
            if self.measured:
                with self.resident.lock:
                    self.scheduler.costs = self.measured.first(self.scheduler.capacity)
            self.resident.report = None
            self._loaded.set()
            closed = False
            while not closed:
                commands, closed = self._next_commands()
                try:
                    with self.resident.lock:
                        self._turn(commands, closed)
                except Exception as error:  # a fault of ours; nobody may be left waiting for a thread that died
                    log.exception("the engine's loop broke")
                    self._end_all(f"The engine broke: {_described(error)}")
                self._positions.report(self.scheduler.queue, self.batch.sequences)
                self.flush()

    def _next_commands(self) -> tuple[list[Callable[[], None]], bool]:
        """What to do before the next step, and whether to stop. Waits while there is nothing to do at all."""
        with self._wake:
            if self.scheduler.rest and not (self._commands or self._closed):
                self._wake.wait(self.scheduler.rest)
            while not (self._commands or self._closed or self._has_work):
                self._mode = "idle"
                if not self._wake.wait(IDLE_S if self.measured and self.measured.improving else None):
                    break
            commands, self._commands = list(self._commands), deque()
            return commands, self._closed

    @property
    def _has_work(self) -> bool:
        return bool(len(self.scheduler.queue) or self.batch.sequences)

    def _turn(self, commands: list[Callable[[], None]], closed: bool) -> None:
        for command in commands:
            self.scheduler.changed = True
            command()
        if closed:
            self._end_all()
        elif self._has_work:
            self.step()
        elif not commands and self.measured and self.measured.improving:
            self.scheduler.costs = self.measured.again() or self.scheduler.costs

    def step(self) -> None:
        """One token for those who decode, and some prompts read."""
        batch, scheduler = self.batch, self.scheduler
        scheduled = scheduler.schedule()
        if scheduled is None:
            return
        self._mode = scheduled.mode
        if not self.room.grow(scheduled, scheduler.queue):
            scheduler.changed = True
            return
        try:
            if scheduled.decode:
                batch.decode(scheduled.decode, scheduled.mode)
            if scheduled.prefill:
                scheduler.changed = True
                first = sum(len(sequence.slots) for sequence in scheduled.decode if sequence in batch.sequences)
                self.prefill.run(scheduled.prefill, scheduled.mode, first, scheduler.reads_by_fold)
        except Exception as error:
            self._recover(scheduled, error)
        self._steps += 1

    def _recover(self, scheduled: ScheduledBatch, error: Exception) -> None:
        """A step that ran out of memory is tried again with half the slots, then with shorter passes over prompts; any other fault
        ends the sequences that were in it."""
        batch, scheduler = self.batch, self.scheduler
        scheduler.changed = True
        batch.reset_pass()
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) and scheduler.capacity > 1:
            scheduler.capacity //= 2
            self._notes.append(f"Out of memory in a step: at most {scheduler.capacity} rows from now on.")
            return
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) and scheduled.prefill and self.prefill.shorten():
            self._notes.append(
                f"Out of memory while reading a prompt: {self.prefill.chunk} tokens at a time from now on."
            )
            return
        log.error("a step failed", exc_info=error)
        for sequence in [*scheduled.decode, *scheduled.prefill]:
            if sequence in batch.sequences:
                batch.fail(sequence, f"The step failed: {_described(error)}")

    def _queue(self, stream: EventStream, requests: tuple[Request, ...]) -> None:
        for request in requests:
            sequence = Sequence(request, stream, next(self._orders))
            if refusal := self._refusal(sequence):
                self._emit(sequence, Failed(request.id, refusal))
                continue
            if request.given:
                self._emit(sequence, Changed(request.id, 0, "given", None, request.given))
            if self.batch.make_changes(sequence):
                self.scheduler.queue.add(sequence)

    def _refusal(self, sequence: Sequence) -> str:
        """Why a request cannot run; "" if it can, and then its recipe is bound."""
        request = sequence.request
        if refusal := request_refusal(request, self.backend.vocab, self.backend.context):
            return refusal
        try:
            sequence.bind(self.resident, self.backend)
        except UserError as error:
            return str(error)
        except Exception as error:  # a blend that breaks must not take the others down
            log.exception("a recipe could not be bound")
            return f"The blend could not be prepared: {_described(error)}"
        return ""

    def _cancel(self, stream: EventStream, ids: frozenset[str] | None) -> None:
        def meant(sequence: Sequence) -> bool:
            return sequence.stream is stream and (ids is None or sequence.request.id in ids)

        waiting = [*self.scheduler.queue.remove(stream, meant), *self._interventions.take_paused(stream, ids)]
        for sequence in [*filter(meant, list(self.batch.sequences)), *waiting]:
            self.batch.finish(sequence, "cancelled")

    def _end_all(self, failure: str = "") -> None:
        """End everybody, as cancelled or with a failure."""
        self.scheduler.changed = True
        self.batch.reset_pass()
        paused, self._interventions.paused = self._interventions.paused, {}
        for sequence in [*self.batch.sequences, *self.scheduler.queue.clear(), *paused]:
            if failure:
                self.batch.fail(sequence, failure)
            else:
                self.batch.finish(sequence, "cancelled")

    def _emit(self, sequence: Sequence, event: Event) -> None:
        if isinstance(event, (Finished, Failed)):
            self._positions.ends.append(time.monotonic())
        self._outbox.setdefault(sequence.stream, []).append(event)

    def flush(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for stream, events in outbox.items():
            stream.put(events)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"
