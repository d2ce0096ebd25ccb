"""The lean backend: `Decoder` over slots, with one resident fold and row-wise planes. What the loop calls for its tensor work."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Sequence

import torch

from mi_explorer.engine.banks import Fold, Plane, Rows, RowWeights
from mi_explorer.engine.budget import available
from mi_explorer.engine.decoder import Decoder
from mi_explorer.engine.layout import Layout
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.engine.slots import Slots
from mi_explorer.recipe import Recipe
from mi_explorer.weights.line import Blend

PLANES = 4  # row-wise planes kept: the parents' own, and the last ones of methods with planes of their own


@dataclass(frozen=True, eq=False)
class Bound:
    """A recipe made ready to run: `plane` names its row-wise batch, None where it can only be folded."""

    key: str
    blend: Blend
    plane: str | None
    rows: Rows | None
    row: RowWeights | None


class LeanBackend:
    """Slots [0, slots) of a decoder. A pass runs a contiguous range of slots, folded to one recipe or row-wise in one plane."""

    def __init__(self, resident: ResidentPair, slots: int, context: int, rowwise: bool = True, why: str = ""):
        assert isinstance(resident.layout, Layout)
        lay = resident.layout
        self.resident, self.layout, self.device, self.dtype = resident, lay, resident.device, resident.dtype
        self.context, self.vocab = context, lay.vocab
        self.rowwise, self.why_folded = rowwise, why
        self.decoder = Decoder(lay, context, self.device, self.dtype)
        self.slots = Slots(len(lay.layers), lay.kv_heads, lay.head_dim, slots, context, self.device, self.dtype)
        self.planes: OrderedDict[str, Rows] = OrderedDict()
        self.fold: Fold | None = None
        self.bounds: OrderedDict[str, Bound] = OrderedDict()

    def bind(self, recipe: Recipe) -> Bound:
        """Make a recipe ready. Raises `UserError` for one that this pair cannot run."""
        key = recipe.hash
        if key not in self.bounds:
            blend = self.resident.blend(recipe)
            rows = self._rows(blend)
            row = rows.prepare(blend) if rows is not None else None
            self.bounds[key] = Bound(key, blend, None if row is None else f"{blend.plane}#{id(rows)}", rows, row)
            if len(self.bounds) > 256:
                self.bounds.popitem(last=False)
        self.bounds.move_to_end(key)
        return self.bounds[key]

    def _rows(self, blend: Blend) -> Rows | None:
        """The row-wise weights of a blend's plane, built at first use. The parents' own plane stays; of others the last few do.

        A plane that is dropped here lives on in the bounds of the rows that still run in it.
        """
        if not self.rowwise:
            return None
        if blend.plane not in self.planes:
            if len(self.planes) >= PLANES:
                gone = list(self.planes)[1]
                del self.planes[gone]
                self.bounds = OrderedDict((k, b) for k, b in self.bounds.items() if b.blend.plane != gone)
            if self.planes:
                free = available(self.device)
                if free is not None and 2 * self.resident.weight_bytes > free // 2:
                    return None
            plane = Plane(self.layout, blend, self.device, self.dtype)
            self.planes[blend.plane] = Rows(plane, self.slots.slots)
        return self.planes[blend.plane]

    def refold(self, bound: Bound) -> None:
        """Hold this recipe in the resident fold."""
        if self.fold is None:
            self.fold = Fold(self.layout, self.device, self.dtype)
        self.fold.to(bound.key, bound.blend, None if bound.rows is None else bound.rows.plane)

    def place(self, slot: int, bound: Bound) -> None:
        """Give a slot its recipe."""
        if bound.rows is not None and bound.row is not None:
            bound.rows.write(slot, bound.row)

    def run(
        self, bound: Bound, mode: str, first: int, ids: torch.Tensor, positions: torch.Tensor, width: int, pick: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Logits [n, vocabulary] in fp32 after column `pick[i]` of each row (None: the last) of `ids` [n, c] in slots first…"""
        self.slots.reserve(width)
        bank: Fold | Rows
        if mode == "folded":
            self.refold(bound)
            assert self.fold is not None
            bank = self.fold
        else:
            assert bound.rows is not None
            bank = bound.rows
            bank.use(first, first + ids.shape[0])
        hidden = self.decoder.forward(bank, self.slots, first, ids, positions, width)
        if pick is not None:
            hidden = hidden[torch.arange(len(pick), device=self.device), torch.tensor(pick, device=self.device)].unsqueeze(1)
        return self.decoder.logits(bank, hidden)[:, -1].float()
