"""The contract between merge methods and the engine: per tensor, W(λ) = a·P + b·Q.

P and Q are the *endpoints*, fixed tensors; (a, b) are the *coefficients*, scalars that depend on λ and scope. The engine needs to know
nothing about methods: sequences whose blends share endpoints may share a row-wise batch, each with its own (a, b) per tensor.
"""

from collections.abc import Hashable
from typing import Protocol

import torch

INSTRUCT, THINKING = (1.0, 0.0), (0.0, 1.0)  # coefficients of a tensor that is P or Q itself


class Blend(Protocol):
    """One recipe bound to the checkpoints of its pair. Tensor names are those of the checkpoint files."""

    endpoints_key: str
    """Blends of equal key have the same P and Q for every tensor (e.g. linear and slerp of one pair at any λ and scope)."""

    def names(self) -> tuple[str, ...]:
        """Every tensor name of the checkpoint, sorted."""
        ...

    def endpoints(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """P and Q of this tensor (same shape and, where they are checkpoint tensors, the checkpoint's own dtype)."""
        ...

    def coefficients(self, name: str) -> tuple[float, float] | None:
        """(a, b) of this tensor; (1, 0) where Instruct is kept and P is Instruct. None: none such, use `tensor`."""
        ...

    def tensor(self, name: str) -> torch.Tensor:
        """The blended tensor, computed in fp32 and rounded once; a parent's own bytes where the blend is that parent."""
        ...

    def key(self, name: str) -> Hashable:
        """Blends of one pair whose keys agree hold the same numbers in this tensor: what is compared before weights are written."""
        ...

    def factors(self, name: str) -> tuple[torch.Tensor, torch.Tensor, float] | None:
        """(A [r, in], B [out, r], s) with Q = P + s·B·A where one parent is a LoRA adapter on the other (s < 0: P = Q + |s|·B·A)."""
        ...
