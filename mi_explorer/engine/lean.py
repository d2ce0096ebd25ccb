"""The lean backend: `Decoder` over slots, with one resident fold and row-wise planes. What the loop calls for its tensor work."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Sequence

import torch

from mi_explorer.engine.banks import Fold, Plane, Rows, RowWeights
from mi_explorer.engine.decoder import Decoder
from mi_explorer.engine.layout import Layout
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.engine.slots import Slots
from mi_explorer.recipe import Recipe
from mi_explorer.weights.line import Blend


@dataclass(frozen=True, eq=False)
class Bound:
    """A recipe made ready to run: `plane` names its row-wise batch, None where it can only be folded."""

    key: str
    blend: Blend
    plane: str | None
    row: RowWeights | None


class LeanBackend:
    """Slots [0, slots) of a decoder. A pass runs a contiguous range of slots, folded to one recipe or row-wise in one plane."""

    rowwise = True
    why_folded = ""

    def __init__(self, resident: ResidentPair, slots: int, context: int):
        assert isinstance(resident.layout, Layout)
        lay = resident.layout
        self.resident, self.layout, self.device, self.dtype = resident, lay, resident.device, resident.dtype
        self.context, self.vocab = context, lay.vocab
        self.decoder = Decoder(lay, context, self.device, self.dtype)
        self.slots = Slots(len(lay.layers), lay.kv_heads, lay.head_dim, slots, context, self.device, self.dtype)
        self.planes: dict[str, Plane] = {}
        self.rows: dict[str, Rows] = {}
        self.fold: Fold | None = None
        self.bounds: OrderedDict[str, Bound] = OrderedDict()

    def bind(self, recipe: Recipe) -> Bound:
        """Make a recipe ready. Raises `UserError` for one that this pair cannot run."""
        key = recipe.hash
        if key not in self.bounds:
            blend = self.resident.blend(recipe)
            if blend.plane not in self.planes:
                self.planes[blend.plane] = Plane(self.layout, blend, self.device, self.dtype)
                self.rows[blend.plane] = Rows(self.planes[blend.plane], self.slots.slots)
            row = self.rows[blend.plane].prepare(blend)
            self.bounds[key] = Bound(key, blend, blend.plane if row is not None else None, row)
            if len(self.bounds) > 256:
                self.bounds.popitem(last=False)
        self.bounds.move_to_end(key)
        return self.bounds[key]

    def place(self, slot: int, bound: Bound) -> None:
        """Give a slot its recipe."""
        if bound.plane is not None and bound.row is not None:
            self.rows[bound.plane].write(slot, bound.row)

    def run(
        self, bound: Bound, mode: str, first: int, ids: torch.Tensor, positions: torch.Tensor, width: int, pick: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Logits [n, vocabulary] in fp32 after column `pick[i]` of each row (None: the last) of `ids` [n, c] in slots first…"""
        self.slots.reserve(width)
        bank: Fold | Rows
        if mode == "folded":
            if self.fold is None:
                self.fold = Fold(self.layout, self.device, self.dtype)
            self.fold.to(bound.key, bound.blend, self.planes.get(bound.blend.plane))
            bank = self.fold
        else:
            assert bound.plane is not None
            bank = self.rows[bound.plane]
            bank.use(first, first + ids.shape[0])
        hidden = self.decoder.forward(bank, self.slots, first, ids, positions, width)
        if pick is not None:
            hidden = hidden[torch.arange(len(pick), device=self.device), torch.tensor(pick, device=self.device)].unsqueeze(1)
        return self.decoder.logits(bank, hidden)[:, -1].float()
