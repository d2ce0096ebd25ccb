"""Weights in the order in which oneDNN multiplies them (CPU): a decode step has few rows, and reading the weights is what it costs.

Plain weights are brought into that order again at every product. Packed once, a row-wise step of 4–11 rows of a 135M model in bf16 takes
half the time; a model that fits into the caches may lose (`tests/bench/bench_engine.py --only packed`, docs/benchmarks.md). So it is done
where memory has room for the second copy and where, with the pair's own weights, it is quicker on this machine.
"""

from collections.abc import Iterable
from functools import cache
from itertools import takewhile

import torch
import torch.nn.functional as F

from mi_explorer.engine.fast_paths import PathCheck, check_path

NAME = "packed weights"
PACKED_FOR_ROWS = 16  # rows that the order is made for; other numbers are served too
CHECKED_ROWS = 11  # of a strip
CHECKED_BYTES = 1 << 28  # of weights that are tried: more than the caches hold
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def pack_weight(weight: torch.Tensor) -> torch.Tensor:
    """A packed copy of a plain [out, in] weight; only `packed_linear` can use it."""
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_FOR_ROWS)
    return packed


def packed_linear(x: torch.Tensor, packed: torch.Tensor) -> torch.Tensor:
    """x Wᵀ for x [..., in] and a packed W: [..., out]."""
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], None)
    return y


@cache
def packing_works(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this build of torch has packed weights for the device and dtype, and their products are those of plain ones."""
    if device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16):
        return False
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.inference_mode():
            generator = torch.Generator().manual_seed(0)
            weight, x = (torch.randn(n, 96, generator=generator).to(dtype) for n in (80, 3))
            close = 1e-5 if dtype == torch.float32 else 5e-2
            return torch.allclose(
                packed_linear(x[:, None], pack_weight(weight))[:, 0], F.linear(x, weight), atol=96 * close, rtol=close
            )
    except (RuntimeError, AttributeError, TypeError):
        return False


@torch.inference_mode()
def packed_check(weights: Iterable[torch.Tensor]) -> PathCheck:
    """Whether packed copies of a model's plain [out, in] weights give the same products, and sooner: one pass over them all, or over
    the first `CHECKED_BYTES` of them, as a decode step makes it."""
    seen = 0

    def wanted(weight: torch.Tensor) -> bool:
        nonlocal seen
        seen += weight.nbytes
        return seen - weight.nbytes < CHECKED_BYTES

    plain = list(takewhile(wanted, weights))
    device, dtype = plain[0].device, plain[0].dtype
    if not packing_works(device, dtype):
        return PathCheck(NAME, False, f"oneDNN has none for {str(dtype)[6:]} on {device.type}")
    generator = torch.Generator().manual_seed(0)
    x = {k: torch.randn(CHECKED_ROWS, 1, k, generator=generator).to(dtype) for k in {w.shape[1] for w in plain}}
    packed = [(x[weight.shape[1]], pack_weight(weight)) for weight in plain]
    return check_path(
        NAME,
        lambda: torch.cat([F.linear(x[weight.shape[1]], weight) for weight in plain], -1),
        lambda: torch.cat([packed_linear(*both) for both in packed], -1),
        TOLERANCE[dtype],
        device,
    )
