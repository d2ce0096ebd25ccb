"""Study files: Parquet gives back exactly what went in, whatever it is; what is damaged is refused whole."""

import hashlib
import json
import random
from dataclasses import fields, replace

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.generation.traces import ThinkTags, trace_of
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Cell, Item, Plan, digest
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store import bundled, study_file
from mi_explorer.studies.store.exchange import export_study, import_study
from mi_explorer.studies.store.sample import Sample, body_of, pack, trace_from, unpack
from mi_explorer.studies.store.schema import StoreCorrupt, StoreError, StoreNewer
from mi_explorer.studies.store.store import CellRow, Store
from tests.fakes import ByteTokenizer
from tests.studies.filled_store import content, filled

MODEST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.text(st.characters(codec=None), max_size=8)  # also lone surrogates and control characters
# Samples with texts of each bundled study, and the SHA-256 of all their columns and texts, taken from the files of the former
# format (.mistudy, removed with its reader) before they were written as Parquet. Not of the largest: the same reader reads it.
MIGRATED = {
    "mini-backbone": (800, 200, "f5628bdb2e32ab2c1a43dac255dcf1d6ee27adea557b0e450117c56bdb517299"),
    "mini-decoding": (4800, 1200, "4b0ecce505bbc255316d2b83c063789ffdf46c9bf1094b580c2c610fec134460"),
    "mini-layers": (3600, 900, "54e385ae215fa25dc98384956d6077c9e71e6d5709d77201ae584cf690f4702a"),
    "mini-methods-grid": (8400, 2100, "dc94e3fa7528b1c9d9cd5107844c480fc96d501a927da40c7506166b7b1ef01e"),
    "mini-methods": (5200, 1300, "023cade6d5e73cc605fc889d0d4dba8b8b0b65eca8c9404f71030e0dafe2e5ac"),
    "mini-modules": (3200, 800, "95ab8452ba67c64141de231a8b0676a88c7e2eadd34c7c600faba51f484cc5d2"),
}


TEXTS = [
    "",
    "The answer is 7.",
    "<think>Wait, 3 + 4 = 7. Let me check: 7.</think> The answer is 7.",
    "naïve — 東京 🙂 \u200bdone",
    "So 3 + 4 = 8.",
]
ODD = [
    {"text": "a", "ids": [1], "ends": [2]},
    {"text": "", "new": [1, {"deep": None}]},
    {"text": "", "ids": [2**70]},
]


def body_of_text(text, tags, gold="7"):
    """What the runner stores of a response of one byte per token."""
    ids = ByteTokenizer().encode(text) if text else []

    class Shot:
        trace = trace_of(ids, ByteTokenizer().decode, tags, "stop", gold, "auto", [-i / 7 for i in range(len(ids))])

    return json.loads(json.dumps(body_of(Shot)))


@st.composite
def studies(draw):
    """A study with gaps, odd values and odd bodies, as (plan, rows, items, [(sample, body or None)], run numbers)."""
    decodings = st.builds(
        Decoding, temperature=st.sampled_from([0.6, 1.0]), cap=st.integers(1, 9999), seed=st.integers(0, 2**53)
    )
    recipes = st.builds(Recipe, method=st.sampled_from(["linear", "ties"]), lam=st.sampled_from([0, 0.3, 0.55, 1]),
                        scope=st.sampled_from([Scope(), Scope("0-2", ("mlp",))]))  # fmt: skip
    cell = st.builds(Cell, recipes, decodings, WORDS.filter(str.isprintable))
    cells = draw(st.lists(cell, min_size=1, max_size=4, unique_by=lambda c: (c.recipe, c.decoding)))
    items = draw(st.lists(st.builds(Item, st.just("t"), WORDS, WORDS, WORDS, st.sampled_from(["auto", "number"]), WORDS, st.integers(0, 9)),
                          min_size=1, max_size=4, unique_by=lambda item: item.key))  # fmt: skip
    items = [item for item in items if _storable(item)]
    rows = [CellRow(cell.key("f", "float32"), cell, "f", "float32") for cell in cells]
    tags = ThinkTags(close_id=257, open_id=256)
    small, maybe = st.integers(0, 5000), st.none() | st.integers(0, 5000)
    out, runs = [], {}
    for row in rows:
        for item in items:
            for number in range(draw(st.integers(0, 3))):
                key = digest("sample", row.key, item.key, number)
                tokens, think = draw(small), draw(st.integers(0, 50))
                seed = draw(st.integers(0, 2**53))
                verdict, flags = (
                    draw(st.sampled_from([None, "correct", "wrong", "no_answer"])),
                    draw(st.tuples(*[st.booleans()] * 4)),
                )
                sample = Sample(
                    key, row.key, item.key, number, seed, draw(st.sampled_from(["stop", "cap"])), verdict,
                    draw(st.none() | st.sampled_from(["7", "七", "x" * 300])), tokens + think, think, tokens, *flags,
                    draw(maybe), draw(maybe), draw(small), draw(st.floats(0, 1e6)), draw(st.floats(1.6e9, 2e9)),
                )  # fmt: skip
                kind = draw(st.sampled_from(["none", "text", "odd"]))
                made = (
                    None
                    if kind == "none"
                    else draw(st.sampled_from(ODD))
                    if kind == "odd"
                    else body_of_text(draw(st.sampled_from(TEXTS)), tags)
                )
                out.append((sample, made))
                runs[key] = draw(st.sampled_from([None, 0, 1]))
    return Plan("t", tuple(cells), max(len(items), 1), 3), rows, items, out, runs


