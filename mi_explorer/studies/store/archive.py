"""The sealed study: one study in one small file that is only read. Format 2 of `.mistudy`; format 1 was a store (SQLite).

    MISTUDY2 · length · head (JSON: study, plan, cells, questions, runs) · figures of all samples · pieces · texts, a block a cell

All parts are packed columns. What follows from something else is not kept: keys and seeds are made anew, a text from its
token ids and the table of token pieces. The head alone tells what the file holds; a trace costs the block of its cell.
Bodies that are not a trace's are kept as they are. A damaged file raises `StoreCorrupt`, a later format `StoreNewer`.
"""

import json
import sqlite3
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from mi_explorer.input_limits import MAX_ROWS, Budget, InputLimitError, regular_size
from mi_explorer.studies.plan import Cell, Item, Plan, digest, sample_seed
from mi_explorer.studies.store.columns import (
    expand,
    get_floats,
    get_ints,
    get_words,
    join,
    put_floats,
    put_ints,
    put_words,
    split,
    squeeze,
)
from mi_explorer.studies.store.sample import Sample
from mi_explorer.studies.store.schema import StoreCorrupt, StoreError, StoreNewer

MAGIC, FORMAT = b"MISTUDY", 2
MAX_PART = 1 << 30
BLOCKS = 32  # unpacked blocks of texts that are kept
WORDS = ("reason", "verdict", "answer")
NUMBERS = ("number", "tokens", "think_tokens", "first_correct", "stable_from", "flips")
FLAGS = ("think_closed", "think_lenient", "truncated", "looped")
TIMES = ("seconds", "finished")
BODY = ("text", "thought", "answer_start", "open", "ids", "logprobs", "ends", "running", "marks")


@dataclass(frozen=True)
class Contents:
    """A study as values. `cells` are (cell, fingerprint, dtype); `made_by` gives the place in `runs` of a sample's key."""

    name: str
    plan: Plan
    cells: Sequence[tuple[Cell, str, str]]
    items: Sequence[Item]
    samples: Sequence[Sample]
    runs: Sequence[Mapping[str, Any]] = ()
    made_by: Mapping[str, int] | None = None
    origin: str = "live"
    note: str = ""
    created: float = 0.0
    updated: float = 0.0


