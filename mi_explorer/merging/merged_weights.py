"""A blend written into a resident model in place, from the endpoints, only where it changed.

A resident `transformers` model may hold its parameters otherwise than the files do (renamed, experts fused). `parameter_views` maps every
checkpoint name to the slice of the parameter that it fills, by the library's own conversion rules, and proves that every
element of every parameter is claimed exactly once.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable

import torch
from torch import nn

from mi_explorer.checkpoints.model_tensors import find_homes
from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.errors import UserError
from mi_explorer.merging.blend import PairBlend
from mi_explorer.merging.combine import combine


class MergedWeightsError(UserError):
    """A resident model whose parameters cannot be matched with the checkpoint's tensors."""


class MergedWeights:
    """A resident model and the blend that it holds.

    `endpoints(blend, name)` gives (P, Q) of a blend's tensor where the caller keeps copies in the model's dtype and on its device (then
    writing runs at memory speed); by default they come from the checkpoint files. The model's own numbers are never read.
    """

    def __init__(
        self,
        model: nn.Module,
        names: tuple[str, ...],
        endpoints: Callable[[PairBlend, str], tuple[torch.Tensor, torch.Tensor]] | None = None,
    ):
        self.views = parameter_views(model, names)
        self.endpoints = endpoints or (lambda blend, name: blend.endpoints(name))
        self.keys: dict[str, Hashable] = {}

    @torch.no_grad()
    def to(self, blend: PairBlend) -> tuple[tuple[str, int | None], ...]:
        """Make the model hold `blend`; the (module, layer) groups that had to be rewritten, in order of writing."""
        groups: dict[tuple[str, int | None], None] = {}
        for name, its_views in self.views.items():
            key = blend.key(name)
            if self.keys.get(name) == key:
                continue
            self.keys.pop(name, None)  # whoever is interrupted here must write this tensor again
            p, q = self.endpoints(blend, name)
            for view in its_views:
                _write(view, p, q, *blend.coefficients(name))
            self.keys[name] = key
            groups[place(name)] = None
        return tuple(groups)

    def forget(self) -> None:
        """Somebody else wrote into the model: the next `to` writes everything."""
        self.keys.clear()


def _write(out: torch.Tensor, p: torch.Tensor, q: torch.Tensor, a: float, b: float) -> None:
    """out ← a·p + b·q, across devices and dtypes; one rounding, to out's dtype."""
    if p.device != out.device:
        p, q = p.to(out.device, non_blocking=True), q.to(out.device, non_blocking=True)
    combine(p, q, a, b, out)


def parameter_views(model: nn.Module, names: tuple[str, ...]) -> dict[str, tuple[torch.Tensor, ...]]:
    """Checkpoint name → views of the model's parameters and buffers that it fills (none for a tied duplicate).

    Raises `MergedWeightsError` if a name has no home or a parameter is not covered exactly once: a blend written into it would be wrong.
    """
    found, foreign = find_homes(model, names)
    if foreign:
        raise MergedWeightsError(
            f"The tensor {foreign[0]!r} has no parameter in the resident model ({type(model).__name__})."
        )
    homes = _drop_tied({name: home.view for name, home in found.items()})
    result: dict[str, tuple[torch.Tensor, ...]] = {name: (view.detach(),) for name, view in homes.items()}
    starts = sorted((view.data_ptr(), view.nbytes) for view in homes.values())
    pointers = [start for start, _ in starts]
    for key, parameter in model.named_parameters():
        first = bisect_left(pointers, parameter.data_ptr())
        last = bisect_left(pointers, parameter.data_ptr() + max(1, parameter.nbytes))
        have = sum(size for _, size in starts[first:last])
        if have != parameter.nbytes and parameter.device.type != "meta":
            raise MergedWeightsError(
                f"The model's parameter {key!r} ({parameter.nbytes} bytes) is filled by {have} bytes of the checkpoint. This "
                "architecture's layout in memory is not understood, so no blend can be written into it safely."
            )
    return result


def _drop_tied(homes: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One writer per place: of names that share a parameter (a tied head that is also stored) the embedding stays."""
    seen: dict[tuple[int, int], str] = {}
    for name in sorted(homes, key=lambda n: (place(n)[0] == "lm_head", n)):
        view = homes[name]
        seen.setdefault((view.data_ptr(), view.nbytes), name)
    keep = set(seen.values())
    return {name: view for name, view in homes.items() if name in keep}
