"""Which backend runs a pair: the native decoder where it understands every tensor, else `transformers`' own modules."""

import torch

from mi_explorer.engine.backend import Backend
from mi_explorer.engine.memory import host_memory, usable_memory
from mi_explorer.engine.memory_plan import PROMPT_TOKENS, MemoryPlan, plan_memory
from mi_explorer.engine.native.layout import Layout
from mi_explorer.engine.native.packed import packing_works
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.recipe import Recipe

DEFAULT_CONTEXT = 32768 + PROMPT_TOKENS  # positions per slot unless asked for more
TRIED_LAMBDAS = (0.3, 0.8)  # blends on which row-wise and folded logits are compared


def plan_pair(
    resident: ResidentPair, rows: int, context: int | None = None, memory: int | None = None, only: str = "auto"
) -> MemoryPlan:
    """The memory plan of a pair for `rows` in a step and `context` positions of each; nothing is loaded.

    `memory`: bytes that may be used (None: a share of what is free). `only`: "fold" or "rowwise" to hold nothing for the other mode.
    """
    device = torch.device("cuda") if resident.spread and torch.cuda.is_available() else resident.device
    usable, devices, where = usable_memory(device, resident.spread) if memory is None else (memory, 1, str(device))
    native = isinstance(resident.layout, Layout)
    why = resident.layout.why_folded if isinstance(resident.layout, Layout) else ""
    why = str(resident.layout) if resident.spread else why
    return plan_memory(
        resident.sizes,
        usable,
        rows,
        context or DEFAULT_CONTEXT,
        host=host_memory(device),
        only=only,
        why_folded=why,
        may_pack=native and packing_works(resident.device, resident.dtype),
        rowwise_alone=native,
        devices=devices,
        where=where,
    )


def make_backend(
    resident: ResidentPair, rows: int, context: int | None, memory: int | None, only: str = "auto"
) -> tuple[Backend, MemoryPlan]:
    """A backend whose weights and KV cache keep to the memory plan (see `plan_pair`)."""
    plan = plan_pair(resident, rows, context, memory, only)
    model = resident.load_weights(plan)
    if isinstance(resident.layout, Layout):
        from mi_explorer.engine.native.native_backend import NativeBackend, NativeModel

        assert isinstance(model, NativeModel)
        return NativeBackend(model, plan), plan
    return _transformers(resident, resident.layout, plan), plan


def _transformers(resident: ResidentPair, why_not_native: str, plan: MemoryPlan) -> Backend:
    from mi_explorer.engine.transformers.transformers_backend import TransformersBackend, TransformersModel

    model = resident.load_weights(plan)
    assert isinstance(model, TransformersModel)
    why = plan.why_folded
    with torch.inference_mode(), resident.lock:
        batched = model.fits_slots()
        if not batched:
            why = f"{why_not_native}, and it keeps states other than attention's: one row runs after the other"
        elif plan.rowwise:
            blends = [resident.blend(Recipe(resident.pair.name, lam=lam)) for lam in TRIED_LAMBDAS]
            refusal = "" if model.twin is not None else model.try_rowwise(*blends)
            why = f"{why_not_native}, and {refusal}" if refusal else ""
    return TransformersBackend(model, plan, batched, why)
