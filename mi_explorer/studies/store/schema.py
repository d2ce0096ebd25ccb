"""The store's file: where it lives, its schema and migrations, how it is opened, and what its faults are called.

SQLite in WAL mode; `PRAGMA user_version` is the schema's number, `application_id` marks the file as ours. Migrations only
go forward and run in one transaction; a file from a newer version is refused and left as it is.
"""

import os
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mi_explorer.errors import UserError

APPLICATION = 0x4D494558  # "MIEX"
BUSY_SECONDS = 20.0
FILE_NAME = "studies.db"
MEMORY = ":memory:"  # in place of a path: a store that is gone with its process

MIGRATIONS = (
    """
    CREATE TABLE runs(
        id INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, started REAL NOT NULL, host TEXT NOT NULL, device TEXT NOT NULL,
        dtype TEXT NOT NULL, versions TEXT NOT NULL, command TEXT NOT NULL DEFAULT '');
    CREATE TABLE studies(
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, plan TEXT NOT NULL, origin TEXT NOT NULL DEFAULT 'live',
        note TEXT NOT NULL DEFAULT '', created REAL NOT NULL, updated REAL NOT NULL);
    CREATE TABLE cells(
        key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, dtype TEXT NOT NULL, pair TEXT NOT NULL, method TEXT NOT NULL,
        lam REAL NOT NULL, recipe TEXT NOT NULL, decoding TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE items(
        key TEXT PRIMARY KEY, task TEXT NOT NULL, id TEXT NOT NULL, prompt TEXT NOT NULL, answer TEXT NOT NULL,
        kind TEXT NOT NULL, family TEXT NOT NULL, level INTEGER NOT NULL, private INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE study_cells(
        study INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE, cell TEXT NOT NULL REFERENCES cells,
        position INTEGER NOT NULL, label TEXT NOT NULL, grp TEXT NOT NULL, PRIMARY KEY(study, cell)) WITHOUT ROWID;
    CREATE TABLE study_items(
        study INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE, item TEXT NOT NULL REFERENCES items,
        position INTEGER NOT NULL, PRIMARY KEY(study, item)) WITHOUT ROWID;
    CREATE TABLE samples(
        key TEXT PRIMARY KEY, cell TEXT NOT NULL REFERENCES cells, item TEXT NOT NULL REFERENCES items, number INTEGER NOT NULL,
        seed INTEGER NOT NULL, run INTEGER REFERENCES runs, reason TEXT NOT NULL, verdict TEXT, answer TEXT,
        tokens INTEGER NOT NULL, think_tokens INTEGER NOT NULL, answer_tokens INTEGER NOT NULL,
        think_closed INTEGER NOT NULL, think_lenient INTEGER NOT NULL, truncated INTEGER NOT NULL, looped INTEGER NOT NULL,
        first_correct INTEGER, stable_from INTEGER, flips INTEGER NOT NULL, seconds REAL NOT NULL, finished REAL NOT NULL);
    CREATE TABLE bodies(key TEXT PRIMARY KEY REFERENCES samples ON DELETE CASCADE, body BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX samples_of_cell ON samples(cell, item, number);
    """,
    """
    CREATE TABLE probes(
        sample TEXT NOT NULL REFERENCES samples ON DELETE CASCADE, setting TEXT NOT NULL, run INTEGER REFERENCES runs,
        points TEXT NOT NULL, finished REAL NOT NULL, PRIMARY KEY(sample, setting)) WITHOUT ROWID;
    """,
)
PROBES_SINCE = 2  # the schema that first had probes
TABLES = {"runs", "studies", "cells", "items", "study_cells", "study_items", "samples", "bodies"}


class StoreError(UserError):
    """Something is wrong with the store's file. Nothing that was saved is changed by it."""


class StoreFull(StoreError):
    """The disk (or a quota) has no room for another sample."""


class StoreLocked(StoreError):
    """Another process has held the file for too long, or it may not be written."""


class StoreCorrupt(StoreError):
    """The file is not a store, or is damaged."""


class StoreNewer(StoreError):
    """The file was written by a newer version."""


def home_folder(home: str | Path | None = None) -> Path:
    """The home folder: the argument, else `MI_EXPLORER_HOME`, else the user's data folder for this system."""
    given = home or os.environ.get("MI_EXPLORER_HOME")
    if given:
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mi-explorer"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "mi-explorer"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mi-explorer"


