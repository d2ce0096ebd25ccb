"""Studies out of the store and into it: Parquet files both ways, JSONL and CSV out, other homes' stores in; merge.

Every file is written whole or not at all. What comes in is untrusted: all of it is checked before anything is saved, and keys
are made anew. An import that was cut short (a full disk) can be repeated.
"""

import csv
import gzip
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mi_explorer.errors import UserError, unknown
from mi_explorer.input_limits import Budget, regular_size
from mi_explorer.parquet_check import check_parquet
from mi_explorer.studies.plan import Item, Plan
from mi_explorer.studies.store.flat_rows import COLUMN_ORDER, PROBES, flat, redact, sample_key
from mi_explorer.studies.store.flat_rows_reader import check
from mi_explorer.studies.store.reader import CellRow, Reader
from mi_explorer.studies.store.sample import Sample, unpack
from mi_explorer.studies.store.store import Store
from mi_explorer.studies.store.study_file import SUFFIX, StudyFile, StudyHead, write_study_file
from mi_explorer.studies.store.whole_files import whole_file
from mi_explorer.untyped import JsonMapping

FORMATS = (SUFFIX, ".jsonl", ".jsonl.gz", ".csv")  # that are written; of these only Parquet is read
OLD_SUFFIX = ".mistudy"
Bodies = Sequence[tuple[Sample, bytes | None]]


class ExchangeError(UserError):
    """A file that cannot be written or read as a study."""


def form_of(path: Path) -> str:
    """The format a file name asks for."""
    name = path.name.lower()
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise ExchangeError(f"A study is written as {', '.join(FORMATS)}; {path.name[:80]!r} ends in none of them.")


# -- out ------------------------------------------------------------------------------------------------------------------


def export_study(
    store: Reader,
    name: str,
    path: str | Path,
    *,
    texts: int | None = None,
    text_questions: int | None = None,
    overwrite: bool = False,
    host: bool = True,
    probes: bool = True,
) -> int:
    """Write a study to `path` (format by its ending); returns the samples written.

    `texts`: how many samples of each question and cell keep their text and token marks (None: all, 0: figures only), and
    of how many questions (`text_questions`, None: of all). `host`: whether a Parquet file names the machines that made it, `probes`:
    whether probes go with their samples (studies that share samples share their probes).
    Gated questions go without their content, under keys of what is left of them.
    """
    path, info = Path(path), store.study(name)
    form, probed = form_of(path), probes and bool(store.probes(info.id))
    with whole_file(path, overwrite) as staged:
        if form == SUFFIX:
            runs = [run if host else {**run, "host": ""} for run in store.runs(info.id)]
            items = [redact(item) for item in store.items(info.id)]
            head = StudyHead(
                name, info.plan, store.cells(info.id), items, runs, info.origin, info.note, info.created, info.updated, info.samples
            )  # fmt: skip
            places = {run["id"]: i for i, run in enumerate(runs)}
            return write_study_file(staged, head, flat(store, info, texts, text_questions, places, probed), probed)
        columns = (*COLUMN_ORDER, PROBES) if probed else COLUMN_ORDER
        return _write_text(flat(store, info, texts, text_questions, None, probed), staged, form, columns)


def _write_text(rows: Iterable[JsonMapping], path: Path, form: str, columns: Sequence[str]) -> int:
    """Rows as CSV or JSON lines; a lone surrogate, which UTF-8 cannot hold, is written as a question mark."""
    count = 0
    with (gzip.open if form.endswith(".gz") else open)(
        path, "wt", encoding="utf-8", errors="replace", newline=""
    ) as file:
        table = csv.DictWriter(file, columns) if form == ".csv" else None
        if table:
            table.writeheader()
        for row in rows:
            if table:
                table.writerow({k: "" if v is None else v for k, v in row.items()})
            else:
                file.write(json.dumps({c: row[c] for c in columns}, ensure_ascii=False) + "\n")
            count += 1
    return count


# -- in -------------------------------------------------------------------------------------------------------------------


