"""A checkpoint on disk: tensors by name over all shards, mapped lazily or read block by block. Safetensors only."""

import glob
import json
import os
import threading
from functools import cached_property
from pathlib import Path

import torch

from mi_explorer.checkpoints.headers import TensorEntry, read_headers, weight_files
from mi_explorer.checkpoints.source import SMALL, CheckpointError, Folder, Hub, open_source
from mi_explorer.untyped import JsonObject

SMALL_SUFFIXES = (".json", ".jinja", ".txt", ".model", "README.md")  # what a hub download takes beside the weights


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
    def open(cls, where: "str | Path | Checkpoint") -> "Checkpoint":
        """A folder, or a hub id (downloaded into the hub cache: safetensors and small files only)."""
        if isinstance(where, Checkpoint):
            return where
        source = open_source(where)
        if isinstance(source, Hub):
            return cls(Folder(download(source)), label=source.label)
        assert isinstance(source, Folder)
        return cls(source)

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


def download(source: Hub) -> Path:
    """The weight files that are loaded and the small files, in the hub cache: no code, no pickle, no second copy of the weights.

    Raises `CheckpointError` if the hub does not deliver.
    """
    from huggingface_hub import snapshot_download

    try:
        files = source.files()
    except CheckpointError:  # no connection: the cache may hold the repository, or the download says what is wrong
        names = ["*.safetensors", *(f"*{suffix}" for suffix in SMALL_SUFFIXES)]
    else:
        weights = [n for n in files if n.startswith("adapter_model.safetensors")] or weight_files(source)[1]
        small = [n for n, size in files.items() if n.endswith(SMALL_SUFFIXES) and size <= SMALL]
        names = [glob.escape(name) for name in sorted({*weights, *small})]
    try:
        return Path(
            snapshot_download(
                source.repo,
                revision=source.revision,
                allow_patterns=names,
                ignore_patterns=["*/*", "consolidated*"],  # a second copy in the publisher's own format
                endpoint=source.endpoint,
            )
        )
    except Exception as error:
        raise CheckpointError(
            f"{source.label}: cannot be downloaded ({type(error).__name__}). Check the id, the connection and, for "
            "a gated model, your login; or give a local folder."
        ) from None
