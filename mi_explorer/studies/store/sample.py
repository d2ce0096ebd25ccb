"""One finished sample as a value: the columns that statistics need, and a compressed body with text and token marks."""

import json
import zlib
from dataclasses import dataclass, fields
from typing import cast

from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.generation.traces import Mark, RunningAnswer, Trace
from mi_explorer.generation.traces.response_trace import Finish
from mi_explorer.untyped import JsonObject

MAX_BODY = 64 << 20  # a body that grows beyond this when unpacked is a bomb, not a trace


@dataclass(frozen=True)
class Sample:
    """Columns of the store's `samples` table. `verdict` is None where the question has no gold answer; times in seconds."""

    key: str
    cell: str
    item: str
    number: int
    seed: int
    reason: str
    verdict: str | None
    answer: str | None
    tokens: int
    think_tokens: int
    answer_tokens: int
    think_closed: bool
    think_lenient: bool
    truncated: bool
    looped: bool
    first_correct: int | None
    stable_from: int | None
    flips: int
    seconds: float
    finished: float = 0.0

    @property
    def correct(self) -> bool:
        return self.verdict == "correct"


COLUMNS = tuple(f.name for f in fields(Sample))


def pack(body: JsonObject) -> bytes:
    """A body as compressed JSON."""
    return zlib.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), 6)


def unpack(data: bytes, most: int = MAX_BODY) -> JsonObject:
    """Inverse of `pack`; refuses damaged and oversized data (above `most` bytes)."""
    unzip = zlib.decompressobj()
    try:
        text = unzip.decompress(data, max(1, min(most, MAX_BODY)))
        if unzip.unconsumed_tail or not unzip.eof:
            raise UserError("A stored trace is cut short or too large to be one; it is not read.")
        body = json.loads(text)
    except (zlib.error, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"A stored trace is damaged ({error}).") from None
    if not isinstance(body, dict):
        raise UserError("A stored trace is damaged (it is not an object).")
    return body


def body_of(snapshot: Snapshot) -> JsonObject:
    """What is kept of a trace besides its columns: text and its parts, token ids and log-probs, running answers, markers."""
    trace = snapshot.trace
    return {
        "text": trace.text,
        "thought": list(trace.thought_span),
        "answer_start": trace.answer_start,
        "open": trace.think_open,
        "ids": list(trace.ids),
        "logprobs": [round(x, 3) for x in trace.logprobs],
        "ends": list(trace.ends),
        "running": [list(r) for r in trace.running_answers],
        "marks": [list(m) for m in trace.marks],
    }


def sample_of(snapshot: Snapshot, *, key: str, cell: str, item: str, number: int) -> Sample:
    """The columns of a snapshot that has ended."""
    t = snapshot.trace
    return Sample(
        key,
        cell,
        item,
        number,
        snapshot.decoding.seed,
        str(t.finish or ""),
        snapshot.verdict,
        t.answer,
        t.tokens,
        t.think_tokens,
        t.answer_tokens,
        bool(t.think_closed),
        bool(t.think_lenient),
        bool(t.truncated),
        bool(t.looped),
        t.first_correct,
        t.stable_from,
        int(t.flips),
        round(snapshot.seconds, 4),
    )


def trace_from(sample: Sample, body: JsonObject, gold: str | None = None) -> Trace:
    """The trace of a stored sample, equal to the one that was saved (log-probs to three decimals)."""
    try:
        return Trace(
            str(body["text"]),
            (int(body["thought"][0]), int(body["thought"][1])),
            int(body["answer_start"]),
            tuple(body["ids"]),
            tuple(body["logprobs"]),
            tuple(body["ends"]),
            sample.think_tokens,
            bool(body["open"]),
            sample.think_closed,
            sample.think_lenient,
            sample.looped,
            sample.answer,
            cast(Finish, sample.reason),
            tuple(Mark(*m) for m in body["marks"]),
            tuple(RunningAnswer(*r) for r in body["running"]),
            sample.first_correct,
            sample.stable_from,
            sample.flips,
            gold,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"A stored trace cannot be read: {error!r}.") from None
