"""Row-wise λ for any decoder of `transformers`: tensors that stand where the parameters stood and answer for both endpoints.

A `RowwiseParameter` holds P and Q of one parameter. In the operations that it knows (linear, addmm, embedding, multiplication,
addition, layer and RMS norm) it uses the coefficients of the slots that run; any other operation raises `NoRowwiseForm`, and that
model runs folded. So no parameter can be used at a wrong λ silently; the backend also compares both modes before it offers rows.
"""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from mi_explorer.errors import UserError
from mi_explorer.merging.coefficients import Blend
from mi_explorer.merging.merged_weights import parameter_views
from mi_explorer.untyped import TorchOperand


class NoRowwiseForm(UserError):
    """A parameter is used in a way that has no row-wise form."""


class SlotCoefficients:
    """The coefficients of the slots in the forward pass that runs now: `ab` [tensors, rows, 2], fp32."""

    def __init__(self) -> None:
        self.ab = torch.empty(0, 0, 2)


class RowwiseParameter(torch.Tensor):
    """A parameter at per-row coefficients. As a tensor it is P; `both` is [out, 2K] (P left, Q right) for matrices, else [2, …]."""

    both: torch.Tensor
    matrix: bool
    number: int
    coefficients: SlotCoefficients

    @staticmethod
    def __new__(
        cls, p: torch.Tensor, q: torch.Tensor, number: int, coefficients: SlotCoefficients
    ) -> "RowwiseParameter":
        """`number`: the parameter's place in the coefficients."""
        matrix = p.dim() == 2
        both = torch.cat((p, q), 1) if matrix else torch.stack((p, q))
        made: RowwiseParameter = torch.Tensor._make_subclass(cls, both[:, : p.shape[1]] if matrix else both[0])
        made.both, made.number, made.coefficients, made.matrix = both, number, coefficients, matrix
        return made

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., TorchOperand],
        types: object,
        args: tuple[TorchOperand, ...] = (),
        kwargs: dict[str, TorchOperand] | None = None,
    ) -> TorchOperand:
        name = getattr(func, "__name__", str(func))
        if func in ANSWERS:
            return ANSWERS[func](*args, **(kwargs or {}))
        if func in HARMLESS or name == "__get__":
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        raise NoRowwiseForm(f"a parameter is used by {name}, which has no row-wise form")

    @property
    def ab(self) -> torch.Tensor:
        """[rows, 2]"""
        return self.coefficients.ab[self.number]

    def vectors(self, like: torch.Tensor) -> torch.Tensor:
        """This vector blended per row, shaped to broadcast over `like` [rows, …, size]."""
        ab = self.ab
        if like.shape[0] != ab.shape[0] or like.dim() < 2 or self.matrix:
            raise NoRowwiseForm("a vector meets a tensor whose first dimension is not the row")
        value = torch.einsum("rk,k...->r...", ab, self.both.float()).to(self.both.dtype)
        return value.view(ab.shape[0], *[1] * (like.dim() - value.dim()), *value.shape[1:])

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        """[a·x, b·x] of each row as [rows, …, 2, K], for x [rows, …, K] or [rows·c, K]."""
        ab, k = self.ab, x.shape[-1]
        n = ab.shape[0]
        if not self.matrix or x.shape[0] % n or x.numel() % (n * k):
            raise NoRowwiseForm("a product whose rows cannot be told apart")
        return (x.reshape(n, -1, 1, k) * ab[:, None, :, None]).to(self.both.dtype)


def _plain(x: TorchOperand) -> TorchOperand:
    if isinstance(x, RowwiseParameter):
        raise NoRowwiseForm("two parameters meet")
    return x


def _linear(x: torch.Tensor, weight: TorchOperand, bias: TorchOperand = None) -> torch.Tensor:
    """x·Wᵀ + bias, W [out, K]: one product with K doubled."""
    if isinstance(weight, RowwiseParameter):
        y = F.linear(weight.scaled(_plain(x)).flatten(2), weight.both).reshape(*x.shape[:-1], -1)
    else:
        y = F.linear(x, weight)
    return y if bias is None else _add(y, bias)


