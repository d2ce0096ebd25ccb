"""The store's file: processes, migrations, faults; studies out and in. Real SQLite throughout."""

import csv
import gzip
import shutil
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mi_explorer.errors import UserError
from mi_explorer.generation.traces import ThinkTags, trace_of
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store import schema
from mi_explorer.studies.store.exchange import ExchangeError, export_study, import_study, merge_studies
from mi_explorer.studies.store.flat_rows import RowError
from mi_explorer.studies.store.sample import pack, trace_from, unpack
from mi_explorer.studies.store.schema import (
    MIGRATIONS,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreNewer,
    home_folder,
)
from mi_explorer.studies.store.store import Store
from tests.fakes import ByteTokenizer, ScriptedEngine, scripted_bench

ROOT = Path(__file__).resolve().parents[2]
ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4), family="add", level=i) for i in range(4))
FORMATS = (".parquet", ".jsonl", ".jsonl.gz", ".csv")


def filled(path, lams=(0, 0.5, 1), samples=2, items=ITEMS, name="s", script=None, shard=(1, 1)):
    """A store with one finished study of 24 samples."""
    store = Store(path)
    bench = scripted_bench(ScriptedEngine(script) if script else ScriptedEngine())
    plan = Plan("sums", grid(Recipe(), lams, Decoding(cap=200), group="g"), len(items), samples, command="sweep …")
    list(Runner(store, plan, items, lambda pair: bench, name=name, shard=shard).run())
    return store


def content(store, name="s"):
    """Everything of a study that must survive a journey."""
    info = store.study(name)
    cells = {row.key: row for row in store.cells(info.id)}
    items = {item.key: item for item in store.items(info.id)}
    return {s.key: (cells[s.cell], items[s.item], s, store.body(s.key)) for s in store.samples(info.id)}


# -- home, migration, faults --------------------------------------------------------------------------------------------


def test_home_folder_follows_argument_environment_and_system(monkeypatch, tmp_path):
    monkeypatch.setenv("MI_EXPLORER_HOME", str(tmp_path / "env"))
    assert home_folder() == tmp_path / "env" and home_folder(tmp_path / "arg") == tmp_path / "arg"
    monkeypatch.delenv("MI_EXPLORER_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert home_folder() == tmp_path / "xdg" / "mi-explorer"


def test_an_old_store_is_migrated_with_its_content(tmp_path, monkeypatch):
    before = content(filled(tmp_path / "s.db"))
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*MIGRATIONS, "ALTER TABLE studies ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")
    )
    store = Store(tmp_path / "s.db")
    assert (
        store._rows("SELECT colour FROM studies")[0][0] == "blue"
        and store._rows("PRAGMA user_version")[0][0] == len(MIGRATIONS) + 1
    )
    assert content(store) == before


def test_a_migration_that_breaks_changes_nothing(tmp_path, monkeypatch):
    before = content(filled(tmp_path / "s.db"))
    with monkeypatch.context() as m:
        m.setattr(
            schema, "MIGRATIONS", (*MIGRATIONS, "ALTER TABLE studies ADD COLUMN colour TEXT; UPDATE nowhere SET x = 1")
        )
        with pytest.raises(StoreCorrupt):
            Store(tmp_path / "s.db")
    assert content(Store(tmp_path / "s.db")) == before


def test_a_newer_schema_is_refused_and_left_alone(tmp_path):
    filled(tmp_path / "s.db").close()
    db = sqlite3.connect(tmp_path / "s.db")
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    data = (tmp_path / "s.db").read_bytes()
    with pytest.raises(StoreNewer, match="newer version"):
        Store(tmp_path / "s.db")
    assert (tmp_path / "s.db").read_bytes() == data


