"""What a merge method is: metadata from which a page can build its controls, and up to three pure functions.

Per tensor, a method fixes W(λ) = a(λ)·P + b(λ)·Q:
- `measure(blocks, params)`   numbers that need the whole tensor (an angle, a threshold), from a stream of blocks
- `endpoints(block, noise, params, stats)`   P and Q of one block, in fp32; without it P = Instruct and Q = Thinking
- `coefficients(lam, params, stats)`   (a, b)
Everything is elementwise given the stats, so that any method streams over any tensor in bounded memory.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

Stats = Mapping[str, float]
Params = Mapping[str, float]
Block = tuple[torch.Tensor, ...]  # (instruct, thinking[, base]) of one block, fp32 (fp64 where a parent is)
Endpoints = tuple[torch.Tensor, torch.Tensor]  # P and Q
Blocks = Callable[[], Iterator[Block]]  # every block of a tensor; may be run again
Noise = Callable[[str], torch.Tensor]  # uniform [0, 1) of the block's size, for a named purpose


@dataclass(frozen=True)
class Param:
    """One number of a method: range, step and default are what a page offers; values outside [low, high] are refused."""

    name: str
    title: str
    default: float
    low: float
    high: float
    step: float
    text: str = ""


@dataclass(frozen=True)
class Method:
    """One merge method. `zero` and `one` say in words what λ = 0 and λ = 1 give.

    With `blocks` it takes a number per block besides its `params` (see `submodule`); `coefficients` gets the tensor's own as `share`.
    """

    name: str
    title: str
    paper: str
    text: str
    coefficients: Callable[[float, Params, Stats], tuple[float, float]]
    needs_base: bool = False
    params: tuple[Param, ...] = ()
    measure: Callable[[Blocks, Params], dict[str, float]] | None = None
    endpoints: Callable[[Block, Noise, Params, Stats], Endpoints] | None = None
    lam: str = "weight of Thinking"
    lam_default: float = 0.5
    zero: str = "Instruct"
    one: str = "Thinking"
    random: bool = False
    blocks: bool = False

    @property
    def defaults(self) -> dict[str, float]:
        return {p.name: p.default for p in self.params}


def crossfade(lam: float, params: Params, stats: Stats) -> tuple[float, float]:
    """(1 − λ, λ)."""
    return 1.0 - lam, lam


def scaled(lam: float, params: Params, stats: Stats) -> tuple[float, float]:
    """(1, λ): P stays, λ scales Q."""
    return 1.0, lam


def uniform(seed: int, tensor: str, purpose: str, block: int, n: int) -> torch.Tensor:
    """n numbers in [0, 1), fp32, that depend on nothing but the arguments (Philox keyed by their hash), never on call order."""
    key = hashlib.sha256(f"{seed}\0{tensor}\0{purpose}\0{block}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
    return torch.from_numpy(generator.random(n, dtype=np.float32))


def kth_largest(values: Callable[[], Iterator[torch.Tensor]], k: int) -> float:
    """The k-th largest |value| (k ≥ 1) of a stream, exactly, in two passes over histograms of the fp32 bit patterns.

    Non-negative floats sort like their bit patterns: the upper 16 bits are found first, then the lower 15. inf if k < 1.
    """
    if k < 1:
        return float("inf")

    def bits() -> Iterator[torch.Tensor]:
        return (v.abs().float().view(torch.int32) for v in values())

    upper = torch.zeros(1 << 16, dtype=torch.int64)
    for b in bits():
        upper += torch.bincount(b >> 15, minlength=1 << 16)
    above = upper.flip(0).cumsum(0)
    place = int(torch.searchsorted(above, k))
    if place >= 1 << 16:
        return 0.0
    high = (1 << 16) - 1 - place
    left = k - (int(above[place - 1]) if place else 0)
    lower = torch.zeros(1 << 15, dtype=torch.int64)
    for b in bits():
        lower += torch.bincount(b[b >> 15 == high] & 0x7FFF, minlength=1 << 15)
    low = (1 << 15) - 1 - int(torch.searchsorted(lower.flip(0).cumsum(0), left))
    return float(torch.tensor((high << 15) | low, dtype=torch.int32).view(torch.float32))
