"""Memory, asked for up front: what weights and cache need, what the device has, and rows and context that fit.

Nothing is left to the kernel's out-of-memory killer: a pair that does not fit is refused with figures, and rows and context are
capped to what does. All sizes in bytes.
"""

from dataclasses import dataclass

import torch

from mi_explorer.errors import UserError
from mi_explorer.machine import free_memory, gigabytes

SHARE = 0.85  # of what is free now; the rest is for activations, logits and everybody else
FEW = 8  # rows worth more than a longer context
SHORT = 2048  # a context below which rows are given up before positions


class MemoryNeed(UserError):
    """A pair that does not fit into this machine's memory."""


def available(device: torch.device) -> int | None:
    """Free memory of the device, within the container's limit; None where it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory()


@dataclass(frozen=True)
class Grant:
    """What may be used: row-wise planes or not, slots, positions per slot; `notes` say what was capped and why.

    `packed`: whether the row-wise weights may be held twice (see `packed.py`).
    """

    rowwise: bool
    why_folded: str
    rows: int
    slots: int
    context: int
    notes: tuple[str, ...] = ()
    packed: bool = False


def grant(
    weights: int,
    per_position: int,
    rows: int,
    context: int,
    device: torch.device,
    budget: int | None = None,
    rowwise: bool = True,
    why: str = "",
) -> Grant:
    """Divide the memory: `weights` bytes of one checkpoint, `per_position` bytes of KV per row and position.

    A fold needs one copy of the weights, row-wise λ two more; packed copies are two more still, where there is room when everything
    else has its share. Raises `MemoryNeed` if not even a fold with one short row fits.
    """
    have = available(device) if budget is None else budget
    if have is None:
        return Grant(rowwise, why, rows, 2 * rows, context, (), rowwise)
    usable = have if budget is not None else int(have * SHARE)
    least = weights + per_position * min(context, 256)
    if least > usable:
        raise MemoryNeed(
            f"This pair needs at least {gigabytes(least)} (blend {gigabytes(weights)}, cache {gigabytes(least - weights)}), and {gigabytes(usable)} may be used "
            f"on {device}. Use a smaller dtype (bfloat16 halves fp32), another device, or a smaller pair."
        )
    notes = []
    need = 3 * weights + per_position * min(context, SHORT) * min(rows, FEW)
    if rowwise and need > usable:
        rowwise = False
        why = f"both endpoints and the blend in memory need {gigabytes(need)} with their cache, and {gigabytes(usable)} may be used on {device}"
    room = usable - weights * (3 if rowwise else 1)
    room = room * 2 // 3  # the cache grows by doubling, which holds the old and the new buffer for a moment
    want = context
    while context > SHORT and per_position * context * min(rows, FEW) > room:
        context //= 2
    if per_position * context > room:
        context = max(1, room // per_position)
    fit = max(1, room // (per_position * context))
    if context < want:
        notes.append(f"Context capped to {context} of {want} positions: {gigabytes(room)} are left for the cache.")
    if fit < rows:
        notes.append(
            f"Rows capped to {fit} of {rows}: a row of {context} positions takes {gigabytes(per_position * context)}."
        )
    rows = min(rows, fit)
    slots = min(2 * rows, fit)
    return Grant(
        rowwise,
        why,
        rows,
        slots,
        context,
        tuple(notes),
        rowwise and room - per_position * context * slots >= 2 * weights,
    )
