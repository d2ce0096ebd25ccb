"""Files that are written whole or not at all: made beside their target, brought to the disk, put in place at the end."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mi_explorer.errors import UserError


class FileWriteError(UserError):
    """A file that cannot be written; what was there is as it was."""


@contextmanager
def whole_file(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A path to write to; the file takes the place of `path` when the block ends well, and is gone otherwise.

    Raises `FileWriteError` where `path` is there already (without `overwrite`), its folder is not, or the disk is full.
    """
    try:
        if path.exists() and not overwrite:
            raise FileWriteError(
                f"{path} is there already and was left as it was. Choose another name, or say --overwrite."
            )
        if not path.parent.is_dir():
            raise FileWriteError(f"{path} cannot be written: there is no folder {path.parent}.")
        with tempfile.TemporaryDirectory(prefix=".mi-", dir=path.parent) as folder:
            staged = Path(folder) / f"part{''.join(path.suffixes[-2:])[-16:]}"
            yield staged
            fsync_replace(staged, path)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise FileWriteError(f"{path} cannot be written: {reason}. Nothing was left half done.") from None


def fsync_replace(staged: Path, path: Path) -> None:
    """Put a finished file in its place, such that after a power cut there is the old one or the whole new one."""
    with staged.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(staged, path)
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:  # a system that does not open folders
        return
    try:
        os.fsync(folder)
    except OSError:  # a file system that does not sync them
        pass
    finally:
        os.close(folder)
