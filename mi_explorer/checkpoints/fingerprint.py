"""Which weights a result was made with: a fingerprint of the model folders. Standard library only.

It tells two states of a folder apart without reading all of it: every file's name and size, small files whole,
of weight files the header and 32 evenly spread windows. Retraining changes all weights, so it is always seen.
"""

import hashlib
import os
import struct
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from mi_explorer.pairs import Pair

WHOLE = 4 << 20  # files up to this size are hashed whole
WINDOWS, WINDOW = 32, 4096
COUNTED = (".safetensors", ".json", ".jinja", ".model", ".txt")
IGNORED = ("README.md", "trainer_state.json")


def fingerprint(folders: Iterable[str | Path]) -> str:
    """16 hex digits over the model folders of a pair, in the order given; a place that is no folder counts by its name."""
    total = hashlib.sha256()
    for place in folders:
        folder = Path(place)
        if not os.path.isdir(folder):
            total.update(f"\0name\0{place}".encode())
            continue
        for path in sorted(folder.iterdir()):
            if path.suffix in COUNTED and path.name not in IGNORED and path.is_file():
                total.update(f"\0file\0{path.name}\0{path.stat().st_size}\0".encode())
                total.update(_sample(path))
        total.update(b"\0end")
    return total.hexdigest()[:16]


def pair_fingerprint(pair: Pair) -> str | None:
    """The fingerprint that an opened pair has, from its folders; None if some part of it is not a folder here."""
    folders = tuple(part for part in (pair.instruct, pair.thinking, pair.base) if part)
    if not all(os.path.isdir(folder) for folder in folders):
        return None
    state = [
        (str(p), p.stat().st_mtime_ns, p.stat().st_size)
        for f in folders
        for p in sorted(Path(f).iterdir())
        if p.is_file()
    ]
    return _remembered(folders, tuple(state))


@lru_cache(maxsize=64)
def _remembered(folders: tuple[str, ...], state: tuple[tuple[str, int, int], ...]) -> str:
    return fingerprint(folders)


def _sample(path: Path) -> bytes:
    """Digest of a file: whole if small, else header and evenly spread windows."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= WHOLE:
            digest.update(file.read())
            return digest.digest()
        head = struct.unpack("<Q", file.read(8))[0] if path.suffix == ".safetensors" else WINDOW
        file.seek(0)
        digest.update(file.read(min(head + 8, 64 << 20)))
        for i in range(WINDOWS):
            file.seek((size - WINDOW) * i // (WINDOWS - 1))
            digest.update(file.read(WINDOW))
    return digest.digest()
