"""The native backend: our own decoder over slots, folded or row-wise. `NativeModel` holds weights, `NativeBackend` an engine's slots."""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from mi_explorer.engine.backend import BoundRecipe
from mi_explorer.engine.fast_paths import PathCheck
from mi_explorer.engine.host_copies import HostCopies
from mi_explorer.engine.kv_cache import KVCache
from mi_explorer.engine.memory import available
from mi_explorer.engine.memory_plan import BLOCK_TOKENS, MemoryPlan, Mode, NotEnoughMemory
from mi_explorer.engine.native.decoder import Decoder, Weights
from mi_explorer.engine.native.endpoints import Endpoints, OnRead
from mi_explorer.engine.native.layout import Layout
from mi_explorer.engine.native.packed import packed_check
from mi_explorer.engine.native.paged_attention import paged_check
from mi_explorer.engine.native.recorded_steps import RecordedSteps
from mi_explorer.engine.native.weights import FoldedWeights, RowwiseWeights, SlotWeights
from mi_explorer.merging.coefficients import Blend

MAX_ENDPOINTS = 4  # kept in memory: the parents' own, and the last ones of methods with endpoints of their own
MAX_BOUND = 256  # bound recipes that are remembered
TEACHER_TOKENS = 512  # tokens per forward pass over a finished trace


