"""A study as one Parquet file: a row a sample (see `flat_rows`), readable by any table program.

The file's metadata hold what rows do not say: name, note, plan, the order of cells and questions, who made the samples. They
can be read alone; a trace costs the row group it is in. Files without these metadata are read too (other programs drop them).
Keys are made anew from the rows and never believed. A damaged file raises `StoreCorrupt`, a later format `StoreNewer`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mi_explorer.input_limits import MAX_ROWS, InputLimitError, parquet_rows, regular_size
from mi_explorer.studies.plan import Cell, Item, Plan
from mi_explorer.studies.store.flat_rows import (
    CELL_COLUMNS,
    COLUMN_ORDER,
    FLAGS,
    ITEM_COLUMNS,
    MAYBE_WHOLE,
    PROBES,
    RESULT,
    WHOLE,
    FlatStudy,
    RowError,
)
from mi_explorer.studies.store.flat_rows_reader import unflat
from mi_explorer.studies.store.reader import CellRow
from mi_explorer.studies.store.schema import StoreCorrupt, StoreError, StoreNewer
from mi_explorer.untyped import JsonMapping, JsonObject

SUFFIX = ".parquet"
MAGIC = b"PAR1"
HEAD_KEY = b"mi_explorer_study"
FORMAT = 1
GROUP_ROWS = 16384  # whose texts are unpacked to show one trace; smaller groups compress less
MAX_HEAD = 64 << 20  # bytes of the metadata
TEXTS = ("text", "marks")
NEEDED = (
    "study",
    "kind",
    "task_seed",
    *CELL_COLUMNS,
    *ITEM_COLUMNS,
    *RESULT,
    "run",
)  # the other columns are for people
RUN_FIELDS = ("token", "started", "host", "device", "dtype", "versions", "command")
FAULTS = (ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError, AttributeError, RecursionError)


@dataclass(frozen=True)
class StudyHead:
    """What a study file says besides its samples. `runs[i]` are the `RUN_FIELDS` of the run that rows call i."""

    name: str
    plan: Plan
    cells: Sequence[CellRow]
    items: Sequence[Item]
    runs: Sequence[JsonMapping] = ()
    origin: str = "live"
    note: str = ""
    created: float = 0.0
    updated: float = 0.0
    samples: int = 0

    def json(self) -> str:
        return json.dumps(
            {
                "format": FORMAT,
                "name": self.name,
                "plan": self.plan.json(),
                "cells": [[row.cell.plain(), row.fingerprint, row.dtype] for row in self.cells],
                "items": [list(asdict(item).values()) for item in self.items],
                "runs": [{name: run[name] for name in RUN_FIELDS} for run in self.runs],
                "origin": self.origin,
                "note": self.note,
                "created": self.created,
                "updated": self.updated,
                "samples": self.samples,
            },
            sort_keys=True,
            separators=(",", ":"),
        )

    @staticmethod
    def of(text: bytes, path: Path) -> "StudyHead":
        """Inverse of `json`; raises `StoreNewer`, or one of `FAULTS` for anything else."""
        head = json.loads(text)
        if head["format"] > FORMAT:
            raise StoreNewer(
                f"{path} was written by a newer version of MI Explorer (study file of format {head['format']}, this "
                f"version knows {FORMAT}). Update with 'git pull' and 'make venv'."
            )
        cells = [(Cell.of(cell), str(fingerprint), str(dtype)) for cell, fingerprint, dtype in head["cells"]]
        if not all(isinstance(head[word], str) for word in ("name", "origin", "note")):
            raise ValueError("its name is no text")
        items = [Item(*values) for values in head["items"]]
        if any(not isinstance(v, str) for item in items for v in (item.task, item.id, item.prompt, item.answer)):
            raise ValueError("a question is no text")
        return StudyHead(
            head["name"],
            Plan.of(head["plan"]),
            [CellRow(cell.key(fingerprint, dtype), cell, fingerprint, dtype) for cell, fingerprint, dtype in cells],
            items,
            [{name: run[name] for name in RUN_FIELDS} for run in head["runs"]],
            head["origin"],
            head["note"],
            float(head["created"]),
            float(head["updated"]),
            int(head["samples"]),
        )


def is_study_file(path: Path) -> bool:
    """Whether the file begins as a Parquet file."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def write_study_file(path: Path, head: StudyHead | None, rows: Iterable[JsonMapping], probes: bool = False) -> int:
    """Write flat rows (with `run`, an index into the head's runs); returns how many. Equal studies give equal bytes.

    `probes`: whether the rows have them.
    """
    metadata = {HEAD_KEY: head.json().encode()} if head is not None else None
    schema = pa.schema(
        [(name, _type_of(name)) for name in (*COLUMN_ORDER, *((PROBES,) if probes else ()), "run")], metadata
    )
    count, part = 0, []
    options: JsonObject = {
        "compression": "zstd",
        "compression_level": 9,
        "write_page_checksum": True,
        "write_statistics": False,
    }
    with pq.ParquetWriter(path, schema, **options) as writer:
        for row in rows:
            part.append(row)
            count += 1
            if len(part) == GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(part, schema))
                part = []
        if part or not count:
            writer.write_table(pa.Table.from_pylist(part, schema))
    return count


