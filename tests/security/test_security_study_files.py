"""A hostile corpus of studies: bombs, lies and wrong kinds end in one sentence, in little memory."""

import json
import os
import shutil
import sqlite3
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mi_explorer.errors import UserError
from mi_explorer.limited_process import LimitedProcess
from mi_explorer.parquet_check import check_parquet
from mi_explorer.studies.store.exchange import export_study, import_study
from mi_explorer.studies.store.store import Store
from mi_explorer.studies.store.study_file import HEAD_KEY
from mi_explorer.tasks import load_task
from mi_explorer.tasks.sources import BenchmarkSource
from mi_explorer.tasks.task import TaskError
from tests.security.memory_bound import DEEP, modest
from tests.studies.filled_store import filled


def refused(store, path, says=".", **more):
    """Importing raises a `UserError` in words, quickly, in little memory; and the store is as it was."""
    had = [(s.name, s.samples) for s in store.studies()]
    with modest(), pytest.raises(UserError, match=says) as told:
        import_study(store, path, **more)
    assert len(str(told.value)) < 600 and "Traceback" not in str(told.value)
    assert [(s.name, s.samples) for s in store.studies()] == had
    return str(told.value)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "mine") as made:
        yield made


@pytest.fixture
def study(tmp_path):
    """A real study as a file."""
    with filled(tmp_path / "theirs.db") as source:
        export_study(source, "s", tmp_path / "s.parquet")
    return tmp_path


def rewritten(study, name, metadata=None, **columns):
    """The study file with other columns or another head."""
    table = pq.read_table(study / "s.parquet")
    head = json.loads(table.schema.metadata[HEAD_KEY])
    for column, values in columns.items():
        table = table.set_column(table.schema.get_field_index(column), column, pa.array(values))
    pq.write_table(
        table.replace_schema_metadata({HEAD_KEY: json.dumps({**head, **(metadata or {})})}),
        study / name,
        compression="zstd",
    )
    return study / name


def test_the_round_trip_of_these_tests_is_right(study, store):
    assert import_study(store, rewritten(study, "again.parquet"), "again")[1] > 0


def test_a_study_file_that_is_a_bomb_is_not_unpacked(study, store):
    count = pq.read_metadata(study / "s.parquet").num_rows
    refused(
        store,
        rewritten(study, "bomb.parquet", marks=["[" + "0," * (20 << 20) + "0]"] * count),
        "unpacks to far more|MB",
    )


@pytest.mark.parametrize(
    "lie",
    [{"samples": 10**12}, {"samples": -1}, {"samples": "x"}, {"cells": []}, {"cells": [[{}, "", ""]]}, {"items": [[1]]},
     {"items": [[None] * 8]},
     {"plan": "{}"}, {"plan": DEEP}, {"plan": 5}, {"runs": [{}]}, {"runs": [{"token": []}]}, {"name": None}, {"name": "x" * 10**6},
     {"created": "never"}],
)  # fmt: skip
def test_a_head_that_lies_is_refused_or_harmless(study, store, lie):
    path = rewritten(study, "lie.parquet", lie)
    with modest():
        try:
            import_study(store, path)
        except UserError as error:
            assert len(str(error)) < 2000
            assert store.studies() == []


