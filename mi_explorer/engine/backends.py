"""Which backend runs a pair: the lean decoder where it understands every tensor, else `transformers`' own modules."""

from typing import Any

import torch

from mi_explorer.engine.memory import Grant, grant
from mi_explorer.engine.native.layout import Layout
from mi_explorer.engine.native.packed import packs
from mi_explorer.recipe import Recipe

CONTEXT = 32768  # positions per row unless asked for more


def make_model(resident: Any, rowwise: bool = True) -> Any:
    """The resident weights. For a resident pair without an engine (scores only) or as the first half of `make_backend`."""
    if isinstance(resident.layout, Layout):
        from mi_explorer.engine.native.native_backend import LeanModel

        return LeanModel(
            resident.layout, resident.device, resident.dtype, resident.weight_bytes, rowwise, resident.reads
        )
    from mi_explorer.engine.transformers.transformers_backend import GenericModel

    resident.reads(0, len(resident.names))  # transformers reads them in one go
    model = GenericModel(str(resident.folder), resident.config, resident.names, resident.device_name, resident.dtype)
    resident.reads(len(resident.names), len(resident.names))
    return model


def make_backend(resident: Any, rows: int, context: int | None, memory: int | None) -> tuple[Any, Grant]:
    """A backend with its slots within the memory that is granted."""
    limit = min(context or min(resident.max_positions, CONTEXT), resident.max_positions)
    layout, item = resident.layout, resident.dtype.itemsize
    if isinstance(layout, Layout):
        from mi_explorer.engine.native.native_backend import LeanBackend

        per_position = len(layout.layers) * 2 * layout.kv_heads * layout.head_dim * item
        given = grant(resident.weight_bytes, per_position, rows, limit, resident.device, memory)
        model = resident.ready(given.rowwise)
        model.packed = given.packed and packs(resident.device, resident.dtype)
        return LeanBackend(model, given.slots, given.context, given.why_folded), given
    from mi_explorer.engine.transformers.transformers_backend import GenericBackend, fits_slots

    config = resident.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_position = config.num_hidden_layers * 2 * heads * dim * item
    device = torch.device("cuda" if resident.device_name == "auto" and torch.cuda.is_available() else resident.device)
    given = grant(
        resident.weight_bytes,
        per_position,
        rows,
        limit,
        device,
        memory,
        rowwise=resident.device_name != "auto",
        why=layout,
    )
    model = resident.ready(False)
    why = given.why_folded
    with torch.inference_mode(), resident.lock:
        batched = fits_slots(model)
        if not batched:
            why = f"{layout}, and it keeps states other than attention's: one row runs after the other"
        elif given.rowwise and model.twin is None:
            why = model.claim(*(resident.blend(Recipe(resident.pair.name, lam=lam)) for lam in (0.3, 0.8)))
            why = f"{layout}, and {why}" if why else ""
    return GenericBackend(model, given.slots, given.context, batched, why), given
