"""Token ids to text, a token at a time, such that the pieces joined are what the tokenizer makes of the whole.

A token may hold half a character (byte-level BPE) and its text may depend on its left neighbour (sentence-piece spaces). So
each step decodes a short window, last piece + pending ids, and keeps back an unfinished character at its end. Work per token is
bounded by the window.

`tokenizers.decoders.DecodeStream` is not used: it raises "Invalid prefix" where byte-fallback tokens become invalid UTF-8 (in
Llama-2's vocabulary `<0x0A>` `<0xC3>` `a`), never gives out a character that is unfinished at the end of a response, and
takes no other decoder than a fast tokenizer's.

The one difference to a decoder of the whole: byte-fallback decoders turn all of a run of byte tokens into U+FFFD where one of them
is invalid, so that text which was shown already would change; here only what is invalid is replaced.
"""

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
UNFINISHED = "\ufffd"
MAX_PENDING = 12  # ids; a character has at most 4 bytes, so a longer run is invalid bytes and can be cut somewhere


class Detokenizer:
    """Incremental decoder around `decode` (which must keep special tokens if tags are special tokens)."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._left: list[int] = []  # the ids of the last finished piece: context for the next one
        self._left_text = ""
        self._pending: list[int] = []
        self._given = 0  # characters of the pending ids' text that were given out already

    def add(self, token: int) -> str:
        """The text that became certain with this token: all but an unfinished character at its end."""
        if not self._pending and not self._given:  # nearly always: a token whose text is whole characters
            text = self._decode((*self._left, token))[len(self._left_text) :]
            if not text.endswith(UNFINISHED):
                if text:
                    self._left, self._left_text = [token], self._decode((token,))
                elif not self._left_text and len(self._left) < MAX_PENDING:
                    self._left.append(token)  # "▁" at the beginning shows nothing, but the next token's space
                return text  # a token without text (a hidden special one) leaves the context as it is
        self._pending.append(token)
        text = self._tail(self._pending)
        if not text.endswith(UNFINISHED):
            return self._commit(len(self._pending), text)
        if len(self._pending) >= MAX_PENDING:
            for cut in range(len(self._pending) - 1, 0, -1):
                head = self._tail(self._pending[:cut])
                if head + self._decode(self._pending[cut:]) == text:  # no character spans the cut
                    return self._commit(cut, head)
        certain = text.rstrip(UNFINISHED)
        piece, self._given = certain[self._given :], max(self._given, len(certain))
        return piece

    def flush(self) -> str:
        """What is left when no further token comes."""
        return self._commit(len(self._pending), self._tail(self._pending)) if self._pending else ""

    def _tail(self, ids: list[int]) -> str:
        whole = self._decode(self._left + ids)
        return whole[len(self._left_text) :]

    def _commit(self, count: int, text: str) -> str:
        """The first `count` pending ids are done, their text is `text`; returns what of it was not given out yet."""
        self._left, self._pending = self._pending[:count], self._pending[count:]
        self._left_text = self._decode(self._left)
        piece, self._given = text[self._given :], max(0, self._given - len(text))
        return piece