class NativeModel:
    """The weights of a resident pair: endpoints for row-wise λ, one fold. Shared by its engine and the scores, under the pair's lock."""

    def __init__(
        self,
        layout: Layout,
        device: torch.device,
        dtype: torch.dtype,
        weight_bytes: int,
        mode: Mode = "both",
        on_read: OnRead | None = None,
        host: HostCopies | None = None,
        packed: bool = False,
    ):
        """`mode`, `packed`: what memory allows, see `MemoryPlan`; weights are packed where that is quicker, too. `on_read` is called
        while the checkpoints are read for the first time. `host`: copies of the endpoints from which folds are made where the
        endpoints are not on the device."""
        self.layout, self.device, self.dtype = layout, device, dtype
        mode = "folded" if layout.why_folded else mode
        self.weight_bytes, self.mode, self._on_read, self.host, self.packed = weight_bytes, mode, on_read, host, packed
        self.packing: PathCheck | None = None  # not tried: memory has no room, or nothing ran row-wise yet
        self.endpoints: OrderedDict[str, Endpoints] = OrderedDict()
        self.folded: FoldedWeights | None = None
        self.pool: Callable[[], KVCache | None] = lambda: None  # the engine's cache, whose free blocks scores borrow

    def serves(self, mode: Mode) -> bool:
        """Whether the weights are held in a way that serves this mode of a memory plan."""
        return self.mode in (mode, "both") or bool(self.layout.why_folded)

    def endpoints_of(self, blend: Blend) -> Endpoints | None:
        """P and Q of a blend, read at first use; None where memory allows only folds. `ready` has them on the device.

        The parents' own (the first) stay; of others the last few do. What is dropped here lives on in the slots that still use it.
        """
        if self.mode == "folded":
            return None
        if blend.endpoints_key not in self.endpoints:
            room = self.packed
            if self.endpoints:
                free = available(self.device)
                if free is not None and 2 * self.weight_bytes > free // 2:
                    return None
                room &= free is None or 4 * self.weight_bytes <= free // 2
                if len(self.endpoints) >= MAX_ENDPOINTS:
                    del self.endpoints[list(self.endpoints)[1]]
            on_read, self._on_read = self._on_read, None
            if self.mode == "rowwise":
                self.folded = None
            found = Endpoints(self.layout, blend, self.device, self.dtype, on_read=on_read)
            if room and self._packing_pays(found):
                found.pack()
            self.endpoints[blend.endpoints_key] = found
        return self.endpoints[blend.endpoints_key]

    def _packing_pays(self, endpoints: Endpoints) -> bool:
        """Tried on the first endpoints, which stand for all of them."""
        if self.packing is None:
            self.packing = packed_check(endpoints.weights[part][0] for part in self.layout.products())
        return self.packing.used

    def ready(self, endpoints: Endpoints) -> None:
        """Have these endpoints on the device for a row-wise pass, in place of merged weights where memory has no room for both."""
        if not endpoints.resident:
            self.folded = None
            endpoints.restore()

    def fold(self, key: str, blend: Blend) -> FoldedWeights:
        """The resident fold, holding this blend; in place of the endpoints where memory has no room for both."""
        if self.folded is None:
            if self.mode == "rowwise":
                for endpoints in self.endpoints.values():
                    endpoints.drop()
            on_read = self._on_read if self.mode == "folded" else None
            self.folded = FoldedWeights(self.layout, self.device, self.dtype, on_read)
        endpoints_on_device = self.endpoints_of(blend) if self.mode == "both" else None
        self.folded.fold(key, blend, endpoints_on_device, self.host)
        return self.folded

    def cache(self, slots: int, context: int, blocks: int | None = None, block: int = BLOCK_TOKENS) -> KVCache:
        """An empty cache for this model."""
        layout = self.layout
        sizes = len(layout.layers), layout.kv_heads, layout.head_dim, slots, context
        return KVCache(*sizes, self.device, self.dtype, blocks, block)

    def teacher_forced_logits(
        self, blends: dict[str, Blend], ids: Sequence[int], first: int, chunk: int
    ) -> Iterator[list[torch.Tensor]]:
        """As `ResidentModel` says: the hidden states of the whole trace first, then the head in chunks."""
        n = len(ids)
        decoder = Decoder(self.layout, n, self.device, self.dtype)
        tokens = torch.tensor([list(ids)], device=self.device)
        where = torch.arange(n, device=self.device)[None]
        weights: list[Weights] = []
        hidden = []
        for key, blend in blends.items():
            mine = self._for_one(key, blend)
            weights.append(mine)
            states = []
            with self._scratch(n) as (cache, slot):
                for start in range(0, n, TEACHER_TOKENS):
                    stop = min(n, start + TEACHER_TOKENS)
                    part = tokens[:, start:stop], where[:, start:stop]
                    states.append(decoder.forward(mine, cache, slot, *part, stop)[0])
            hidden.append(torch.cat(states)[first:])
        for start in range(0, n - first, chunk):
            logits = []
            for mine, states_of, (key, blend) in zip(weights, hidden, blends.items()):
                if isinstance(mine, FoldedWeights):
                    self.fold(key, blend)
                else:
                    self.ready(mine.endpoints)
                    mine.use(0, 1)
                logits.append(decoder.logits(mine, states_of[None, start : start + chunk])[0].float())
            yield logits

    @contextmanager
    def _scratch(self, length: int) -> Iterator[tuple[KVCache, int]]:
        """A slot of so many positions for a while: borrowed from the engine's pool, or in a cache of its own where that is full."""
        pool = self.pool()
        free = (
            [i for i in range(pool.slots) if not pool.blocks.taken[i]]
            if pool is not None and length <= pool.context
            else []
        )
        if pool is not None and free and pool.take(free[-1], length):
            try:
                yield pool, free[-1]
            finally:
                pool.release(free[-1])
            return
        try:
            cache = self.cache(1, length)
        except (MemoryError, torch.OutOfMemoryError):
            raise NotEnoughMemory(
                f"There is no memory for the KV cache of {length:,} tokens beside what runs. Try again when fewer rows run."
            ) from None
        cache.take(0, length)
        yield cache, 0

    def _for_one(self, key: str, blend: Blend) -> Weights:
        """Weights for one sequence: row-wise, so that the engine's fold stays as it is; folded where that cannot be."""
        endpoints = self.endpoints_of(blend)
        if endpoints is not None:
            rowwise = RowwiseWeights(endpoints, 1)
            if (slot := rowwise.prepare(blend)) is not None:
                self.ready(endpoints)
                rowwise.write(0, slot)
                rowwise.use(0, 1)
                return rowwise
        return self.fold(key, blend)


