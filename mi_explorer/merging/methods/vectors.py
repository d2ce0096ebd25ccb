"""Merging two task vectors τ = parent − base: sparsify each, then add, or elect a sign and keep what agrees with it."""

from collections.abc import Callable, Iterator

import torch

from mi_explorer.merging.methods.method import Blocks, Params, kth_largest


def task_vectors(parts: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """(τ of Instruct, τ of Thinking) of one block."""
    i, t, base = parts
    return i - base, t - base


def elect(one: torch.Tensor, two: torch.Tensor, mean: bool) -> torch.Tensor:
    """Sum (or mean over those that take part) of the entries whose sign is that of the sum; 0 counts as positive (TIES, § 3)."""
    sign = torch.where(one + two >= 0, 1.0, -1.0)
    keep = [(v.sign() == sign).to(v.dtype) for v in (one, two)]
    total = one * keep[0] + two * keep[1]
    return total / (keep[0] + keep[1]).clamp_(min=1) if mean else total


def kept(density: float, n: int) -> int:
    """How many of n entries a density keeps (at least one, unless the density is 0)."""
    return max(1, int(density * n)) if density > 0 and n else 0


def size(blocks: Blocks) -> int:
    return sum(parts[0].numel() for parts in blocks())


def thresholds(blocks: Blocks, counts: Callable[[int], dict[str, int]]) -> dict[str, float]:
    """For both task vectors, the magnitude of the entry that a count reaches: `{"<what>_i", "<what>_t"}`, exact, streamed."""
    n = size(blocks)

    def vector(which: int) -> Callable[[], Iterator[torch.Tensor]]:
        return lambda: (task_vectors(parts)[which] for parts in blocks())

    return {
        f"{what}_{letter}": kth_largest(vector(which), k)
        for which, letter in ((0, "i"), (1, "t"))
        for what, k in counts(n).items()
    }


def trim_measure(blocks: Blocks, params: Params) -> dict[str, float]:
    """Magnitudes from which the largest `density` of each task vector begins."""
    return thresholds(blocks, lambda n: {"low": kept(params["density"], n)})


def trim(vector: torch.Tensor, low: float) -> torch.Tensor:
    """Zero below the threshold. Entries that tie with it all stay, so that the result does not depend on any order."""
    return torch.where(vector.abs() >= low, vector, 0.0)
