"""TraceBuilder: tokens in, a `Trace` at any moment.

What it gives depends neither on how the text was cut into tokens, nor on how many came at once.

Every step is O(1), amortised: decoding looks at a short window, tags and sentence ends are sought in the new piece and a
few characters before it, and the loop check runs at growing lengths.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence

from mi_explorer.generation.traces import answers, loops
from mi_explorer.generation.traces.detokenizer import Decode, Detokenizer
from mi_explorer.generation.traces.markers import MarkerScan
from mi_explorer.generation.traces.response_trace import Finish, RunningAnswer, Trace
from mi_explorer.generation.traces.tags import ThinkTags
from mi_explorer.tasks.verify import WHOLE, canonical, same

# A sentence ends at a newline, or at white space after a full stop with up to two closing quotes or brackets.
_END = re.compile(r"\n|(?<=[.!?])\s|(?<=[.!?][\"')\]*}$])\s|(?<=[.!?][\"')\]*}$]{2})\s")
_LOOKBACK = 3
_FIRST_LOOP_CHECK = 64


class TraceBuilder:
    """One response as it comes. `decode` turns ids into text and keeps special tokens; `gold` and `kind` turn verdicts on.

    `verify(gold, answer, kind)` judges running answers; it must be quick, the default compares canonical forms.
    """

    def __init__(
        self,
        tags: ThinkTags,
        decode: Decode,
        gold: str | None = None,
        kind: str = "auto",
        verify: Callable[[str, str, str], bool] = same,
    ) -> None:
        self.tags, self.gold, self.kind = tags, gold, kind
        self._verify, self._judged = verify, dict[str, bool]()
        self._detok = Detokenizer(decode)
        self._ids: list[int] = []
        self._logprobs: list[float] = []
        self._ends: list[int] = []
        self._pieces: list[str] = []
        self._tag_ids = {tags.open_id, tags.close_id} - {None}
        self._length = 0  # characters
        self._finish: Finish | None = None
        # parts
        self._tail = ""  # the last characters, where a tag may have begun
        self._scanned = 0  # offset up to which tags are settled
        self._open = tags.prefilled
        self._thought = (0, 0)
        self._opened_at = 0  # offset after the opening tag of the last thought
        self._answer_start = 0
        self._think_tokens = 0
        self._closed = self._lenient = False
        # closing tags where no thought was open: (start, end), and the parts as they were before
        self._unopened: list[tuple[int, int, tuple[int, int], int, int]] = []
        # text measures
        self._markers = MarkerScan()
        self._sentence: list[str] = []
        self._sentence_start = 0
        self._running: list[RunningAnswer] = []
        self._key = ""  # the last running answer's canonical form
        self._stable_from: int | None = None
        self._flips = 0
        self._stated = False  # an answer was stated: from then on equations are steps, not answers
        self._answer: str | None = None
        self._looped = False
        self._next_loop_check = _FIRST_LOOP_CHECK

    def add(self, token: int, logprob: float = 0.0) -> None:
        """The next token of the response (the end-of-turn token is not part of it)."""
        self.extend((token,), (logprob,))

    def extend(self, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        """The next tokens, as if added one by one; their text is searched once for all of them, which takes a fifth of the time."""
        if self._finish is not None:
            raise RuntimeError("this response is finished")
        self._logprobs += logprobs
        at = 0
        while at < len(tokens):
            some = tokens[at : at + max(1, self._next_loop_check - len(self._ids))]
            some = some[: next((i + 1 for i, token in enumerate(some) if token in self._tag_ids), len(some))]
            self._add(some)
            at += len(some)

    def _add(self, tokens: Sequence[int]) -> None:
        """Tokens of which only the last may be a tag of one token, or be due for a loop check."""
        pieces, length = [], self._length
        for token in tokens:
            piece = self._detok.add(token)
            pieces.append(piece)
            length += len(piece)
            self._ends.append(length)
        self._ids += tokens
        self._take("".join(pieces))
        if tokens[-1] == self.tags.close_id:  # also where the decoder hides special tokens
            self._close(self._length, self._length, len(self._ids), strict=True)
        elif tokens[-1] == self.tags.open_id and not self._open:
            self._begin(self._length)
        if len(self._ids) >= self._next_loop_check:
            self._looped = loops.looped(self._ids, self._text())
            self._next_loop_check = int(len(self._ids) * 1.25)

    def finish(self, reason: Finish) -> None:
        """No further token comes. Only a response that stopped by itself has an answer."""
        if self._finish is not None:
            return
        self._take(self._detok.flush())
        if self._ends:
            self._ends[-1] = self._length
        self._finish = reason
        text = self._text()
        self._looped = loops.looped(self._ids, text)
        self._undo_unopened(text, reason == "stop")
        if reason == "stop":
            self._sentence_ends(self._length)
            if not self._open:
                self._answer = answers.final_answer(self.tags.without_last(text[self._answer_start :]), self.kind)

    def trace(self) -> Trace:
        """The response so far."""
        running = tuple(self._running)
        return Trace(
            text=self._text(),
            thought_span=(self._opened_at, self._length) if self._open else self._thought,
            answer_start=self._length if self._open else self._answer_start,
            ids=tuple(self._ids),
            logprobs=tuple(self._logprobs),
            ends=tuple(self._ends),
            think_tokens=len(self._ids) if self._open else self._think_tokens,
            think_open=self._open,
            think_closed=self._closed,
            think_lenient=self._lenient,
            looped=self._looped,
            answer=self._answer,
            finish=self._finish,
            marks=self._markers.marks,
            running_answers=running,
            first_correct=next((r.token for r in running if r.correct), None),
            stable_from=self._stable_from,
            flips=self._flips,
            gold=self.gold,
        )

    def _text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def _take(self, piece: str) -> None:
        """Take in a piece of text that became certain with the latest tokens."""
        if not piece:
            return
        start = self._length
        self._pieces.append(piece)
        self._length += len(piece)
        self._markers.feed(piece)
        self._find_tags(piece)
        self._find_sentences(start, piece)

    def _find_tags(self, piece: str) -> None:
        window = self._tail + piece
        offset = self._length - len(window)
        for match in self.tags.pattern.finditer(window, max(0, self._scanned - offset)):
            start, end = offset + match.start(), offset + match.end()
            self._scanned = end
            if match[0] in self.tags.closers:
                if self._open or match[0] not in self.tags.only_when_open:
                    strict = match[0] == self.tags.close and self.tags.close_id is None
                    self._close(start, end, self._token_at(end), strict)
            elif not self._open:
                self._begin(end)
        self._tail = window[-(self.tags.longest - 1) :]

    def _begin(self, offset: int) -> None:
        self._open, self._opened_at = True, offset
        self._unopened.clear()

    def _close(self, start: int, end: int, tokens: int, strict: bool) -> None:
        """A closing tag at characters [start, end), whose last is of token `tokens` (from 1): all before it is thought, opened or not."""
        self._closed |= strict
        self._lenient = True
        if not self._open and end <= self._answer_start:
            return  # seen before, as text and as id
        if not self._open:
            self._unopened.append((start, end, self._thought, self._answer_start, self._think_tokens))
        self._thought = (self._opened_at, max(self._opened_at, start))
        self._open, self._answer_start, self._think_tokens = False, end, tokens

    def _undo_unopened(self, text: str, stopped: bool) -> None:
        """Take back what closed no thought, the last first: a tag that is only spoken of, or that ends the response."""
        while self._unopened:
            start, end, thought, answer_start, think_tokens = self._unopened[-1]
            if not self.tags.named_at(text, start, end) and not (stopped and not self.tags.without_last(text[end:])):
                return
            self._unopened.pop()
            self._thought, self._answer_start, self._think_tokens = thought, answer_start, think_tokens

    def _token_at(self, end: int) -> int:
        """The token (from 1) with which the text up to offset `end` was complete; what the last one kept back is the last one's."""
        return min(bisect_left(self._ends, end) + 1, len(self._ids))

    def _find_sentences(self, start: int, piece: str) -> None:
        before = "".join(self._sentence[-_LOOKBACK:])[-_LOOKBACK:]
        window, offset = before + piece, start - len(before)
        done = start
        for match in _END.finditer(window):
            if match.start() < len(before):
                continue
            end = offset + match.end()
            self._sentence.append(window[done - offset : match.end()])
            self._sentence_ends(end)
            done = end
        if done < start + len(piece):
            self._sentence.append(window[done - offset :])

    def _sentence_ends(self, end: int) -> None:
        """The sentence up to offset `end` is complete: does it give a running answer?"""
        sentence = "".join(self._sentence)
        start, self._sentence_start, self._sentence = self._sentence_start, end, []
        if self.kind in WHOLE:
            return
        at = 0
        for tag in self.tags.pattern.finditer(sentence):  # a tag may follow a full stop without a space
            self._give(sentence[at : tag.start()], start + at)
            at = tag.end()
        self._give(sentence[at:], start + at)

    def _give(self, sentence: str, start: int) -> None:
        """Take the running answer of a sentence that begins at offset `start`, if it gives one."""
        found = answers.running_answer(sentence)
        if not found or found.sign == "equation" and self._stated:
            return
        self._stated |= found.sign != "equation"
        token = self._token_at(start + found.end)
        key = canonical(found.answer, self.kind)
        if not self._running or key != self._key:
            self._flips += bool(self._running)
            self._key, self._stable_from = key, token
        self._running.append(RunningAnswer(token, found.answer, found.sign, self._judge(found.answer)))

    def _judge(self, answer: str) -> bool | None:
        if self.gold is None:
            return None
        if answer not in self._judged:
            self._judged[answer] = self._verify(self.gold, answer, self.kind)
        return self._judged[answer]


def trace_of(
    ids: Sequence[int],
    decode: Decode,
    tags: ThinkTags,
    finish: Finish = "stop",
    gold: str | None = None,
    kind: str = "auto",
    logprobs: Sequence[float] = (),
) -> Trace:
    """The trace of a complete response."""
    builder = TraceBuilder(tags, decode, gold, kind)
    builder.extend(ids, [*logprobs[: len(ids)], *[0.0] * (len(ids) - len(logprobs))])
    builder.finish(finish)
    return builder.trace()


def trace_of_text(
    text: str, tags: ThinkTags | None = None, finish: Finish = "stop", gold: str | None = None, kind: str = "auto"
) -> Trace:
    """The trace of a text without ids: every word with the space before it counts as a token, equal words as the same one."""
    words = re.findall(r"\s*\S+|\s+$", text)
    vocabulary = dict.fromkeys(words)
    ids = {word: i for i, word in enumerate(vocabulary)}
    spelled = list(vocabulary)
    return trace_of(
        [ids[w] for w in words], lambda x: "".join(spelled[i] for i in x), tags or ThinkTags(), finish, gold, kind
    )
