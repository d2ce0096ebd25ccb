"""Hugging Face Spaces: where we are, what then is the default, and all GPU work through one generator.

On ZeroGPU a process has a GPU only inside a function that `spaces.GPU` decorates; that function runs in a worker process, and
its arguments and yields are pickled. So the page keeps configs, tokenizer and traces, and `gpu_work` is the one door: it opens the
pair on the GPU (once per worker), runs requests or scores a trace, and yields token events. Elsewhere it is a plain generator.
`SpaceEngine` puts that door behind the engine's own interface, `SpaceBench` behind the workbench's.

Quota, time and memory limits of the GPU are a `GpuError`; the page then shows its precomputed strip and says so.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mi_explorer.engine.events import BULK, Event, Failed, Finished, Request, Token
from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe
from mi_explorer.workbench import Workbench, parent_folders

if TYPE_CHECKING:
    from mi_explorer.generation.scores import Scores

SPACE_DATA = Path("/data")  # a Space's persistent storage, where its owner has it
YIELD_INTERVAL_S = 0.08  # seconds between two yields of events
# What the duration estimate assumes of a ZeroGPU slice; assumptions, not measurements. Too long an estimate costs queue priority
# and is refused sooner, too short a one cuts the work off.
LOAD_SECONDS, BYTES_PER_SECOND, STEP_SECONDS, LEAST, MOST = 8.0, 4e11, 0.02, 15, 120


class GpuError(UserError):
    """The GPU could not be had or was not enough: quota, time, memory. Nothing is wrong with the request."""


def on_space(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs in a Space."""
    return bool(environment.get("SPACE_ID"))


def on_zero(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether it runs in a Space with ZeroGPU."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "true", "t", "yes")


def space_defaults(environment: Mapping[str, str] = os.environ, data: Path = SPACE_DATA) -> dict[str, str]:
    """Settings that a Space starts with: open to its proxy, and a persistent home where there is a disk for it."""
    if not on_space(environment):
        return {}
    kept = {"home": str(data / "mi-explorer")} if data.is_dir() and os.access(data, os.W_OK) else {}
    return {"host": "0.0.0.0", **kept}


# -- the one door -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GpuJob:
    """What goes through the door, in values that pickle. `kind`: "stream" runs `requests`; "score" scores `trace` under `recipe`."""

    kind: str
    pair: Pair
    device: str
    dtype: str
    bytes: int
    rows: int | None = None
    requests: tuple[Request, ...] = ()
    recipe: Recipe | None = None
    trace: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())


def gpu_seconds(job: GpuJob) -> int:
    """How long the GPU is asked for: loading the pair, then one step per token of the longest response, in as many rounds as rows need."""
    rounds = math.ceil(len(job.requests) / (job.rows or 64)) if job.requests else 0
    longest = max((r.decoding.cap for r in job.requests), default=0)
    step = STEP_SECONDS + 3 * job.bytes / BYTES_PER_SECOND
    return int(min(MOST, max(LEAST, math.ceil(LOAD_SECONDS + 2 * job.bytes / 2e9 + rounds * longest * step))))


def gpu(
    function: Callable[..., Any], duration: Callable[..., int], environment: Mapping[str, str] = os.environ
) -> Callable[..., Any]:
    """`spaces.GPU(duration=…)(function)` on ZeroGPU; the function itself everywhere else."""
    if not on_zero(environment):
        return function
    import spaces

    decorated: Callable[..., Any] = spaces.GPU(duration=duration)(function)
    return decorated


@lru_cache(maxsize=1)  # one pair per worker; the cache lives as long as the worker does
def _loaded(pair: Pair, device: str, dtype: str, rows: int | None) -> tuple[Any, Any]:
    from mi_explorer.engine import Engine, ResidentPair

    resident = ResidentPair.load(pair, device=device, dtype=dtype)
    limits: dict[str, Any] = {"max_rows": rows} if rows else {}
    return resident, Engine(resident, **limits)


def _gpu_work(job: GpuJob) -> Iterator[Any]:
    """Lists of events of `job.requests` as they come (empty ones are signs of life), or one `Scores`."""
    resident, engine = _loaded(job.pair, job.device, job.dtype, job.rows)
    if job.kind == "score":
        from mi_explorer.generation.scores import score

        assert job.recipe is not None
        yield score(resident, job.recipe, *job.trace)
        return
    stream = engine.submit(job.requests)
    try:
        while not stream.done:
            first = stream.get(timeout=YIELD_INTERVAL_S)
            began = time.monotonic()
            events = [] if first is None else [first]
            while (left := began + YIELD_INTERVAL_S - time.monotonic()) > 0 and (
                event := stream.get(timeout=left)
            ) is not None:
                events.append(event)
            yield events
    finally:
        stream.cancel()


gpu_work = gpu(_gpu_work, gpu_seconds)