def fault_name(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


@contextmanager
def faults(path: str | Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with what, why and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        name = fault_name(error)
        if name == "SQLITE_FULL":
            raise StoreFull(
                f"No room to write {path}: the disk or a quota is full. Finished samples are safe; free some space "
                "and run the same command again."
            ) from None
        if name.startswith("SQLITE_IOERR"):
            raise StoreFull(
                f"{path} cannot be read or written ({error}): a full or failing disk. Finished samples are safe; "
                "mend that and run the same command again."
            ) from None
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreLocked(
                f"{path} has been locked by another process for {BUSY_SECONDS:.0f} s. Wait for that process (a "
                "backup, a database browser?) or set MI_EXPLORER_HOME to another folder."
            ) from None
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            raise StoreLocked(
                f"{path} cannot be opened for writing. Check the folder's permissions or set MI_EXPLORER_HOME to "
                "a folder of your own."
            ) from None
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or re.search("no such|decode to UTF-8", str(error)):
            raise StoreCorrupt(
                f"{path} is damaged or not a store of MI Explorer ({error}). It was left as it is: move it aside "
                "(a new one is made), and import what you exported."
            ) from None
        raise
    except UnicodeDecodeError:  # SQLite quotes damaged bytes in its message
        raise StoreCorrupt(
            f"{path} is damaged. It was left as it is: move it aside (a new one is made), and import what you exported."
        ) from None
    except UnicodeEncodeError:
        raise StoreError(
            "A text holds half of a character (a lone surrogate), which no file can keep. Take it out and try again."
        ) from None


@contextmanager
def damage_as_corrupt(path: str | Path) -> Iterator[None]:
    """Values that were read but cannot be ours mean that the file is damaged: `StoreCorrupt`."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreCorrupt(
            f"{path} is damaged ({type(error).__name__}: {str(error)[:80]}). It was left as it is: move it aside (a new one "
            "is made), and import what you exported."
        ) from None


def connect(path: Path, readonly: bool = False) -> sqlite3.Connection:
    """Open (and create or migrate) the store at `path`. Raises `StoreError` subclasses; never alters a file it refuses.

    Only SQLite may open the file: closing any other handle on it would drop this process's locks (POSIX), and another process
    could then clear the log under us.
    """
    if str(path) == MEMORY:
        db = sqlite3.connect(MEMORY, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        _migrate(db)
        return db
    try:
        fresh = not path.exists()
        odd = not fresh and not path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, or a circle of links
        raise StoreLocked(
            f"{str(path)[:80]!r}… cannot be opened ({getattr(error, 'strerror', None) or error}). Set MI_EXPLORER_HOME to another folder."
        ) from None
    if odd:  # a pipe would block whoever opens it, a device never ends
        raise StoreCorrupt(f"{path} is no regular file, so it is no store. Move it aside.")
    if readonly and fresh:
        raise StoreError(f"There is no file {path}.")
    if not readonly:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise StoreLocked(
                f"The folder {path.parent} cannot be made ({getattr(error, 'strerror', error)}). "
                "Set MI_EXPLORER_HOME to a folder of your own."
            ) from None
    with faults(path):
        mode = "mode=ro" if readonly else "mode=rwc"
        if readonly and not os.access(path.parent, os.W_OK) and not _has_log(path):
            mode += "&immutable=1"  # SQLite would make a file beside it
        uri = f"{Path(os.path.realpath(path)).as_uri()}?{mode}"
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA trusted_schema = OFF")
            _check(db, path)
            if readonly:
                _check_made_here(db, path)
            if not readonly:
                log_ahead(db)
                db.execute(
                    "PRAGMA synchronous = NORMAL"
                )  # survives kill -9; after a power cut the last commits may be gone
                db.execute("PRAGMA foreign_keys = ON")
                _migrate(db)
        except BaseException:
            db.close()
            raise
        return db


def _has_log(path: Path) -> bool:
    """Whether a write-ahead log with content lies beside the file."""
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def log_ahead(db: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. SQLite does not wait while another process switches the same new file: it is busy at once."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Refuse files that are not ours, are newer, or carry anything but our tables and indexes."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    known = {row["name"]: row["type"] for row in db.execute("SELECT name, type FROM sqlite_master")}
    if not known and version == 0:
        return
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION or not set(known) >= TABLES:
        raise StoreCorrupt(f"{path} is an SQLite file, but not a store of MI Explorer. It was left as it is.")
    if version > len(MIGRATIONS):
        raise StoreNewer(
            f"{path} was written by a newer version of MI Explorer (schema {version}, this version knows "
            f"{len(MIGRATIONS)}). It was left as it is: update with 'git pull' and 'make venv'."
        )
    odd = [name for name, kind in known.items() if kind not in ("table", "index")]
    if odd:
        raise StoreCorrupt(f"{path} contains {odd[0]!r}, which no store of ours has; it is not opened.")


def _check_made_here(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a file from elsewhere whose tables are not word for word ours: a computed column would run at every reading."""
    ours = sqlite3.connect(":memory:")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        for script in MIGRATIONS[:version]:
            ours.executescript(script)
        known = set(ours.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    finally:
        ours.close()
    found = {
        (row["name"], row["sql"]) for row in db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    }
    odd = sorted(name for name, _ in found - known if not name.startswith("sqlite_stat"))
    if odd:
        raise StoreCorrupt(f"{path}: {odd[0][:80]!r} is not made as in a store of ours; the file is not read.")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 512 << 20)


def _migrate(db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")  # only one process migrates; the others wait here and then find nothing left to do
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        for script in MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # what went wrong may have ended the transaction
            db.execute("ROLLBACK")
        raise