@pytest.mark.parametrize("damage", ["text", "other", "middle", "trigger"])
def test_what_is_no_store_is_refused_and_left_alone(tmp_path, damage):
    path = tmp_path / "s.db"
    if damage == "text":
        path.write_text("this is a shopping list, not a database")
    elif damage == "other":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE recipes(flour TEXT)")
        db.close()
    else:
        filled(path).close()
        if damage == "trigger":
            db = sqlite3.connect(path)
            db.execute("CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM samples; END")
            db.close()
        else:
            raw = bytearray(path.read_bytes())
            raw[100:] = b"\x5a" * (len(raw) - 100)  # the header survives, every page is rubbish
            path.write_bytes(raw)
    data = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="left as it is|not opened"):
        Store(path)
    assert path.read_bytes() == data


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    store = filled(tmp_path / "s.db")
    before = content(store)
    pages = store._rows("PRAGMA page_count")[0][0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "database or disk is full"
    sample = next(iter(before.values()))[2]
    with pytest.raises(StoreFull, match="Finished samples are safe"):
        for i in range(100):
            store.add(replace(sample, key=f"new{i}"), bytes(50_000))
    kept = content(store)
    assert before.items() <= kept.items() or set(before) <= set(kept)
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert store.add(replace(sample, key="later"), pack({"text": "x"}))
    assert store._rows("PRAGMA integrity_check")[0][0] == "ok"


def test_a_run_on_a_full_disk_ends_with_the_message_and_resumes(tmp_path):
    store = Store(tmp_path / "s.db")
    bench = scripted_bench(ScriptedEngine(lambda r: "x" * 60 + f"{r.decoding.seed} The answer is 5."))
    plan = Plan("sums", grid(Recipe(), (0, 1), Decoding(cap=200)), 4, 8)
    store._db.execute(f"PRAGMA max_page_count = {store._rows('PRAGMA page_count')[0][0] + 6}")
    with pytest.raises(StoreFull):
        list(Runner(store, plan, ITEMS, lambda pair: bench, name="s").run())
    kept = store.study("s").samples
    store._db.execute("PRAGMA max_page_count = 1000000")
    end = list(Runner(store, plan, ITEMS, lambda pair: bench, name="s").run())[-1]
    assert 0 < kept < 64 and (end.reused, end.done, store.study("s").samples) == (kept, 64 - kept, 64)


def test_a_lock_held_too_long_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.2)
    store = filled(tmp_path / "s.db")
    store.close()
    store = Store(tmp_path / "s.db")
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLocked, match="locked by another process"):
        store.rename("s", "t")
    assert len(content(store)) == 24  # reading goes on
    other.execute("COMMIT")
    store.rename("s", "t")
    assert [s.name for s in store.studies()] == ["t"]


def test_a_new_store_waits_for_whoever_else_makes_it(tmp_path, monkeypatch):
    """Shards that begin together make their store together; SQLite does not wait there by itself."""
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.4, lambda: other.execute("COMMIT"))
    release.start()
    filled(tmp_path / "s.db").close()
    release.join()
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.2)
    third = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    third.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLocked, match="locked by another process"):
        Store(tmp_path / "t.db")


def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreLocked, match="MI_EXPLORER_HOME"):
        Store.open(tmp_path / "file" / "home")


WRITER = """
import sys
from tests.studies.test_store import filled
filled(sys.argv[1], lams=[float(x) for x in sys.argv[2].split(",")], name=sys.argv[3]).close()
"""


def test_several_processes_write_one_store(tmp_path):
    path = tmp_path / "s.db"
    jobs = [("0,0.5,1", "a"), ("0,0.25,1", "a"), ("0.5,0.75", "b")]
    workers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), *job], cwd=ROOT) for job in jobs]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    store = Store(path)
    assert {s.name: s.samples for s in store.studies()} == {"a": 4 * 8, "b": 2 * 8}
    assert store._rows("SELECT count(*) FROM samples")[0][0] == 5 * 8  # shared cells were kept once
    assert store._rows("PRAGMA integrity_check")[0][0] == "ok"


