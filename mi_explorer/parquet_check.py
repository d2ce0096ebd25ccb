"""Whether a Parquet file that somebody else made can be read: a child process reads it whole before this process opens it.

The decoder is a C++ library, and bytes that were damaged or forged can end the process that it runs in, which no `except` notices.
"""

import atexit
import threading
from pathlib import Path

from mi_explorer.input_limits import InputLimitError, regular_size
from mi_explorer.limited_process import LimitedProcess

WALL_LIMIT_S = 300.0
MEMORY = 16 * 2**30  # bytes of address space for the child; what a file unpacks to is limited by `input_limits`

_lock = threading.Lock()
_child: LimitedProcess | None = None


def check_parquet(path: Path) -> None:
    """Raise `InputLimitError` for a file that ends its reader, or is no regular file; other faults are left to the reading itself."""
    global _child
    regular_size(path)
    with _lock:
        try:
            if _child is None or not _child.ours:
                _child = LimitedProcess("mi_explorer.parquet_process")
            _child.call({"path": str(path.absolute())}, WALL_LIMIT_S)
        except (TimeoutError, EOFError):
            _end()
            raise InputLimitError(
                f"{path.name} is damaged: the process that reads such files ended at it. Get it once more."
            ) from None


def _end() -> None:
    """End the child; the caller holds the lock."""
    global _child
    if _child is not None:
        _child.end()
        _child = None


@atexit.register
def _close() -> None:
    with _lock:
        _end()
