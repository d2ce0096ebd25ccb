"""Studies in and out of the store: one-file studies (.mistudy), JSONL, CSV, Parquet; merge.

A `.mistudy` file is a sealed study (`study.sealed`) and opens on any machine; those of format 1, stores with one study in
them, are read as before. Every file is written beside its target, brought to the disk, and put in place at the end. What
comes in is untrusted: all of it is checked before anything is saved, and keys are made anew. An import that was cut short
(a full disk) can be repeated.
"""

import csv
import gzip
import io
import json
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mi_explorer.errors import UserError, unknown
from mi_explorer.input_limits import MAX_ROWS, Budget, open_text, parquet_rows, regular_size
from mi_explorer.studies.plan import Plan
from mi_explorer.studies.store.archive import Contents, write
from mi_explorer.studies.store.flat_rows import (
    COLUMN_ORDER,
    RowError,
    check,
    flat,
    keeper,
    redact,
    sample_key,
    shown,
    unflat,
)
from mi_explorer.studies.store.sample import Sample, unpack
from mi_explorer.studies.store.schema import SUFFIX
from mi_explorer.studies.store.store import CellRow, Store

FORMATS = (SUFFIX, ".jsonl", ".jsonl.gz", ".csv", ".parquet")
MAX_LINE = 64 << 20
RUN = ("token", "started", "host", "device", "dtype", "versions", "command")


class ExchangeError(UserError):
    """A file that cannot be written or read as a study."""


def form_of(path: Path) -> str:
    """The format a file name asks for."""
    name = path.name.lower()
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise ExchangeError(f"A study is written as {', '.join(FORMATS)}; {path.name[:80]!r} ends in none of them.")


def export_study(
    store: Store,
    name: str,
    path: str | Path,
    *,
    texts: int | None = None,
    text_questions: int | None = None,
    overwrite: bool = False,
    host: bool = True,
) -> int:
    """Write a study to `path` (format by its ending); returns the samples written.

    `texts`: how many samples of each question and cell keep their text and token marks (None: all, 0: figures only), and
    of how many questions (`text_questions`, None: of all). `host`: whether a `.mistudy` names the machines that made it.
    """
    path, info = Path(path), store.study(name)
    form = form_of(path)
    if path.exists() and not overwrite:
        raise ExchangeError(f"{path} is there already and was left as it was. Choose another name, or say --overwrite.")
    if not path.parent.is_dir():
        raise ExchangeError(f"There is no folder {path.parent}.")
    try:
        with tempfile.TemporaryDirectory(prefix=".study-", dir=path.parent) as folder:
            staged = Path(folder) / ("part" + form)
            if form == SUFFIX:
                count = _write_file(store, name, staged, keeper(store.items(info.id), texts, text_questions), host)
            else:
                count = _write_rows(flat(store, info, texts, text_questions), staged, form)
            settle(staged, path)
    except OSError as error:
        raise ExchangeError(
            f"{path} cannot be written: {error.strerror or error}. Nothing was left half done."
        ) from None
    return count


def settle(staged: Path, path: Path) -> None:
    """Put a finished file in its place, such that after a power cut there is the old one or the whole new one."""
    with staged.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(staged, path)
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:  # a system that does not open folders
        return
    try:
        os.fsync(folder)
    except OSError:  # a file system that does not settle them
        pass
    finally:
        os.close(folder)


def import_study(store: Store, path: str | Path, name: str | None = None, origin: str = "imported") -> tuple[str, int]:
    """Read a study file, or every study of another home's store; returns (name, samples that were new).

    A study of that name in the store grows by it if both ask the same task; a `UserError` says so if not.
    """
    path = Path(path)
    if not path.is_file():
        raise ExchangeError(f"There is no file {path}.")
    if path.suffix == ".db" or form_of(path) == SUFFIX:
        return _read_file(store, path, name, origin)
    rows = _few(_read_rows(path, form_of(path)), path)
    first = next(rows, None)
    if first is None:
        raise RowError(f"{path.name} holds no samples.")

    def chained() -> Iterator[dict[str, Any]]:
        yield first
        yield from rows

    plan, cells, items, samples = unflat(chained(), path.name)
    target = name or str(first.get("study") or path.stem)
    return target, _put(store, target, plan, cells, items, samples, origin)


