"""Columns of numbers and words as bytes that compress well, and back exactly: what sealed studies are made of.

Integers become byte planes of their differences from the smallest value (or from their neighbour, where that packs better),
floats integers of the fewest decimals that give them back, words a list of the distinct ones with numbers. `squeeze` packs
the result with LZMA, whose check sum finds damage. -0.0 comes back as 0.0, which equals it; everything else is the same.
"""

import json
import lzma
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

HEAD = struct.Struct("<IBBBq")  # count, flags, width in bytes, decimals, smallest value
DELTA, GAPS, RAW = 1, 2, 4  # flags: differences of neighbours; 0 stands for None; plain doubles
MAX_COUNT = 50_000_000
MAX_EQUAL = 2_000_000  # values of a column that takes no bytes at all
MEMORY = 256 << 20
DECIMALS = 6


def squeeze(data: bytes) -> bytes:
    """`data` packed by LZMA with a dictionary no larger than the data need."""
    size = max(1 << 16, min(len(data), 16 << 20))
    return lzma.compress(
        data, check=lzma.CHECK_CRC32, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": size}]
    )


def expand(data: bytes, size: int) -> bytes:
    """Inverse of `squeeze` for data of `size` bytes; raises `ValueError` if they are damaged or of another size."""
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
        out = unpacker.decompress(data, max(size, 1))
        if not unpacker.eof and len(out) == size:  # the end mark and the check sum may still be unread
            out += unpacker.decompress(b"", 1)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"packed data are damaged ({error})") from None
    if len(out) != size or not unpacker.eof:
        raise ValueError("packed data are cut short, or longer than they say")
    return out


def put_ints(values: Sequence[int | None]) -> bytes:
    """Integers below 2^62 in size, or None, as bytes."""
    known = [v for v in values if v is not None]
    gaps = len(known) < len(values)
    least = min(known, default=0)
    if gaps:
        flat = np.array([0 if v is None else v - least + 1 for v in values], dtype=np.int64)
    else:
        flat = np.array(known, dtype=np.int64) - least
    flags = GAPS if gaps else 0
    plain = _planes(flat)
    if len(flat) > 8:
        steps = np.diff(flat, prepend=flat[:1])
        zigzag = (steps << 1) ^ (steps >> 63)
        zigzag[0] = flat[0]
        other = _planes(zigzag)
        if _cost(other) < _cost(plain):
            plain, flags = other, flags | DELTA
    return HEAD.pack(len(values), flags, len(plain) // max(len(values), 1), 0, least) + plain


def _planes(values: np.ndarray) -> bytes:
    """Non-negative integers, the lowest bytes first of all, as few bytes each as the largest needs (0 where all are 0)."""
    width = (int(values.max(initial=0)).bit_length() + 7) // 8
    return values.astype("<u8").view(np.uint8).reshape(len(values), 8)[:, :width].T.tobytes()


def _cost(data: bytes) -> int:
    return len(zlib.compress(data, 1))


def get_ints(data: bytes) -> list[Any]:
    """Inverse of `put_ints`: integers, None where it was."""
    values, gaps, least = _read(data)
    if not gaps:
        return [int(v) for v in (values + least).tolist()]
    return [None if v == 0 else v - 1 + least for v in values.tolist()]


def _read(data: bytes) -> tuple[np.ndarray, bool, int]:
    count, flags, width, _, least = HEAD.unpack_from(data)
    if count > (MAX_COUNT if width else MAX_EQUAL) or width > 8:
        raise ValueError("a column is too long to be one")
    planes = np.frombuffer(data, np.uint8, count * width, HEAD.size).reshape(width, count)
    wide = np.zeros((count, 8), np.uint8)
    wide[:, :width] = planes.T
    values = wide.view("<u8").reshape(count).astype(np.int64)
    if flags & DELTA and count:
        steps = (values >> 1) ^ -(values & 1)
        steps[0] = values[0]
        values = np.cumsum(steps)
    return values, bool(flags & GAPS), int(least)


def put_floats(values: Sequence[float]) -> bytes:
    """Doubles as bytes; those that are short decimals take little room."""
    array = np.array(values, dtype=np.float64)
    for decimals in range(DECIMALS + 1) if np.all(np.abs(array) < 2**53) else ():
        scaled = np.rint(array * 10.0**decimals)
        if np.all(np.abs(scaled) < 2**53) and np.all(scaled / 10.0**decimals == array):
            body = put_ints([int(v) for v in scaled.tolist()])
            count, flags, width, _, least = HEAD.unpack_from(body)
            return HEAD.pack(count, flags, width, decimals, least) + body[HEAD.size :]
    return HEAD.pack(len(array), RAW, 8, 0, 0) + array.astype("<f8").view(np.uint8).reshape(len(array), 8).T.tobytes()


def get_floats(data: bytes) -> list[float]:
    """Inverse of `put_floats`."""
    count, flags, _, decimals, _ = HEAD.unpack_from(data)
    if flags & RAW:
        if count > MAX_COUNT:
            raise ValueError("a column is too long to be one")
        planes = np.frombuffer(data, np.uint8, count * 8, HEAD.size).reshape(8, count)
        return [float(v) for v in np.ascontiguousarray(planes.T).view("<f8").reshape(count).tolist()]
    values, _, least = _read(data)
    return [float(v) for v in ((values + least) / 10.0 ** min(decimals, DECIMALS)).tolist()]


def put_words(values: Sequence[str | None]) -> bytes:
    """Strings, or None, as bytes: the distinct ones once."""
    place: dict[str, int] = {}
    numbers = [None if v is None else place.setdefault(v, len(place)) for v in values]
    words = json.dumps(list(place), separators=(",", ":")).encode()
    return struct.pack("<I", len(words)) + words + put_ints(numbers)


def get_words(data: bytes) -> list[Any]:
    """Inverse of `put_words`: strings, None where it was."""
    (size,) = struct.unpack_from("<I", data)
    words = json.loads(data[4 : 4 + size])
    return [None if i is None else words[i] for i in get_ints(data[4 + size :])]


def join(parts: Sequence[bytes]) -> bytes:
    """Several columns as one piece."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def split(data: bytes) -> list[bytes]:
    """Inverse of `join`."""
    parts, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        parts.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(data):
        raise ValueError("a piece is cut short")
    return parts
