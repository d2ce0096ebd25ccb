"""The engine: one thread per resident pair that runs every request of every user, row by row or folded, step by step.

`submit` is thread-safe and returns at once; events come through the `Stream`. A step is: take commands, choose a team, admit,
prefill, decode, emit. The engine knows token ids and coefficients; text, tasks and pages are somebody else's.
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Sequence

import torch

from mi_explorer.engine.batch import Batch
from mi_explorer.engine.events import Event, Failed, Finished, Request
from mi_explorer.engine.lean import LeanBackend
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.engine.rows import Row
from mi_explorer.engine.stream import Stream
from mi_explorer.errors import UserError

log = logging.getLogger(__name__)


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


class Engine:
    """Runs until `close`; also a context manager. `max_rows` rows decode at once, `max_context` positions each."""

    def __init__(self, resident: ResidentPair, max_rows: int = 64, max_context: int | None = None):
        self.resident = resident
        context = min(max_context or resident.max_positions, resident.max_positions)
        self.max_rows = max_rows
        self.backend: Any = LeanBackend(resident, max_rows, context)
        self._wake = threading.Condition()
        self._commands: deque[tuple] = deque()
        self._closed = False
        self._orders = 0
        self._waiting: list[Row] = []
        self._outbox: dict[Stream, list[Event]] = {}
        self._batch = Batch(self.backend, self._emit)
        self._mode, self._steps = "idle", 0
        self._thread = threading.Thread(target=self._run, name="mi-engine", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request]) -> Stream:
        """Queue requests (ids unique within the call). What cannot run ends with `Failed`; nothing raises after this returns."""
        ids = [r.id for r in requests]
        if len(set(ids)) != len(ids):
            raise ValueError("request ids must be unique within one submission")
        stream = Stream(self, ids)
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
            waiting=len(self._waiting),
            slots=self._batch.used,
            max_slots=len(self._batch.at),
            max_rows=self.max_rows,
            context=self.backend.context,
            supports_rowwise=self.backend.rowwise,
            why_folded=self.backend.why_folded,
            steps=self._steps,
            device=str(self.resident.device),
            dtype=str(self.resident.dtype).removeprefix("torch."),
        )

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
            while True:
                with self._wake:
                    while not self._commands and not self._closed and not self._waiting and not self._batch.rows:
                        self._mode = "idle"
                        self._wake.wait()
                    commands = list(self._commands)
                    self._commands.clear()
                    closed = self._closed
                for command in commands:
                    self._take(*command)
                if closed:
                    for row in [*self._batch.rows, *self._waiting]:
                        self._batch.finish(row, "cancelled")
                    self._waiting.clear()
                    self._flush()
                    return
                self._step()
                self._flush()

    def _take(self, kind: str, stream: Stream, what: Any) -> None:
        if kind == "cancel":
            for row in [r for r in (*self._batch.rows, *self._waiting) if r.stream is stream and (what is None or r.request.id in what)]:
                if row in self._batch.rows:
                    self._batch.finish(row, "cancelled")
                else:
                    self._waiting.remove(row)
                    self._emit(row, Finished(row.request.id, "cancelled", 0))
            return
        rows = []
        for request in what:
            row = Row(request, stream, self._orders)
            self._orders += 1
            if why := self._refuse(row):
                self._emit(row, Failed(request.id, why))
            else:
                rows.append(row)
        self._waiting = sorted([*self._waiting, *rows], key=lambda r: (r.request.priority, r.order))

    def _refuse(self, row: Row) -> str:
        prompt, context = row.request.prompt, self.backend.context
        if not prompt:
            return "The prompt is empty."
        if len(prompt) >= context:
            return f"The prompt has {len(prompt)} tokens, and a row holds {context} with its response. Shorten the prompt."
        if min(prompt) < 0 or max(prompt) >= self.backend.vocab:
            return f"The prompt holds a token id outside 0–{self.backend.vocab - 1}."
        try:
            row.bind(self.backend)
        except UserError as error:
            return str(error)
        except Exception as error:  # a blend that breaks must not take the others down
            log.exception("a recipe could not be bound")
            return f"The blend could not be prepared: {type(error).__name__}: {error}"
        return ""

    def _step(self) -> None:
        batch = self._batch
        while self._waiting and batch.free >= len(self._waiting[0].lanes):
            batch.admit(self._waiting.pop(0))
        if not batch.rows:
            return
        rows = list(batch.rows)
        keys = {row.key for row in rows}
        planes = {row.plane for row in rows}
        if len(keys) == 1 and rows[0].foldable:
            mode, team = "folded", rows
        elif len(planes) == 1 and None not in planes:
            mode, team = "rowwise", rows
        else:
            first = rows[0]
            mode, team = "folded", [row for row in rows if row.key == first.key]
        self._mode = mode
        try:
            ready = [row for row in team if row.ready]
            fresh = [row for row in team if not row.ready]
            if ready:
                batch.decode(ready, mode)
            if fresh:
                batch.prefill(fresh, mode, 0 if not ready else sum(len(r.lanes) for r in ready if r in batch.rows))
        except Exception as error:
            log.exception("a step failed")
            for row in team:
                if row in batch.rows:
                    batch.fail(row, f"The step failed: {type(error).__name__}: {error}")
        self._steps += 1

    def _emit(self, row: Row, event: Event) -> None:
        self._outbox.setdefault(row.stream, []).append(event)

    def _flush(self) -> None:
        if self._outbox:
            outbox, self._outbox = self._outbox, {}
            for stream, events in outbox.items():
                stream._put(events)
