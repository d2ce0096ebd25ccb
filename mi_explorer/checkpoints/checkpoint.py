"""A checkpoint on disk: tensors by name over all shards, mapped lazily or read block by block. Safetensors only."""

import json
import os
import threading
from functools import cached_property
from pathlib import Path

import torch

from mi_explorer.checkpoints.headers import TensorEntry, read_headers
from mi_explorer.checkpoints.hub_cache import local_folder, open_source
from mi_explorer.checkpoints.source import CheckpointError, CheckpointSource, Folder
from mi_explorer.untyped import JsonObject


class Checkpoint:
    """One parent. Names are those of its files; nothing is read until it is asked for.

    `tensor` returns a private mapping of the file (no copy; pages come as they are touched). `block` reads a piece into
    memory of its own, so that streaming over a model keeps no page of it.
    """

    def __init__(self, folder: Folder, label: str | None = None):
        self.folder, self.label = folder, label or folder.label
        self.entries, self.raw_headers = read_headers(folder)
        self.stamp = {shard: self._stat(shard) for shard in self.raw_headers}
        self._maps: dict[str, torch.Tensor] = {}
        self._files: dict[str, int] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, where: str | Path) -> "Checkpoint":
        """A folder, or a hub id (downloaded into the hub cache: safetensors and small files only)."""
        return cls.at(open_source(where))

    @classmethod
    def at(cls, source: CheckpointSource) -> "Checkpoint":
        """The checkpoint of an open source; what only the hub has is downloaded."""
        return cls(local_folder(source))

    @property
    def path(self) -> Path:
        return self.folder.path

    @cached_property
    def config(self) -> JsonObject:
        """config.json; `CheckpointError` if it is missing or not an object."""
        try:
            config = json.loads(self.folder.read("config.json"))
        except (ValueError, RecursionError):
            raise CheckpointError(f"{self.label}: config.json is damaged. Download it again.") from None
        if not isinstance(config, dict):
            raise CheckpointError(f"{self.label}: config.json is not an object.")
        return config

    def names(self) -> tuple[str, ...]:
        """Every tensor name, sorted."""
        return tuple(sorted(self.entries))

    def entry(self, name: str) -> TensorEntry:
        if name not in self.entries:
            raise CheckpointError(f"{self.label}: there is no tensor {name!r}.")
        return self.entries[name]

    def header(self, name: str) -> tuple[tuple[int, ...], torch.dtype]:
        """(shape, dtype) from the header alone."""
        entry = self.entry(name)
        return entry.shape, entry.dtype

    def tensor(self, name: str) -> torch.Tensor:
        """The whole tensor as a view of the mapped file. Writing to it would change our pages only, never the file."""
        entry = self.entry(name)
        if entry.shard not in self._maps:
            path = self.folder.file(entry.shard)
            if self._stat(entry.shard) != self.stamp[entry.shard]:
                raise self._changed(entry.shard)
            size = self.stamp[entry.shard][0]
            self._maps[entry.shard] = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
        data = self._maps[entry.shard][entry.start : entry.stop]
        if entry.start % entry.dtype.itemsize:  # the format allows unaligned data; torch does not
            data = data.clone()
        return data.view(entry.dtype).view(entry.shape)

    def block(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements [start, stop) of the flattened tensor, 1-D, in memory of its own; like a slice, it ends where the tensor ends."""
        entry = self.entry(name)
        stop = max(start, min(stop, entry.numel))
        out = torch.empty(stop - start, dtype=entry.dtype)
        self.read_into(entry, start * entry.dtype.itemsize, out)
        return out

    def read_into(self, entry: TensorEntry, offset: int, out: torch.Tensor) -> None:
        """Fill `out` (contiguous) with the bytes at `offset` of this tensor. A file that got shorter is an error, not a crash."""
        if out.numel() == 0:
            return
        with self._lock:  # two threads that stream one shard share its handle
            if entry.shard not in self._files:
                self._files[entry.shard] = os.open(self.folder.file(entry.shard), os.O_RDONLY)
        view = memoryview(out.view(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
        done = 0
        while done < len(view):
            got = os.preadv(self._files[entry.shard], [view[done:]], entry.start + offset + done)
            if got <= 0:
                raise self._changed(entry.shard)
            done += got

    def check_unchanged(self) -> None:
        """`CheckpointError` if a shard was replaced, edited or shortened since this checkpoint was opened."""
        for shard, stamp in self.stamp.items():
            if self._stat(shard) != stamp:
                raise self._changed(shard)

    def close(self) -> None:
        """Close file handles and drop mappings (tensors handed out stay valid)."""
        for handle in self._files.values():
            os.close(handle)
        self._files.clear()
        self._maps.clear()

    def __del__(self) -> None:
        if getattr(self, "_files", None):
            self.close()

    @property
    def nbytes(self) -> int:
        return sum(e.stop - e.start for e in self.entries.values())

    def _stat(self, shard: str) -> tuple[int, int, int]:
        try:
            s = os.stat(self.folder.file(shard))
        except OSError:
            raise self._changed(shard) from None
        return s.st_size, s.st_mtime_ns, s.st_ino

    def _changed(self, shard: str) -> CheckpointError:
        return CheckpointError(
            f"{self.label}: {shard} changed on disk while it was in use (or was truncated). Reopen the pair once "
            "the download or training that writes there has finished."
        )
