"""A second device in pure Python, for machines that have none: its tensors hold a CPU's data and compute real numbers.

It raises where tensors of two devices meet, as CUDA does, and counts kernels and copies to and from the host. Use `stand_in` as a
context: it replaces for its time what tensors of a subclass cannot go through (`torch.inference_mode`, `torch.tensor`, `torch.arange`, `Module.to`).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import backend_registration
from torch.utils._device import _device_constructors
from torch.utils._pytree import tree_map

NAME = "standin"
VIEWS = frozenset(
    [
        "view",
        "_unsafe_view",
        "expand",
        "slice",
        "select",
        "unsqueeze",
        "squeeze",
        "permute",
        "transpose",
        "t",
        "alias",
        "detach",
        "unbind",
        "split",
        "split_with_sizes",
        "chunk",
        "as_strided",
        "unflatten",
        "flatten",
        "_reshape_alias",
        "lift_fresh",
        "narrow",
        "diagonal",
        "expand_as",
        "view_as",
        "movedim",
    ]
)
COPIES = frozenset(("_to_copy", "copy_", "to", "_copy_from", "_copy_from_and_resize", "type_as"))
MAYBE_VIEWS = frozenset(("reshape", "to", "contiguous", "_to_copy", "float", "flatten", "type_as", "view_as"))
READS = frozenset(
    ("_local_scalar_dense", "item", "equal", "is_nonzero", "nonzero", "masked_select", "unique", "_unique2")
)
ALLOCATIONS = frozenset(("empty", "empty_strided", "empty_like"))
INDEXING = frozenset(("index", "index_put", "index_put_", "_index_put_impl_"))

counts: Counter[str] = Counter()
"""Since it was last cleared: "kernel", "kernel NAME", "to device", "to host"."""
_quiet = [0]  # inside a fused operation, which is one kernel


class MixedDevices(RuntimeError):
    """Tensors of two devices meet in one operation."""


class DeviceTensor(torch.Tensor):
    """A tensor of the stand-in device; `raw` is its data."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> "DeviceTensor":
        made = torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype, device=DEVICE
        )
        made.raw = raw
        return made

    def __repr__(self, **more: Any) -> str:
        return f"DeviceTensor({torch.Tensor.__repr__(self.raw)})"

    def data_ptr(self) -> int:
        return self.raw.data_ptr()

    def tolist(self) -> Any:
        counts["to host"] += 1
        return self.raw.tolist()

    def numpy(self, *args: Any, **more: Any) -> Any:
        raise TypeError("a tensor of the stand-in device has no numpy form; copy it to the CPU first")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return memo.setdefault(id(self), DeviceTensor(self.raw.clone()))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _ours(device: Any) -> bool:
    return device is not None and torch.device(device).type in (NAME, "privateuseone")


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = func._schema.name.split("::")[1]
    here: list[DeviceTensor] = []
    there: list[torch.Tensor] = []

    def look(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            (here if isinstance(x, DeviceTensor) else there).append(x)  # type: ignore[arg-type]
        return x

    tree_map(look, (args, kwargs))
    device = next((a for a in args[1:] if isinstance(a, torch.device)), kwargs.get("device"))
    if here and there and name not in COPIES:
        if name in INDEXING:
            counts["to device"] += 1
        elif any(t.dim() for t in there):
            raise MixedDevices(f"{func}: tensors of {NAME} and of the CPU, {[tuple(t.shape) for t in there]}")
    if name in READS:
        counts["to host"] += 1
    result_here = _ours(device) if device is not None else bool(here)
    crosses = False
    if name == "copy_":
        crosses = isinstance(args[0], DeviceTensor) != isinstance(args[1], DeviceTensor)
        result_here = isinstance(args[0], DeviceTensor)
    elif name in COPIES:
        crosses = device is not None and _ours(device) != bool(here)
    if crosses:
        counts["to device" if result_here else "to host"] += 1

    def unwrap(x: Any) -> Any:
        return (
            x.raw
            if isinstance(x, DeviceTensor)
            else torch.device("cpu")
            if isinstance(x, torch.device) and _ours(x)
            else x
        )

    out = func(*tree_map(unwrap, args), **tree_map(unwrap, kwargs))
    written, is_view = None, False
    for i, argument in enumerate(func._schema.arguments):
        info = argument.alias_info
        if info is not None and info.is_write:
            written = kwargs.get(argument.name, args[i] if i < len(args) else None)
        elif info is not None:
            is_view = True
    if result_here or here:
        first = args[0] if args else None
        same = name in MAYBE_VIEWS and isinstance(first, DeviceTensor) and isinstance(out, torch.Tensor)
        same = same and out.untyped_storage().data_ptr() == first.raw.untyped_storage().data_ptr()
        if not ((is_view and written is None) or same or name in VIEWS | ALLOCATIONS or crosses or _quiet[0]):
            counts["kernel"] += 1
            counts[f"kernel {name}"] += 1
    if isinstance(written, torch.Tensor) and not isinstance(out, (tuple, list)):
        return written
    if not result_here:
        return out
    return tree_map(lambda x: DeviceTensor(x) if type(x) is torch.Tensor else x, out)


backend_registration._setup_privateuseone_for_python_backend(NAME)
DEVICE = torch.device(NAME, 0)
_library = torch.library.Library("_", "IMPL")
_library.fallback(lambda func, *args, **kwargs: _run(func, args, kwargs), "PrivateUse1")
_device_constructors()  # remembers the real `torch.tensor`


def _one_kernel(name: str, operation: Any) -> Any:
    """A composite operation counted as the one kernel that it is on a GPU."""

    def fused(*args: Any, **more: Any) -> Any:
        _quiet[0] += 1
        try:
            return operation(*args, **more)
        finally:
            _quiet[0] -= 1
            if not _quiet[0] and any(isinstance(x, DeviceTensor) for x in args):
                counts["kernel"] += 1
                counts[f"kernel {name}"] += 1

    return fused


@contextmanager
def stand_in() -> Iterator[torch.device]:
    """The device, ready to be used; counts begin at zero."""
    move = nn.Module.to

    def made_on(make: Any) -> Any:
        def made(*args: Any, device: Any = None, **more: Any) -> torch.Tensor:
            return make(*args, **more).to(DEVICE) if _ours(device) else make(*args, device=device, **more)

        return made

    def to(self: nn.Module, *args: Any, **more: Any) -> nn.Module:
        swap = torch.__future__.set_swap_module_params_on_conversion
        swap(any(isinstance(a, torch.device) and _ours(a) for a in args))
        try:
            return move(self, *args, **more)
        finally:
            swap(False)

    counts.clear()
    with (
        patch.object(torch, "tensor", made_on(torch.tensor)),
        patch.object(torch, "arange", made_on(torch.arange)),
        patch.object(torch, "inference_mode", torch.no_grad),
        patch.object(nn.Module, "to", to),
        patch.object(F, "scaled_dot_product_attention", _one_kernel("attention", F.scaled_dot_product_attention)),
        patch.object(F, "rms_norm", _one_kernel("rms_norm", F.rms_norm)),
    ):
        yield DEVICE
