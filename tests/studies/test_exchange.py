"""Studies out and in: every format, what stays behind, shards of several machines that become one."""

import csv
import gzip
import shutil
from dataclasses import replace

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mi_explorer.errors import UserError
from mi_explorer.generation.traces import ThinkTags, trace_of
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.exchange import ExchangeError, export_study, import_study, merge_studies
from mi_explorer.studies.store.flat_rows import RowError
from mi_explorer.studies.store.sample import pack, trace_from, unpack
from mi_explorer.studies.store.schema import (
    StoreError,
)
from mi_explorer.studies.store.store import Store
from tests.fakes import ByteTokenizer, ScriptedEngine, scripted_bench
from tests.studies.filled_store import ITEMS, content, filled

FORMATS = (".parquet", ".jsonl", ".jsonl.gz", ".csv")


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
    with pytest.raises(UserError, match="left as it was"):
        export_study(store, "s", target)
    with pytest.raises(ExchangeError, match="ends in none"):
        export_study(store, "s", tmp_path / "s.xlsx")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(csv.DictWriter, "writerow", full)
        with pytest.raises(UserError, match="No space left"):
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
    with pytest.raises(UserError, match="Did you mean 's'|neither"):
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
