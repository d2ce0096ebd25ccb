"""Row-wise λ for any decoder of `transformers`: tensors that stand where the parameters stood and answer for both endpoints.

A `Line` holds P and Q of one parameter. In the operations that it knows (linear, addmm, embedding, multiplication, addition, layer
and RMS norm) it uses the coefficients of the batch's rows; any other operation raises `Unclaimed`, and that model runs folded.
So no parameter can be used at a wrong λ silently; the generic backend also compares both modes before it offers rows.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mi_explorer.errors import UserError
from mi_explorer.merging.coefficients import Blend
from mi_explorer.merging.merged_weights import parameter_views


class Unclaimed(UserError):
    """A parameter is used in a way that has no row-wise form."""


class Batch:
    """The coefficients of the rows in the forward pass that runs now: [tensors, rows, 2], fp32."""

    def __init__(self) -> None:
        self.ab = torch.empty(0, 0, 2)


class Line(torch.Tensor):
    """A parameter at per-row coefficients. As a tensor it is P; `pq` [out, 2K] for matrices, [2, …] else."""

    pq: torch.Tensor
    matrix: bool
    number: int
    batch: Batch

    @staticmethod
    def __new__(cls, p: torch.Tensor, q: torch.Tensor, index: int, batch: Batch, matrix: bool) -> "Line":
        pq = torch.cat((p, q), 1) if matrix else torch.stack((p, q))
        line = torch.Tensor._make_subclass(cls, pq[:, : p.shape[1]] if matrix else pq[0])
        line.pq, line.number, line.batch, line.matrix = pq, index, batch, matrix
        return line

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func in ANSWERS:
            return ANSWERS[func](*args, **kwargs)
        if func in HARMLESS or getattr(func, "__name__", "") == "__get__":
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        raise Unclaimed(f"a parameter is used by {getattr(func, '__name__', func)}, which has no row-wise form")

    def rows(self, like: torch.Tensor) -> torch.Tensor:
        """This vector blended per row, shaped to broadcast over `like` [rows, …, size]."""
        ab = self.batch.ab[self.number]
        if like.shape[0] != ab.shape[0] or like.dim() < 2 or self.matrix:
            raise Unclaimed("a vector meets a tensor whose first dimension is not the row")
        value = torch.einsum("rk,k...->r...", ab, self.pq.float()).to(self.pq.dtype)
        return value.view(ab.shape[0], *[1] * (like.dim() - 1 - (value.dim() - 1)), *value.shape[1:])

    def product(self, x: torch.Tensor, transposed: bool) -> torch.Tensor:
        """x·Wᵀ (`transposed`: W is [out, K]) or x·W (W is [K, out]) at each row's coefficients; x [rows, …, K] or [rows·c, K]."""
        ab = self.batch.ab[self.number]
        n, k = ab.shape[0], x.shape[-1]
        if not self.matrix or x.shape[0] % n or x.numel() % (n * k):
            raise Unclaimed("a product whose rows cannot be told apart")
        z = x.reshape(n, -1, 1, k) * ab[:, None, :, None]
        if transposed:
            y = F.linear(z.flatten(2).to(self.pq.dtype), self.pq)
        else:
            y = (
                z.to(self.pq.dtype)[:, :, 0] @ self.pq[:, : self.shape[1]]
                + z.to(self.pq.dtype)[:, :, 1] @ self.pq[:, self.shape[1] :]
            )
        return y.reshape(*x.shape[:-1], -1)


def _plain(x: Any) -> Any:
    if isinstance(x, Line):
        raise Unclaimed("two parameters meet")
    return x


def _linear(x: torch.Tensor, weight: Any, bias: Any = None) -> torch.Tensor:
    y = weight.product(_plain(x), True) if isinstance(weight, Line) else F.linear(x, weight)
    return y if bias is None else _add(y, bias)


