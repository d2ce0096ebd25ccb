"""The lean backend: our own decoder over slots, folded or row-wise. `LeanModel` holds weights, `LeanBackend` an engine's slots."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from mi_explorer.engine.kv_cache import Slots
from mi_explorer.engine.memory import available
from mi_explorer.engine.native.decoder import Decoder
from mi_explorer.engine.native.endpoints import Count, Plane
from mi_explorer.engine.native.layout import Layout
from mi_explorer.engine.native.weights import Fold, Rows, RowWeights
from mi_explorer.merging.coefficients import Blend

PLANES = 4  # row-wise planes kept: the parents' own, and the last ones of methods with planes of their own
CHUNK = 512  # tokens per forward pass over a finished trace


class LeanModel:
    """The weights of a resident pair: planes for row-wise λ, one fold. Shared by its engine and the scores, under the pair's lock."""

    def __init__(
        self,
        layout: Layout,
        device: torch.device,
        dtype: torch.dtype,
        weight_bytes: int,
        rowwise: bool,
        count: Count | None = None,
    ):
        """`count` is told how far the first reading of the checkpoints has come."""
        self.layout, self.device, self.dtype = layout, device, dtype
        self.weight_bytes, self.rowwise, self._count = weight_bytes, rowwise, count
        self.packed = False  # set by who knows what memory allows, before the first plane
        self.planes: OrderedDict[str, Plane] = OrderedDict()
        self.fold: Fold | None = None

    def plane(self, blend: Blend) -> Plane | None:
        """The row-wise weights of a blend's plane, built at first use; None where memory allows only folds.

        The parents' own plane (the first) stays; of others the last few do. A plane that is dropped here lives on in the rows
        that still run in it.
        """
        if not self.rowwise:
            return None
        if blend.endpoints_key not in self.planes:
            packed = self.packed
            if self.planes:
                free = available(self.device)
                if free is not None and 2 * self.weight_bytes > free // 2:
                    return None
                packed &= free is None or 4 * self.weight_bytes <= free // 2
                if len(self.planes) >= PLANES:
                    del self.planes[list(self.planes)[1]]
            count, self._count = self._count, None
            self.planes[blend.endpoints_key] = Plane(self.layout, blend, self.device, self.dtype, packed, count)
        return self.planes[blend.endpoints_key]

    def folded(self, key: str, blend: Blend) -> Fold:
        """The resident fold, holding this blend."""
        if self.fold is None:
            self.fold = Fold(self.layout, self.device, self.dtype, None if self.rowwise else self._count)
        self.fold.to(key, blend, self.plane(blend))
        return self.fold

    def teacher(
        self, blends: dict[str, Blend], ids: Sequence[int], first: int, chunk: int
    ) -> Iterator[list[torch.Tensor]]:
        """Logits (fp32) after positions first… of `ids` under each blend, `chunk` positions at a time: lists of [≤ chunk, vocabulary]."""
        lay, n = self.layout, len(ids)
        decoder = Decoder(lay, n, self.device, self.dtype)
        tokens = torch.tensor([list(ids)], device=self.device)
        where = torch.arange(n, device=self.device)[None]
        planes = [self.plane(blend) for blend in blends.values()]
        banks: list[Fold | Rows] = []
        hidden = []
        for i, (key, blend) in enumerate(blends.items()):
            slots = Slots(len(lay.layers), lay.kv_heads, lay.head_dim, 1, n, self.device, self.dtype, start=n)
            bank = self._single(key, blend, planes[i])
            banks.append(bank)
            states = [
                decoder.forward(bank, slots, 0, tokens[:, s : s + CHUNK], where[:, s : s + CHUNK], min(n, s + CHUNK))[0]
                for s in range(0, n, CHUNK)
            ]
            hidden.append(torch.cat(states)[first:])
        for start in range(0, n - first, chunk):
            out = []
            for i, (key, blend) in enumerate(blends.items()):
                if isinstance(banks[i], Fold):
                    self.folded(key, blend)
                out.append(decoder.logits(banks[i], hidden[i][None, start : start + chunk])[0].float())
            yield out

    def _single(self, key: str, blend: Blend, plane: Plane | None) -> Fold | Rows:
        """A bank for one sequence: row-wise, so that the engine's fold stays as it is; folded where there is no plane."""
        if plane is not None:
            rows = Rows(plane, 1)
            if (row := rows.prepare(blend)) is not None:
                rows.write(0, row)
                rows.use(0, 1)
                return rows
        return self.folded(key, blend)


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

    can_fork = can_verify = True

    def __init__(self, model: LeanModel, slots: int, context: int, why_folded: str = ""):
        lay = model.layout
        self.model, self.device, self.dtype = model, model.device, model.dtype
        self.context, self.vocab = context, lay.vocab
        self.rowwise, self.why_folded = model.rowwise, why_folded
        self.decoder = Decoder(lay, context, self.device, self.dtype)
        self.slots = Slots(len(lay.layers), lay.kv_heads, lay.head_dim, slots, context, self.device, self.dtype)
        self.rows: dict[Plane, Rows] = {}
        self.bounds: OrderedDict[str, Bound] = OrderedDict()

    def bind(self, key: str, blend: Blend) -> Bound:
        """Make a blend ready under the hash of its recipe."""
        if key not in self.bounds:
            plane = self.model.plane(blend)
            rows = row = None
            if plane is not None:
                if plane not in self.rows:
                    kept = {p: r for p, r in self.rows.items() if p in self.model.planes.values()}
                    self.rows = {**kept, plane: Rows(plane, self.slots.slots)}
                rows = self.rows[plane]
                row = rows.prepare(blend)
            self.bounds[key] = Bound(
                key, blend, None if row is None else f"{blend.endpoints_key}#{id(rows)}", rows, row
            )
            if len(self.bounds) > 256:
                self.bounds.popitem(last=False)
        self.bounds.move_to_end(key)
        return self.bounds[key]

    def refold(self, bound: Bound) -> None:
        """Hold this recipe in the resident fold."""
        self.model.folded(bound.key, bound.blend)

    def place(self, slot: int, bound: Bound) -> None:
        """Give a slot its recipe."""
        if bound.rows is not None and bound.row is not None:
            bound.rows.write(slot, bound.row)

    def run(
        self,
        bound: Bound,
        mode: str,
        first: int,
        ids: torch.Tensor,
        positions: torch.Tensor,
        width: int,
        pick: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Logits in fp32 of `ids` [n, c] in slots first…: [n, vocabulary] after column `pick[i]` of row i (None: the only column).

        `pick=()` gives all columns, [n, c, vocabulary].
        """
        self.slots.reserve(width)
        bank: Fold | Rows
        if mode == "folded":
            bank = self.model.folded(bound.key, bound.blend)
        else:
            assert bound.rows is not None
            bank = bound.rows
            bank.use(first, first + ids.shape[0])
        hidden = self.decoder.forward(bank, self.slots, first, ids, positions, width)
        if pick:
            hidden = hidden[
                torch.arange(len(pick), device=self.device), torch.tensor(pick, device=self.device)
            ].unsqueeze(1)
        logits = self.decoder.logits(bank, hidden).float()
        return logits[:, 0] if pick is None or pick else logits
