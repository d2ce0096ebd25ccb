"""a·P + b·Q in fp32, rounded once: the one place where blended numbers come into being."""

import torch

from mi_explorer.checkpoints.parents import BLOCK


def wide(*tensors: torch.Tensor) -> torch.dtype:
    """The dtype to compute in: fp32, or fp64 where a parent is stored in fp64."""
    return torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32


def combine(p: torch.Tensor, q: torch.Tensor, a: float, b: float, out: torch.Tensor) -> torch.Tensor:
    """Write a·p + b·q into `out` (same shape, any float dtype) and return it.

    (1, 0) and (0, 1) copy p and q bit for bit. Where a = 1 − b and all dtypes agree this is one `lerp`, which computes in fp32,
    rounds once and runs near memory speed; everything else goes through fp32 scratch of one block that stays in cache.
    """
    if (a, b) == (1.0, 0.0):
        return out.copy_(p)
    if (a, b) == (0.0, 1.0):
        return out.copy_(q)
    if a == 1.0 - b and p.dtype == q.dtype == out.dtype:
        return torch.lerp(p, q, b, out=out)
    if out.is_contiguous() and p.device == q.device == out.device and p.device.type == "cpu":
        flat, p, q = out.view(-1), p.reshape(-1), q.reshape(-1)
        for start in range(0, flat.numel(), BLOCK):
            part = slice(start, start + BLOCK)
            flat[part].copy_(_plain(p[part], q[part], a, b))
        return out
    return out.copy_(_plain(p, q, a, b))


def _plain(p: torch.Tensor, q: torch.Tensor, a: float, b: float) -> torch.Tensor:
    dtype = wide(p, q)
    p, q = p.to(dtype), q.to(dtype)
    if a == 1.0 - b:
        return torch.lerp(p, q, b)
    return torch.add(p * a, q, alpha=b)
