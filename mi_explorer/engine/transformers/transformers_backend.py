"""The generic backends: any causal language model of `transformers`, through its own modules, folded or (see `lines.py`) row-wise.

`SlotCache` puts our slots behind the library's `Cache` interface (attention layers, full or sliding); a model with other states
(convolution, state space) runs `Solo`, one row after the other with the library's own cache. Which of the two is right is not
guessed from names: `fits_slots` compares their logits on a short sequence when the pair is loaded.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import Cache

from mi_explorer.checkpoints.model_config import model_class
from mi_explorer.engine.transformers.rowwise import Batch, Unclaimed, row_module
from mi_explorer.errors import UserError
from mi_explorer.merging.coefficients import Blend
from mi_explorer.merging.merged_weights import MergedWeights

TEACHER = 256  # tokens per forward pass over a finished trace


class ModuleError(UserError):
    """A model that `transformers` cannot build or run."""


class GenericModel:
    """A resident `transformers` model and the blend folded into it; with `lines`, a twin that runs rows at their own λ."""

    def __init__(self, folder: str, config: Any, names: tuple[str, ...], device: str, dtype: torch.dtype):
        try:
            where = {"device_map": "auto"} if device == "auto" else {}
            self.module = (
                model_class(config)
                .from_pretrained(
                    folder,
                    config=copy.deepcopy(config),
                    generation_config=GenerationConfig(),  # the file may hold anything; nothing of it is used
                    dtype=dtype,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    **where,
                )
                .eval()
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise ModuleError(f"transformers cannot load this model: {str(error)[:300]}") from None
        if device != "auto":
            self.module.to(device)
        self.device = next(self.module.parameters()).device
        self.dtype = dtype
        self.config = self.module.config.get_text_config(decoder=True)
        self.names = names
        self.fold = MergedWeights(self.module, names)
        self.held: str | None = None
        self.batch = Batch()
        self.twin: Any = None
        self.plane = ""

    def claim(self, blend: Blend, other: Blend) -> str:
        """Try to run rows at their own λ: build the twin on this blend's plane and compare it with two folds. "" or why not."""
        try:
            twin = row_module(self.module, self.names, blend, self.batch)
            ids = (torch.arange(16, device=self.device).view(2, 8) * 5 + 1) % self.config.vocab_size
            self.batch.ab = torch.stack([coefficients(b, self.names) for b in (blend, other)], 1).to(self.device)
            rows = twin(input_ids=ids, use_cache=False).logits
            worst = 0.0
            for i, b in enumerate((blend, other)):
                self.folded(f"claim {i}", b)
                plain = self.module(input_ids=ids[i : i + 1], use_cache=False).logits[0]
                worst = max(worst, float((rows[i] - plain).abs().max()) / max(1.0, float(plain.abs().max())))
        except Unclaimed as error:
            return str(error)
        except Exception as error:  # a foreign module may trip over a tensor subclass in any way
            return f"its modules do not run with per-row parameters ({type(error).__name__})"
        if not worst < (1e-4 if self.dtype == torch.float32 else 0.1):
            return f"row-wise and folded logits differ by {worst:.1e}"
        self.twin, self.plane = twin, blend.endpoints_key
        return ""

    def folded(self, key: str, blend: Blend) -> None:
        """Hold this blend."""
        if key != self.held:
            self.held = None
            self.fold.to(blend)  # type: ignore[arg-type]
            self.held = key

    def forward(self, ids: torch.Tensor, cache: Any, rows: bool = False, **more: Any) -> torch.Tensor:
        """Logits [n, c, vocabulary] as the module (or, for `rows`, its twin) computes them."""
        return (self.twin if rows else self.module)(input_ids=ids, past_key_values=cache, use_cache=True, **more).logits

    def teacher(
        self, blends: dict[str, Blend], ids: Sequence[int], first: int, chunk: int
    ) -> Iterator[list[torch.Tensor]]:
        """Logits (fp32) after positions first… of `ids` under each blend, at most `chunk` positions at a time."""
        tokens = torch.tensor([list(ids)], device=self.device)
        caches = {key: DynamicCache(config=self.module.config) for key in blends}
        for start in range(0, len(ids), TEACHER):
            stop = min(len(ids), start + TEACHER)
            out = []
            for key, blend in blends.items():
                self.folded(key, blend)
                out.append(self.forward(tokens[:, start:stop], caches[key])[0])
            for a in range(max(first, start), stop, chunk):
                yield [logits[a - start : min(a + chunk, stop) - start].float() for logits in out]


