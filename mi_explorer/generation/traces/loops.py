"""Is this response going round in circles? Looped is separate from truncated: either can happen without the other."""

import re
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

REPEATS = 3
MIN_TAIL = 24  # tokens that must repeat: "111" at the end of an answer is a number, not a loop
MAX_PERIOD = 2048  # tokens
MIN_PARAGRAPH = 40  # characters
TAIL_CHARS, ZLIB_RATIO = 4000, 0.12
MIN_ZLIB = 1000  # characters; below this zlib's own overhead decides


def tail_period(ids: Sequence[int]) -> int:
    """Smallest period p of a tail of at least max(3p, 24) tokens; 0 if the tail is not periodic."""
    tail = np.asarray(ids[-REPEATS * MAX_PERIOD :], dtype=np.int64)
    n = len(tail)
    if n < MIN_TAIL:
        return 0
    # Only a period that maps the last token onto an equal one can work: most positions fall out at once.
    for p in np.nonzero(tail[:-1][::-1] == tail[-1])[0] + 1:
        span = max(REPEATS * int(p), MIN_TAIL)
        if span > n:
            return 0
        if np.array_equal(tail[n - span + p :], tail[n - span : n - p]):
            return int(p)
    return 0


def repeated_paragraph(text: str) -> bool:
    """Whether one line or paragraph of at least 40 characters stands there three times or more."""
    lines = Counter(line for line in map(str.strip, re.split(r"\n+", text)) if len(line) >= MIN_PARAGRAPH)
    return any(count >= REPEATS for count in lines.values())


def compresses(text: str) -> bool:
    """Whether the last 4,000 characters compress to under 12 % of their size."""
    tail = text[-TAIL_CHARS:].encode()
    return len(tail) >= MIN_ZLIB and len(zlib.compress(tail, 6)) / len(tail) < ZLIB_RATIO


def looped(ids: Sequence[int], text: str) -> bool:
    """The verdict on a response: its ids and its text."""
    return tail_period(ids) > 0 or compresses(text) or repeated_paragraph(text)