def is_sealed(path: Path) -> bool:
    """Whether the file begins as a sealed study of any format from 2 on."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


# -- writing ------------------------------------------------------------------------------------------------------------


def write(path: Path, study: Contents, bodies: Mapping[str, dict[str, Any]]) -> None:
    """Write a sealed study; `bodies` by sample key, those that shall be kept. Equal studies give equal bytes."""
    keys = [cell.key(fingerprint, dtype) for cell, fingerprint, dtype in study.cells]
    cell_at, item_at = {key: i for i, key in enumerate(keys)}, {item.key: i for i, item in enumerate(study.items)}
    samples = sorted(study.samples, key=lambda s: (cell_at[s.cell], item_at[s.item], s.number))
    for s in samples:
        if s.key != digest("sample", s.cell, s.item, s.number):
            raise StoreError(
                f"A sample of {study.name!r} has a key that does not fit its content; it cannot be sealed."
            )
    by_cell: dict[int, list[dict[str, Any]]] = {}
    for s in samples:
        if s.key in bodies:
            by_cell.setdefault(cell_at[s.cell], []).append(bodies[s.key])
    pieces = _pieces(chain.from_iterable(by_cell.values()))
    parts = {
        "samples": _figures(study, samples, cell_at, item_at, bodies),
        "pieces": join([put_ints(list(pieces)), put_words(list(pieces.values()))]),
    }
    parts |= {f"texts {cell}": _texts(some, pieces) for cell, some in by_cell.items()}
    packed = {name: squeeze(data) for name, data in parts.items()}
    head = {
        "name": study.name, "plan": study.plan.json(), "origin": study.origin, "note": study.note, "created": study.created,
        "updated": study.updated, "samples": len(samples), "texts": sum(map(len, by_cell.values())),
        "cells": [[cell.plain(), fingerprint, dtype] for cell, fingerprint, dtype in study.cells],
        "items": [list(asdict(item).values()) for item in study.items],
        "runs": [dict(run) for run in study.runs],
        "parts": [[name, len(packed[name]), len(data)] for name, data in parts.items()],
    }  # fmt: skip
    text = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    top = squeeze(text)
    with path.open("wb") as file:
        file.write(MAGIC + str(FORMAT).encode() + struct.pack("<II", len(top), len(text)) + top)
        for data in packed.values():
            file.write(data)


def _figures(
    study: Contents,
    samples: Sequence[Sample],
    cell_at: Mapping[str, int],
    item_at: Mapping[str, int],
    bodies: Mapping[str, Any],
) -> bytes:
    made_by = study.made_by or {}
    base = [cell.decoding.seed for cell, _, _ in study.cells]
    return join([
        put_ints([cell_at[s.cell] for s in samples]),
        put_ints([item_at[s.item] for s in samples]),
        put_ints([made_by.get(s.key) for s in samples]),
        put_ints([int(s.key in bodies) for s in samples]),
        put_ints([s.seed - sample_seed(base[cell_at[s.cell]], s.item, s.number) for s in samples]),
        put_ints([s.answer_tokens + s.think_tokens - s.tokens for s in samples]),
        *(put_ints([getattr(s, name) for s in samples]) for name in NUMBERS),
        *(put_ints([int(getattr(s, name)) for s in samples]) for name in FLAGS),
        *(put_words([getattr(s, name) for s in samples]) for name in WORDS),
        *(put_floats([getattr(s, name) for s in samples]) for name in TIMES),
    ])  # fmt: skip


def _pieces(bodies: Iterable[dict[str, Any]]) -> dict[int, str]:
    """The text that each token id gives most often."""
    seen: dict[int, Counter[str]] = {}
    for body in filter(_regular, bodies):
        for token, piece in zip(body["ids"], _cut(body["text"], body["ends"])):
            seen.setdefault(token, Counter())[piece] += 1
    return {token: counts.most_common(1)[0][0] for token, counts in sorted(seen.items())}


def _cut(text: str, ends: Sequence[int]) -> list[str]:
    return [text[a:b] for a, b in zip((0, *ends), ends)]


def _regular(body: dict[str, Any]) -> bool:
    """Whether a body is a trace's own, so that columns can hold it."""

    def whole(*values: Any) -> bool:
        return all(type(v) is int and abs(v) < 2**31 for v in values)

    try:
        return (
            set(body) == set(BODY)
            and isinstance(body["text"], str)
            and type(body["open"]) is bool
            and len(body["thought"]) == 2
            and whole(body["answer_start"], *body["thought"], *body["ids"], *body["ends"])
            and all(type(x) in (int, float) and abs(x) < 2**31 for x in body["logprobs"])
            and len(body["ids"]) == len(body["ends"]) == len(body["logprobs"])
            and list(body["ends"]) == sorted(body["ends"])
            and (body["ends"][0] >= 0 and body["ends"][-1] == len(body["text"]) if body["ends"] else not body["text"])
            and all(len(r) == 4 and whole(r[0]) and isinstance(r[1], str) and isinstance(r[2], str) and (r[3] is None or type(r[3]) is bool)
                    for r in body["running"])
            and all(len(m) == 3 and whole(m[0], m[1]) and isinstance(m[2], str) for m in body["marks"])
        )  # fmt: skip
    except (TypeError, KeyError):
        return False