def _type_of(column: str) -> pa.DataType:
    if column in (*WHOLE, *MAYBE_WHOLE, "level", "task_seed", "run"):
        return pa.int64()
    if column in ("lambda", "seconds", "finished"):
        return pa.float64()
    return pa.bool_() if column in (*FLAGS, "private") else pa.string()


@contextmanager
def read_as_ours(path: Path) -> Iterator[None]:
    """Whatever goes wrong in here means that the file is damaged: `StoreCorrupt`."""
    try:
        yield
    except (StoreError, InputLimitError, RowError):
        raise
    except FAULTS as error:  # pyarrow's are ValueErrors, or OSErrors without a number
        raise StoreCorrupt(
            f"{path} is damaged or no study ({str(error)[:200]}). It was left as it is; get it once more."
        ) from None
    except OSError as error:
        if error.errno is None:
            raise StoreCorrupt(
                f"{path} is damaged or no Parquet file. It was left as it is; get it once more."
            ) from None
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from None


class StudyFile:
    """A study file that was opened; the head is read at once (None where there is none), the rest when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with read_as_ours(path):
            regular_size(path)
            metadata = pq.read_metadata(path)
            if metadata.num_rows > MAX_ROWS:
                raise ValueError("it says that it holds more samples than any study has")
            text = (metadata.metadata or {}).get(HEAD_KEY)
            if text is not None and len(text) > MAX_HEAD:
                raise ValueError("its head is too long")
            self.head = StudyHead.of(text, path) if text is not None else None
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        self._places: dict[str, int] = {}  # sample key → row
        self._group: tuple[int, pa.Table | None] = (-1, None)  # the row group that was unpacked last, its texts

    def read(self, texts: bool = True) -> FlatStudy:
        """All samples, with their bodies if `texts`; afterwards `body` knows where each is."""
        with read_as_ours(self.path):
            columns = [name for name in (*NEEDED, PROBES, *TEXTS) if texts or name not in TEXTS]
            if self.head is not None and self.head.samples == 0 == self._starts[-1]:
                return FlatStudy(self.head.name, self.head.plan, [], [], [], [])
            found = unflat(parquet_rows(self.path, columns), self.path.name)
            if self.head is not None:
                cells, items = {row.key for row in self.head.cells}, {item.key for item in self.head.items}
                known = all(row.key in cells for row in found.cells) and all(item.key in items for item in found.items)
                if not known or self.head.samples != len(found.samples):
                    raise ValueError("its samples are not those that it says it holds")
                if any(run is not None and not 0 <= run < len(self.head.runs) for run in found.runs):
                    raise ValueError("a sample is of no run")
            self._places = {sample.key: i for i, (sample, _) in enumerate(found.samples)}
            return found

    def body(self, key: str) -> JsonObject | None:
        """Text and token marks of a sample (see `sample.body_of`); None if they were not kept."""
        place = self._places.get(key)
        if place is None:
            return None
        with read_as_ours(self.path):
            group = next(i for i, (a, b) in enumerate(pairwise(self._starts)) if a <= place < b)
            if self._group[0] != group:
                with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                    self._group = (group, file.read_row_group(group, columns=list(TEXTS)))
            table = self._group[1]
            assert table is not None
            (row,) = table.slice(place - self._starts[group], 1).to_pylist()
            return {"text": row["text"], **dict(json.loads(row["marks"]))} if row["marks"] else None
