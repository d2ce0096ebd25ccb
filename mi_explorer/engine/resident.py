"""A resident pair: both endpoints in memory, ready to blend. What the engine runs; knows tensors and configs, no text."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import torch

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.engine.native.layout import Layout, read_layout
from mi_explorer.errors import UserError
from mi_explorer.merging.blend import bind
from mi_explorer.merging.coefficients import Blend
from mi_explorer.recipe import Recipe

SMALL = 200_000_000  # parameters up to which fp32 is the default on a CPU: exact, and fast enough
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


Report = Callable[[str, int, int], None]
"""Told while a pair is loaded: the phase ("check", "open", "read", "bind", "measure"), how much of it is done, of how much (0: unknown)."""


class LoadError(UserError):
    """A pair that cannot be loaded: missing files, too little memory, an unknown device or dtype."""


class ResidentPair:
    """Use `ResidentPair.load`. `config` is the `transformers` config of Instruct; `names` the tensor names of the blend."""

    def __init__(self, pair: Any, parents: Parents, config: Any, device: str, dtype: torch.dtype):
        self.pair, self.parents, self.config = pair, parents, config
        self.device_name = device
        self.device, self.dtype = torch.device("cpu" if device == "auto" else device), dtype
        self.names = parents.loaded
        self.layout: Layout | str = (
            "the model is spread over devices" if device == "auto" else read_layout(config, self.names)
        )
        self.report: Report | None = None
        self.lock = (
            threading.RLock()
        )  # whoever folds or runs the weights holds it: the engine for a step, a score for a trace
        self.model: Any = None
        self._blends: OrderedDict[str, Blend] = OrderedDict()

    @classmethod
    def load(cls, pair: Any, device: str = "cpu", dtype: Any = None) -> "ResidentPair":
        """Open both checkpoints of a `Pair` (folders or hub ids). Raises `UserError` for anything missing, broken or not a pair.

        `device` is a torch device, or "auto" to spread a large model over all accelerators (then folded). `dtype`: see `choose_dtype`.
        """
        parents = Parents.open(pair)
        config = parents.config
        try:
            torch.empty(0, device="cpu" if device == "auto" else device)
        except (RuntimeError, AssertionError) as error:
            raise LoadError(
                f"Device {str(device)[:40]!r} is not available here: {str(error).splitlines()[0][:120]}"
            ) from None
        return cls(pair, parents, config, str(device), choose_dtype(dtype, str(device), parents))

    def reads(self, done: int, total: int) -> None:
        """So many of the blend's tensors are in memory."""
        if self.report is not None:
            self.report("read", done, total)

    def blend(self, recipe: Recipe) -> Blend:
        """The recipe bound to this pair's checkpoints; the last 256 are kept."""
        key = key_of(recipe)
        with self.lock:
            if key not in self._blends:
                self._blends[key] = bind(recipe, self.parents)
                if len(self._blends) > 256:
                    self._blends.popitem(last=False)
            self._blends.move_to_end(key)
            return self._blends[key]

    def ready(self, rowwise: bool = True) -> Any:
        """The weights in memory (`LeanModel` or `GenericModel`), loaded at first use."""
        with self.lock:
            if self.model is None:
                from mi_explorer.engine.backends import make_model

                self.model = make_model(self, rowwise)
            return self.model

    @property
    def folder(self) -> Any:
        """Folder of a full checkpoint of this architecture (what an adapter sits on, where Instruct is one)."""
        part: Any = self.parents.instruct
        while hasattr(part, "under"):
            part = part.under
        return part.path

    @property
    def vocab(self) -> int:
        """Vocabulary size of the logits."""
        return int(self.config.get_text_config(decoder=True).vocab_size)

    @cached_property
    def weight_bytes(self) -> int:
        """Size of one checkpoint in the dtype it runs in."""
        size = torch.empty(0, dtype=self.dtype).element_size()
        return sum(self.parents.entry("instruct", n).numel for n in self.names) * size

    @property
    def max_positions(self) -> int:
        """The longest sequence the model was made for."""
        config = self.config.get_text_config(decoder=True)
        return int(getattr(config, "max_position_embeddings", 0) or getattr(config, "n_positions", 0) or 4096)


@lru_cache(maxsize=4096)
def key_of(recipe: Recipe) -> str:
    """`recipe.hash`, remembered: one request asks for it several times."""
    return recipe.hash


def choose_dtype(dtype: Any, device: str, parents: Parents) -> torch.dtype:
    """A name or `torch.dtype`; None: fp32 for small models on a CPU, else what the checkpoint is stored in."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if isinstance(dtype, str):
        if dtype.replace("torch.", "") not in DTYPES:
            raise LoadError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype[:40]!r}.")
        return DTYPES[dtype.replace("torch.", "")]
    entries = [parents.entry("instruct", n) for n in parents.loaded]
    count = sum(entry.numel for entry in entries)
    stored = max(entries, key=lambda entry: entry.numel).dtype
    return torch.float32 if device == "cpu" and count <= SMALL else stored
