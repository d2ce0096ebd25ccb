"""Which backend runs a pair: the lean decoder where it understands every tensor, else `transformers`' own modules, folded."""

from typing import Any

from mi_explorer.engine.budget import Grant, grant
from mi_explorer.engine.layout import Layout
from mi_explorer.engine.resident import ResidentPair

CONTEXT = 32768  # positions per row unless asked for more


def make_backend(resident: ResidentPair, rows: int, context: int | None, memory: int | None) -> tuple[Any, Grant]:
    """A backend with its slots within the memory that is granted."""
    from mi_explorer.engine.lean import LeanBackend

    layout = resident.layout
    assert isinstance(layout, Layout), layout
    limit = min(context or min(resident.max_positions, CONTEXT), resident.max_positions)
    item = resident.dtype.itemsize
    per_position = len(layout.layers) * 2 * layout.kv_heads * layout.head_dim * item
    given = grant(resident.weight_bytes, per_position, rows, limit, resident.device, memory)
    return LeanBackend(resident, given.slots, given.context, given.rowwise, given.why_folded), given
