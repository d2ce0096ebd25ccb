"""The store's file: where it lies, processes that share it, migrations, faults. Real SQLite throughout."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mi_explorer.cli.main import main
from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store import schema
from mi_explorer.studies.store.exchange import import_study
from mi_explorer.studies.store.sample import pack
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
from tests.fakes import ScriptedEngine, scripted_bench
from tests.studies.filled_store import ITEMS, Disk, content, filled, look

ROOT = Path(__file__).resolve().parents[2]


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
        look(tmp_path / "s.db", "SELECT colour FROM studies") == "blue"
        and look(tmp_path / "s.db", "PRAGMA user_version") == len(MIGRATIONS) + 1
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
    with pytest.raises(StoreCorrupt, match="left as|not opened"):
        Store(path)
    assert path.read_bytes() == data


def test_a_full_disk_is_said_and_loses_nothing(tmp_path, monkeypatch):
    disk, store = Disk(monkeypatch), filled(tmp_path / "s.db")
    before = content(store)
    disk.room(0)
    sample = next(iter(before.values()))[2]
    with pytest.raises(StoreFull, match="Finished samples are safe"):
        for i in range(100):
            store.add(replace(sample, key=f"new{i}"), bytes(50_000))
    kept = content(store)
    assert before.items() <= kept.items() or set(before) <= set(kept)
    disk.room(10_000)
    assert store.add(replace(sample, key="later"), pack({"text": "x"}))
    assert look(tmp_path / "s.db", "PRAGMA integrity_check") == "ok"


def test_a_run_on_a_full_disk_ends_with_the_message_and_resumes(tmp_path, monkeypatch):
    disk, store = Disk(monkeypatch), Store(tmp_path / "s.db")
    bench = scripted_bench(ScriptedEngine(lambda r: "x" * 60 + f"{r.decoding.seed} The answer is 5."))
    plan = Plan("sums", grid(Recipe(), (0, 1), Decoding(cap=200)), 4, 8)
    disk.room(6)
    with pytest.raises(StoreFull):
        list(Runner(store, plan, ITEMS, lambda pair: bench, name="s").run())
    kept = store.study("s").samples
    disk.room(10_000)
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
from tests.studies.filled_store import filled
filled(sys.argv[1], lams=[float(x) for x in sys.argv[2].split(",")], name=sys.argv[3]).close()
"""


def test_several_processes_write_one_store(tmp_path):
    path = tmp_path / "s.db"
    jobs = [("0,0.5,1", "a"), ("0,0.25,1", "a"), ("0.5,0.75", "b")]
    workers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), *job], cwd=ROOT) for job in jobs]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    store = Store(path)
    assert {s.name: s.samples for s in store.studies()} == {"a": 4 * 8, "b": 2 * 8}
    assert look(path, "SELECT count(*) FROM samples") == 5 * 8  # shared cells were kept once
    assert look(path, "PRAGMA integrity_check") == "ok"


def test_opening_twice_in_one_process_keeps_the_first_ones_locks(tmp_path):
    path = tmp_path / "s.db"
    store = filled(path)
    Store(path).close()  # had this opened the file outside SQLite, the first one's locks would be gone now
    subprocess.run([sys.executable, "-c", WRITER, str(path), "0.5,0.75", "b"], cwd=ROOT, check=True)
    assert Path(f"{path}-wal").exists()  # the other process was not the last one, and knew it
    store.rename("b", "c")
    assert {s.name: s.samples for s in Store(path).studies()} == {"s": 24, "c": 16}
    assert look(path, "PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE samples SET number = 1 - number", "does not fit its content"),
        ("UPDATE samples SET tokens = 'many'", "damaged"),
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

    monkeypatch.setattr(schema, "log_ahead", refuse)
    monkeypatch.setattr(schema, "fault_name", lambda error: "SQLITE_READONLY")
    with Store.open_to_read(tmp_path) as store:
        assert store.readonly and content(store) == want
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_names(tmp_path):
    store = filled(tmp_path / "s.db")
    filled(tmp_path / "s.db", lams=(0,), name="two")
    with pytest.raises(UserError, match="already a study 'two'"):
        store.rename("s", "two")
    with pytest.raises(UserError, match="Did you mean 'two'"):
        store.study("twoo")
    store.rename("two", "zwei", note="hello")
    assert (store.study("zwei").note, store.study("zwei").samples) == ("hello", 8)


def test_a_damaged_question_or_sample_is_said_whoever_reads(tmp_path):
    """SQLite keeps any type in any column, and a key whatever its content has become."""
    for place, sql in enumerate((
        "UPDATE items SET prompt = 'another'", "UPDATE items SET level = 'x'", "UPDATE samples SET think_closed = x'00'",
        "UPDATE samples SET cell = cell, flips = 'many'", "UPDATE cells SET recipe = '{'", "UPDATE studies SET plan = '[]'",
    )):  # fmt: skip
        path = tmp_path / str(place) / "studies.db"
        path.parent.mkdir()
        filled(path).close()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(sql)
        for words in (["export", "s", str(tmp_path / "x.jsonl"), "--overwrite"], ["table", "s"]):
            done = main(["study", *words, "--home", str(path.parent)])
            assert done == 2, (sql, words)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "loop"])
def test_a_store_that_is_no_file(tmp_path, kind, capsys):
    path = tmp_path / "studies.db"
    {
        "fifo": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "folder": Path.mkdir, "loop": lambda p: p.symlink_to(p),
    }[kind](path)  # fmt: skip
    for words in (["list"], ["rm", "x"]):
        code = main(["study", *words, "--home", str(tmp_path)])
        said = capsys.readouterr().err
        assert code == 2 and "studies.db" in said and "fault" not in said