def merge_studies(store: Store, name: str, sources: Sequence[str]) -> int:
    """Bring files and studies of this store together under `name`; returns the samples that were new there."""
    before = info.samples if (info := store.find(name)) else 0
    for source in sources:
        if Path(source).is_file():
            import_study(store, source, name)
        elif store.find(source):
            other = store.study(source)
            if source != name:
                _register(store, name, other.plan, store.cells(other.id), store.items(other.id), "live")
        else:
            raise ExchangeError(
                f"{source!r} is neither a file nor a study of this store. "
                f"{unknown('study', source, [s.name for s in store.studies()])}"
            )
    return store.study(name).samples - before


# -- one-file studies ---------------------------------------------------------------------------------------------------


def _write_file(store: Store, name: str, path: Path, keeps: Callable[[Sample], bool], host: bool) -> int:
    """A sealed study; gated questions without their content, under keys of what is left of them."""
    info = store.study(name)
    items, samples = store.items(info.id), store.samples(info.id)
    hidden = {item.key: redact(item) for item in items if item.private}
    made_by = store.run_of(s.key for s in samples)
    runs = [run if host else {**run, "host": ""} for run in store.runs(info.id)]
    place = {run["id"]: i for i, run in enumerate(runs)}
    copies, by, kept = [], {}, [s.key for s in samples if keeps(s) and s.item not in hidden]
    for s in samples:
        copy = s
        if s.item in hidden:
            item = hidden[s.item].key
            copy = replace(s, key=sample_key(s.cell, item, s.number), item=item, answer=shown(s.answer, True))
        copies.append(copy)
        if made_by.get(s.key) in place:
            by[copy.key] = place[made_by[s.key]]
    study = Contents(
        name, info.plan, [(row.cell, row.fingerprint, row.dtype) for row in store.cells(info.id)],
        [redact(item) for item in items], copies, [{k: run[k] for k in RUN} for run in runs], by,
        info.origin, info.note, info.created, info.updated,
    )  # fmt: skip
    write(path, study, {key: unpack(body) for key, body in store.bodies(kept)})
    return len(samples)


def _read_file(store: Store, path: Path, name: str | None, origin: str) -> tuple[str, int]:
    try:
        return _read_study(store, path, name, origin)
    except UserError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        # SQLite keeps any type in any column: what is no study of ours shows when it is used, before anything is written
        raise ExchangeError(
            f"{path} is damaged or was changed ({type(error).__name__}: {str(error)[:120]}). Nothing was read."
        ) from None


def _read_study(store: Store, path: Path, name: str | None, origin: str) -> tuple[str, int]:
    budget = Budget(path.name, regular_size(path))
    with Store(path, readonly=True) as source:
        found = source.studies()
        if name is not None and len(found) > 1:
            found = [info for info in found if info.name == name] or found[:0]
        if not found:
            raise ExchangeError(f"{path} holds no study" + (f" {name!r}." if name else "."))
        if len(found) > 1:
            names = ", ".join(info.name for info in found[:8])
            raise ExchangeError(f"{path} holds {len(found)} studies ({names}); say which with --name.")
        info = found[0]
        if not isinstance(info.name, str):
            raise TypeError("its name is no text")
        samples = source.samples(info.id)
        bodies = dict(source.bodies(s.key for s in samples))
        made_by, runs = source.run_of(s.key for s in samples), {run["id"]: run for run in source.runs(info.id)}
        cells, items = source.cells(info.id), source.items(info.id)
    for row in cells:
        if row.key != row.cell.key(row.fingerprint, row.dtype):
            raise ExchangeError(
                f"{path}: a cell's key does not fit its recipe. The file is damaged or was changed; nothing was read."
            )
    cell_keys, item_keys = {row.key for row in cells}, {item.key for item in items}
    for s in samples:
        try:
            check(s)
        except (ValueError, TypeError) as error:
            raise ExchangeError(f"{path}: a sample cannot be right ({error}). Nothing was read.") from None
        if s.cell not in cell_keys or s.item not in item_keys or s.key != sample_key(s.cell, s.item, s.number):
            raise ExchangeError(
                f"{path}: a sample's key does not fit its content. The file is damaged or was changed; nothing was read."
            )
    for body in bodies.values():
        budget.spend(len(unpack(body, budget.left).get("text") or ""))
    pairs = [(s, bodies.get(s.key)) for s in samples]
    return name or info.name, _put(
        store,
        name or info.name,
        info.plan,
        cells,
        items,
        pairs,
        origin,
        info.note,
        {s.key: runs.get(made_by.get(s.key, -1)) for s in samples},
    )