def _texts(bodies: Sequence[dict[str, Any]], pieces: Mapping[int, str]) -> bytes:
    """One block of bodies; `_bodies` is the inverse."""
    good = [body for body in bodies if _regular(body)]
    odd = [[i, body] for i, body in enumerate(bodies) if not _regular(body)]
    tokens = [(token, piece) for body in good for token, piece in zip(body["ids"], _cut(body["text"], body["ends"]))]
    strange = [i for i, (token, piece) in enumerate(tokens) if pieces[token] != piece]
    running, marks = [r for body in good for r in body["running"]], [m for body in good for m in body["marks"]]
    return join([
        put_ints([len(bodies)]),
        json.dumps(odd, separators=(",", ":")).encode(),
        put_ints([len(body["ids"]) for body in good]),
        put_ints([token for token, _ in tokens]),
        put_floats([x for body in good for x in body["logprobs"]]),
        put_ints(strange),
        put_words([tokens[i][1] for i in strange]),
        put_ints([body["thought"][0] for body in good]),
        put_ints([body["thought"][1] for body in good]),
        put_ints([body["answer_start"] for body in good]),
        put_ints([int(body["open"]) for body in good]),
        put_ints([len(body["running"]) for body in good]),
        put_ints([r[0] for r in running]),
        put_words([r[1] for r in running]),
        put_words([r[2] for r in running]),
        put_ints([None if r[3] is None else int(r[3]) for r in running]),
        put_ints([len(body["marks"]) for body in good]),
        put_ints([m[0] for m in marks]),
        put_ints([m[1] - m[0] for m in marks]),
        put_words([m[2] for m in marks]),
    ])  # fmt: skip


# -- reading ------------------------------------------------------------------------------------------------------------


FAULTS = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    OverflowError,
    MemoryError,
    AttributeError,
    RecursionError,
    struct.error,
    sqlite3.Error,
)


@contextmanager
def read_as_ours(path: Path) -> Iterator[None]:
    """Whatever goes wrong in here means that the file is damaged: `StoreCorrupt`."""
    try:
        yield
    except (StoreError, InputLimitError):
        raise
    except FAULTS as error:
        raise StoreCorrupt(
            f"{path} is damaged or not a sealed study ({error}). It was left as it is; get it once more."
        ) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from None