def _storable(item):
    """SQLite keeps no lone surrogates; nor does the key of an item with one."""
    try:
        return bool("".join((item.id, item.prompt, item.answer, item.family)).encode() or True)
    except UnicodeEncodeError:
        return False


@MODEST
@given(studies(), st.sampled_from([None, 0, 1, 2]), st.sampled_from([None, 1, 2]))
def test_any_study_reads_back_exactly(tmp_path_factory, study, texts, questions):
    plan, rows, items, samples, made_by = study
    folder = tmp_path_factory.mktemp("file")
    with Store(folder / "s.db") as store:
        store.put_study("s", plan, rows, items, note="a note")
        made = {"host": "h", "device": "cpu", "dtype": "float32", "versions": {"a": "1"}, "command": "c"}
        runs = [store.put_run({"token": f"t{i}", "started": i + 0.25, **made}) for i in range(2)]
        for sample, made in samples:
            store.add_many(
                [(sample, None if made is None else pack(made))],
                None if made_by[sample.key] is None else runs[made_by[sample.key]],
            )
        assert export_study(store, "s", folder / "s.parquet", texts=texts, text_questions=questions) == len(samples)
        keep = {item.key for item in items[:questions]}
        with Store(folder / "s.parquet", readonly=True) as back:
            one, two = store.study("s"), back.study("s")
            assert replace(two, id=one.id) == one
            assert back.cells(two.id) == store.cells(one.id) and back.items(two.id) == store.items(one.id)
            assert back.samples(two.id) == store.samples(one.id)
            for sample, made in samples:
                kept = made is not None and sample.item in keep and (texts is None or sample.number < texts)
                assert back.body(sample.key) == (made if kept else None)
                assert [unpack(data) for _, data in back.bodies([sample.key])] == ([made] if kept else [])
                assert back.sample(sample.key) == sample
            told = [
                {k: run[k] for k in ("token", "started", "versions", "samples", "seconds")}
                for run in store.runs(one.id)
            ]
            assert [
                {k: run[k] for k in ("token", "started", "versions", "samples", "seconds")} for run in back.runs(two.id)
            ] == told
            export_study(back, "s", folder / "again.parquet")
        assert (folder / "again.parquet").read_bytes() == (
            folder / "s.parquet"
        ).read_bytes()  # equal studies, equal bytes


def test_the_bundled_studies_hold_what_they_held_in_the_former_format():
    with Store(":memory:") as own:
        for name, (count, texts, want) in MIGRATED.items():
            with bundled.open_study(own, name)[0] as store:
                samples = store.samples(store.study(name).id)
                bodies = {s.key: store.body(s.key) for s in samples}
            found = hashlib.sha256()
            for s in sorted(samples, key=lambda s: s.key):
                row = {f.name: getattr(s, f.name) for f in fields(s)}
                found.update(json.dumps([row, bodies[s.key]], sort_keys=True).encode())
            assert (len(samples), sum(b is not None for b in bodies.values())) == (count, texts)
            assert found.hexdigest() == want, name


def test_traces_of_a_study_file_are_the_traces(tmp_path):
    store = filled(tmp_path / "s.db")
    export_study(store, "s", tmp_path / "s.parquet")
    with Store(tmp_path / "s.parquet", readonly=True) as back:
        for _, item, sample, kept in content(store).values():
            assert trace_from(sample, back.body(sample.key), item.answer) == trace_from(sample, kept, item.answer)
        assert summarise(back, "s").json() == summarise(store, "s").json()


