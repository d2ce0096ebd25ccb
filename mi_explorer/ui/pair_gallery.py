"""The gallery of pairs: what each preset can do and needs, and whether it fits this machine. Nothing is loaded, no network is asked.

Of a pair whose files are here, headers and config say what it needs. Of any other, its entry in `assets/pairs.yaml` does, and what
follows is about right. Either way the engine's memory plan decides.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from mi_explorer.checkpoints.hub_cache import cached_checkpoint
from mi_explorer.engine.memory_plan import PROMPT_TOKENS, MemoryPlan, NotEnoughMemory, PairSizes, plan_memory
from mi_explorer.errors import UserError
from mi_explorer.pair_names import pair_name
from mi_explorer.pairs import HUB_ID, Pair
from mi_explorer.ui.explore.demo_strip import has_demo_strip
from mi_explorer.untyped import JsonObject

UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
TYPICAL_KV = 147_456  # bytes of keys and values of a token in 16 bits: Qwen3-4B's, where a pair's own is not known
TYPICAL_VOCABULARY, TYPICAL_LAYERS = 100_000, 32
CONTEXT = 32_768 + PROMPT_TOKENS  # positions of a row unless more is asked for, as the engine's
MOST_MEMORY = 1 << 44  # bytes beyond which nobody looks for a machine


def parameters_of(size: str) -> int:
    """Parameters of "135M" or "4.0B"; 0 for anything else."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMBT])\s*", size)
    return round(float(found[1]) * UNITS[found[2]]) if found else 0


@dataclass(frozen=True)
class PageMachine:
    """What the pairs of a page run on. `usable` gives the bytes that may be used, None where that is not known (a GPU that is lent)."""

    device: str = "cpu"
    dtype: str = ""
    rows: int = 64
    usable: Callable[[], int | None] = lambda: None

    def itemsize(self, parameters: int) -> int:
        """Bytes of a weight of such a pair here; of small ones on a CPU as in fp32, the larger of the two that may be chosen."""
        from mi_explorer.engine.dtype_choice import SMALL_PARAMETERS
        from mi_explorer.engine.paper_plan import ITEMSIZES

        small = self.device == "cpu" and parameters <= SMALL_PARAMETERS
        return ITEMSIZES.get(self.dtype, 4 if small else 2)

    def plan(self, sizes: PairSizes, usable: int) -> MemoryPlan | None:
        """The memory plan of a pair with so many bytes; None where it does not fit."""
        try:
            return plan_memory(sizes, usable, self.rows, CONTEXT, where=self.device)
        except NotEnoughMemory:
            return None

    def needs(self, sizes: PairSizes) -> tuple[int, int]:
        """Bytes from which a pair runs at all (one λ after the other), and from which every λ runs at once."""

        def least(enough: Callable[[MemoryPlan], bool]) -> int:
            low, high = 0, MOST_MEMORY
            while high - low > max(1 << 20, high >> 8):  # to half a percent
                middle = (low + high) // 2
                found = self.plan(sizes, middle)
                low, high = (low, middle) if found is not None and enough(found) else (middle, high)
            return high

        return least(lambda plan: True), least(lambda plan: plan.rowwise)


def machine_of(device: str, dtype: str, rows: int, lent: bool) -> PageMachine:
    """The machine of these settings. `lent`: its GPU is there only for the time of a call, and cannot be asked."""

    def usable() -> int | None:
        if lent and device != "cpu":
            return None
        import torch

        from mi_explorer.engine.memory import usable_memory

        try:
            return usable_memory(torch.device("cpu" if device == "auto" else device), device == "auto")[0]
        except (RuntimeError, AssertionError, NotImplementedError):
            return None

    return PageMachine(device, dtype, rows, usable)


def places(pair: Pair) -> dict[str, str | None]:
    """Where the files of each parent are on this machine: a folder, or None where they must be fetched."""
    parts = {"instruct": pair.instruct, "thinking": pair.thinking, "base": pair.base}
    found: dict[str, str | None] = {}
    for role, where in parts.items():
        if where:
            folder = where if os.path.isdir(where) else cached_checkpoint(where) if HUB_ID.fullmatch(where) else None
            found[role] = str(folder) if folder else None
    return found


def pair_sizes_here(pair: Pair, machine: PageMachine, folder: str | None) -> PairSizes | None:
    """Sizes of a pair by the headers in Instruct's `folder`, else by its entry in the presets; None where neither says anything."""
    parameters = parameters_of(pair.size)
    if folder:
        from mi_explorer.engine.paper_plan import header_sizes

        alone = replace(pair, instruct=folder, thinking=folder, base=None)
        try:
            return header_sizes(alone, "float32" if machine.itemsize(parameters) == 4 else "bfloat16")
        except UserError:
            pass
    return estimated_sizes(pair, parameters, machine) if parameters else None


def estimated_sizes(pair: Pair, parameters: int, machine: PageMachine) -> PairSizes:
    """About what a pair of so many parameters takes, without its config."""
    itemsize = machine.itemsize(parameters)
    return PairSizes(
        parameters * itemsize,
        (pair.kv or TYPICAL_KV) * itemsize // 2,
        TYPICAL_LAYERS,
        itemsize,
        vocab=TYPICAL_VOCABULARY,
        positions=pair.positions or None,
    )


def pair_card(pair: Pair, machine: PageMachine, usable: int | None) -> JsonObject:
    """A pair as the gallery shows it, in JSON types; bytes are numbers.

    `download`: what must still be fetched, None where that is not known. `needs`: bytes `{"folded", "rowwise"}`, or None. `fits`:
    "rowwise" (every λ at once), "folded" (one after the other), "no", or "" where it is not known. `exact`: whether headers said so.
    """
    here = places(pair)
    sizes = pair_sizes_here(pair, machine, here["instruct"])
    each = parameters_of(pair.size) * 2  # presets are stored in 16 bits
    missing = sum(folder is None for folder in here.values())
    needs = machine.needs(sizes) if sizes else None
    plan = machine.plan(sizes, usable) if sizes and usable is not None else None
    fits = "" if not sizes or usable is None else "no" if plan is None else "rowwise" if plan.rowwise else "folded"
    return {
        "name": pair.name,
        "title": pair.title or pair_name(pair.name),
        "about": pair.about,
        "notes": pair.notes,
        "size": pair.size,
        "licence": pair.licence,
        "shipped": pair.local,
        "download": 0 if not missing else missing * each or None,
        "needs": {"folded": needs[0], "rowwise": needs[1]} if needs else None,
        "usable": usable,
        "fits": fits,
        "exact": here["instruct"] is not None,
        "strip": has_demo_strip(pair.name),
    }


def memory_refusal(pair: Pair, parameters: int, machine: PageMachine) -> str:
    """Why a pair of so many parameters cannot run here, before anything of it is fetched; "" where it can, or nobody knows."""
    usable = machine.usable()
    if not parameters or usable is None:
        return ""
    try:
        plan_memory(estimated_sizes(pair, parameters, machine), usable, machine.rows, CONTEXT, where=machine.device)
    except NotEnoughMemory as error:
        return str(error)
    return ""
