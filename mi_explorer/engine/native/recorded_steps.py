"""Decode steps that are recorded once and replayed (CUDA graphs): a device then starts a step's kernels without waiting for Python.

A recording holds addresses, so it serves as long as the same weights lie in the same places for the same number of rows: from one
change of the batch to the next. Rows are rounded up to a bucket, so that it outlives rows that end; rows of padding write into the
block that belongs to nobody. The first recording is compared with the plain step, in values and time, and each later one in values:
a device on which they differ, or on which replaying is not quicker, goes on with plain steps, and `check` says why.
"""

from collections.abc import Callable
from typing import Protocol

import torch

from mi_explorer.engine.fast_paths import PathCheck, check_path, relative_difference
from mi_explorer.engine.kv_cache import KVCache
from mi_explorer.engine.native.decoder import Decoder, Reading, Weights

NAME = "recorded steps"
RECORDED_DEVICES = ("cuda",)
RECORD_AFTER = 16  # plain steps of an unchanged batch: a recording costs a few steps
WARM_UPS = 2  # plain runs before a recording, in which libraries take their workspaces
TOLERANCE = {torch.float32: 1e-4}  # relative to the largest logit
HALF_TOLERANCE = 3e-2  # of bf16 and fp16: rounding depends on the number of rows

Body = Callable[[], torch.Tensor]


class Recording(Protocol):
    """The kernels of one call of a function, and the tensor that it returned."""

    def replay(self) -> torch.Tensor:
        """Run them again on what stands in the same memory now."""
        ...


class CudaRecording:
    """A CUDA graph of `body()`, which must copy nothing to the host."""

    def __init__(self, body: Body):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                body()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # other pairs' threads go on
            self._out = body()

    def replay(self) -> torch.Tensor:
        self._graph.replay()
        return self._out


class StepInputs:
    """What a step of `rows` slots from 0 reads, in places of its own; rows that nobody fills are padding."""

    def __init__(self, cache: KVCache, rows: int):
        device = cache.kv.device
        self.cache, self.rows = cache, rows
        self.ids = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.positions = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.table = torch.full((rows, cache.blocks.per_slot), cache.blocks.blocks, dtype=torch.int32, device=device)
        self._held = (-1, 0)  # version of the block table and rows that `table` holds

    def fill(self, ids: torch.Tensor, positions: torch.Tensor) -> None:
        """Write the first rows; [n, 1] each."""
        n = ids.shape[0]
        self.ids[:n], self.positions[:n] = ids, positions
        self.positions[n:] = 0
        if self._held != (self.cache.blocks.version, n):
            self._held = (self.cache.blocks.version, n)
            self.table[:n] = self.cache.pages(0, n, self.cache.context)
            self.table[n:] = self.cache.blocks.blocks

    def reading(self) -> Reading:
        """Where the step writes and what it sees, computed from the tensors alone."""
        block = self.cache.blocks.block
        places = self.table.long().gather(1, self.positions // block) * block + self.positions % block
        used = (self.positions[:, 0] + 1).to(torch.int32)
        return Reading(places, self.cache.context, pages=self.table, used=used)


class RecordedSteps:
    """The recorded step of a backend's slots; one recording is held at a time. Engine's thread only."""

    def __init__(self, decoder: Decoder, cache: KVCache, record: Callable[[Body], Recording] = CudaRecording):
        self.decoder, self.cache = decoder, cache
        self.check: PathCheck | None = None
        self._record = record
        self._off = self._why_not()
        if self._off:
            self.check = PathCheck(NAME, False, self._off)
        self._recording: Recording | None = None
        self._inputs: StepInputs | None = None
        self._weights: Weights | None = None
        self._version = -1
        self._steady, self._unchanged = (-1, 0), 0  # version and rows of the last plain steps, and how many there were

    def _why_not(self) -> str:
        device = self.cache.kv.device.type
        if device not in RECORDED_DEVICES:
            return f"steps are recorded on {', '.join(RECORDED_DEVICES)}, and this is {device}"
        if not self.decoder.paged:
            return "its shapes must not change from step to step, which takes paged attention"
        if any(layer.experts for layer in self.decoder.layout.layers):
            return "which experts run is decided on the host"
        return ""

    def logits(self, weights: Weights, ids: torch.Tensor, positions: torch.Tensor, width: int) -> torch.Tensor | None:
        """Logits [n, vocabulary] in fp32 of a decode step of slots 0…n−1, `ids` and `positions` [n, 1]; None where the plain step is
        to be run."""
        if self._off:
            return None
        n = ids.shape[0]
        if self._recording is not None and self._inputs is not None:
            rows = self._inputs.rows
            if self._weights is weights and n <= rows <= 2 * n and weights.serves(0, rows, self._version):
                self._inputs.fill(ids, positions)
                return self._recording.replay()[:n]
            self.forget()
        weights.use(0, n)
        if self._steady != (weights.version, n):
            self._steady, self._unchanged = (weights.version, n), 0
        self._unchanged += 1
        return self._try(weights, ids, positions, width) if self._unchanged > RECORD_AFTER else None

    def forget(self) -> None:
        """Give the recording's memory back."""
        self._recording = self._inputs = self._weights = None
        self._unchanged = 0

    def _try(self, weights: Weights, ids: torch.Tensor, positions: torch.Tensor, width: int) -> torch.Tensor:
        """Record this step, and compare it with the plain one, which has written the same into the cache."""
        n = ids.shape[0]
        plain = self.decoder.logits(weights, self.decoder.forward(weights, self.cache, 0, ids, positions, width))
        want = plain.float()[:, 0]
        inputs = StepInputs(self.cache, min(bucket(n), self.cache.slots))
        inputs.fill(ids, positions)
        weights.use(0, inputs.rows)

        def body() -> torch.Tensor:
            hidden = self.decoder.layers(weights, self.cache, 0, inputs.ids, inputs.positions, inputs.reading())
            return self.decoder.logits(weights, hidden).float()[:, 0]

        try:
            recording = self._record(body)
            difference = relative_difference(recording.replay()[:n], want)
        except Exception as error:  # whatever a driver raises here: this device goes on with plain steps
            self._turn_off(f"it does not run here ({type(error).__name__}: {str(error)[:100]})")
            return want
        tolerance = TOLERANCE.get(self.decoder.dtype, HALF_TOLERANCE)
        if not difference <= tolerance:
            self._turn_off(f"its values differ by {difference:.1e}, and {tolerance:.0e} is allowed")
            return want
        if self.check is None:
            self.check = check_path(NAME, lambda: body()[:n], lambda: recording.replay()[:n], tolerance, ids.device)
            if not self.check.used:
                self._turn_off(self.check.why)
                return want
        self._recording, self._inputs, self._weights, self._version = recording, inputs, weights, weights.version
        return want

    def _turn_off(self, why: str) -> None:
        self._off, self.check = why, PathCheck(NAME, False, why)
        self.forget()


def bucket(rows: int) -> int:
    """The power of two that holds so many rows."""
    return 1 << (rows - 1).bit_length()