def test_opening_twice_in_one_process_keeps_the_first_ones_locks(tmp_path):
    path = tmp_path / "s.db"
    store = filled(path)
    Store(path).close()  # had this opened the file outside SQLite, the first one's locks would be gone now
    subprocess.run([sys.executable, "-c", WRITER, str(path), "0.5,0.75", "b"], cwd=ROOT, check=True)
    assert Path(f"{path}-wal").exists()  # the other process was not the last one, and knew it
    store.rename("b", "c")
    assert {s.name: s.samples for s in Store(path).studies()} == {"s": 24, "c": 16}
    assert store._rows("PRAGMA integrity_check")[0][0] == "ok"


# -- out and in ---------------------------------------------------------------------------------------------------------


def test_a_stored_trace_is_the_trace(tmp_path):
    store = filled(tmp_path / "s.db")
    for row, item, sample, body in content(store).values():
        tags = ThinkTags(close_id=257, open_id=256)
        want = trace_of(
            body["ids"], ByteTokenizer().decode, tags, "stop", item.answer, item.kind, [-0.5] * len(body["ids"])
        )
        assert trace_from(sample, body, item.answer) == want and row.cell.group == "g"


def test_a_study_survives_the_journey_to_another_machine(tmp_path):
    form = ".parquet"
    store = filled(tmp_path / "s.db")
    assert export_study(store, "s", tmp_path / f"out{form}") == 24
    other = Store(tmp_path / "elsewhere" / "s.db")
    assert import_study(other, tmp_path / f"out{form}") == ("s", 24)
    assert content(other) == content(store)
    assert other.study("s").plan.cells == store.study("s").plan.cells and other.study("s").origin == "imported"
    assert import_study(other, tmp_path / f"out{form}") == ("s", 0)  # a second time changes nothing
    assert [r["versions"] for r in other.runs(1)] == [r["versions"] for r in store.runs(1)]
    assert store.runs(1)[0]["samples"] == 24
    bench = scripted_bench(engine := ScriptedEngine())
    plan = other.study("s").plan
    assert list(Runner(other, plan, ITEMS, lambda pair: bench, name="s").run())[-1].reused == 24 and engine.asked == []


def test_tables_open_in_a_table_program(tmp_path):
    store = filled(tmp_path / "s.db")
    for form, read in ((".csv", pandas.read_csv), (".parquet", pandas.read_parquet)):
        export_study(store, "s", tmp_path / f"out{form}")
        table = read(tmp_path / f"out{form}")
        right = sum(s.correct for s in store.samples(1))
        assert (
            len(table) == 24
            and (table["verdict"] == "correct").sum() == right
            and sorted(set(table["lambda"])) == [0, 0.5, 1]
        )
        assert table["tokens"].sum() == sum(s.tokens for s in store.samples(1)) and table["text"].str.len().min() > 0


def test_slim_exports_keep_figures_and_some_texts(tmp_path):
    store = filled(tmp_path / "s.db")
    export_study(store, "s", tmp_path / "all.parquet")
    export_study(store, "s", tmp_path / "one.parquet", texts=1)
    other = Store(tmp_path / "o.db")
    import_study(other, tmp_path / "one.parquet")
    samples = other.samples(1)
    assert samples == store.samples(1) and [other.body(s.key) is not None for s in samples] == [
        s.number == 0 for s in samples
    ]
    import_study(other, tmp_path / "all.parquet")  # the texts come in later
    assert content(other) == content(store)


