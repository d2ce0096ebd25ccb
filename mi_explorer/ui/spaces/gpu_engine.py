"""The engine's interface on `gpu_work`: requests in, a stream of events out, pulled in the reader's own thread."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from mi_explorer.engine.events import BULK, Event, Failed, Finished, Request, Token
from mi_explorer.errors import UserError
from mi_explorer.ui.spaces.gpu_work import GpuError, GpuJob, GpuOutput, gpu_error, gpu_work


class PulledStream:
    """What `Engine.submit` returns, pulled in the reader's own thread: Spaces knows the visitor by that thread."""

    def __init__(self, batches: Iterator[list[Event]], ids: Sequence[str]) -> None:
        self._batches, self._open = batches, dict.fromkeys(ids)
        self._events: list[Event] = []
        self._dropped: set[str] = set()
        self._has_tokens = False

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event; None when none came with the latest batch, or when there will be no more. Raises `GpuError`."""
        if not self._events and self._open:
            self._pull()
        elif not self._events and timeout:
            time.sleep(timeout)  # nothing will come: the reader waits for something else
        return self._events.pop(0) if self._events else None

    def drain(self, within: float = 0.0) -> list[Event]:
        """Every event that is here; they were gathered by the worker."""
        events, self._events = self._events, []
        return events

    def cancel(self, ids: Sequence[str] | None = None) -> None:
        """Cancel all, or some: those end at once here, and the worker's own are let go with the generator."""
        gone = [id for id in (self._open if ids is None else ids) if id in self._open]
        self._end([Finished(id, "cancelled", 0) for id in gone])
        self._dropped.update(gone)
        if not self._open:
            self._close()

    @property
    def done(self) -> bool:
        """Whether every request has ended and every event was read."""
        return not self._open and not self._events

    def _pull(self) -> None:
        try:
            batch = next(self._batches, None)
        except UserError:
            raise
        except Exception as error:  # whatever Spaces raises, in its process or ours
            self._fail(gpu_error(error))
            return
        if batch is None:
            self._fail(GpuError("The GPU's time for this run was over. Ask for fewer tokens or λs."))
            return
        failures = [e for e in batch if isinstance(e, Failed)]
        if (
            failures
            and len(failures) == len(self._open)
            and all("OutOfMemory" in f.message or "Out of memory" in f.message for f in failures)
        ):
            self._fail(gpu_error(MemoryError(f"out of memory: {failures[0].message}")))
            return
        self._end([e for e in batch if e.id not in self._dropped])
        if not self._open:
            self._close()

    def _fail(self, error: GpuError) -> None:
        """End what is open: by raising where no text came, else row by row, so that every text stays."""
        ids = list(self._open)
        if not self._has_tokens:
            self._open.clear()
            raise error
        self._end([Failed(id, str(error)) for id in ids])

    def _end(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, (Finished, Failed)):
                self._open.pop(event.id, None)
            self._has_tokens |= isinstance(event, Token)
        self._events += events

    def _close(self) -> None:
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()


class SpaceEngine:
    """The engine as the page sees it; the real one is in the worker process. It serves people; a sweep needs a machine of its own."""

    def __init__(self, job: GpuJob, context: int, work: Callable[[GpuJob], Iterator[GpuOutput]] = gpu_work) -> None:
        self.job, self.context, self.work = job, context, work

    def submit(self, requests: Sequence[Request], stream: object = None) -> PulledStream:
        """Begin a GPU call for these requests; it starts when the stream is first read. Raises `GpuError` for a sweep's.

        Every call is a stream of its own: only sweeps add to one.
        """
        if any(r.priority == BULK for r in requests):
            raise GpuError(
                "Sweeps do not run on a shared GPU that is lent for seconds. Run them on a machine of your own."
            )
        batches = cast("Iterator[list[Event]]", self.work(replace(self.job, requests=tuple(requests))))
        return PulledStream(batches, [r.id for r in requests])

    def status(self) -> SimpleNamespace:
        """The part of the engine's status that is known without one."""
        return SimpleNamespace(
            context=self.context, mode="gpu", rows=0, waiting=0, device=self.job.device, dtype=self.job.dtype, notes=()
        )

    def close(self) -> None:
        """Nothing is held on this side."""
