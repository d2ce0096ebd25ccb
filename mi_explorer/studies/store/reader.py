"""Reading a store: what studies there are, and their cells, questions, samples, texts and runs.

`Reader` is the half of `store.Store` that changes nothing. It needs an open database, a lock, and the study file if the rows
come from one.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from mi_explorer.errors import UserError, unknown
from mi_explorer.studies.plan import Cell, Item, Plan
from mi_explorer.studies.store.sample import COLUMNS, Sample, pack, unpack
from mi_explorer.studies.store.schema import PROBES_SINCE, damage_as_corrupt, faults
from mi_explorer.studies.store.stored_probes import StoredProbes, stored_probes
from mi_explorer.untyped import JsonObject, SqlValue

CHUNK = 500
P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Reader")
FOREIGN = "made with other weights"


@dataclass(frozen=True)
class StudyInfo:
    """One study: its plan, where it came from, and how much of it is there.

    `origin` is "live", "imported", "precomputed", or "precomputed, made with other weights" (`foreign`).
    """

    id: int
    name: str
    plan: Plan
    origin: str
    note: str
    created: float
    updated: float
    samples: int

    @property
    def foreign(self) -> bool:
        """Whether the pair of that name has other weights now than when this was made."""
        return self.origin.endswith(FOREIGN)

    @property
    def units(self) -> int:
        """How many samples the plan asks for."""
        each = [1 if cell.decoding.temperature == 0 else self.plan.samples for cell in self.plan.cells]
        return sum(each) * self.plan.questions


@dataclass(frozen=True)
class CellRow:
    """A cell as a study holds it, with its key in the store."""

    key: str
    cell: Cell
    fingerprint: str
    dtype: str


def _sound(read: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A reading method whose faults mean that the file is damaged."""

    @wraps(read)
    def checked(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with damage_as_corrupt(self.path):
            return read(self, *args, **kwargs)

    return checked


class BodyFile(Protocol):
    """Where the texts of samples are, if not in the database."""

    def body(self, key: str) -> JsonObject | None: ...


class Reader:
    """See the module; `origin`: what every study of this file is said to be, whatever it was where it was made."""

    path: Path
    origin: str | None
    _db: sqlite3.Connection
    _lock: threading.RLock
    _file: BodyFile | None

    def _rows(self, sql: str, values: Sequence[SqlValue] = ()) -> list[sqlite3.Row]:
        with self._lock, faults(self.path):
            return self._db.execute(sql, values).fetchall()

    @_sound
    def studies(self) -> list[StudyInfo]:
        """All studies, newest first."""
        return [self._info(row) for row in self._rows("SELECT * FROM studies ORDER BY updated DESC, id DESC")]

    @_sound
    def study(self, name: str) -> StudyInfo:
        """The study of this name; raises `UserError` with a suggestion if there is none."""
        rows = self._rows("SELECT * FROM studies WHERE name = ?", (name,))
        if not rows:
            names = [row["name"] for row in self._rows("SELECT name FROM studies")]
            raise (
                unknown("study", name, names)
                if names
                else UserError(f"There is no study {name[:80]!r}: no study has been saved here yet. 'sweep' makes one.")
            )
        return self._info(rows[0])

    @_sound
    def find(self, name: str) -> StudyInfo | None:
        """The study of this name, or None."""
        rows = self._rows("SELECT * FROM studies WHERE name = ?", (name,))
        return self._info(rows[0]) if rows else None

    def _info(self, row: sqlite3.Row) -> StudyInfo:
        plan = Plan.of(row["plan"])
        count = self._rows(
            f"SELECT count(*) AS n FROM ({_OF_STUDY.format(columns='s.key')})", (row["id"], plan.samples)
        )[0]["n"]
        return StudyInfo(
            row["id"],
            row["name"],
            plan,
            self.origin or row["origin"],
            row["note"],
            row["created"],
            row["updated"],
            count,
        )

    @_sound
    def cells(self, study: int) -> list[CellRow]:
        """The study's cells in the plan's order."""
        rows = self._named(study, "cell", "t.*, st.label, st.grp")
        return [
            CellRow(
                row["key"],
                Cell.of(
                    {
                        "recipe": json.loads(row["recipe"]),
                        "decoding": json.loads(row["decoding"]),
                        "label": row["label"],
                        "group": row["grp"],
                    }
                ),
                row["fingerprint"],
                row["dtype"],
            )
            for row in rows
        ]

    @_sound
    def items(self, study: int) -> list[Item]:
        """The study's questions in the plan's order."""
        return [_item(row) for row in self._named(study, "item", "t.*")]

    def _named(self, study: int, what: str, columns: str) -> list[sqlite3.Row]:
        """The cells or items that a study names, in its order; `ValueError` where one is not there, for then the file is damaged."""
        rows = self._rows(
            f"SELECT {columns} FROM study_{what}s st LEFT JOIN {what}s t ON t.key = st.{what} WHERE st.study = ? ORDER BY st.position",
            (study,),
        )
        if any(row["key"] is None for row in rows):
            raise ValueError(f"the study names an {what} that is not there")
        return rows

    def have(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` whose samples are finished."""
        keys = list(keys)
        found: set[str] = set()
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            marks = ",".join("?" * len(part))
            found.update(row["key"] for row in self._rows(f"SELECT key FROM samples WHERE key IN ({marks})", part))
        return found

    @_sound
    def samples(self, study: int, cell: str | None = None, item: str | None = None) -> list[Sample]:
        """Finished samples of a study (of one cell, of one question), without bodies, in a stable order."""
        plan = Plan.of(self._rows("SELECT plan FROM studies WHERE id = ?", (study,))[0]["plan"])
        sql = _OF_STUDY.format(columns="s.*")
        values: list[SqlValue] = [study, plan.samples]
        for name, value in (("cell", cell), ("item", item)):
            if value is not None:
                sql += f" AND s.{name} = ?"
                values.append(value)
        return [_sample(row) for row in self._rows(f"{sql} ORDER BY sc.position, si.position, s.number", values)]

    def tokens(self, study: int) -> dict[str, tuple[int, int]]:
        """Per cell of a study that has samples: how many, and their tokens."""
        rows = self._rows(
            "SELECT s.cell, count(*) AS n, sum(s.tokens) AS tokens FROM study_cells sc JOIN samples s "
            "ON s.cell = sc.cell WHERE sc.study = ? GROUP BY s.cell",
            (study,),
        )
        return {row["cell"]: (row["n"], row["tokens"]) for row in rows}

    @_sound
    def sample(self, key: str) -> Sample | None:
        """One sample by its key."""
        rows = self._rows("SELECT * FROM samples WHERE key = ?", (key,))
        return _sample(rows[0]) if rows else None

    @_sound
    def body(self, key: str) -> JsonObject | None:
        """Text and token marks of one sample; None if it was stored without (a slim export)."""
        if self._file is not None:
            with self._lock:
                return self._file.body(key)
        rows = self._rows("SELECT body FROM bodies WHERE key = ?", (key,))
        return unpack(rows[0]["body"]) if rows else None

    @_sound
    def probes(self, study: int, setting: str | None = None) -> list[StoredProbes]:
        """The probes of a study's samples (under one setting), in the order of the samples."""
        rows = self._of_probes(study, setting, "p.sample, p.setting, p.points")
        return [stored_probes(row["sample"], row["setting"], row["points"]) for row in rows]

    def probe_count(self, study: int) -> int:
        """How many of a study's samples have probes, each setting counted."""
        return len(self._of_probes(study, None, "p.sample"))

    def _of_probes(self, study: int, setting: str | None, columns: str) -> list[sqlite3.Row]:
        if self._rows("PRAGMA user_version")[0][0] < PROBES_SINCE:  # a store of before, opened for reading only
            return []
        plan = Plan.of(self._rows("SELECT plan FROM studies WHERE id = ?", (study,))[0]["plan"])
        sql = _OF_STUDY.format(columns=columns).replace(" WHERE ", " JOIN probes p ON p.sample = s.key WHERE ", 1)
        values: list[SqlValue] = [study, plan.samples, *([] if setting is None else [setting])]
        sql += "" if setting is None else " AND p.setting = ?"
        return self._rows(f"{sql} ORDER BY p.setting, sc.position, si.position, s.number", values)

    def run_of(self, keys: Iterable[str]) -> dict[str, int]:
        """Which run made each of these samples."""
        keys, found = list(keys), {}
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            sql = f"SELECT key, run FROM samples WHERE run IS NOT NULL AND key IN ({','.join('?' * len(part))})"
            found.update({row["key"]: row["run"] for row in self._rows(sql, part)})
        return found

    def bodies(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Packed bodies of many samples, a chunk at a time."""
        keys = list(keys)
        if self._file is not None:
            yield from ((key, pack(body)) for key in keys if (body := self.body(key)) is not None)
            return
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            for row in self._rows(f"SELECT key, body FROM bodies WHERE key IN ({','.join('?' * len(part))})", part):
                yield row["key"], row["body"]

    @_sound
    def runs(self, study: int) -> list[JsonObject]:
        """Who made the study's samples: machine, device, dtype, versions, and how many samples and seconds each."""
        rows = self._rows(
            "SELECT r.*, count(*) AS samples, sum(s.seconds) AS seconds FROM samples s JOIN runs r ON r.id = s.run "
            "JOIN study_cells sc ON sc.cell = s.cell AND sc.study = ? GROUP BY r.id ORDER BY r.started",
            (study,),
        )
        return [{**dict(row), "versions": json.loads(row["versions"])} for row in rows]

    def size(self) -> int:
        """Bytes on disk."""
        return sum(os.path.getsize(p) for p in (self.path, Path(f"{self.path}-wal")) if p.exists())


TEXT_COLUMNS = ("key", "cell", "item", "reason", "verdict", "answer")
TEXTS, NUMBERS = (str,), (int, float)
_OF_STUDY = (
    "SELECT {columns} FROM study_cells sc JOIN samples s ON s.cell = sc.cell "
    "JOIN study_items si ON si.study = sc.study AND si.item = s.item WHERE sc.study = ? AND s.number < ?"
)


def _item(row: sqlite3.Row) -> Item:
    names = ("task", "id", "prompt", "answer", "kind", "family", "level")
    item = Item(**{name: row[name] for name in names}, private=bool(row["private"]))
    if item.key != row["key"]:
        raise ValueError("a question is not the one that was asked")
    return item


def _sample(row: sqlite3.Row) -> Sample:
    values = {name: row[name] for name in COLUMNS}
    for name, value in values.items():  # SQLite keeps any type in any column
        if value is not None and not isinstance(value, TEXTS if name in TEXT_COLUMNS else NUMBERS):
            raise ValueError(f"{name} of a sample is {type(value).__name__}")
    for name in ("think_closed", "think_lenient", "truncated", "looped"):
        values[name] = bool(values[name])
    return Sample(**values)
