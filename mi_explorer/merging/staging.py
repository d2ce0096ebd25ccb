"""A folder that appears whole or not at all: written beside its place, checked, then moved there."""

import errno
import os
import shutil
import uuid
from pathlib import Path
from types import TracebackType

from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.errors import UserError

SPARE_BYTES = 16 << 20  # for config, tokenizer and headers


class ExportError(UserError):
    """An export that cannot start or did not finish; nothing is left behind."""


class Staging:
    """A new folder beside the target that becomes the target if the block ends well, and vanishes otherwise."""

    def __init__(self, out: Path, need: int):
        self.out, self.need = Path(os.path.abspath(out.expanduser())), need

    def __enter__(self) -> Path:
        out = self.out
        if os.path.lexists(out) and (out.is_symlink() or not out.is_dir()):
            raise ExportError(f"{out} is a file or a link; choose a new folder.")
        if os.path.isdir(out) and any(out.iterdir()):
            raise ExportError(
                f"{out} is not empty; nothing there is overwritten. Choose a new folder or empty it first."
            )
        existing = next(p for p in (out.parent, *out.parents) if os.path.exists(p))
        free = shutil.disk_usage(existing).free
        need = int(self.need * 1.01) + SPARE_BYTES
        if free < need:
            raise ExportError(
                f"The export needs {need / 1e6:,.1f} MB, and {existing} has {free / 1e6:,.1f} MB free. "
                "Free some space or choose another disk."
            )
        self.stage = out.parent / f".{out.name}.partial-{uuid.uuid4().hex[:8]}"
        try:
            self.stage.mkdir(parents=True)
        except OSError as error:
            raise ExportError(f"Cannot write beside {out} ({error.strerror}). Choose another folder.") from None
        return self.stage

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                os.replace(self.stage, self.out)
            except OSError as failed:
                shutil.rmtree(self.stage, ignore_errors=True)
                raise ExportError(
                    f"{self.out} could not be put in place ({failed.strerror}); something was written there meanwhile. "
                    "Nothing was kept."
                ) from None
            return
        shutil.rmtree(self.stage, ignore_errors=True)
        if isinstance(error, CheckpointError):
            raise CheckpointError(f"{error} The export was stopped and nothing was kept.") from None
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise ExportError(
                ("The disk is full" if full else f"Writing failed ({error.strerror})")
                + f" while exporting to {self.out}; nothing was "
                "kept. Free some space or choose another disk."
            ) from None
