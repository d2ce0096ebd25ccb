"""Safetensors headers and indexes: every tensor's name, dtype, shape and place, without reading one weight byte.

Own parser of the published format (8 bytes of length, JSON, data), because we must check what we map: offsets inside the
file, sizes that match shapes, no overlaps, no duplicate names across shards.
"""

import json
import math
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from mi_explorer.checkpoints.source import CheckpointError, CheckpointSource, Folder

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "F8_E8M0": torch.float8_e8m0fnu,
    "BOOL": torch.bool,
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "I8": 8,
    "U8": 8,
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
BLENDABLE = ("F64", "F32", "F16", "BF16")
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
HEADER_LIMIT = 100_000_000  # as in the reference implementation


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: its shard, dtype code of the file format, shape, and byte span [start, stop) within the file."""

    name: str
    shard: str
    code: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.code]


def read_header(source: CheckpointSource, shard: str, size: int) -> tuple[dict[str, TensorEntry], bytes]:
    """Entries of one shard and its raw header (length prefix included). `CheckpointError` for anything malformed."""

    def broken(why: str) -> CheckpointError:
        return CheckpointError(
            f"{source.label}: {shard} is not a usable safetensors file: {why}. Download or save it again."
        )

    if size < 8:
        raise broken(f"it has {size} bytes")
    prefix = source.span(shard, 0, 8)
    (length,) = struct.unpack("<Q", prefix)
    if not 2 <= length <= HEADER_LIMIT or 8 + length > size:
        raise broken(f"its header claims {length} bytes in a file of {size}")
    raw = source.span(shard, 8, 8 + length)
    try:
        content = json.loads(raw)
        items = [(name, item) for name, item in content.items() if name != "__metadata__"]
        entries = {}
        for name, item in items:
            first, last = (int(x) for x in item["data_offsets"])
            shape = tuple(int(x) for x in item["shape"])
            entries[name] = TensorEntry(name, shard, str(item["dtype"]), shape, 8 + length + first, 8 + length + last)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise broken(f"its header is damaged ({type(error).__name__})") from None
    end = 8 + length
    for entry in sorted(entries.values(), key=lambda e: (e.start, e.stop)):
        if entry.code not in BITS or min(entry.shape, default=0) < 0:
            raise broken(f"tensor {entry.name!r} has an unknown dtype {entry.code[:20]!r} or a negative size")
        if entry.start != end or (entry.stop - entry.start) * 8 != entry.numel * BITS[entry.code]:
            raise broken(f"the span of tensor {entry.name!r} does not fit its shape and its neighbours")
        end = entry.stop
    if end != size:
        kind = "truncated" if end > size else "longer than its header says"
        raise broken(f"it is {kind} ({size} bytes, expected {end})")
    return entries, prefix + raw


def weight_files(source: CheckpointSource) -> tuple[dict[str, str] | None, list[str]]:
    """The index (tensor → shard, None without one) and the weight files that `transformers` loads from a checkpoint.

    That is model.safetensors where it is whole: an older save's index and shards may lie beside it. Else the index decides.
    """
    files = source.files()
    weight_map = _read_index(source) if INDEX in files else None
    if WHOLE in files and (
        weight_map is None or weight_map.keys() <= read_header(source, WHOLE, files[WHOLE])[0].keys()
    ):
        return None, [WHOLE]
    if weight_map:
        return weight_map, sorted(set(weight_map.values()))
    other = next((n for n in sorted(files) if n.endswith((".bin", ".pt", ".pth", ".gguf"))), None)
    loose = next((n for n in sorted(files) if n.endswith(".safetensors") and not n.startswith("adapter")), None)
    hint = ""
    if loose:
        hint = f" {loose[:80]} belongs to no index: rename it if it is the whole model, else download the index."
    elif other:
        hint = f" It has {other[:80]}, a format that is not loaded here for safety; convert it to safetensors."
    raise CheckpointError(f"{source.label}: neither {WHOLE} nor {INDEX} is there (no *.safetensors file found).{hint}")


def _read_index(source: CheckpointSource) -> dict[str, str]:
    """Tensor → shard of the index, which may name files of this folder only."""
    try:
        found = {str(name): str(shard) for name, shard in json.loads(source.read(INDEX))["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CheckpointError(f"{source.label}: {INDEX} is damaged. Download it again.") from None
    for shard in set(found.values()):
        if shard != shard.replace("\\", "/").rpartition("/")[2] or not shard.endswith(".safetensors"):
            raise CheckpointError(
                f"{source.label}: the index names {shard[:80]!r}, which is not a plain file name of safetensors. "
                "Download the index again."
            )
    return found


@contextmanager
def loadable_folder(folder: str | Path) -> Iterator[str]:
    """A folder that `transformers` loads as it is read here: an index without its "metadata" gets it, in a folder of links."""
    place = Path(folder)
    try:
        index = json.loads((place / INDEX).read_bytes())
    except (OSError, ValueError):  # none, or one that nothing reads
        index = {"metadata": {}}
    if isinstance(index.get("metadata"), dict):
        yield str(folder)
        return
    with tempfile.TemporaryDirectory() as links:
        for file in place.iterdir():
            if file.name != INDEX:
                (Path(links) / file.name).symlink_to(file.resolve())
        (Path(links) / INDEX).write_text(json.dumps({**index, "metadata": {}}))
        yield links


def read_headers(source: CheckpointSource) -> tuple[dict[str, TensorEntry], dict[str, bytes]]:
    """All tensors over all shards by name, and each shard's raw header in file order. Reads the index and headers only.

    The headers of a folder are kept as long as its files stay as they are: opening a pair asks for them more than once. Nobody
    may change the result.
    """
    if isinstance(source, Folder):
        return _folder_headers(str(source.path), source.label, source.state())
    return _read_headers(source)


@lru_cache(maxsize=6)
def _folder_headers(
    folder: str, label: str, state: tuple[object, ...]
) -> tuple[dict[str, TensorEntry], dict[str, bytes]]:
    source = Folder(folder)
    source.label = label
    return _read_headers(source)


def _read_headers(source: CheckpointSource) -> tuple[dict[str, TensorEntry], dict[str, bytes]]:
    files = source.files()
    weight_map, shards = weight_files(source)
    entries: dict[str, TensorEntry] = {}
    headers: dict[str, bytes] = {}
    for shard in shards:
        if shard not in files:
            raise CheckpointError(
                f"{source.label}: the index names {shard[:80]!r}, which is not there. The download is incomplete."
            )
        found_here, headers[shard] = read_header(source, shard, files[shard])
        for name in found_here:
            if name in entries:
                raise CheckpointError(f"{source.label}: tensor {name!r} is in {entries[name].shard} and in {shard}.")
        entries.update(found_here)
    missing = sorted(set(weight_map or ()) - set(entries))
    if missing:
        raise CheckpointError(f"{source.label}: the index promises {missing[0]!r}, but no shard holds it.")
    return entries, headers
