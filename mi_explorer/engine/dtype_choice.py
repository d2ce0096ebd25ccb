"""In which dtype a pair runs, where nobody says it."""

import time
from functools import cache

import torch
import torch.nn.functional as F

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.errors import UserError

RUN_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
EXACT_PARAMETERS = (
    20_000_000  # up to which a CPU computes in fp32: quick anyway, and a trace does not depend on its companions
)
SMALL_PARAMETERS = 200_000_000  # up to which fp32 is taken on a CPU that is no quicker in bf16; memory has room for it
QUICKER = 1.5  # that bf16 must be, to give up fp32
SHAPE = 64, 1024, 1024  # rows, inputs, outputs of the measured product
ROUNDS = 5


class DtypeError(UserError):
    """A dtype that models are not run in."""


def choose_dtype(dtype: str | torch.dtype | None, device: str, parents: Parents) -> torch.dtype:
    """A name or `torch.dtype`. None: what the checkpoint is stored in; on a CPU fp32 for tiny models, and for small ones too unless they
    are stored in bf16 and this CPU is `QUICKER` with it."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is not None:
        name = dtype.removeprefix("torch.")
        if name not in RUN_DTYPES:
            raise DtypeError(f"dtype must be one of {', '.join(RUN_DTYPES)}, not {dtype[:40]!r}.")
        return RUN_DTYPES[name]
    entries = [parents.entry("instruct", name) for name in parents.loaded]
    stored = max(entries, key=lambda entry: entry.numel).dtype
    parameters = sum(entry.numel for entry in entries)
    if device != "cpu" or parameters > SMALL_PARAMETERS:
        return stored
    quick = parameters > EXACT_PARAMETERS and stored == torch.bfloat16 and bfloat16_gain() >= QUICKER
    return torch.bfloat16 if quick else torch.float32


@cache
def bfloat16_gain() -> float:
    """How many times as fast as fp32 this CPU multiplies in bf16, measured once (some 20 ms)."""
    times = {dtype: _product_time(dtype) for dtype in (torch.float32, torch.bfloat16)}
    return times[torch.float32] / times[torch.bfloat16]


@torch.inference_mode()
def _product_time(dtype: torch.dtype) -> float:
    """Seconds of one product, the best of some."""
    rows, inputs, outputs = SHAPE
    x, weight = torch.ones(rows, inputs, dtype=dtype), torch.ones(outputs, inputs, dtype=dtype)
    times = []
    for _ in range(ROUNDS + 1):  # the first one makes ready
        begun = time.perf_counter()
        F.linear(x, weight)
        times.append(time.perf_counter() - begun)
    return min(times[1:])