def gpu_error(error: BaseException) -> GpuError:
    """What Spaces or PyTorch said about the GPU, as a `GpuError` in our words; their own sentence is kept."""
    said = str(getattr(error, "message", "") or error)[:300]
    text = f"{type(error).__name__} {said}".lower()
    if "quota" in text:
        return GpuError(
            f"The GPU quota of this visit is used up ({said}). Sign in for more, wait, or ask for fewer tokens or λs."
        )
    if "outofmemory" in text or "out of memory" in text or "memoryneed" in text:
        return GpuError(f"The GPU has too little memory for this ({said}). Ask for fewer λs or a lower token limit.")
    if "abort" in text or "timeout" in text or "duration" in text:
        return GpuError(f"The GPU's time for this run was over ({said}). Ask for fewer tokens or λs.")
    return GpuError(f"No GPU could be had ({said}). Try again in a while.")


# -- behind the engine's interface -----------------------------------------------------------------------------------------


class PulledStream:
    """What `Engine.submit` returns, pulled through the door in the reader's own thread: Spaces knows the visitor by that thread."""

    def __init__(self, batches: Iterator[list[Event]], ids: Sequence[str]) -> None:
        self._batches, self._open = batches, dict.fromkeys(ids)
        self._events: list[Event] = []
        self._dropped: set[str] = set()
        self._spoke = False

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
        if not self._spoke:
            self._open.clear()
            raise error
        self._end([Failed(id, str(error)) for id in ids])

    def _end(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, (Finished, Failed)):
                self._open.pop(event.id, None)
            self._spoke |= isinstance(event, Token)
        self._events += events

    def _close(self) -> None:
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()


class SpaceEngine:
    """The engine as the page sees it, on the other side of the door. It serves people; a sweep needs a machine of its own."""

    def __init__(self, job: GpuJob, context: int, work: Callable[[GpuJob], Iterator[Any]] = gpu_work) -> None:
        self.job, self.context, self.work = job, context, work

    def submit(self, requests: Sequence[Request], stream: Any = None) -> PulledStream:
        """Begin a GPU call for these requests; it starts when the stream is first read. Raises `GpuError` for a sweep's.

        Every call is a stream of its own: only sweeps add to one.
        """
        from dataclasses import replace

        if any(r.priority == BULK for r in requests):
            raise GpuError(
                "Sweeps do not run on a shared GPU that is lent for seconds. Run them on a machine of your own."
            )
        return PulledStream(self.work(replace(self.job, requests=tuple(requests))), [r.id for r in requests])

    def status(self) -> Any:
        """The part of the engine's status that is known without one."""
        return SimpleNamespace(
            context=self.context, mode="gpu", rows=0, waiting=0, device=self.job.device, dtype=self.job.dtype, notes=()
        )

    def close(self) -> None:
        """Nothing is held on this side."""


class SpaceBench(Workbench):
    """A workbench whose tensors live behind the door. Use `SpaceBench.open_space`."""

    @classmethod
    def open_space(
        cls, pair: str | Pair, device: str = "cuda", dtype: Any = None, home: Any = None, rows: int | None = None,
        work: Callable[[GpuJob], Iterator[Any]] = gpu_work,
    ) -> "SpaceBench":  # fmt: skip
        """Configs, headers and tokenizer of a pair; no weight is read and no GPU touched here. Raises `UserError`."""
        import torch

        from mi_explorer.checkpoints.preflight import preflight
        from mi_explorer.engine import ResidentPair
        from mi_explorer.engine.backends import DEFAULT_CONTEXT
        from mi_explorer.engine.logit_blends import logit_parts
        from mi_explorer.engine.resident import choose_dtype
        from mi_explorer.merging.blend import bind
        from mi_explorer.pairs import get_pair
        from mi_explorer.prompts import Prompts
        from mi_explorer.studies.store.store import Store
        from mi_explorer.workbench import WorkbenchError

        pair = get_pair(pair)
        found = preflight(pair)
        if not found.ok:
            raise WorkbenchError(" ".join(finding.text() for finding in found.findings if finding.level == "refused"))
        light = ResidentPair.load(pair, device="cpu", dtype=dtype or torch.float32)
        parents = light.parents
        kind = str(choose_dtype(dtype, device, parents)).removeprefix("torch.")
        job = GpuJob(
            "stream",
            pair,
            device,
            kind,
            light.weight_bytes // light.dtype.itemsize * getattr(torch, kind).itemsize,
            rows,
        )
        context = min(light.max_positions, DEFAULT_CONTEXT)
        folders = parent_folders(pair, parents)

        def check(recipe: Recipe) -> None:
            for part, _ in logit_parts(recipe):
                bind(part, parents)

        return cls(
            pair,
            SpaceEngine(job, context, work),
            Prompts.load(folders, pair, context),
            resident=light,
            layers=parents.layers,
            store=lambda: Store.open(home),
            dtype=kind,
            device=device,
            check_recipe=check,
            folders=folders,
        )

    def score(self, snapshot: Snapshot) -> "Scores":
        """Per-token scores, made behind the door."""
        from dataclasses import replace

        if not snapshot.ids:
            return super().score(snapshot)  # says what is missing
        job = replace(self.engine.job, kind="score", recipe=snapshot.recipe, trace=(snapshot.prompt_ids, snapshot.ids))
        try:
            found: Scores = next(iter(self.engine.work(job)))
            return found
        except UserError:
            raise
        except Exception as error:
            raise gpu_error(error) from None
