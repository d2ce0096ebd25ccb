"""Weights in the order in which oneDNN multiplies them (CPU): a decode step has few rows, and reading the weights is what it costs.

Plain weights are brought into that order again at every product. Packed once, a row-wise step of 4–11 rows of a 135M model in bf16 takes
half the time; a model that fits into the caches gains little (`tests/bench/bench_engine.py --only packed`, docs/benchmarks.md). The
price is a second copy, so it is made only where memory allows.
"""

from functools import cache

import torch
import torch.nn.functional as F

PACKED_FOR_ROWS = 16  # rows that the order is made for; other numbers are served too


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
