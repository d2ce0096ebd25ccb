"""Reflection markers: where a text hesitates, switches or verifies. Prose only: code and LaTeX are masked out.

Three groups, word-bounded and case-insensitive. They are not the think ratio: blends that never close a thought still say
"wait" two to ten times per thousand words.
"""

import re
from typing import NamedTuple

GROUPS = ("reflect", "switch", "verify")
_MARKERS = re.compile(
    r"(?P<verify>\b(?:double[- ]?check|re-?check|re-?verify|verify|check)\b)"
    r"|(?P<switch>\b(?:alternatively|another\s+(?:way|approach|method)|however|instead)\b)"
    r"|(?P<reflect>\b(?:wait|hmm+|oh|again|mistake)\b)",
    re.IGNORECASE,
)
# A dollar opens a formula only before a non-space and closes it only after one and not before a digit (pandoc's rule), so
# that prices stay prose.
_MASKED = re.compile(
    r"```|\$\$|\\\[|\\\]|`[^`\n]*`|\\\([^\n]{0,300}?\\\)|(?<!\\)\$(?=\S)[^$\n]*?(?<=[^\s\\])\$(?!\d)", re.DOTALL
)
_CLOSE = {"```": "```", "$$": "$$", "\\[": "\\]"}
MAX_LINE = 4096  # characters; longer lines are cut at a space, so that a page-long line costs no more than a page


class Mark(NamedTuple):
    """A marker at characters [start, end) of the text, in one of `GROUPS`."""

    start: int
    end: int
    group: str


class MarkerScan:
    """Markers of a text that comes in pieces: `feed` them in any cut, `marks` are those of the whole.

    The open line is scanned again when asked.
    """

    def __init__(self) -> None:
        self.settled: list[Mark] = []  # of the lines that are over
        self._start = 0  # offset of the open line in the text
        self.open_line: list[str] = []  # the pieces of the line that is not over
        self._length = 0
        self._block = ""  # the fence or display formula that we are inside of

    def feed(self, piece: str) -> None:
        while piece:
            newline = piece.find("\n", 0, MAX_LINE - self._length)
            take = newline + 1 if newline >= 0 else min(len(piece), MAX_LINE - self._length)
            self.open_line.append(piece[:take])
            self._length += take
            piece = piece[take:]
            if newline >= 0 or self._length >= MAX_LINE:
                line = "".join(self.open_line)
                cut = len(line) if newline >= 0 else (line.rfind(" ") + 1 or len(line))
                found, self._block = _scan(line[:cut], self._start, self._block)
                self.settled += found
                self._start += cut
                self.open_line, self._length = ([line[cut:]] if cut < len(line) else []), len(line) - cut

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The marks so far, in order."""
        return (*self.settled, *_scan("".join(self.open_line), self._start, self._block)[0])


def _scan(line: str, start: int, block: str) -> tuple[list[Mark], str]:
    """The marks of one line that begins at `start` inside `block`, and the block at its end."""
    prose, at = [], 0
    if block:
        at = line.find(_CLOSE[block])
        if at < 0:
            return [], block
        at += len(_CLOSE[block])
    while match := _MASKED.search(line, at):
        prose.append((at, match.start()))
        at = match.end()
        if match[0] in _CLOSE:
            close = line.find(_CLOSE[match[0]], at)
            if close < 0:
                block = match[0]
                break
            at = close + len(_CLOSE[match[0]])
    else:
        prose.append((at, len(line)))
        block = ""
    marks = [
        Mark(start + m.start(), start + m.end(), str(m.lastgroup))
        for low, high in prose
        for m in _MARKERS.finditer(line, low, high)
    ]
    return marks, block
