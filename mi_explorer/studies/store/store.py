"""The store: studies, cells, questions and finished samples in one SQLite file per home folder.

Samples are keyed by what they depend on and shared by all studies, so nothing finished is ever made twice. Several threads
and processes may read and write. Every write is one transaction: after kill −9 a sample is there in full or not at all.
"""

import json
import os
import platform
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Self

from mi_explorer.errors import UserError
from mi_explorer.parquet_check import check_parquet
from mi_explorer.paths import ASSETS
from mi_explorer.recipe_io import to_key_dict
from mi_explorer.studies.plan import Item, Plan
from mi_explorer.studies.store.reader import FOREIGN, CellRow, Reader, StudyInfo
from mi_explorer.studies.store.sample import COLUMNS, Sample
from mi_explorer.studies.store.schema import FILE_NAME, MEMORY, StoreError, StoreLocked, connect, faults, home_folder
from mi_explorer.studies.store.stored_probes import StoredProbes
from mi_explorer.studies.store.study_file import StudyFile, is_study_file, read_as_ours
from mi_explorer.untyped import JsonMapping, SqlValue

__all__ = ["FOREIGN", "CellRow", "Reader", "Store", "StudyInfo"]
_OPENING = threading.Lock()


class Store(Reader):
    """One store file. Use `Store.open` (home folder) or `Store(path)`; close it, or use it as a context manager.

    With `readonly` also a study file (see `study_file`), which then reads like any other store.
    """

    def __init__(self, path: str | Path, readonly: bool = False, origin: str | None = None) -> None:
        """`origin`: what every study of this file is said to be, whatever it was where it was made."""
        self.path, self.readonly, self.origin = Path(path), readonly, origin
        self._file: StudyFile | None = None
        if readonly and is_study_file(self.path):
            self._file, shared = _opened(self.path)
            self._db, self._lock = shared._db, shared._lock
        else:
            self._db = connect(self.path, readonly)
            self._lock = threading.RLock()

    @classmethod
    def open(cls, home: str | Path | None = None) -> "Store":
        """The store of a home folder (default: see `schema.home_folder`), made if it is not there."""
        return cls(home_folder(home) / FILE_NAME)

    @classmethod
    def open_to_read(cls, home: str | Path | None = None) -> "Store":
        """The store of a home folder for a command that only reads; also where the folder may not be written."""
        path = home_folder(home) / FILE_NAME
        try:
            return cls(path)
        except StoreLocked:
            if not os.access(path, os.R_OK):
                raise
            return cls(path, readonly=True)

    def close(self) -> None:
        if self._file is None:  # a study file's rows are shared by all who have it open
            with self._lock:
                self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- plumbing ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self.readonly:
            raise StoreError(f"{self.path} is opened for reading only.")
        with self._lock, faults(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled back by itself
                    self._db.execute("ROLLBACK")
                raise

    def _write(self, *statements: tuple[str, Sequence[SqlValue]]) -> None:
        """Run statements in one transaction."""
        with self._transaction() as db:
            for sql, values in statements:
                db.execute(sql, values)

    def begin_run(self, device: str, dtype: str, versions: dict[str, str], command: str = "") -> int:
        """Note who makes samples from now on: machine, device, dtype, versions. Returns the run's id, for `add`."""
        return self.put_run(
            {
                "token": secrets.token_hex(8),
                "started": time.time(),
                "host": platform.node(),
                "device": device,
                "dtype": dtype,
                "versions": versions,
                "command": command,
            }
        )

    def put_run(self, run: JsonMapping) -> int:
        """Note a run (of this machine, or from an import); returns its id here. Known tokens are not noted twice."""
        self._write(
            (
                "INSERT OR IGNORE INTO runs(token, started, host, device, dtype, versions, command) VALUES(?,?,?,?,?,?,?)",
                (
                    str(run["token"]),
                    float(run["started"]),
                    str(run["host"]),
                    str(run["device"]),
                    str(run["dtype"]),
                    json.dumps(run["versions"], sort_keys=True),
                    str(run["command"]),
                ),
            )
        )
        return int(self._rows("SELECT id FROM runs WHERE token = ?", (str(run["token"]),))[0]["id"])

    def put_study(
        self,
        name: str,
        plan: Plan,
        cells: Sequence[CellRow],
        items: Sequence[Item],
        origin: str = "live",
        note: str = "",
    ) -> int:
        """Create a study or bring it to `plan` (which must extend what is there); returns its id."""
        now = time.time()
        statements: list[tuple[str, Sequence[SqlValue]]] = [
            (
                (
                    "INSERT INTO studies(name, plan, origin, note, created, updated) VALUES(?,?,?,?,?,?) "
                    "ON CONFLICT(name) DO UPDATE SET plan = excluded.plan, updated = excluded.updated"
                ),
                (name, plan.json(), origin, note, now, now),
            )
        ]
        find = "(SELECT id FROM studies WHERE name = ?)"
        for place, row in enumerate(cells):
            recipe = row.cell.recipe
            statements.append(
                (
                    "INSERT OR IGNORE INTO cells VALUES(?,?,?,?,?,?,?,?)",
                    (
                        row.key,
                        row.fingerprint,
                        row.dtype,
                        recipe.pair,
                        recipe.method,
                        recipe.lam,
                        json.dumps(to_key_dict(recipe), sort_keys=True),
                        json.dumps(row.cell.decoding.plain(), sort_keys=True),
                    ),
                )
            )
            statements.append(
                (
                    f"INSERT OR REPLACE INTO study_cells VALUES({find},?,?,?,?)",
                    (name, row.key, place, row.cell.label, row.cell.group),
                )
            )
        for place, item in enumerate(items):
            statements.append(
                (
                    "INSERT OR IGNORE INTO items VALUES(?,?,?,?,?,?,?,?,?)",
                    (
                        item.key,
                        item.task,
                        item.id,
                        item.prompt,
                        item.answer,
                        item.kind,
                        item.family,
                        item.level,
                        item.private,
                    ),
                )
            )
            statements.append((f"INSERT OR REPLACE INTO study_items VALUES({find},?,?)", (name, item.key, place)))
        self._write(*statements)
        return self.study(name).id

    def rename(self, name: str, new: str, note: str | None = None) -> None:
        """Give a study another name (and note)."""
        info = self.study(name)
        if not new.strip() or len(new) > 200:
            raise UserError("A study's name must have 1 to 200 characters.")
        if new != name and self.find(new) is not None:
            raise UserError(f"There is already a study {new!r}. Choose another name, or delete that one first.")
        self._write(
            ("UPDATE studies SET name = ?, note = ? WHERE id = ?", (new, info.note if note is None else note, info.id))
        )

    def delete(self, name: str) -> int:
        """Delete a study and the samples that no other study uses; returns how many samples went."""
        info = self.study(name)
        unused = (
            "FROM samples WHERE cell IN (SELECT cell FROM study_cells WHERE study = ?) AND NOT EXISTS (SELECT 1 FROM "
            "study_cells c JOIN study_items i ON i.study = c.study WHERE c.study != ? AND c.cell = samples.cell "
            "AND i.item = samples.item)"
        )
        ids = (info.id, info.id)
        gone = self._rows(f"SELECT count(*) AS n {unused}", ids)[0]["n"]
        self._write(
            (f"DELETE {unused}", ids),
            ("DELETE FROM studies WHERE id = ?", (info.id,)),
            *(
                (
                    f"DELETE FROM {table}s WHERE key NOT IN (SELECT {table} FROM study_{table}s UNION "
                    f"SELECT {table} FROM samples)",
                    (),
                )
                for table in ("cell", "item")
            ),
        )
        return int(gone)

    def add(self, sample: Sample, body: bytes | None, run: int | None = None) -> bool:
        """Save a finished sample in one transaction; False if it was already there (made by another process)."""
        return self.add_many([(sample, body)], run) > 0

    def add_many(self, samples: Iterable[tuple[Sample, bytes | None]], run: int | None = None) -> int:
        """Save many samples in one transaction, all or none; returns how many were new. `run` made them; None: it is not known which."""
        into = f"INSERT OR IGNORE INTO samples({','.join(COLUMNS)}, run) VALUES({','.join('?' * len(COLUMNS))},?)"
        with self._transaction() as db:
            before = db.total_changes
            bodies, now = 0, round(time.time(), 3)
            for sample, body in samples:
                values = [sample.finished or now if name == "finished" else getattr(sample, name) for name in COLUMNS]
                db.execute(into, (*values, run))
                if body is not None:  # also where the sample came before without one (a slim export)
                    bodies += db.execute("INSERT OR IGNORE INTO bodies VALUES(?,?)", (sample.key, body)).rowcount
            return db.total_changes - before - bodies

    def add_probes(self, probes: Iterable[StoredProbes], run: int | None = None) -> int:
        """Save probes of samples that are there, in one transaction; returns how many were new."""
        into = "INSERT OR IGNORE INTO probes SELECT ?,?,?,?,? WHERE EXISTS (SELECT 1 FROM samples WHERE key = ?)"
        with self._transaction() as db:
            before, now = db.total_changes, round(time.time(), 3)
            for one in probes:
                db.execute(into, (one.sample, one.setting, run, one.points_text(), now, one.sample))
            return db.total_changes - before

    def add_by_run(self, samples: Iterable[tuple[Sample, bytes | None]], runs: Mapping[str, JsonMapping]) -> int:
        """Save samples, grouped by the run that made them (by sample key, where it is known); returns how many were new."""
        ids: dict[str, int] = {}
        grouped: dict[int | None, list[tuple[Sample, bytes | None]]] = {}
        for sample, body in samples:
            run = runs.get(sample.key)
            if run is not None and run["token"] not in ids:
                ids[run["token"]] = self.put_run(run)
            grouped.setdefault(ids[run["token"]] if run is not None else None, []).append((sample, body))
        return sum(self.add_many(some, run) for run, some in grouped.items())


def _opened(path: Path) -> tuple[StudyFile, Store]:
    """A study file with its samples as rows in memory, made once per state of the file and shared by all who open it."""
    try:
        state = path.stat()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from None
    with _OPENING, read_as_ours(path):
        return _rows_of_file(path.resolve(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _rows_of_file(path: Path, changed: int, size: int) -> tuple[StudyFile, Store]:
    if not path.is_relative_to(ASSETS):  # what ships with the package is ours
        check_parquet(path)
    file, store = StudyFile(path), Store(MEMORY)
    found, head = file.read(texts=False), file.head
    if head is None:
        store.put_study(found.name, found.plan, found.cells, found.items, "imported")
        store.add_by_run(found.samples, {})
        store.add_probes(found.probes)
        return file, store
    store.put_study(head.name, head.plan, head.cells, head.items, head.origin, head.note)
    store._write(("UPDATE studies SET created = ?, updated = ?", (head.created, head.updated)))
    for run in head.runs:
        store.put_run(run)
    made = {s.key: head.runs[i] for (s, _), i in zip(found.samples, found.runs, strict=True) if i is not None}
    store.add_by_run(found.samples, made)
    store.add_probes(found.probes)
    return file, store
