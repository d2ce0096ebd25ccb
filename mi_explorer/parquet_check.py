"""Whether a Parquet file that somebody else made can be read: a child process reads it whole before this process opens it.

The decoder is a C++ library, and bytes that were damaged or forged can end the process that it runs in, which no `except` notices.
"""

from pathlib import Path

from mi_explorer.input_limits import InputLimitError, regular_size
from mi_explorer.limited_process import SharedProcess

WALL_LIMIT_S = 300.0
MEMORY = 16 * 2**30  # bytes of address space for the child; what a file unpacks to is limited by `input_limits`

_process = SharedProcess("mi_explorer.parquet_process")


def check_parquet(path: Path) -> None:
    """Raise `InputLimitError` for a file that ends its reader, or is no regular file; other faults are left to the reading itself."""
    regular_size(path)
    try:
        with _process.turn() as child:
            child.call({"path": str(path.absolute())}, WALL_LIMIT_S)
    except (TimeoutError, EOFError):
        raise InputLimitError(
            f"{path.name} is damaged: the process that reads such files ended at it. Get it once more."
        ) from None
