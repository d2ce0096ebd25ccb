"""The backend for any causal language model of `transformers`, through its own modules, folded or (see `rowwise`) row-wise.

`ModuleSlotCache` puts our slots behind the library's `Cache` interface (attention layers, full or sliding); a model with other states
(convolution, state space) runs one slot after the other with the library's own cache. Which of the two is right is not guessed
from names: `fits_slots` compares their logits on a short sequence when the pair is loaded.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import DynamicCache, GenerationConfig

from mi_explorer.checkpoints.headers import loadable_folder
from mi_explorer.checkpoints.model_config import model_class
from mi_explorer.engine.backend import BoundRecipe
from mi_explorer.engine.fast_paths import PathCheck
from mi_explorer.engine.host_copies import HostCopies
from mi_explorer.engine.memory_plan import MemoryPlan, Mode
from mi_explorer.engine.transformers.caches import CachePerSlot, ModuleSlotCache
from mi_explorer.engine.transformers.rowwise import NoRowwiseForm, SlotCoefficients, rowwise_twin
from mi_explorer.errors import UserError
from mi_explorer.merging.coefficients import Blend
from mi_explorer.merging.merged_weights import MergedWeights
from mi_explorer.untyped import JsonObject, LibraryObject, ModelConfig, ModelModule, TorchOperand

TEACHER_TOKENS = 256  # tokens per forward pass over a finished trace
TOLERANCE_FP32, TOLERANCE_HALF = 1e-4, 0.1  # of two ways to the same logits, relative to the largest


class ModuleError(UserError):
    """A model that `transformers` cannot build or run, or whose weights cannot be blended where they are."""


class TransformersModel:
    """A resident `transformers` model and the blend written into it; with `twin`, a copy that runs slots at their own λ."""

    def __init__(
        self,
        folder: str,
        config: ModelConfig,
        names: tuple[str, ...],
        device: torch.device | None,
        dtype: torch.dtype,
        host: HostCopies | None = None,
        limits: dict[int, int] | None = None,
    ):
        """`names`: the checkpoint's tensors that the model loads. `device` None: spread over all accelerators. `host`: copies of
        the endpoints in the machine's memory, from which blends are written. `limits`: bytes of weights on each accelerator."""
        self.module = _load_module(folder, config, device, dtype, limits)
        self.device = next(self.module.parameters()).device
        self.dtype = dtype
        self.config = self.module.config.get_text_config(decoder=True)
        self.names = names
        self._merged = MergedWeights(self.module, names, host.pair if host is not None else None)
        self._held: str | None = None
        self.coefficients = SlotCoefficients()
        self.twin: nn.Module | None = None
        self.twin_endpoints = ""

    def serves(self, _mode: Mode) -> bool:
        """Whether the weights serve this mode of a memory plan: merged ones are always there, a twin is built when it is wanted."""
        return True

    def try_rowwise(self, blend: Blend, other: Blend) -> str:
        """Build the twin between this blend's endpoints and compare it with two folds: "" if it agrees, else why there is none."""
        try:
            twin = rowwise_twin(self.module, self.names, blend, self.coefficients)
            ids = (torch.arange(16, device=self.device).view(2, 8) * 5 + 1) % self.config.vocab_size
            self.coefficients.ab = torch.stack([coefficients(b, self.names) for b in (blend, other)], 1).to(self.device)
            rows = twin(input_ids=ids, use_cache=False).logits
            worst = 0.0
            for i, b in enumerate((blend, other)):
                self.fold(f"try {i}", b)
                plain = self.module(input_ids=ids[i : i + 1], use_cache=False).logits[0]
                worst = max(worst, _difference(rows[i], plain))
        except NoRowwiseForm as error:
            return str(error)
        except Exception as error:  # a foreign module may trip over a tensor subclass in any way
            return f"its modules do not run with per-row parameters ({type(error).__name__})"
        if not worst < self._tolerance:
            return f"row-wise and folded logits differ by {worst:.1e}"
        self.twin, self.twin_endpoints = twin, blend.endpoints_key
        return ""

    def fits_slots(self) -> bool:
        """Whether the slot cache gives this model's own logits: a chunked, padded pass over two slots against a plain one."""
        window = getattr(self.config, "sliding_window", None) or 0
        n = 12 + (window if window <= 64 else 0)
        ids = (torch.arange(2 * n, device=self.device).view(2, n) * 7 + 3) % self.config.vocab_size
        try:
            plain = self.module(input_ids=ids).logits
            cache = ModuleSlotCache(3, n + 4)
            where = torch.arange(n, device=self.device).expand(2, n)
            for slot in (1, 2):
                cache.take(slot, n)
            head = self.forward_slots(cache, 1, ids[:, :8], where[:, :8], 8)
            tail = [self.forward_slots(cache, 1, ids[:, i : i + 1], where[:, i : i + 1], i + 1) for i in range(8, n)]
        except Exception:  # whatever a foreign module raises, it means that this path is not for it
            return False
        return _difference(torch.cat((head, *tail), 1), plain) < max(self._tolerance, 1e-3)

    @property
    def _tolerance(self) -> float:
        return TOLERANCE_FP32 if self.dtype == torch.float32 else TOLERANCE_HALF

    def fold(self, key: str, blend: Blend) -> None:
        """Hold the blend with this recipe hash."""
        if key != self._held:
            self._held = None  # a fold that breaks half-way must not pass for either blend
            self._merged.to(blend)  # type: ignore[arg-type]
            self._held = key

    def forward(
        self, ids: torch.Tensor, cache: LibraryObject, rowwise: bool = False, **more: TorchOperand
    ) -> torch.Tensor:
        """Logits [n, c, vocabulary] as the module (or, for `rowwise`, its twin) computes them."""
        module = self.twin if rowwise and self.twin is not None else self.module
        logits: torch.Tensor = module(input_ids=ids, past_key_values=cache, use_cache=True, **more).logits
        return logits

    def forward_slots(
        self,
        cache: ModuleSlotCache,
        first: int,
        ids: torch.Tensor,
        positions: torch.Tensor,
        width: int,
        rowwise: bool = False,
    ) -> torch.Tensor:
        """Logits [n, c, vocabulary] of slots first…: a query sees the columns up to its position (and in a sliding layer's window)."""
        cache.at(first, positions, width)
        columns = torch.arange(width, device=positions.device)
        seen = columns <= positions[:, :, None]
        lowest = torch.finfo(self.dtype).min

        def mask(visible: torch.Tensor) -> torch.Tensor:
            zeros = torch.zeros(visible.shape, dtype=self.dtype, device=visible.device)
            return zeros.masked_fill_(~visible, lowest)[:, None]

        masks: TorchOperand = mask(seen)
        if set(getattr(self.config, "layer_types", None) or ()) - {"full_attention"}:
            window = getattr(self.config, "sliding_window", None) or width
            near = seen & (columns > positions[:, :, None] - window)
            masks = {"full_attention": masks, "sliding_attention": mask(near)}
        return self.forward(ids, cache, rowwise, attention_mask=masks, position_ids=positions)

    def teacher_forced_logits(
        self, blends: dict[str, Blend], ids: Sequence[int], first: int, chunk: int
    ) -> Iterator[list[torch.Tensor]]:
        """As `ResidentModel` says: every blend is folded in turn for each pass."""
        tokens = torch.tensor([list(ids)], device=self.device)
        caches = {key: DynamicCache(config=self.module.config) for key in blends}
        for start in range(0, len(ids), TEACHER_TOKENS):
            stop = min(len(ids), start + TEACHER_TOKENS)
            passes = []
            for key, blend in blends.items():
                self.fold(key, blend)
                passes.append(self.forward(tokens[:, start:stop], caches[key])[0])
            for at in range(max(first, start), stop, chunk):
                yield [logits[at - start : min(at + chunk, stop) - start].float() for logits in passes]