def _addmm(bias: Any, x: torch.Tensor, weight: Any, *, beta: float = 1, alpha: float = 1) -> torch.Tensor:
    if (beta, alpha) != (1, 1) or not isinstance(weight, Line):
        raise Unclaimed("addmm with factors")
    n = weight.batch.ab.shape[1]
    y = weight.product(_plain(x), False)
    return _add(y.view(n, -1, y.shape[-1]), bias).view(y.shape)


def _embedding(ids: torch.Tensor, weight: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    ab = weight.batch.ab[weight.number]
    if ids.dim() != 2 or ids.shape[0] not in (1, ab.shape[0]) or not weight.matrix:
        raise Unclaimed("an embedding without rows")
    both = F.embedding(ids, weight.pq).unflatten(-1, (2, -1))  # [n, c, 2, hidden]
    return (both * ab[:, None, :, None]).sum(2).to(weight.pq.dtype)


def _mul(x: Any, y: Any) -> torch.Tensor:
    line, other = (x, y) if isinstance(x, Line) else (y, x)
    if not isinstance(_plain(other), torch.Tensor):
        raise Unclaimed("a parameter is scaled by a number")
    return other * line.rows(other)


def _add(x: Any, y: Any, alpha: float = 1) -> torch.Tensor:
    if not isinstance(x, Line) and not isinstance(y, Line):
        return x + y
    line, other = (x, y) if isinstance(x, Line) else (y, x)
    if alpha != 1 or not isinstance(_plain(other), torch.Tensor):
        raise Unclaimed("a parameter is added to a number")
    return other + line.rows(other)


def _layer_norm(
    x: torch.Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *args: Any
) -> torch.Tensor:
    y = F.layer_norm(x, shape, None, None, eps)
    y = y if weight is None else _mul(y, weight)
    return y if bias is None else _add(y, bias)


def _rms_norm(x: torch.Tensor, shape: Any, weight: Any = None, eps: float | None = None) -> torch.Tensor:
    y = F.rms_norm(x, shape, None, eps)
    return y if weight is None else _mul(y, weight)


ANSWERS: dict[Any, Callable] = {
    F.linear: _linear,
    torch.addmm: _addmm,
    F.embedding: _embedding,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    torch.mul: _mul,
    torch.Tensor.mul: _mul,
    torch.Tensor.__mul__: _mul,
    torch.Tensor.__rmul__: _mul,
    torch.add: _add,
    torch.Tensor.add: _add,
    torch.Tensor.__add__: _add,
    torch.Tensor.__radd__: _add,
}
HARMLESS = {
    torch.Tensor.size,
    torch.Tensor.dim,
    torch.Tensor.numel,
    torch.Tensor.is_floating_point,
    torch.Tensor.element_size,
}


def row_module(module: nn.Module, names: tuple[str, ...], blend: Blend, batch: Batch) -> nn.Module:
    """A twin of the module (buffers copied, no weights) whose parameters are Lines of the blend's plane; order of `names`.

    Raises `Unclaimed` if a parameter is not one whole checkpoint tensor (fused experts and the like).
    """
    twin = copy.deepcopy(module, {id(p): p for p in module.parameters()})
    found = parameter_views(module, names)
    homes = {view.data_ptr(): (i, name, view) for i, name in enumerate(names) for view in found.get(name, ())}
    made: dict[int, Line] = {}
    for owner in twin.modules():
        for key, parameter in list(owner._parameters.items()):
            if parameter is None:
                continue
            index, name, view = homes.get(parameter.data_ptr(), (0, "", None))
            if view is None or view.shape != parameter.shape:
                raise Unclaimed("a parameter in memory is not one tensor of the checkpoint")
            if index not in made:
                p, q = (end.to(parameter.device, parameter.dtype) for end in blend.endpoints(name))
                made[index] = Line(p, q, index, batch, p.dim() == 2)
            del owner._parameters[key]
            owner.__dict__[key] = made[index]
    return twin
