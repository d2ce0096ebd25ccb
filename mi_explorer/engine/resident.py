"""A resident pair: both endpoints in memory, ready to blend. What the engine runs; knows tensors and configs, no text."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Union

import torch

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.engine.dtype_choice import choose_dtype
from mi_explorer.engine.host_copies import HostCopies
from mi_explorer.engine.memory import gpus_free, pair_sizes, positions, spread_limits
from mi_explorer.engine.memory_plan import MemoryPlan, Mode, PairSizes
from mi_explorer.engine.native.layout import Layout, decoder_layout
from mi_explorer.errors import UserError
from mi_explorer.machine import owns_process
from mi_explorer.merging.blend import bind
from mi_explorer.merging.coefficients import Blend
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe
from mi_explorer.untyped import LibraryObject, ModelConfig

if TYPE_CHECKING:
    from mi_explorer.engine.native.native_backend import NativeModel
    from mi_explorer.engine.transformers.transformers_backend import TransformersModel

CACHED_BLENDS = 256

Report = Callable[[str, int, int], None]
"""Called while a pair is loaded: phase ("check", "open", "read", "bind", "measure"), how much is done, of how much (0: unknown)."""


class LoadError(UserError):
    """A pair that cannot be loaded: missing files, too little memory, an unknown device."""


class ResidentPair:
    """Use `ResidentPair.load`. `config` is the `transformers` config that blends run with; `names` the tensors that it loads.

    `layout` says how the native decoder reads the tensors, or why it cannot. Whoever folds or runs the weights holds `lock`: the
    engine for a step, a score for a trace.
    """

    def __init__(self, pair: Pair, parents: Parents, config: ModelConfig, device: str, dtype: torch.dtype):
        self.pair, self.parents, self.config = pair, parents, config
        self.spread = device == "auto"
        self.device, self.dtype = torch.device("cpu" if self.spread else device), dtype
        self.names = parents.loaded
        self.layout: Layout | str = (
            "the model is spread over devices" if self.spread else decoder_layout(config, self.names)
        )
        self.report: Report | None = None
        self.lock = threading.RLock()
        self.model: Union[NativeModel, TransformersModel, None] = None
        self._blends: OrderedDict[str, Blend] = OrderedDict()

    @classmethod
    def load(cls, pair: Pair, device: str = "cpu", dtype: str | torch.dtype | None = None) -> "ResidentPair":
        """Open both checkpoints of a `Pair` (folders or hub ids). Raises `UserError` for anything missing, broken or not a pair.

        `device` is a torch device, or "auto" to spread a large model over all accelerators (then folded). `dtype`: see `choose_dtype`.
        """
        device = str(device)
        if owns_process():
            torch.backends.cuda.enable_cudnn_sdp(
                False
            )  # it plans anew for every shape, and the width grows with every token
        parents = Parents.open(pair)
        try:
            torch.ones(1, device="cpu" if device == "auto" else device).item()  # "meta" is a device without values
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise LoadError(
                f"Device {device[:40]!r} is not available here: {str(error).splitlines()[0][:120]}"
            ) from None
        return cls(pair, parents, parents.config, device, choose_dtype(dtype, device, parents))

    def load_weights(self, plan: MemoryPlan | None = None) -> Union["NativeModel", "TransformersModel"]:
        """The weights in memory, read at first use. `plan`: what is held where (None: as before, or everything on the device). They are
        read anew where an earlier plan holds them for fewer modes than this one runs."""
        with self.lock:
            if self.model is not None and plan is not None and not self.model.serves(plan.mode):
                self.model = None
            if self.model is None:
                pin = self.spread or self.device.type == "cuda"
                host = HostCopies(self.dtype, pin) if plan is not None and plan.endpoints == "host" else None
                native = isinstance(self.layout, Layout)
                self.model = self._native_model(plan, host) if native else self._transformers_model(plan, host)
            return self.model

    def _native_model(self, plan: MemoryPlan | None, host: HostCopies | None) -> "NativeModel":
        from mi_explorer.engine.native.native_backend import NativeModel

        assert isinstance(self.layout, Layout)
        mode: Mode = "both" if plan is None else plan.mode
        packed = plan is not None and plan.packed
        sizes = self.layout, self.device, self.dtype, self.weight_bytes
        return NativeModel(*sizes, mode, self._report_read, host, packed)

    def _transformers_model(self, plan: MemoryPlan | None, host: HostCopies | None) -> "TransformersModel":
        from mi_explorer.engine.transformers.transformers_backend import TransformersModel

        self._report_read(0, len(self.names))  # transformers reads them in one go
        device = None if self.spread else self.device
        limits = spread_limits(gpus_free(), self.sizes) if self.spread and torch.cuda.is_available() else None
        model = TransformersModel(str(self.folder), self.config, self.names, device, self.dtype, host, limits)
        self._report_read(len(self.names), len(self.names))
        return model

    def _report_read(self, done: int, total: int) -> None:
        """So many of the blend's tensors are in memory."""
        if self.report is not None:
            self.report("read", done, total)

    def blend(self, recipe: Recipe) -> Blend:
        """The recipe bound to this pair's checkpoints; the last `CACHED_BLENDS` are kept."""
        key = recipe_hash(recipe)
        with self.lock:
            if key not in self._blends:
                self._blends[key] = bind(recipe, self.parents)
                if len(self._blends) > CACHED_BLENDS:
                    self._blends.popitem(last=False)
            self._blends.move_to_end(key)
            return self._blends[key]

    @property
    def folder(self) -> Path:
        """Folder of a full checkpoint of this architecture (what an adapter sits on, where Instruct is one)."""
        part: LibraryObject = self.parents.instruct
        while hasattr(part, "under"):
            part = part.under
        return Path(part.path)

    @property
    def vocab(self) -> int:
        """Vocabulary size of the logits."""
        return int(self.config.get_text_config(decoder=True).vocab_size)

    @cached_property
    def weight_bytes(self) -> int:
        """Size of one checkpoint in the dtype it runs in."""
        return self.sizes.weights

    @cached_property
    def sizes(self) -> PairSizes:
        """What the memory plan is made from."""
        parameters = sum(self.parents.entry("instruct", name).numel for name in self.names)
        return pair_sizes(self.config, parameters, self.dtype.itemsize)

    @property
    def max_positions(self) -> int:
        """The longest sequence the model was made for."""
        return positions(self.config)


@lru_cache(maxsize=4096)
def recipe_hash(recipe: Recipe) -> str:
    """`recipe.hash`, remembered: one request asks for it several times."""
    return recipe.hash
