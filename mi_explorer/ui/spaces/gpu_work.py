"""All GPU work of a Space in one generator, the time it is asked for, and the GPU's faults as `GpuError`."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from mi_explorer.engine.events import Event, Request
from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe
from mi_explorer.ui.spaces.environment import on_zero
from mi_explorer.untyped import JsonObject

if TYPE_CHECKING:
    from mi_explorer.engine import Engine, ResidentPair
    from mi_explorer.generation.scores import Scores

YIELD_INTERVAL_S = 0.08  # between two yields of events
# What the duration estimate assumes of a ZeroGPU slice; assumptions, not measurements. Too long an estimate costs queue priority
# and is refused sooner, too short a one cuts the work off.
LOAD_S, BYTES_PER_S, STEP_S, MIN_S, MAX_S = 8.0, 4e11, 0.02, 15, 120


class GpuError(UserError):
    """The GPU could not be had or was not enough: quota, time, memory. Nothing is wrong with the request."""


@dataclass(frozen=True)
class GpuJob:
    """What is asked of the GPU, in values that pickle. `kind`: "stream" runs `requests`; "score" scores `trace` under `recipe`."""

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
    """How long the GPU is asked for: loading the pair, then one step per token that the longest response may write (what is given is
    only read), in as many rounds as rows need."""
    rounds = math.ceil(len(job.requests) / (job.rows or 64)) if job.requests else 0
    longest = max((r.decoding.cap - len(r.given) for r in job.requests), default=0)
    step = STEP_S + 3 * job.bytes / BYTES_PER_S
    return int(min(MAX_S, max(MIN_S, math.ceil(LOAD_S + 2 * job.bytes / 2e9 + rounds * longest * step))))


GpuOutput: TypeAlias = "list[Event] | Scores"


def gpu(
    function: Callable[[GpuJob], Iterator[GpuOutput]],
    duration: Callable[..., int],
    environment: Mapping[str, str] = os.environ,
) -> Callable[[GpuJob], Iterator[GpuOutput]]:
    """`spaces.GPU(duration=…)(function)` on ZeroGPU; the function itself everywhere else."""
    if not on_zero(environment):
        return function
    import spaces

    decorated: Callable[[GpuJob], Iterator[GpuOutput]] = spaces.GPU(duration=duration)(function)
    return decorated


@lru_cache(maxsize=1)  # one pair per worker; the cache lives as long as the worker does
def loaded_pair(pair: Pair, device: str, dtype: str, rows: int | None) -> tuple["ResidentPair", "Engine"]:
    """The pair in this process and its engine."""
    from mi_explorer.engine import Engine, ResidentPair

    resident = ResidentPair.load(pair, device=device, dtype=dtype)
    limits: JsonObject = {"max_rows": rows} if rows else {}
    return resident, Engine(resident, **limits)


def work_in_process(job: GpuJob) -> Iterator[GpuOutput]:
    """Lists of events of `job.requests` as they come (empty ones are signs of life), or one `Scores`."""
    resident, engine = loaded_pair(job.pair, job.device, job.dtype, job.rows)
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


gpu_work = gpu(work_in_process, gpu_seconds)


def gpu_error(error: BaseException) -> GpuError:
    """What Spaces or PyTorch said about the GPU, as a `GpuError`; their own sentence is kept."""
    message = str(getattr(error, "message", "") or error)[:300]
    text = f"{type(error).__name__} {message}".lower()
    if "quota" in text:
        return GpuError(
            f"The GPU quota of this visit is used up ({message}). Sign in for more, wait, or ask for fewer tokens or λs."
        )
    if "outofmemory" in text or "out of memory" in text or "memoryneed" in text:
        return GpuError(f"The GPU has too little memory for this ({message}). Ask for fewer λs or a lower token limit.")
    if "abort" in text or "timeout" in text or "duration" in text:
        return GpuError(f"The GPU's time for this run was over ({message}). Ask for fewer tokens or λs.")
    return GpuError(f"No GPU could be had ({message}). Try again in a while.")