def _addmm(
    bias: TorchOperand, x: torch.Tensor, weight: TorchOperand, *, beta: float = 1, alpha: float = 1
) -> torch.Tensor:
    """x·W + bias, W [K, out] and x [rows·c, K] (GPT-2 and its kin)."""
    if (beta, alpha) != (1, 1) or not isinstance(weight, RowwiseParameter):
        raise NoRowwiseForm("addmm with factors")
    z, out = weight.scaled(_plain(x)), weight.shape[1]
    y = z[:, :, 0] @ weight.both[:, :out] + z[:, :, 1] @ weight.both[:, out:]
    return _add(y, bias).view(x.shape[0], out)


def _embedding(ids: torch.Tensor, weight: TorchOperand, *args: TorchOperand, **kwargs: TorchOperand) -> torch.Tensor:
    ab = weight.ab
    if ids.dim() != 2 or ids.shape[0] not in (1, ab.shape[0]) or not weight.matrix:
        raise NoRowwiseForm("an embedding without rows")
    both = F.embedding(ids, weight.both)  # [n, c, 2·hidden]
    p, q = both.chunk(2, -1)
    blended: torch.Tensor = (p * ab[:, None, :1] + q * ab[:, None, 1:]).to(both.dtype)
    return blended


def _mul(x: TorchOperand, y: TorchOperand) -> torch.Tensor:
    parameter, other = _operands(x, y)
    return other * parameter.vectors(other)


def _add(x: TorchOperand, y: TorchOperand, alpha: float = 1) -> torch.Tensor:
    if alpha != 1:
        raise NoRowwiseForm("a parameter is added with a factor")
    if not isinstance(x, RowwiseParameter) and not isinstance(y, RowwiseParameter):
        plain: torch.Tensor = x + y
        return plain
    parameter, other = _operands(x, y)
    return other + parameter.vectors(other)


def _operands(x: TorchOperand, y: TorchOperand) -> tuple[RowwiseParameter, torch.Tensor]:
    """The parameter and the activations that it meets."""
    parameter, other = (x, y) if isinstance(x, RowwiseParameter) else (y, x)
    if not isinstance(_plain(other), torch.Tensor):
        raise NoRowwiseForm("a parameter meets a number")
    return parameter, other


def _layer_norm(
    x: torch.Tensor,
    shape: TorchOperand,
    weight: TorchOperand = None,
    bias: TorchOperand = None,
    eps: float = 1e-5,
    *args: TorchOperand,
) -> torch.Tensor:
    y = F.layer_norm(x, shape, None, None, eps)
    y = y if weight is None else _mul(y, weight)
    return y if bias is None else _add(y, bias)


def _rms_norm(
    x: torch.Tensor, shape: TorchOperand, weight: TorchOperand = None, eps: float | None = None
) -> torch.Tensor:
    y = F.rms_norm(x, shape, None, eps)
    return y if weight is None else _mul(y, weight)


ANSWERS: dict[TorchOperand, Callable[..., torch.Tensor]] = {
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


def rowwise_twin(module: nn.Module, names: tuple[str, ...], blend: Blend, coefficients: SlotCoefficients) -> nn.Module:
    """A twin of the module (buffers copied, no weights) whose parameters answer for both endpoints of the blend, by the
    `coefficients` of the tensors `names`.

    Raises `NoRowwiseForm` if a parameter is not one whole checkpoint tensor (fused experts and the like).
    """
    twin = copy.deepcopy(module, {id(p): p for p in module.parameters()})
    found = parameter_views(module, names)
    homes = {view.data_ptr(): (i, name, view) for i, name in enumerate(names) for view in found.get(name, ())}
    made: dict[int, RowwiseParameter] = {}
    for owner in twin.modules():
        for key, parameter in list(owner._parameters.items()):
            if parameter is None:
                continue
            number, name, view = homes.get(parameter.data_ptr(), (0, "", None))
            if view is None or view.shape != parameter.shape:
                raise NoRowwiseForm("a parameter in memory is not one tensor of the checkpoint")
            if number not in made:
                p, q = (end.to(parameter.device, parameter.dtype) for end in blend.endpoints(name))
                made[number] = RowwiseParameter(p, q, number, coefficients)
            del owner._parameters[key]
            owner.__dict__[key] = made[number]
    return twin
