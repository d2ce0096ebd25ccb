"""Reading files that somebody else made: how large, how much larger when unpacked, how many rows. Checked before it is in memory.

A small file that unpacks to much more than any real one is a bomb; the error says so and nothing has been kept.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.untyped import Json, JsonObject, LibraryObject

MAX_FILE = 2 << 30  # bytes on disk
MAX_UNPACKED = 4 << 30  # bytes in all
FREE = 64 << 20  # bytes that any file may unpack to, however small it is
MAX_RATIO = 200  # unpacked to packed above that
MAX_ROWS = 2_000_000
MAX_CELL = 64 << 20  # bytes of one value
BATCH = 1024  # rows of a Parquet file that are unpacked together


class InputLimitError(UserError):
    """A file that is larger, or unpacks to more, than any real one."""


def regular_size(path: Path, most: int = MAX_FILE) -> int:
    """The size of a regular file in bytes.

    Raises `InputLimitError` for another kind of file or a larger one, `OSError` if there is none.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise InputLimitError(f"{path.name} is no regular file; it is not read.")
    if found.st_size > most:
        raise InputLimitError(f"{path.name} is larger than {most / 1e6:,.3g} MB; it is not read.")
    return found.st_size


def read_bytes(path: Path, most: int) -> bytes:
    """A small regular file of at most `most` bytes, whole. Raises `UserError` for anything else, and never waits."""
    try:
        regular_size(path, most)
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            data = file.read(most + 1)  # a file under /proc says that it is empty
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = getattr(error, "strerror", None) or "no such path"
        raise UserError(f"{path.name[:80]!r} cannot be read ({reason}).") from None
    if len(data) > most:
        raise InputLimitError(f"{path.name} is larger than {most:,} bytes; it is not read.")
    return data


def read_text(path: Path, most: int) -> str:
    """The same as UTF-8 text."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path.name[:80]!r} cannot be read: it is not UTF-8 text.") from None


def allowance(size: int) -> int:
    """Bytes that a file of `size` bytes may unpack to."""
    return min(MAX_UNPACKED, max(FREE, MAX_RATIO * size))


class Budget:
    """Counts what was unpacked; raises `InputLimitError` when it is more than a file of this size may hold."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.left = name, allowance(size)

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise InputLimitError(f"{self.name} unpacks to far more than its size; it is not read.")


def parquet_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[JsonObject]:
    """The rows of a Parquet file, some at a time; only `columns` where they are given. Needs pyarrow (`ImportError`).

    Repeated values stay packed until their size is known, so that a value of a megabyte in a million rows is not unpacked.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    budget = Budget(path.name, regular_size(path))
    meta = pq.read_metadata(path)
    if meta.num_rows > MAX_ROWS:
        raise InputLimitError(f"{path.name} holds {meta.num_rows:,} rows; at most {MAX_ROWS:,} are read.")
    packed = sum(
        meta.row_group(g).column(c).total_uncompressed_size
        for g in range(meta.num_row_groups)
        for c in range(meta.num_columns)
    )
    if packed > budget.left:
        budget.spend(packed)
    schema = pq.read_schema(path)
    names = [name for name in schema.names if columns is None or name in columns]
    words = [name for name in names if pa.types.is_string(schema.field(name).type) or pa.types.is_large_string(schema.field(name).type)
             or pa.types.is_binary(schema.field(name).type)]  # fmt: skip
    with pq.ParquetFile(path, read_dictionary=words) as file:
        for batch in file.iter_batches(BATCH, columns=names):
            for column in batch.columns:
                if pa.types.is_dictionary(column.type):
                    lengths = pc.binary_length(column.dictionary)
                    if (pc.max(lengths).as_py() or 0) > MAX_CELL:
                        raise InputLimitError(
                            f"{path.name} holds a value of more than {MAX_CELL >> 20} MB; it is not read."
                        )
                    budget.spend(pc.sum(pc.take(lengths, column.indices)).as_py() or 0)
                else:
                    budget.spend(column.nbytes)
            values = [_values(column) for column in batch.columns]
            yield from (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))


def _values(column: LibraryObject) -> list[Json]:
    """A column's values; one that repeats is made once."""
    if not hasattr(column, "dictionary"):
        return list(column.to_pylist())
    words = column.dictionary.to_pylist()
    return [None if i is None else words[i] for i in column.indices.to_pylist()]