def test_gated_questions_never_leave(tmp_path):
    secret = tuple(Item("sums", f"q{i}", f"SECRET {i} + 4?", f"B) SECRET{i}", "choice", private=True) for i in range(4))
    store = filled(tmp_path / "s.db", items=secret, script=lambda r: "SECRET stuff. The answer is SECRET thing.")
    for form in FORMATS:
        export_study(store, "s", tmp_path / f"out{form}")
        data = (tmp_path / f"out{form}").read_bytes()
        assert b"SECRET" not in (gzip.decompress(data) if form.endswith("gz") else data)
        if form != ".parquet":
            continue
        other = Store(tmp_path / f"o{form}.db")
        assert import_study(other, tmp_path / f"out{form}") == ("s", 24)
        assert not any("SECRET" in str(part) for part in content(other).values())
        assert [(s.tokens, s.verdict, s.number) for s in other.samples(1)] == [
            (s.tokens, s.verdict, s.number) for s in store.samples(1)
        ]


def test_an_export_never_overwrites_and_leaves_nothing_half_done(tmp_path, monkeypatch):
    store = filled(tmp_path / "s.db")
    target = tmp_path / "out" / "s.csv"
    target.parent.mkdir()
    target.write_text("mine")
    with pytest.raises(UserError, match="was left as it was"):
        export_study(store, "s", target)
    with pytest.raises(ExchangeError, match="ends in none"):
        export_study(store, "s", tmp_path / "s.xlsx")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(csv.DictWriter, "writerow", full)
        with pytest.raises(UserError, match="No space left on device. Nothing was left half done"):
            export_study(store, "s", target, overwrite=True)
    assert target.read_text() == "mine" and [p.name for p in target.parent.iterdir()] == ["s.csv"]


def changed(tmp_path, **values):
    """A Parquet export whose third row has other values, as text where they are of another kind."""
    store = filled(tmp_path / "s.db")
    export_study(store, "s", tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet")
    for name, value in values.items():
        if value == "DROP":
            table = table.drop_columns([name])
            continue
        column = table[name].to_pylist()
        column[2] = value
        array = pa.array(column if type(value) is type(column[0]) else [str(v) for v in column])
        table = table.set_column(table.schema.get_field_index(name), name, array)
    pq.write_table(table, tmp_path / "s.parquet")
    return tmp_path / "s.parquet"


@pytest.mark.parametrize(
    "values, says",
    [
        ({"tokens": -1}, "negative"),
        ({"tokens": 10**6}, "do not add up"),
        ({"verdict": "splendid"}, "no way to end"),
        ({"recipe": "{}"}, "stored recipe"),
        ({"decoding": '{"cap": 0}'}, "cap must lie"),
        ({"number": "two"}, "invalid literal"),
        ({"looped": "perhaps"}, "neither true nor false"),
        ({"seed": "DROP"}, "column 'seed' is missing"),
        ({"marks": "[["}, "row 3"),
    ],
)
def test_rows_that_cannot_be_are_refused_whole(tmp_path, values, says):
    other = Store(tmp_path / "o.db")
    path = changed(tmp_path, **values)
    with pytest.raises(RowError, match=says):
        import_study(other, path)
    assert other.studies() == []


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE samples SET number = 1 - number", "does not fit its content"),
        ("UPDATE samples SET tokens = 'many'", "cannot be right"),
        ("UPDATE cells SET recipe = replace(recipe, 'linear', 'slerp')", "does not fit its recipe"),
        ("UPDATE bodies SET body = zeroblob(40)", "damaged"),
        ("UPDATE items SET prompt = CAST(x'ff41' AS TEXT)", "damaged"),
        ("UPDATE studies SET name = CAST(x'ff41' AS TEXT)", "damaged"),
        ("UPDATE runs SET versions = '{'", "damaged"),
        ("UPDATE cells SET decoding = '[]'", "damaged"),
    ],
)
def test_another_home_s_store_that_was_changed_is_refused(tmp_path, sql, says):
    filled(tmp_path / "x.db").close()
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.execute(sql)
    db.close()
    with Store(tmp_path / "o.db") as other:
        with pytest.raises(UserError, match=says):
            import_study(other, tmp_path / "x.db")
        assert other.studies() == []


def test_homes_that_cannot_be_are_told(tmp_path):
    for home in (tmp_path / ("h" * 300), tmp_path / "a\0b"):
        with pytest.raises(StoreError, match="MI_EXPLORER_HOME"):
            Store.open(home)