class Sealed:
    """A sealed study that was opened; the head is read at once, the rest when asked for. Safe under its store's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with read_as_ours(path), path.open("rb") as file:
            mark = file.read(len(MAGIC) + 1)
            if mark != MAGIC + str(FORMAT).encode():
                if mark[:-1] == MAGIC and mark[-1:] > str(FORMAT).encode():
                    raise StoreNewer(
                        f"{path} was written by a newer version of MI Explorer (sealed study of format {mark[-1:].decode('latin1')}, "
                        f"this version knows {FORMAT}). Update with 'git pull' and 'make venv'."
                    )
                raise ValueError("it does not begin as one")
            size, length = struct.unpack("<II", file.read(8))
            if length > MAX_PART:
                raise ValueError("its head is too long")
            head = json.loads(expand(file.read(size), length))
            self.head: dict[str, Any] = head
            self.plan = Plan.of(head["plan"])
            self.count = int(head["samples"])
            self.cells = [(Cell.of(cell), str(fingerprint), str(dtype)) for cell, fingerprint, dtype in head["cells"]]
            self.items = [Item(*values) for values in head["items"]]
            if not all(isinstance(head[word], str) for word in ("name", "origin", "note")):
                raise ValueError("its name is no text")
            if self.count > MAX_ROWS:
                raise ValueError("it says that it holds more samples than any study has")
            budget = Budget(path.name, regular_size(path))
            for _, _, unpacked in head["parts"]:
                budget.spend(abs(int(unpacked)))
            starts = accumulate((part[1] for part in head["parts"]), initial=file.tell())
            self._parts = {name: (start, size, length) for (name, size, length), start in zip(head["parts"], starts)}
        self.texted: dict[str, tuple[int, int]] = {}  # sample key → cell, place in its block
        self._blocks: OrderedDict[int, list[dict[str, Any]]] = OrderedDict()
        self._pieces: dict[int, str] | None = None

    def _part(self, name: str) -> list[bytes]:
        start, size, length = self._parts[name]
        if length > MAX_PART:
            raise ValueError("a part is too long")
        with self.path.open("rb") as file:
            file.seek(start)
            return split(expand(file.read(size), length))

    def samples(self) -> tuple[list[Sample], list[int | None]]:
        """All samples with the place of their runs in `head["runs"]`; afterwards `body` knows where their texts are."""
        with read_as_ours(self.path):
            columns = self._part("samples")
            cells, items, runs, texted, seeds, answer_tokens = (get_ints(column) for column in columns[:6])
            names = (*NUMBERS, *FLAGS, *WORDS, *TIMES)
            getters = [get_ints] * (len(NUMBERS) + len(FLAGS)) + [get_words] * len(WORDS) + [get_floats] * len(TIMES)
            values: dict[str, list[Any]] = {
                name: get(column) for name, get, column in zip(names, getters, columns[6:], strict=True)
            }
            values |= {name: [bool(v) for v in values[name]] for name in FLAGS}
            if {len(v) for v in (cells, items, runs, texted, seeds, answer_tokens, *values.values())} != {self.count}:
                raise ValueError("its columns are not of one length")
            keys = [cell.key(fingerprint, dtype) for cell, fingerprint, dtype in self.cells]
            asked = [item.key for item in self.items]
            out, places = [], Counter[int]()
            for i in range(self.count):
                c, item = cells[i], asked[items[i]]
                row = {name: column[i] for name, column in values.items()}
                key = digest("sample", keys[c], item, row["number"])
                seed = sample_seed(self.cells[c][0].decoding.seed, item, row["number"]) + seeds[i]
                rest = row["tokens"] - row["think_tokens"] + answer_tokens[i]
                out.append(Sample(key=key, cell=keys[c], item=item, seed=seed, answer_tokens=rest, **row))
                if texted[i]:
                    self.texted[key] = (c, places[c])
                    places[c] += 1
            return out, runs

    def body(self, key: str) -> dict[str, Any] | None:
        """Text and token marks of a sample (see `samples.body_of`); None if they were not kept."""
        place = self.texted.get(key)
        if place is None:
            return None
        cell, i = place
        if cell not in self._blocks:
            with read_as_ours(self.path):
                if self._pieces is None:
                    tokens, words = self._part("pieces")
                    self._pieces = dict(zip(get_ints(tokens), get_words(words), strict=True))
                self._blocks[cell] = _bodies(self._part(f"texts {cell}"), self._pieces)
            while len(self._blocks) > BLOCKS:
                self._blocks.popitem(last=False)
        with read_as_ours(self.path):
            return json.loads(json.dumps(self._blocks[cell][i]))  # a copy: what the caller does to it stays there


def _bodies(columns: list[bytes], pieces: Mapping[int, str]) -> list[dict[str, Any]]:
    """Inverse of `_texts`."""
    number = [get_ints(columns[i]) for i in (0, 2, 3, 5, 7, 8, 9, 10, 11, 12, 15, 16, 17, 18)]
    (total,), lengths, ids, strange, first, last, starts, opened, runs, r_token, r_right, marked, m_start, m_length = (
        number
    )
    logprobs, odd_pieces = get_floats(columns[4]), get_words(columns[6])
    r_answer, r_sign, m_group = (get_words(columns[i]) for i in (13, 14, 19))
    spelled = [pieces[token] for token in ids]
    for at, piece in zip(strange, odd_pieces, strict=True):
        spelled[at] = piece
    running = [
        [t, a, s, None if r is None else bool(r)] for t, a, s, r in zip(r_token, r_answer, r_sign, r_right, strict=True)
    ]
    marks = [[a, a + n, g] for a, n, g in zip(m_start, m_length, m_group, strict=True)]
    out: list[dict[str, Any]] = []
    token = run = mark = 0
    for i, length in enumerate(lengths):
        stop = token + length
        body = {
            "text": "".join(spelled[token:stop]), "thought": [first[i], last[i]], "answer_start": starts[i], "open": bool(opened[i]),
            "ids": ids[token:stop], "logprobs": logprobs[token:stop], "ends": list(accumulate(map(len, spelled[token:stop]))),
            "running": running[run : run + runs[i]], "marks": marks[mark : mark + marked[i]],
        }  # fmt: skip
        out.append(body)
        token, run, mark = stop, run + runs[i], mark + marked[i]
    for i, body in json.loads(columns[1]):
        out.insert(i, body)
    if len(out) != total:
        raise ValueError("a block does not hold as many texts as it says")
    return out