def _put(
    store: Store,
    name: str,
    plan: Plan,
    cells: Sequence[CellRow],
    items: Sequence[Any],
    samples: Sequence[tuple[Sample, bytes | None]],
    origin: str,
    note: str = "",
    runs: dict[str, dict[str, Any] | None] | None = None,
) -> int:
    """Register a study and save its samples, grouped by the run that made them."""
    _register(store, name, plan, cells, items, origin, note)
    ids: dict[str, int] = {}
    grouped: dict[int | None, list[tuple[Sample, bytes | None]]] = {}
    for sample, body in samples:
        run = (runs or {}).get(sample.key)
        if run is not None and run["token"] not in ids:
            ids[run["token"]] = store.put_run(run)
        grouped.setdefault(ids[run["token"]] if run else None, []).append((sample, body))
    return sum(store.add_many(some, run) for run, some in grouped.items())


def _register(
    store: Store, name: str, plan: Plan, cells: Sequence[CellRow], items: Sequence[Any], origin: str, note: str = ""
) -> None:
    old = store.find(name)
    if old:
        plan = old.plan.extended(plan)
        kept, asked = store.cells(old.id), store.items(old.id)
        cells = kept + [c for c in cells if c.key not in {k.key for k in kept}]
        items = [*asked, *(i for i in items if i.key not in {k.key for k in asked})]
    store.put_study(name, plan, cells, items, origin, note)


# -- flat rows ----------------------------------------------------------------------------------------------------------


def _write_rows(rows: Iterator[dict[str, Any]], path: Path, form: str) -> int:
    count = 0
    if form == ".parquet":
        _, parquet = _arrow()
        import pyarrow as pa

        batches: list[dict[str, Any]] = list(rows)
        count = len(batches)
        parquet.write_table(
            pa.Table.from_pylist([{c: row[c] for c in COLUMN_ORDER} for row in batches]), path, compression="zstd"
        )
        return count
    opened: Callable[..., Any] = gzip.open if form.endswith(".gz") else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMN_ORDER) if form == ".csv" else None
        if table:
            table.writeheader()
        for row in rows:
            if table:
                table.writerow({k: "" if v is None else v for k, v in row.items()})
            else:
                file.write(json.dumps({c: row[c] for c in COLUMN_ORDER}, ensure_ascii=False) + "\n")
            count += 1
    return count


def _read_rows(path: Path, form: str) -> Iterator[dict[str, Any]]:
    try:
        if form == ".parquet":
            _arrow()
            yield from parquet_rows(path, COLUMN_ORDER)
            return
        with open_text(path) as file:
            if form == ".csv":
                csv.field_size_limit(min(sys.maxsize, MAX_LINE))
                yield from csv.DictReader(file)
                return
            yield from _json_lines(file, path)
    except UnicodeDecodeError:
        raise ExchangeError(f"{path} is not UTF-8 text.") from None
    except (
        OSError,
        EOFError,
        csv.Error,
        ValueError,
        zlib.error,
    ) as error:  # pyarrow's faults are ValueErrors or OSErrors
        if isinstance(error, UserError):
            raise
        raise ExchangeError(f"{path} cannot be read as {form} ({error}).") from None


def _few(rows: Iterator[dict[str, Any]], path: Path) -> Iterator[dict[str, Any]]:
    """The rows, as long as there are no more than any study has."""
    for place, row in enumerate(rows, 1):
        if place > MAX_ROWS:
            raise ExchangeError(f"{path} holds more than {MAX_ROWS:,} rows; that is no study.")
        yield row


def _json_lines(file: io.TextIOBase, path: Path) -> Iterator[dict[str, Any]]:
    place = 0
    while line := file.readline(MAX_LINE):
        place += 1
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise ExchangeError(f"{path}, line {place}: not JSON (or longer than {MAX_LINE >> 20} MB).") from None
            if not isinstance(row, dict):
                raise ExchangeError(f"{path}, line {place}: not a JSON object.")
            yield row


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExchangeError("Parquet needs the package pyarrow. Install it, or use .jsonl or .csv.") from None
    return pyarrow, pyarrow.parquet