def import_study(store: Store, path: str | Path, name: str | None = None, origin: str = "imported") -> tuple[str, int]:
    """Read a study from a Parquet file or another home's store; returns (name, samples that were new).

    A study of that name in the store grows by it if both ask the same task; a `UserError` says so if not.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise ExchangeError(f"There is no file {str(path)[-120:]!r}.")
    suffix = path.suffix.lower()
    if suffix == OLD_SUFFIX:
        raise ExchangeError(
            f"{path.name} is of the format {OLD_SUFFIX}, which is no longer read. The home that it came from still has its "
            f"study: 'study export NAME NAME{SUFFIX}' writes it in today's format."
        )
    if suffix not in (SUFFIX, ".db"):
        raise ExchangeError(
            f"A study is read from {SUFFIX}, or from another home's studies.db, not from {path.name[-40:]!r}."
        )
    try:
        return (_read_store if suffix == ".db" else _read_file)(store, path, name, origin)
    except UserError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        # SQLite keeps any type in any column: what is no study of ours shows when it is used, before anything is written
        raise ExchangeError(
            f"{path} is damaged or was changed ({type(error).__name__}: {str(error)[:120]}). Nothing was read."
        ) from None


def study_name(path: Path) -> str:
    """What a study file calls itself; its own name where it does not say."""
    check_parquet(path)
    head = StudyFile(path).head
    return (head.name[:200] if head is not None else "") or path.stem[:200] or "imported"


def _read_file(store: Store, path: Path, name: str | None, origin: str) -> tuple[str, int]:
    check_parquet(path)
    file = StudyFile(path)
    found, head = file.read(), file.head
    if head is None:
        target = name or found.name
        new = _put(store, target, found.plan, found.cells, found.items, found.samples, origin)
        store.add_probes(found.probes)
        return target, new
    runs = {s.key: head.runs[run] for (s, _), run in zip(found.samples, found.runs, strict=True) if run is not None}
    target = name or head.name
    new = _put(store, target, head.plan, head.cells, head.items, found.samples, origin, head.note, runs)
    store.add_probes(found.probes)
    return target, new


def _read_store(store: Store, path: Path, name: str | None, origin: str) -> tuple[str, int]:
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
        cells, items, probes = source.cells(info.id), source.items(info.id), source.probes(info.id)
    for row in cells:
        if row.key != row.cell.key(row.fingerprint, row.dtype):
            raise ExchangeError(f"{path}: a cell's key does not fit its recipe. Nothing was read.")
    cell_keys, item_keys = {row.key for row in cells}, {item.key for item in items}
    for s in samples:
        try:
            check(s)
        except (ValueError, TypeError) as error:
            raise ExchangeError(f"{path}: a sample cannot be right ({error}). Nothing was read.") from None
        if s.cell not in cell_keys or s.item not in item_keys or s.key != sample_key(s.cell, s.item, s.number):
            raise ExchangeError(f"{path}: a sample's key does not fit its content. Nothing was read.")
    for body in bodies.values():
        budget.spend(len(unpack(body, budget.left).get("text") or ""))
    pairs = [(s, bodies.get(s.key)) for s in samples]
    of_run = {s.key: runs[made_by[s.key]] for s in samples if made_by.get(s.key) in runs}
    target = name or info.name
    new = _put(store, target, info.plan, cells, items, pairs, origin, info.note, of_run)
    store.add_probes(probes)
    return target, new


def merge_studies(store: Store, name: str, sources: Sequence[str]) -> int:
    """Bring files and studies of this store together under `name`; returns the samples that were new there."""
    before = info.samples if (info := store.find(name)) else 0
    for source in sources:
        if os.path.isfile(source):
            import_study(store, source, name)
        elif store.find(source):
            other = store.study(source)
            if source != name:
                _register(store, name, other.plan, store.cells(other.id), store.items(other.id), "live")
        else:
            raise ExchangeError(
                f"{source[:120]!r} is neither a file nor a study of this store. "
                f"{unknown('study', source, [s.name for s in store.studies()])}"
            )
    return store.study(name).samples - before


def _put(
    store: Store,
    name: str,
    plan: Plan,
    cells: Sequence[CellRow],
    items: Sequence[Item],
    samples: Bodies,
    origin: str,
    note: str = "",
    runs: Mapping[str, JsonMapping] | None = None,
) -> int:
    """Register a study and save its samples; returns how many were new. `runs`: who made a sample, by its key."""
    known = {c.key for c in cells}, {i.key for i in items}
    if any(s.cell not in known[0] or s.item not in known[1] for s, _ in samples):
        raise ExchangeError("A sample of this file belongs to no cell or question of its study. Nothing was read.")
    _register(store, name, plan, cells, items, origin, note)
    return store.add_by_run(samples, runs or {})


def _register(
    store: Store, name: str, plan: Plan, cells: Sequence[CellRow], items: Sequence[Item], origin: str, note: str = ""
) -> None:
    """Create the study, or let the one of that name grow by these cells and questions."""
    old = store.find(name)
    if old:
        plan = old.plan.extended(plan)
        kept, asked = store.cells(old.id), store.items(old.id)
        cells = kept + [c for c in cells if c.key not in {k.key for k in kept}]
        items = [*asked, *(i for i in items if i.key not in {k.key for k in asked})]
    store.put_study(name, plan, cells, items, origin, note)