def test_what_a_caller_does_to_a_body_stays_with_the_caller(tmp_path):
    export_study(filled(tmp_path / "s.db"), "s", tmp_path / "s.parquet")
    with Store(tmp_path / "s.parquet", readonly=True) as back:
        key = back.samples(1)[0].key
        back.body(key)["ids"].append(9)
        back.body(key).pop("text")
        assert back.body(key) == Store(tmp_path / "s.db").body(key)


def test_a_damaged_file_is_refused_whole(tmp_path):
    export_study(filled(tmp_path / "s.db"), "s", tmp_path / "s.parquet")
    data = (tmp_path / "s.parquet").read_bytes()
    chance = random.Random(0)
    for i in range(60):
        place, path = chance.randrange(8, len(data)), tmp_path / f"{i}.parquet"
        path.write_bytes(data[:place] if i % 2 else data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with Store(tmp_path / "home" / "o.db") as other:
            try:
                import_study(other, path, f"s{i}")
            except UserError:
                assert other.find(f"s{i}") is None
            else:  # only the head's words can change unseen
                assert content(other, f"s{i}").keys() == content(Store(tmp_path / "s.db")).keys()


def with_head(path, out, **values):
    """The file again with other values in its head."""
    table = pq.read_table(path)
    head = json.loads(table.schema.metadata[study_file.HEAD_KEY])
    pq.write_table(table.replace_schema_metadata({study_file.HEAD_KEY: json.dumps({**head, **values})}), out)


def test_a_file_of_a_later_format_and_one_of_the_former_are_told(tmp_path):
    export_study(filled(tmp_path / "s.db"), "s", tmp_path / "s.parquet")
    with_head(tmp_path / "s.parquet", tmp_path / "new.parquet", format=2)
    with pytest.raises(StoreNewer, match="format 2"):
        Store(tmp_path / "new.parquet", readonly=True)
    (tmp_path / "old.mistudy").write_bytes(b"MISTUDY2" + bytes(100))
    with Store(tmp_path / "o.db") as other, pytest.raises(UserError, match="study export"):
        import_study(other, tmp_path / "old.mistudy")


def test_a_table_without_our_metadata_is_read_from_its_rows(tmp_path):
    store = filled(tmp_path / "s.db")
    export_study(store, "s", tmp_path / "s.parquet")
    pq.write_table(pq.read_table(tmp_path / "s.parquet").replace_schema_metadata(None), tmp_path / "plain.parquet")
    with Store(tmp_path / "o.db") as other:
        assert import_study(other, tmp_path / "plain.parquet") == ("s", 24) and content(other) == content(store)
    with Store(tmp_path / "plain.parquet", readonly=True) as back:
        assert content(back) == content(store)


ODD_VALUES = st.sampled_from([None, -1, 10**30, 1e308, "", "x", "{}", [], {}, [[]], [None], [[1, 2, 3]], True])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A study file."""
    folder = tmp_path_factory.mktemp("plain")
    with filled(folder / "s.db", lams=(0, 1), samples=1) as store:
        export_study(store, "s", folder / "s.parquet")
    return folder / "s.parquet"


@MODEST
@given(data=st.data())
def test_a_head_that_says_anything_is_read_or_refused(plain, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("odd")
    head = json.loads(pq.read_schema(plain).metadata[study_file.HEAD_KEY])
    place = data.draw(st.sampled_from(sorted(head)))
    if isinstance(head[place], list) and data.draw(st.booleans()):
        inner = head[place][0]
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        inner[key] = data.draw(ODD_VALUES)
    else:
        head[place] = data.draw(ODD_VALUES)
    with_head(plain, folder / "odd.parquet", **head)
    with Store(folder / "home.db") as home:
        try:
            import_study(home, folder / "odd.parquet")
            with Store(folder / "odd.parquet", readonly=True) as back:
                for info in back.studies():
                    content(back, info.name)
        except UserError:
            pass


def test_a_study_file_is_only_read(tmp_path):
    export_study(filled(tmp_path / "s.db"), "s", tmp_path / "s.parquet")
    before = (tmp_path / "s.parquet").read_bytes()
    with Store(tmp_path / "s.parquet", readonly=True) as back:
        for change in (
            lambda: back.delete("s"),
            lambda: back.rename("s", "t"),
            lambda: back.add(back.samples(1)[0], None),
        ):
            with pytest.raises(StoreError, match="reading only"):
                change()
    with pytest.raises(StoreCorrupt):
        Store(tmp_path / "s.parquet")  # not as a store to write into
    assert (tmp_path / "s.parquet").read_bytes() == before
    with Store(tmp_path / "s.parquet", readonly=True) as one, Store(tmp_path / "s.parquet", readonly=True) as two:
        one.close()
        assert len(two.samples(1)) == 24  # the rows are shared, closing is not
