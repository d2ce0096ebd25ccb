"""Where a benchmark's rows come from: a data set on a hub by its id, or the same columns in a local file."""

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mi_explorer.tasks.rows import ENDINGS, check_objects, first_line, read_rows
from mi_explorer.tasks.task import TaskError
from mi_explorer.untyped import JsonMapping, JsonObject

Loader = Callable[..., Iterable[JsonMapping]]


@dataclass(frozen=True)
class BenchmarkSource:
    """One split of a data set. `columns` are those that are needed; `gated`: the hub asks for the user's own token."""

    id: str
    split: str
    columns: tuple[str, ...]
    licence: str
    config: str | None = None
    gated: bool = False

    def rows(self, path: str | Path | None = None, loader: Loader | None = None) -> list[JsonObject]:
        """Every row, from `path` (a file in any form of `read_rows`, or a folder that holds one) or from the hub.

        Raises `TaskError` with the id, the licence and the ways to get it. `loader` stands in for `datasets.load_dataset`.
        """
        rows = _local(Path(path), self.split) if path else self._hub(loader)
        for number, row in enumerate(rows or [{}], 1):
            for column in self.columns:
                if column not in row:
                    where = f"{path or self.id}, row {number}," if number > 1 else f"{path or self.id}"
                    raise TaskError(f"{where} has no column {column!r}; {self.id} has {', '.join(self.columns)}.")
        return rows

    def _hub(self, loader: Loader | None) -> list[JsonObject]:
        try:
            return [dict(row) for row in (loader or _load_dataset)(self.id, self.config, split=self.split)]
        except Exception as error:  # noqa: BLE001 - datasets, its hub client and its file readers raise dozens of types
            raise TaskError(f"{self.id} could not be loaded ({first_line(error)}). {self.how()}") from None

    def how(self) -> str:
        """How to get this data set, in two sentences."""
        gate = (
            "It is gated: accept its terms on its page, then log in with your own token (`hf auth login`, or HF_TOKEN). "
            if self.gated
            else ""
        )
        split = f"{self.config}, " if self.config else ""
        return (
            f"{gate}Data set: {self.id} ({split}split {self.split}; licence: {self.licence}). Without a hub, give a local copy "
            f"with the columns {', '.join(self.columns)} as NAME@PATH, for example {self.id.split('/')[-1].lower()}.jsonl."
        )


def _load_dataset(id: str, config: str | None, split: str) -> Iterable[JsonMapping]:
    """`datasets.load_dataset`; where the hub does not answer, only what is cached, instead of half a minute of retries."""
    import datasets
    from huggingface_hub import constants

    reach = bool(os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")) or _reachable(constants.ENDPOINT)
    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    try:
        if not reach:
            datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
        rows: Iterable[JsonMapping] = datasets.load_dataset(id, config, split=split)
        return rows
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _reachable(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=5):
            return True
    except OSError:
        return False


def _local(path: Path, split: str) -> list[JsonObject]:
    """The rows of a local file, or of the one file of a folder that fits the split."""
    if os.path.isdir(path):
        files = sorted(f for f in path.rglob("*") if f.suffix.lower() in ENDINGS)
        files = [f for f in files if split in f.name] or files
        if len(files) != 1:
            raise TaskError(
                f"The folder {path.name} holds {len(files)} data files for the split {split!r}; name one file."
            )
        path = files[0]
    if not os.path.exists(path):
        raise TaskError(f"There is no file {str(path)!r}.")
    rows = read_rows(path, decimals=float)
    check_objects(path.name, rows)
    return rows