def _load_module(
    folder: str,
    config: ModelConfig,
    device: torch.device | None,
    dtype: torch.dtype,
    limits: dict[int, int] | None = None,
) -> ModelModule:
    """The module with Instruct's weights, every layer on a device. Raises `ModuleError` where that cannot be."""
    spread: JsonObject = {"device_map": "auto"} if device is None else {}
    if device is None and limits:
        spread["max_memory"] = limits
    try:
        with loadable_folder(folder) as place:
            module = model_class(config).from_pretrained(
                place,
                config=copy.deepcopy(config),
                generation_config=GenerationConfig(),  # the file may hold anything; nothing of it is used
                dtype=dtype,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                **spread,
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModuleError(f"transformers cannot load this model: {str(error)[:300]}") from None
    if device is not None:
        module.to(device)
    away = [name for name, parameter in module.named_parameters() if parameter.device.type == "meta"]
    if away:
        raise ModuleError(
            f"{len(away)} of this model's tensors do not fit on the devices and were moved away (the first is {away[0]!r}). "
            "A blend cannot be written there, and λ would silently stay that of Instruct. Use more or larger devices, bfloat16, "
            "or a smaller pair."
        )
    return module.eval()


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of logits, relative to the largest logit (at least 1); infinite where one is not finite."""
    one, other = one.float(), other.float()
    if not bool(torch.isfinite(one).all()):
        return float("inf")
    return float((one - other).abs().max()) / max(1.0, float(other.abs().max()))


@dataclass(frozen=True, eq=False)
class TransformersRecipe(BoundRecipe):
    """With the coefficients `ab` [tensors, 2] that it writes into its slot, where it may join a row-wise batch."""

    ab: torch.Tensor | None = None


def coefficients(blend: Blend, names: Sequence[str]) -> torch.Tensor:
    """(a, b) per tensor [tensors, 2], fp32. Raises `NoRowwiseForm` for a blend that has none."""
    found = [blend.coefficients(name) for name in names]
    if any(ab is None for ab in found):
        raise NoRowwiseForm("this method has no coefficients per tensor")
    return torch.tensor(found, dtype=torch.float32)


class TransformersBackend:
    """See `Backend`. `batched`: over a `ModuleSlotCache`; else one slot after the other, each with a cache of the library's own."""

    def __init__(self, model: TransformersModel, plan: MemoryPlan, batched: bool, why_folded: str):
        self.model, self.device, self.dtype = model, model.device, model.dtype
        self.context, self.vocab, self.why_folded = plan.context, int(model.config.vocab_size), why_folded
        self.checks: tuple[PathCheck, ...] = ()
        self.can_fork = self.can_verify = batched
        cache = ModuleSlotCache if batched else CachePerSlot
        self.cache: ModuleSlotCache | CachePerSlot = cache(plan.slots, plan.context, plan.blocks, plan.block)
        self.rowwise, self.merged = batched and model.twin is not None, True
        self._ab = torch.zeros(len(model.names), plan.slots, 2, device=self.device)

    def bind(self, key: str, blend: Blend) -> TransformersRecipe:
        if not self.rowwise or blend.endpoints_key != self.model.twin_endpoints:
            return TransformersRecipe(key, blend)
        return TransformersRecipe(
            key, blend, blend.endpoints_key, coefficients(blend, self.model.names).to(self.device)
        )

    def fold(self, bound: BoundRecipe) -> None:
        self.model.fold(bound.key, bound.blend)

    def assign(self, slot: int, bound: BoundRecipe) -> None:
        assert isinstance(bound, TransformersRecipe)
        if bound.ab is not None:
            self._ab[:, slot] = bound.ab

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
        if mode == "folded":
            self.fold(bound)
        else:
            self.model.coefficients.ab = self._ab[:, first : first + ids.shape[0]]
        if isinstance(self.cache, CachePerSlot):
            return self._run_one_by_one(self.cache, first, ids, positions, pick)
        self.cache.cover(first, ids.shape[0], width)
        logits = self.model.forward_slots(self.cache, first, ids, positions, width, mode == "rowwise")
        if pick is None:
            return logits[:, 0].float()
        return logits[torch.arange(len(pick)), torch.tensor(pick)].float() if pick else logits.float()

    def _run_one_by_one(
        self, cache: CachePerSlot, first: int, ids: torch.Tensor, positions: torch.Tensor, pick: Sequence[int] | None
    ) -> torch.Tensor:
        logits = []
        for i in range(ids.shape[0]):
            n = pick[i] + 1 if pick else ids.shape[1]
            mine = cache.held[first + i]
            if mine is None or int(positions[i, 0]) == 0:
                mine = cache.held[first + i] = DynamicCache(config=self.model.module.config)
            logits.append(self.model.forward(ids[i : i + 1, :n], mine)[0, -1].float())
        return torch.stack(logits)
