"""Which backend runs a pair: the native decoder where it understands every tensor, else `transformers`' own modules."""

import torch

from mi_explorer.engine.backend import Backend
from mi_explorer.engine.memory import MemoryPlan, plan_memory
from mi_explorer.engine.native.layout import Layout
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.recipe import Recipe

DEFAULT_CONTEXT = 32768  # positions per slot unless asked for more
TRIED_LAMBDAS = (0.3, 0.8)  # blends on which row-wise and folded logits are compared


def make_backend(
    resident: ResidentPair, rows: int, context: int | None, memory: int | None
) -> tuple[Backend, MemoryPlan]:
    """A backend whose weights and slots keep to the memory plan for `rows` slots in a step and `context` positions.

    `memory`: bytes that may be used (None: what is free).
    """
    limit = min(context or DEFAULT_CONTEXT, resident.max_positions)
    if isinstance(resident.layout, Layout):
        return _native(resident, resident.layout, rows, limit, memory)
    return _transformers(resident, resident.layout, rows, limit, memory)


def _native(
    resident: ResidentPair, layout: Layout, rows: int, context: int, memory: int | None
) -> tuple[Backend, MemoryPlan]:
    from mi_explorer.engine.native.native_backend import NativeBackend, NativeModel
    from mi_explorer.engine.native.packed import packing_works

    per_position = len(layout.layers) * 2 * layout.kv_heads * layout.head_dim * resident.dtype.itemsize
    plan = plan_memory(resident.weight_bytes, per_position, rows, context, resident.device, memory)
    model = resident.load_weights(plan.rowwise)
    assert isinstance(model, NativeModel)
    model.packed = plan.packed and packing_works(resident.device, resident.dtype)
    return NativeBackend(model, plan.slots, plan.context, plan.why_folded), plan


def _transformers(
    resident: ResidentPair, why_not_native: str, rows: int, context: int, memory: int | None
) -> tuple[Backend, MemoryPlan]:
    from mi_explorer.engine.transformers.transformers_backend import TransformersBackend, TransformersModel

    config = resident.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_position = config.num_hidden_layers * 2 * heads * dim * resident.dtype.itemsize
    device = torch.device("cuda" if resident.spread and torch.cuda.is_available() else resident.device)
    may_rowwise = not resident.spread
    plan = plan_memory(resident.weight_bytes, per_position, rows, context, device, memory, may_rowwise, why_not_native)
    model = resident.load_weights(False)
    assert isinstance(model, TransformersModel)
    with torch.inference_mode(), resident.lock:
        batched = model.fits_slots()
        why = plan.why_folded
        if not batched:
            why = f"{why_not_native}, and it keeps states other than attention's: one row runs after the other"
        elif plan.rowwise:
            blends = [resident.blend(Recipe(resident.pair.name, lam=lam)) for lam in TRIED_LAMBDAS]
            refusal = "" if model.twin is not None else model.try_rowwise(*blends)
            why = f"{why_not_native}, and {refusal}" if refusal else ""
    return TransformersBackend(model, plan.slots, plan.context, batched, why), plan
