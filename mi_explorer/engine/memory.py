"""Memory, asked for up front: what weights and cache need, what the device has, and the slots and context that fit.

Nothing is left to the kernel's out-of-memory killer: a pair that does not fit is refused with figures, and rows and context are
capped to what does. All sizes in bytes.
"""

from dataclasses import dataclass

import torch

from mi_explorer.errors import UserError
from mi_explorer.machine import free_memory, gigabytes

USABLE_SHARE = 0.85  # of what is free now; the rest is for activations, logits and everybody else
ENOUGH_ROWS = 8  # rows worth more than a longer context
SHORT_CONTEXT = 2048  # positions below which rows are given up before the context
START_POSITIONS = 256  # positions of one row that must fit at the very least


class NotEnoughMemory(UserError):
    """A pair that does not fit into this machine's memory."""


def available(device: torch.device) -> int | None:
    """Free memory of the device; None where it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory()


@dataclass(frozen=True)
class MemoryPlan:
    """What may be used: both endpoints for row-wise passes or a fold alone (and why), `rows` in a step, `slots` in the cache,
    `context` positions a slot. `packed`: whether the row-wise weights may be held twice (see `native.packed`). `notes` say what was
    capped and why.
    """

    rowwise: bool
    why_folded: str
    rows: int
    slots: int
    context: int
    packed: bool = False
    notes: tuple[str, ...] = ()


def plan_memory(
    weights: int,
    per_position: int,
    rows: int,
    context: int,
    device: torch.device,
    budget: int | None = None,
    rowwise: bool = True,
    why: str = "",
) -> MemoryPlan:
    """Divide the memory: `weights` bytes of one checkpoint, `per_position` bytes of KV per slot and position.

    A fold needs one copy of the weights, row-wise λ two more; packed copies are two more still, where there is room when everything
    else has its share. `rowwise` False (and `why`): folds alone. Raises `NotEnoughMemory` if not even a fold with one short row fits.
    """
    have = available(device) if budget is None else budget
    if have is None:
        return MemoryPlan(rowwise, why, rows, 2 * rows, context, rowwise)
    usable = have if budget is not None else int(have * USABLE_SHARE)
    cache = per_position * min(context, START_POSITIONS)
    if weights + cache > usable:
        raise NotEnoughMemory(
            f"This pair needs at least {gigabytes(weights + cache)} (blend {gigabytes(weights)}, cache {gigabytes(cache)}), and "
            f"{gigabytes(usable)} may be used on {device}. Use a smaller dtype (bfloat16 halves fp32), another device, or a smaller "
            "pair."
        )
    need = 3 * weights + per_position * min(context, SHORT_CONTEXT) * min(rows, ENOUGH_ROWS)
    if rowwise and need > usable:
        rowwise = False
        why = (
            f"both endpoints and the blend in memory need {gigabytes(need)} with their cache, and {gigabytes(usable)} may be used "
            f"on {device}"
        )
    room = usable - weights * (3 if rowwise else 1)
    room = room * 2 // 3  # the cache grows by doubling, which holds the old and the new buffer for a moment
    fitting_context, fitting_rows = _fit_cache(room, per_position, rows, context)
    notes = []
    if fitting_context < context:
        notes.append(
            f"Context capped to {fitting_context} of {context} positions: {gigabytes(room)} are left for the cache."
        )
    if fitting_rows < rows:
        each = gigabytes(per_position * fitting_context)
        notes.append(f"Rows capped to {fitting_rows} of {rows}: a row of {fitting_context} positions takes {each}.")
    rows = min(rows, fitting_rows)
    slots = min(2 * rows, fitting_rows)
    packed = rowwise and room - per_position * fitting_context * slots >= 2 * weights
    return MemoryPlan(rowwise, why, rows, slots, fitting_context, packed, tuple(notes))


def _fit_cache(room: int, per_position: int, rows: int, context: int) -> tuple[int, int]:
    """Positions and rows that fit: the context is halved for the sake of `ENOUGH_ROWS`, down to `SHORT_CONTEXT`."""
    while context > SHORT_CONTEXT and per_position * context * min(rows, ENOUGH_ROWS) > room:
        context //= 2
    if per_position * context > room:
        context = max(1, room // per_position)
    return context, max(1, room // (per_position * context))