@dataclass(frozen=True, eq=False)
class NativeRecipe(BoundRecipe):
    """With the row-wise weights that it may run in, and what it writes into its slot there."""

    rowwise: RowwiseWeights | None = None
    slot: SlotWeights | None = None


class NativeBackend:
    """See `Backend`. A pass runs folded to one recipe, or row-wise between one pair of endpoints."""

    can_fork = can_verify = True

    def __init__(self, model: NativeModel, plan: MemoryPlan):
        self.model, self.device, self.dtype = model, model.device, model.dtype
        self.context, self.vocab = plan.context, model.layout.vocab
        self.rowwise, self.merged, self.why_folded = model.mode != "folded", model.mode != "rowwise", plan.why_folded
        self.decoder = Decoder(model.layout, plan.context, self.device, self.dtype)
        self.cache = model.cache(plan.slots, plan.context, plan.blocks, plan.block)
        model.pool = weakref.ref(self.cache)  # the cache goes with its engine, the model may stay
        layout = model.layout
        self._paged = paged_check(self.device, self.dtype, layout.heads, layout.kv_heads, layout.head_dim)
        self.decoder.paged = self._paged.used
        self.recorded = RecordedSteps(self.decoder, self.cache)
        self._rowwise: dict[Endpoints, RowwiseWeights] = {}
        self._bound: OrderedDict[str, NativeRecipe] = OrderedDict()

    @property
    def checks(self) -> tuple[PathCheck, ...]:
        """The fast paths of this backend, tried on this device."""
        return tuple(check for check in (self._paged, self.recorded.check, self.model.packing) if check is not None)

    def bind(self, key: str, blend: Blend) -> NativeRecipe:
        if key not in self._bound:
            endpoints = self.model.endpoints_of(blend)
            rowwise = None if endpoints is None else self._rowwise_weights(endpoints)
            slot = None if rowwise is None else rowwise.prepare(blend)
            rowwise_key = None if slot is None else f"{blend.endpoints_key}#{id(rowwise)}"
            self._bound[key] = NativeRecipe(key, blend, rowwise_key, rowwise, slot)
            if len(self._bound) > MAX_BOUND:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return self._bound[key]

    def _rowwise_weights(self, endpoints: Endpoints) -> RowwiseWeights:
        if endpoints not in self._rowwise:
            kept = {ends: rows for ends, rows in self._rowwise.items() if ends in self.model.endpoints.values()}
            self._rowwise = {**kept, endpoints: RowwiseWeights(endpoints, self.cache.slots)}
        return self._rowwise[endpoints]

    def fold(self, bound: BoundRecipe) -> None:
        self.model.fold(bound.key, bound.blend)

    def assign(self, slot: int, bound: BoundRecipe) -> None:
        assert isinstance(bound, NativeRecipe)
        if bound.rowwise is not None and bound.slot is not None:
            bound.rowwise.write(slot, bound.slot)

    def run(
        self,
        bound: BoundRecipe,
        mode: str,
        first: int,
        ids: torch.Tensor,
        positions: torch.Tensor,
        width: int,
        pick: Sequence[int] | None = None,
    ) -> torch.Tensor:
        self.cache.cover(first, ids.shape[0], width)
        weights: Weights
        if mode == "folded":
            weights = self.model.fold(bound.key, bound.blend)
        else:
            assert isinstance(bound, NativeRecipe) and bound.rowwise is not None
            weights = bound.rowwise
            self.model.ready(bound.rowwise.endpoints)
        if pick is None and first == 0 and (logits := self.recorded.logits(weights, ids, positions, width)) is not None:
            return logits
        weights.use(first, first + ids.shape[0])
        hidden = self.decoder.forward(weights, self.cache, first, ids, positions, width)
        if pick:
            rows, columns = torch.arange(len(pick), device=self.device), torch.tensor(pick, device=self.device)
            hidden = hidden[rows, columns].unsqueeze(1)
        logits = self.decoder.logits(weights, hidden).float()
        return logits[:, 0] if pick is None or pick else logits