class SlotCache(Cache):
    """Slots per layer [slots, heads, length, dim] on that layer's device, allocated at its first use; a pass sets where it writes."""

    def __init__(self, slots: int, context: int, start: int = 256):
        super().__init__(layers=[])
        self.slots, self.context = slots, context
        self.length = min(start, context)
        self.pairs: dict[int, list[torch.Tensor]] = {}
        self.first, self.width = 0, 0
        self.positions: torch.Tensor | None = None

    def at(self, first: int, positions: torch.Tensor, width: int) -> None:
        """The next forward pass writes rows first… at `positions` [n, c] and sees the first `width` columns."""
        self.first, self.positions, self.width = first, positions, width

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any):
        assert self.positions is not None
        n = key_states.shape[0]
        if layer_idx not in self.pairs:
            self.pairs[layer_idx] = [
                t.new_zeros(self.slots, t.shape[1], self.length, t.shape[3]) for t in (key_states, value_states)
            ]
        where = self.positions.to(key_states.device)
        rows = torch.arange(self.first, self.first + n, device=key_states.device)[:, None]
        views = []
        for held, new in zip(self.pairs[layer_idx], (key_states, value_states)):
            held[rows, :, where] = new.transpose(1, 2)
            views.append(held[self.first : self.first + n, :, : self.width])
        return views[0], views[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.width - (self.positions.shape[1] if self.positions is not None else 0)

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        return self.width, 0

    @property
    def is_compileable(self) -> bool:
        return False

    def reserve(self, length: int) -> None:
        """Make room for positions 0..length−1."""
        if length > self.length:
            self.length = min(max(length, 2 * self.length), self.context)
            for pair in self.pairs.values():
                for i, old in enumerate(pair):
                    pair[i] = old.new_zeros(*old.shape[:2], self.length, old.shape[3])
                    pair[i][:, :, : old.shape[2]] = old

    def copy(self, source: int, target: int, length: int) -> None:
        """Fork or move: the first `length` positions of `source` into `target`."""
        if source != target:
            for pair in self.pairs.values():
                for held in pair:
                    held[target, :, :length] = held[source, :, :length]

    def swap(self, i: int, j: int, length: int) -> None:
        """Exchange two rows."""
        for pair in self.pairs.values():
            for held in pair:
                one = held[i, :, :length].clone()
                held[i, :, :length] = held[j, :, :length]
                held[j, :, :length] = one


class Caches:
    """One cache of the library's own per slot. Cannot be forked at a position, only moved."""

    def __init__(self, slots: int):
        self.slots = slots
        self.length = 1 << 62
        self.held: list[Any] = [None] * slots

    def reserve(self, length: int) -> None:
        """Caches of the library grow by themselves."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Move."""
        self.held[source], self.held[target] = None, self.held[source]

    def swap(self, i: int, j: int, length: int) -> None:
        """Exchange two rows."""
        self.held[i], self.held[j] = self.held[j], self.held[i]


@dataclass(frozen=True, eq=False)
class Bound:
    """A recipe made ready to run: `ab` [tensors, 2] and its plane where it may join a row-wise batch."""

    key: str
    blend: Blend
    plane: str | None = None
    ab: torch.Tensor | None = None


def coefficients(blend: Blend, names: Sequence[str]) -> torch.Tensor:
    """(a, b) per tensor [tensors, 2], fp32. A blend without lines raises `Unclaimed`."""
    lines = [blend.coefficients(name) for name in names]
    if any(line is None for line in lines):
        raise Unclaimed("this method is not a line in λ")
    return torch.tensor(lines, dtype=torch.float32)


class GenericBackend:
    """What the loop calls, over `SlotCache` (batched) or `Caches` (one row after the other)."""

    def __init__(self, model: GenericModel, slots: int, context: int, batched: bool, why_folded: str):
        self.model, self.device, self.dtype = model, model.device, model.dtype
        self.context, self.vocab, self.why_folded = context, model.config.vocab_size, why_folded
        self.batched = self.can_fork = self.can_verify = batched
        self.slots: Any = SlotCache(slots, context) if batched else Caches(slots)
        self.rowwise = batched and model.twin is not None
        self.ab = torch.zeros(len(model.names), slots, 2, device=self.device)

    def bind(self, key: str, blend: Blend) -> Bound:
        """Make a blend ready under the hash of its recipe."""
        if not self.rowwise or blend.endpoints_key != self.model.plane:
            return Bound(key, blend)
        return Bound(key, blend, blend.endpoints_key, coefficients(blend, self.model.names).to(self.device))

    def refold(self, bound: Bound) -> None:
        """Hold this recipe in the resident model."""
        self.model.folded(bound.key, bound.blend)

    def place(self, slot: int, bound: Bound) -> None:
        """Give a slot its recipe."""
        if bound.ab is not None:
            self.ab[:, slot] = bound.ab

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
        """Logits in fp32; arguments as in `LeanBackend.run`."""
        if mode == "folded":
            self.refold(bound)
        else:
            self.model.batch.ab = self.ab[:, first : first + ids.shape[0]]
        if not self.batched:
            return self._solo(first, ids, positions, pick)
        self.slots.reserve(width)
        logits = forward_slots(self.model, self.slots, first, ids, positions, width, mode == "rowwise")
        if pick is None:
            return logits[:, 0].float()
        return logits[torch.arange(len(pick)), torch.tensor(pick)].float() if pick else logits.float()

    def _solo(self, first: int, ids: torch.Tensor, positions: torch.Tensor, pick: Sequence[int] | None) -> torch.Tensor:
        out = []
        for i in range(ids.shape[0]):
            slot, n = first + i, ids.shape[1] if not pick else pick[i] + 1
            if int(positions[i, 0]) == 0 or self.slots.held[slot] is None:
                self.slots.held[slot] = DynamicCache(config=self.model.module.config)
            out.append(self.model.forward(ids[i : i + 1, :n], self.slots.held[slot])[0, -1].float())
        return torch.stack(out)


def forward_slots(
    model: GenericModel,
    cache: SlotCache,
    first: int,
    ids: torch.Tensor,
    positions: torch.Tensor,
    width: int,
    rows: bool = False,
) -> torch.Tensor:
    """One forward pass over slots: every query sees the columns up to its position (and within a sliding layer's window)."""
    cache.at(first, positions, width)
    columns = torch.arange(width, device=positions.device)
    seen = columns <= positions[:, :, None]
    lowest = torch.finfo(model.dtype).min

    def mask(visible: torch.Tensor) -> torch.Tensor:
        return torch.zeros(visible.shape, dtype=model.dtype, device=visible.device).masked_fill_(~visible, lowest)[
            :, None
        ]

    kinds = set(getattr(model.config, "layer_types", None) or ())
    masks: Any = mask(seen)
    if kinds - {"full_attention"}:
        window = getattr(model.config, "sliding_window", None) or width
        masks = {"full_attention": masks, "sliding_attention": mask(seen & (columns > positions[:, :, None] - window))}
    return model.forward(ids, cache, rows, attention_mask=masks, position_ids=positions)


def fits_slots(model: GenericModel) -> bool:
    """Whether the slot cache gives this model's own logits: a chunked, padded two-row pass against a plain one."""
    window = getattr(model.config, "sliding_window", None) or 0
    n = 12 + (window if window <= 64 else 0)
    ids = (torch.arange(2 * n, device=model.device).view(2, n) * 7 + 3) % model.config.vocab_size
    try:
        plain = model.module(input_ids=ids).logits
        cache = SlotCache(3, n + 4)
        where = torch.arange(n, device=model.device).expand(2, n)
        cache.reserve(n)
        head = forward_slots(model, cache, 1, ids[:, :8], where[:, :8], 8)
        tail = [forward_slots(model, cache, 1, ids[:, i : i + 1], where[:, i : i + 1], i + 1) for i in range(8, n)]
    except Exception:  # whatever a foreign module raises, it means that this path is not for it
        return False
    found = torch.cat((head, *tail), 1).float()
    return bool(torch.isfinite(found).all()) and float((found - plain.float()).abs().max()) < (
        1e-3 if model.dtype == torch.float32 else 0.1
    ) * max(1.0, float(plain.float().abs().max()))