def test_a_study_file_damaged_anywhere_is_noticed_or_whole(study, store):
    data = bytearray((study / "s.parquet").read_bytes())
    for at in range(0, len(data), max(1, len(data) // 60)):
        damaged = bytes(data[:at]) + bytes([data[at] ^ 0x55]) + bytes(data[at + 1 :])
        (study / "d.parquet").write_bytes(damaged)
        try:
            import_study(store, study / "d.parquet")
        except UserError as error:
            assert "Traceback" not in str(error)
    for cut in (0, 7, 8, 12, 20, len(data) // 2, len(data) - 1):
        (study / "c.parquet").write_bytes(bytes(data[:cut]))
        with pytest.raises(UserError):
            import_study(store, study / "c.parquet")


def as_store(study, *statements, values=()):
    """The study as another home's store, changed by SQL."""
    path = study / "changed.db"
    shutil.copy(study / "theirs.db", path)
    db = sqlite3.connect(path)
    for sql in statements:
        db.execute(sql, values)
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    return path


def test_the_store_of_these_tests_is_right(study, store):
    assert import_study(store, as_store(study), "x")[1] > 0


@pytest.mark.parametrize(
    "sql",
    ["CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM studies; END",
     "CREATE VIEW v AS SELECT * FROM samples",
     "CREATE TABLE more(x)",
     "ALTER TABLE samples ADD COLUMN bomb AS (hex(zeroblob(100000000)))",
     "ALTER TABLE studies ADD COLUMN bomb AS (hex(zeroblob(100000000)))",
     "CREATE INDEX slow ON items(hex(prompt))",
     "CREATE VIRTUAL TABLE ghost USING fts5(x)"],
)  # fmt: skip
def test_a_schema_that_is_not_ours_is_refused(study, store, sql):
    refused(store, as_store(study, sql))


@pytest.mark.parametrize(
    "sql",
    ["UPDATE samples SET tokens = 'many'", "UPDATE samples SET tokens = -5", "UPDATE samples SET tokens = 1e300",
     "UPDATE samples SET flips = x'00ff'",
     "UPDATE samples SET number = 'x'", "UPDATE samples SET reason = 'magic'", "UPDATE samples SET seconds = 9e999",
     "UPDATE samples SET key = 'k' || key",
     "UPDATE studies SET plan = '{}'", "UPDATE studies SET plan = x'ff'", "UPDATE studies SET name = x'ff00'",
     "UPDATE cells SET recipe = '[]'",
     "UPDATE cells SET decoding = '{\"cap\": 1e400}'", "UPDATE items SET level = 'high'", "UPDATE items SET prompt = x'ff'",
     "UPDATE bodies SET body = x'00'",
     "UPDATE bodies SET body = 'text'", "UPDATE runs SET versions = 'x'", "DELETE FROM cells", "DELETE FROM items", "DELETE FROM studies",
     "UPDATE samples SET first_correct = 9e18", "UPDATE runs SET started = 'then'"],
)  # fmt: skip
def test_values_that_cannot_be_are_refused_whole_or_read_as_ours(study, store, sql):
    path = as_store(study, "PRAGMA foreign_keys = OFF", sql)
    with modest():
        try:
            name, count = import_study(store, path)
        except UserError as error:
            assert "Traceback" not in str(error)
            assert sum(s.samples for s in store.studies()) == 0
        else:
            assert isinstance(name, str) and store.study(name).samples == count


def test_packed_traces_that_are_bombs_are_not_unpacked(study, store):
    bomb = zlib.compress(b" " * (300 << 20), 9)
    refused(store, as_store(study, "UPDATE bodies SET body = ?", values=(bomb,)))
    whole = zlib.compress(b'{"text": "' + b"x" * (30 << 20) + b'"}', 9)  # each is well below the limit of one trace
    refused(store, as_store(study, "UPDATE bodies SET body = ?", values=(whole,)), "unpacks|too large")


@pytest.mark.parametrize(
    "change",
    [{"tokens": 2**63 - 1}, {"tokens": "1e999"}, {"number": -1}, {"number": "\u0663\u0663x"}, {"first_correct": "inf"}, {"recipe": DEEP},
     {"recipe": "[]"}, {"recipe": "null"}, {"decoding": '{"temperature": "hot"}'}, {"decoding": '{"__class__": 1}'}, {"marks": DEEP},
     {"marks": "[1]"},
     {"seconds": "nan"}, {"finished": "x"}, {"private": "maybe"}, {"level": "{}"}, {"fingerprint": None}, {"reason": "magic"}, {"run": 99}],
)  # fmt: skip
def test_a_row_that_lies_is_refused_whole_or_read_as_ours(study, store, change):
    ((name, value),) = change.items()
    column = pq.read_table(study / "s.parquet")[name].to_pylist()
    if value is not None and type(value) is not type(column[0]):
        column = [None if v is None else str(v) for v in column]
        value = str(value) if not isinstance(column[0], int | None) else value
    path = rewritten(study, "lie.parquet", None, **{name: [*column[:-1], value]})
    with modest():
        try:
            import_study(store, path)
        except UserError as error:
            assert len(str(error)) < 1000 and store.studies() == []
        else:
            (study_,) = store.studies()
            assert study_.samples >= len(column) - 1


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xff\xfe\x00", b"[]", b"{}", b"nul", DEEP.encode(), b'{"a": ' * 50_000, b"1" * 10_000, b'{"plan": NaN}', b"\x1f\x8b\x08"],
)  # fmt: skip
@pytest.mark.parametrize("form", [".jsonl", ".csv", ".parquet", ".mistudy", ".db"])
def test_what_is_no_study_is_told_so(store, tmp_path, content, form):
    path = tmp_path / f"x{form}"
    path.write_bytes(content)
    refused(store, path)


def test_parquet_that_repeats_a_long_value_is_not_unpacked(store, tmp_path):
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"study": pa.array(["s"] * 4000), "text": long}), tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 2 << 20
    refused(store, tmp_path / "bomb.parquet")
    with modest(), pytest.raises(UserError):
        BenchmarkSource("a/b", "test", ("text",), "none").rows(tmp_path / "bomb.parquet")


def test_devices_pipes_and_folders_are_not_read(store, tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    for name in ("pipe.jsonl", "folder.jsonl", "zero.jsonl"):
        refused(store, tmp_path / name)
        with modest(), pytest.raises(TaskError):
            load_task(tmp_path / name)


def test_a_file_that_ends_its_reader_is_refused(study, monkeypatch):
    """Damaged Parquet can abort the process that decodes it; the child that reads it first takes the blow."""
    check_parquet(study / "s.parquet")
    monkeypatch.setattr(LimitedProcess, "call", lambda self, request, limit: die(self))
    with pytest.raises(UserError, match="damaged"):
        check_parquet(study / "s.parquet")
    monkeypatch.undo()
    check_parquet(study / "s.parquet")  # by a new child


def die(child):
    child.process.kill()
    child.process.wait()
    raise EOFError
