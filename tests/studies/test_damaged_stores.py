"""A store or a study file with bytes that are not its own: every `study` command ends with a sentence, and leaves no half file."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer.cli.main import main
from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.schema import StoreCorrupt
from mi_explorer.studies.store.store import Store
from tests.studies.filled_store import filled

READING = (["list"], ["show", "s"], ["table", "s"], ["table", "s", "--by", "family"], ["table", "s", "--mentions"],
           ["export", "s", "made.jsonl"], ["export", "s", "made.parquet"], ["figure", "s", "made.svg"], ["report", "s", "--out", "made.html"], ["rm", "s"])  # fmt: skip
ENDINGS = ("parquet", "jsonl", "jsonl.gz", "csv")
damages = st.tuples(
    st.sampled_from(["flip", "zero", "cut", "grow", "text", "empty"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 200),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Name → bytes of a store and of its study in every form."""
    folder = tmp_path_factory.mktemp("whole")
    with filled(folder / "studies.db") as store:
        for ending in ENDINGS:
            export_study(store, "s", folder / f"s.{ending}")
    with closing(sqlite3.connect(folder / "studies.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode = DELETE")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def damaged(content: bytes, damage) -> bytes:
    how, where, size = damage
    at = int(where * len(content))
    if how in ("flip", "zero"):
        part = bytes(size * 7) if how == "zero" else bytes(b ^ 0x55 for b in content[at : at + size])
        return content[:at] + part + content[at + len(part) :]
    return {"cut": content[:at], "grow": content + bytes(size), "text": b"hello\n" * size, "empty": b""}[how]


def ends_well(words, home, capsys) -> int:
    code = main(["study", *words, "--home", str(home)])
    said = capsys.readouterr()
    assert code in (0, 1, 2) and "fault of the program" not in said.err and "Traceback" not in said.out + said.err
    assert code == 0 or 0 < len(said.err.strip()) < 3000
    return code


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(words=st.sampled_from(READING), damage=damages)
def test_commands_on_a_damaged_store(whole, tmp_path, monkeypatch, capsys, words, damage):
    home = tmp_path / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    monkeypatch.chdir(home)
    (home / "studies.db").write_bytes(damaged(whole["studies.db"], damage))
    code = ends_well(words, home, capsys)
    assert code == 0 or not list(home.glob("made*")) and not list(home.glob(".made*"))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from([*(f"s.{e}" for e in ENDINGS), "studies.db"]), damage=damages)
def test_damaged_studies_are_imported_or_refused(whole, tmp_path, capsys, name, damage):
    home = tmp_path / "mine"
    shutil.rmtree(home, ignore_errors=True)
    (tmp_path / name).write_bytes(damaged(whole[name], damage))
    ends_well(["import", str(tmp_path / name)], home, capsys)
    (tmp_path / "linked").unlink(missing_ok=True)
    (tmp_path / "linked").symlink_to(tmp_path / name)
    ends_well(["merge", "all", str(tmp_path / name), str(tmp_path / "linked")], home, capsys)


@pytest.mark.parametrize("table", ["cells", "items"])
def test_a_study_that_names_what_is_gone_is_damaged(whole, tmp_path, capsys, table):
    (tmp_path / "studies.db").write_bytes(whole["studies.db"])
    with closing(sqlite3.connect(tmp_path / "studies.db")) as db:
        db.execute(f"DELETE FROM {table} WHERE key = (SELECT min(key) FROM {table})")
        db.commit()
    with pytest.raises(StoreCorrupt), Store.open_to_read(tmp_path) as store:
        getattr(store, table)(store.study("s").id)
    assert ends_well(["export", "s", str(tmp_path / "made.jsonl")], tmp_path, capsys) != 0
