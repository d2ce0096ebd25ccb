"""The rows of a task file: JSON Lines, a JSON list, CSV with any usual separator, or Parquet, told from the name's ending."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.input_limits import InputLimitError, parquet_rows, regular_size
from mi_explorer.parquet_check import check_parquet
from mi_explorer.tasks.task import TaskError
from mi_explorer.untyped import Json

MAX_FILE = 64 * 2**20  # bytes
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
SEPARATORS = ",;\t"


def read_rows(path: Path, decimals: Callable[[str], object] = str) -> list[Json]:
    """Every row of a task file; what a row of JSON may be is not checked. `decimals` makes a value of a decimal in JSON.

    By default decimals stay as they are written. Raises `TaskError` for a file that cannot be read.
    """
    ending = path.suffix.lower()
    try:
        if regular_size(path) > MAX_FILE:
            raise TaskError(f"The task file {path.name} is larger than {MAX_FILE >> 20} MB. Split it.")
        if ending == ".parquet":
            return _parquet_rows(path)
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TaskError(
            f"There is no task file {str(path)!r}. Give one ending in {', '.join(ENDINGS)} with the columns question and answer."
        ) from None
    except InputLimitError as error:
        raise TaskError(f"A task file cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise TaskError(f"The task file {path.name} is not UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise TaskError(f"The task file {path.name} cannot be read: {error.strerror or error}.") from None
    return _csv_rows(path.name, text) if ending in (".csv", ".tsv") else _json_rows(path.name, text, decimals)


def _parquet_rows(path: Path) -> list[Json]:
    check_parquet(path)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq

        single = {f.name for f in pq.read_schema(path) if pa.types.is_float32(f.type) or pa.types.is_float16(f.type)}
        return [{k: _shortest(v) if k in single else v for k, v in row.items()} for row in parquet_rows(path)]
    except (UserError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - pyarrow raises many types for a damaged file; all of them mean the same
        raise TaskError(f"The task file {path.name} cannot be read as Parquet ({first_line(error)}).") from None


def _shortest(value: Json) -> Json:
    """A number of single precision as people write it: 0.1, not 0.10000000149011612."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _csv_rows(file: str, text: str) -> list[Json]:
    head = text.split("\n", 1)[0]
    separator = max(SEPARATORS, key=head.count)
    try:
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise TaskError(f"The task file {file} cannot be read as CSV ({error}).") from None


def _json_rows(file: str, text: str, decimals: Callable[[str], object]) -> list[Json]:
    form = "Each row must be one object with question and answer."
    try:
        whole = json.loads(text, parse_float=decimals)  # one JSON list, or one object over several lines
    except (ValueError, RecursionError):
        if text.lstrip().startswith("["):
            raise TaskError(f"{file} cannot be read: it is not JSON. {form}") from None
    else:
        return list(whole) if isinstance(whole, list) else [whole]
    rows = []
    for i, line in enumerate(text.split("\n")):  # not at other line ends, which may stand in a text
        if line.strip():
            try:
                rows.append(json.loads(line, parse_float=decimals))
            except (ValueError, RecursionError):
                raise TaskError(f"{file} cannot be read: line {i + 1} is not JSON. {form}") from None
    return rows


def check_objects(file: str, rows: Iterable[Json]) -> None:
    """`TaskError` unless every row maps columns to values."""
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TaskError(f"{file}, row {i + 1} is not an object: a file must hold one object a row.")


def first_line(error: Exception) -> str:
    """The kind of an error and its first line, cut to what fits into a message."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}".rstrip(": ")
