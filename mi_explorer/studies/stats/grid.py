"""Samples as arrays: cells × questions × samples, padded, so that every statistic is one pass over them.

A sample is anything with the fields of `FIELDS` (a store's row, a dict, a data frame's columns). Cells and questions keep
the order in which they come; a cell may lack questions, a question may have fewer samples than another.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import attrgetter

import numpy as np

from mi_explorer.errors import UserError
from mi_explorer.tasks.verify import WHOLE, canonical
from mi_explorer.untyped import Json, JsonObject, LibraryObject

NUMBERS = ("tokens", "think_tokens")
FLAGS = ("think_closed", "think_lenient", "truncated", "looped")
FIELDS = ("cell", "item", "number", "verdict", "answer", *NUMBERS, *FLAGS, "first_correct", "flips")
DEFAULTS: JsonObject = {"answer": None, "think_tokens": 0, "think_lenient": None, "truncated": False, "looped": False,
                            "first_correct": None, "flips": 0, "think_closed": False}  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Arrays of shape [cells, questions, samples]; `present` marks what was sampled, everything else is 0 there.

    `answers` numbers the distinct answers (-1: none; equal canonical form, equal number); `first_correct` is in tokens, NaN
    where the answer was never right. `judged`: the questions have gold answers.
    """

    cells: tuple[str, ...]
    questions: tuple[str, ...]
    present: np.ndarray
    correct: np.ndarray
    answers: np.ndarray
    tokens: np.ndarray
    think_tokens: np.ndarray
    think_closed: np.ndarray
    think_lenient: np.ndarray
    truncated: np.ndarray
    looped: np.ndarray
    first_correct: np.ndarray
    flips: np.ndarray
    judged: bool = True
    votes: bool = True  # False: answers are whole responses, which nobody can vote on

    @cached_property
    def n(self) -> np.ndarray:
        """Samples per cell and question, [cells, questions]."""
        return np.asarray(self.present.sum(axis=2))

    @cached_property
    def asked(self) -> np.ndarray:
        """Whether the cell has the question at all, [cells, questions]."""
        return self.n > 0

    def pick(self, cells: Sequence[int] | None = None, questions: Sequence[int] | None = None) -> "Grid":
        """The grid of some cells and questions, by index."""
        rows = slice(None) if cells is None else list(cells)
        columns = slice(None) if questions is None else list(questions)
        arrays: JsonObject = {
            f.name: getattr(self, f.name)[rows][:, columns]
            for f in fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        names = self.cells if cells is None else tuple(self.cells[i] for i in cells)
        asked = self.questions if questions is None else tuple(self.questions[i] for i in questions)
        return replace(self, cells=names, questions=asked, **arrays)

    def index(self, cell: str | int) -> int:
        return cell if isinstance(cell, int) else self.cells.index(cell)

    @staticmethod
    def of(
        samples: LibraryObject, cells: Sequence[str] | None = None, kinds: Mapping[str, str] | None = None
    ) -> "Grid":
        """The grid of an iterable of samples or a data frame; `cells` fixes which cells and their order.

        `kinds` gives the kind of answer by question id, where votes should know it (default `auto`). Raises `UserError` if
        there is no sample.
        """
        columns = _columns(samples)
        if not len(columns["cell"]):
            raise UserError("There are no samples yet, so there is nothing to measure.")
        names, c = _factorize(columns["cell"], cells)
        questions, q = _factorize(columns["item"])
        keep = c >= 0
        if not keep.any():
            raise UserError("None of these cells has a sample yet.")
        c, q = c[keep], q[keep]
        columns = {name: values[keep] for name, values in columns.items()}
        order = np.lexsort((columns["number"].astype(np.int64), q, c))
        c, q = c[order], q[order]
        columns = {name: values[order] for name, values in columns.items()}
        first = np.concatenate(([True], (c[1:] != c[:-1]) | (q[1:] != q[:-1])))
        starts = np.flatnonzero(first)
        k = np.arange(len(c)) - np.repeat(starts, np.diff(np.append(starts, len(c))))
        shape = (len(names), len(questions), int(k.max()) + 1)

        def spread(values: np.ndarray, fill: Json, dtype: LibraryObject) -> np.ndarray:
            out = np.full(shape, fill, dtype)
            out[c, q, k] = values.astype(dtype)
            return out

        verdict = columns["verdict"]
        lenient = np.array(
            [
                strict if given is None else given
                for given, strict in zip(columns["think_lenient"], columns["think_closed"])
            ]
        )
        right = columns["first_correct"]
        kind_of_item = [(kinds or {}).get(name, "auto") for name in questions]
        return Grid(
            names, questions,
            present=spread(np.ones(len(c)), False, bool),
            correct=spread(verdict == "correct", False, bool),
            answers=spread(_numbered(columns["answer"], q, kind_of_item), -1, np.int64),
            tokens=spread(columns["tokens"], 0, np.float64),
            think_tokens=spread(columns["think_tokens"], 0, np.float64),
            think_closed=spread(columns["think_closed"], False, bool),
            think_lenient=spread(lenient, False, bool),
            truncated=spread(columns["truncated"], False, bool),
            looped=spread(columns["looped"], False, bool),
            first_correct=spread(np.array([np.nan if x is None else x for x in right], dtype=np.float64), np.nan, np.float64),
            flips=spread(columns["flips"], 0, np.float64),
            judged=any(v is not None for v in verdict.tolist()),
            votes=not any(kind in WHOLE for kind in kind_of_item),
        )  # fmt: skip


def _columns(samples: LibraryObject) -> dict[str, np.ndarray]:
    """One object array a field."""
    if hasattr(samples, "columns"):
        known = set(samples.columns)
        columns = {
            name: samples[name].tolist() if name in known else [DEFAULTS[name]] * len(samples) for name in FIELDS
        }
        columns = {
            name: [None if isinstance(v, float) and math.isnan(v) else v for v in values]
            for name, values in columns.items()
        }
    else:
        rows = list(samples) if isinstance(samples, Iterable) else []
        plain = bool(rows) and isinstance(rows[0], Mapping)
        columns = {}
        for name in FIELDS:
            if plain:
                columns[name] = [row.get(name, DEFAULTS[name]) if name in DEFAULTS else row[name] for row in rows]
            else:
                columns[name] = list(map(attrgetter(name), rows))
    return {name: _objects(values) for name, values in columns.items()}


def _objects(values: Sequence[object]) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _factorize(values: np.ndarray, known: Sequence[str] | None = None) -> tuple[tuple[str, ...], np.ndarray]:
    """Distinct values in order of appearance (or `known`) and the index of each value; -1 for unknown ones."""
    names = dict.fromkeys(known if known is not None else values.tolist())
    index = {name: i for i, name in enumerate(names)}
    return tuple(names), np.array([index.get(v, -1) for v in values.tolist()], dtype=np.int64)


def _numbered(answers: np.ndarray, question: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """A number per distinct canonical answer; -1 for none. Each spelling is made canonical once."""
    spelled: dict[tuple[object, str], int] = {}
    numbers: dict[str, int] = {}
    out = np.empty(len(answers), dtype=np.int64)
    for i, (answer, q) in enumerate(zip(answers.tolist(), question.tolist())):
        key = (answer, kinds[q])
        if key not in spelled:
            form = canonical(str(answer), kinds[q]) if answer is not None else ""
            spelled[key] = numbers.setdefault(form, len(numbers)) if form else -1
        out[i] = spelled[key]
    return out
