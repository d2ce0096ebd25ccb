"""A file that a command writes: whole or not at all."""

import tempfile
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.studies.store.exchange import settle


def check_new(path: Path, overwrite: bool) -> None:
    """Raise `UserError` if there is something at `path` that may not be replaced."""
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already and was left as it was. Choose another name, or say --overwrite.")


def write_whole(path: Path, text: str) -> None:
    """Write `text` beside `path` and put it there when it is complete; what fails (a full disk) leaves nothing and is a `UserError`."""
    try:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as folder:
            part = Path(folder) / path.name
            part.write_text(text, encoding="utf-8")
            settle(part, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from None
