"""Little memory and little time for whatever a hostile file makes the program do."""

import time
from contextlib import contextmanager
from pathlib import Path

from mi_explorer.paths import ASSETS

MINI = ASSETS / "models" / "mini"
DEEP = "[" * 100_000 + "]" * 100_000


MODEST = 500 << 20  # bytes that refusing may take beyond what is there


def resident(field):
    """A figure of this process's memory in bytes, 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(field)), 0)


@contextmanager
def modest(most=MODEST, seconds=20):
    """Fails when what runs inside takes much memory or time."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    except OSError:
        pass
    before, start = resident("VmRSS"), time.monotonic()
    yield
    assert resident("VmHWM") - before < most and time.monotonic() - start < seconds