def test_a_home_that_may_not_be_written_is_read(tmp_path, monkeypatch):
    with filled(tmp_path / "studies.db") as store:
        want = content(store)
    before = sorted(p.name for p in tmp_path.iterdir())
    monkeypatch.setattr(schema.os, "access", lambda path, mode: mode == schema.os.R_OK)  # root may write everywhere

    def refuse(db):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(schema, "_log_ahead", refuse)
    monkeypatch.setattr(schema, "_fault_name", lambda error: "SQLITE_READONLY")
    with Store.open_to_read(tmp_path) as store:
        assert store.readonly and content(store) == want
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_half_a_character_is_told(tmp_path):
    with Store(tmp_path / "s.db") as store, pytest.raises(StoreError, match="surrogate"):
        store.put_study("s", Plan("t", grid(Recipe(), (0,), Decoding()), 1, 1), [], [Item("t", "1", "\ud800", "7")])


def test_a_packed_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr("mi_explorer.studies.store.sample.MAX_BODY", 10_000)
    assert unpack(pack({"text": "y" * 5_000}))["text"] == "y" * 5_000
    with pytest.raises(UserError, match="too large"):
        unpack(pack({"text": "y" * 50_000}))


def test_shards_on_several_machines_merge_into_the_whole(tmp_path):
    whole = filled(tmp_path / "whole.db")
    for i in (1, 2):
        part = filled(tmp_path / f"home{i}" / "studies.db", shard=(i, 2))
        export_study(part, "s", tmp_path / f"{i}.parquet")
        assert 0 < part.study("s").samples < 24
    target = Store(tmp_path / "t.db")
    assert merge_studies(target, "s", [str(tmp_path / "1.parquet"), str(tmp_path / "home2" / "studies.db")]) == 24
    timeless = [
        {k: (c, i, replace(s, seconds=0, finished=0), b) for k, (c, i, s, b) in content(x).items()}
        for x in (target, whole)
    ]
    assert timeless[0] == timeless[1]
    assert merge_studies(target, "s", [str(tmp_path / "2.parquet")]) == 0


def test_merge_refuses_another_task_and_unknown_names(tmp_path):
    store = filled(tmp_path / "s.db")
    other = replace(store.study("s").plan, task="riddles")
    store.put_study("riddles", other, [], [])
    with pytest.raises(UserError, match="asks riddles"):
        merge_studies(store, "riddles", ["s"])
    with pytest.raises(UserError, match="Did you mean 's'|neither a file nor a study"):
        merge_studies(store, "s", ["nosuch.parquet"])


def test_a_study_in_a_folder_that_is_read_only_opens(tmp_path):
    store = filled(tmp_path / "s.db")
    (tmp_path / "assets").mkdir()
    export_study(store, "s", tmp_path / "assets" / "s.parquet")
    shutil.copy(tmp_path / "assets" / "s.parquet", tmp_path / "copy.parquet")
    with Store(tmp_path / "assets" / "s.parquet", readonly=True) as sealed:
        assert content(sealed) == content(store)
        with pytest.raises(StoreError, match="reading only"):
            sealed.rename("s", "t")
    assert [p.name for p in (tmp_path / "assets").iterdir()] == ["s.parquet"]
    assert (tmp_path / "assets" / "s.parquet").read_bytes() == (tmp_path / "copy.parquet").read_bytes()


def test_names(tmp_path):
    store = filled(tmp_path / "s.db")
    filled(tmp_path / "s.db", lams=(0,), name="two")
    with pytest.raises(UserError, match="already a study 'two'"):
        store.rename("s", "two")
    with pytest.raises(UserError, match="Did you mean 'two'"):
        store.study("twoo")
    store.rename("two", "zwei", note="hello")
    assert (store.study("zwei").note, store.study("zwei").samples) == ("hello", 8)
