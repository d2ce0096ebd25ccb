"""Fast paths that prove themselves where they run: each is compared with the plain one on a small problem of the user's own device.

A path is used only if it gives the plain path's numbers within its tolerance and takes less time. So code that was written without
the device at hand does no harm there, and `status` can say which paths run, and why the others do not.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

CHECK_REPEATS = 5  # how often each path is timed; the least time counts

Path = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class PathCheck:
    """What a comparison gave. `used`: whether the fast path runs; `why`: the reason in words; `difference`: the largest, relative to the
    largest value of the plain path; times in seconds (None where a path did not get that far)."""

    name: str
    used: bool
    why: str
    difference: float | None = None
    plain_s: float | None = None
    fast_s: float | None = None


def check_path(name: str, plain: Path, fast: Path, tolerance: float, device: torch.device) -> PathCheck:
    """Compare two ways to the same tensor."""
    want = plain()
    try:
        got = fast()
        if got.shape != want.shape:
            return PathCheck(name, False, f"its result has the shape {tuple(got.shape)} and not {tuple(want.shape)}")
        difference = relative_difference(got, want)
    except Exception as error:  # whatever a library raises here, the path is not for this device
        return PathCheck(name, False, f"it does not run here ({type(error).__name__}: {str(error)[:100]})")
    if not difference <= tolerance:
        return PathCheck(
            name, False, f"its values differ by {difference:.1e}, and {tolerance:.0e} is allowed", difference
        )
    plain_s, fast_s = float("inf"), float("inf")
    for _ in range(CHECK_REPEATS):
        plain_s, fast_s = min(plain_s, path_seconds(plain, device)), min(fast_s, path_seconds(fast, device))
    used = fast_s < plain_s
    why = f"equal within {difference:.1e}, and {'' if used else 'not '}faster: {fast_s * 1e6:.0f} µs against {plain_s * 1e6:.0f} µs"
    return PathCheck(name, used, why, difference, plain_s, fast_s)


def relative_difference(got: torch.Tensor, want: torch.Tensor) -> float:
    """The largest difference, relative to the largest value wanted."""
    return float((got.float() - want.float()).abs().max()) / max(1e-30, float(want.float().abs().max()))


def path_seconds(path: Path, device: torch.device) -> float:
    """How long one call takes, with what it leaves running on the device."""
    synchronize(device)
    start = time.perf_counter()
    path()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Wait for everything that an asynchronous device has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
