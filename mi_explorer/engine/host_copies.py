"""Copies of a pair's endpoints in the machine's memory, from which a blend on an accelerator is written without reading files."""

import torch

from mi_explorer.merging.coefficients import Blend


class HostCopies:
    """P and Q of each tensor in the model's dtype, copied at first use; in pinned memory where `pin` says so (copies to a GPU are then
    two to four times as quick and need not be waited for). Of other endpoints than the first blend's, nothing is kept.
    """

    def __init__(self, dtype: torch.dtype, pin: bool = False):
        self.dtype, self.pin = dtype, pin
        self._key: str | None = None
        self._pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def pair(self, blend: Blend, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """P and Q of this tensor."""
        self._key = self._key or blend.endpoints_key
        if blend.endpoints_key != self._key:
            return blend.endpoints(name)
        if name not in self._pairs:
            p, q = blend.endpoints(name)
            mine = self._copy(p)
            self._pairs[name] = mine, mine if torch.equal(p, q) else self._copy(q)
        return self._pairs[name]

    def _copy(self, tensor: torch.Tensor) -> torch.Tensor:
        made = torch.empty(tensor.shape, dtype=self.dtype, pin_memory=self.pin)
        return made.copy_(tensor)

    def bytes(self) -> int:
        """Memory held."""
        return sum(p.nbytes + (0 if p is q else q.nbytes) for p, q in self._pairs.values())
