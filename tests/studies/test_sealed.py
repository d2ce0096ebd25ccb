"""Sealed studies: columns and files give back exactly what went in, whatever it is; the shelf says whose weights it shows."""

import json
import math
import random
import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer.checkpoints import fingerprint as identity
from mi_explorer.errors import UserError
from mi_explorer.generation.traces import ThinkTags, trace_of
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Cell, Item, Plan, digest, grid, sample_seed
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store import archive, bundled
from mi_explorer.studies.store.columns import (
    expand,
    get_floats,
    get_ints,
    get_words,
    join,
    put_floats,
    put_ints,
    put_words,
    split,
    squeeze,
)
from mi_explorer.studies.store.exchange import export_study, import_study
from mi_explorer.studies.store.sample import Sample, body_of, pack, trace_from, unpack
from mi_explorer.studies.store.schema import StoreCorrupt, StoreError, StoreNewer
from mi_explorer.studies.store.store import CellRow, Store
from mi_explorer.workbench import Workbench
from tests.fakes import ByteTokenizer
from tests.studies.test_store import content, filled

MODEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.text(st.characters(codec=None), max_size=8)  # also lone surrogates and control characters


# -- columns ------------------------------------------------------------------------------------------------------------


@MODEST
@given(st.lists(st.none() | st.integers(-(2**60), 2**60)), st.lists(st.none() | WORDS), st.lists(st.floats(width=64)))
def test_columns_come_back(whole, words, doubles):
    assert get_ints(put_ints(whole)) == whole
    assert get_words(put_words(words)) == words
    back = get_floats(put_floats(doubles))
    assert [math.isnan(x) for x in back] == [math.isnan(x) for x in doubles]
    assert [x for x in back if x == x] == [x for x in doubles if x == x]


@MODEST
@given(st.lists(st.integers(-(10**12), 10**12), min_size=1), st.integers(0, 6))
def test_short_decimals_come_back_to_the_last_bit_and_take_no_doubles(numbers, places):
    values = [round(n / 10**places, places) for n in numbers]
    data = put_floats(values)
    assert get_floats(data) == values
    if max(map(abs, values)) < 2**31:
        assert data[4] & 4 == 0  # not kept as plain doubles


def test_rising_numbers_are_kept_as_steps():
    rising = [1_700_000_000_000 + 137 * i for i in range(10_000)]
    assert get_ints(put_ints(rising)) == rising and len(squeeze(put_ints(rising))) < 400
    noise = random.Random(0)
    walk = [noise.randrange(-4, 5) for _ in range(1000)]
    assert get_ints(put_ints(walk)) == walk


@MODEST
@given(st.lists(st.binary(max_size=50)), st.data())
def test_packed_data_that_were_damaged_are_noticed(parts, data):
    whole = join(parts)
    packed = squeeze(whole)
    assert split(expand(packed, len(whole))) == parts
    for wrong in (len(whole) + 1, len(whole) - 1):
        with pytest.raises(ValueError):
            expand(packed, wrong)
    with pytest.raises(ValueError):
        expand(packed[: data.draw(st.integers(0, len(packed) - 1))], len(whole))


def test_a_bomb_is_not_unpacked():
    bomb = squeeze(bytes(50_000_000))
    assert len(bomb) < 20_000
    with pytest.raises(ValueError, match="longer than they say"):
        expand(bomb, 1000)
    with pytest.raises(ValueError, match="too long"):
        get_ints(put_ints([0])[:0] + (60_000_000).to_bytes(4, "little") + bytes(11))


# -- whole studies ------------------------------------------------------------------------------------------------------

TEXTS = [
    "",
    "The answer is 7.",
    "<think>Wait, 3 + 4 = 7. Let me check: 7.</think> The answer is 7.",
    "naïve — 東京 🙂 \u200bdone",
    "So 3 + 4 = 8.",
]
ODD = [
    {},
    {"text": "x"},
    {"text": "a", "ids": [1], "ends": [2]},
    {"new": [1, {"deep": None}]},
    {"text": "", "ids": [2**70]},
]


def body(text, tags, gold="7"):
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
                seed = draw(st.just(sample_seed(row.cell.decoding.seed, item.key, number)) | st.integers(0, 2**53))
                verdict, flags = (
                    draw(st.sampled_from([None, "correct", "wrong", "no_answer"])),
                    draw(st.tuples(*[st.booleans()] * 4)),
                )
                sample = Sample(
                    key, row.key, item.key, number, seed, draw(st.sampled_from(["stop", "cap"])), verdict,
                    draw(st.none() | st.sampled_from(["7", "", "七", "x" * 300])), tokens + think, think, tokens, *flags,
                    draw(maybe), draw(maybe), draw(small), draw(st.floats(0, 1e6)), draw(st.floats(1.6e9, 2e9)),
                )  # fmt: skip
                kind = draw(st.sampled_from(["none", "text", "odd"]))
                made = (
                    None
                    if kind == "none"
                    else draw(st.sampled_from(ODD))
                    if kind == "odd"
                    else body(draw(st.sampled_from(TEXTS)), tags)
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
    folder = tmp_path_factory.mktemp("sealed")
    with Store(folder / "s.db") as store:
        store.put_study("s", plan, rows, items, note="a note")
        made = {"host": "h", "device": "cpu", "dtype": "float32", "versions": {"a": "1"}, "command": "c"}
        runs = [store.put_run({"token": f"t{i}", "started": i + 0.25, **made}) for i in range(2)]
        for sample, made in samples:
            store.add_many(
                [(sample, None if made is None else pack(made))],
                None if made_by[sample.key] is None else runs[made_by[sample.key]],
            )
        assert export_study(store, "s", folder / "s.mistudy", texts=texts, text_questions=questions) == len(samples)
        keep = {item.key for item in items[:questions]}
        with Store(folder / "s.mistudy", readonly=True) as back:
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
            export_study(back, "s", folder / "again.mistudy")
        assert (folder / "again.mistudy").read_bytes() == (
            folder / "s.mistudy"
        ).read_bytes()  # equal studies, equal bytes


def test_traces_of_a_sealed_study_are_the_traces(tmp_path):
    store = filled(tmp_path / "s.db")
    export_study(store, "s", tmp_path / "s.mistudy")
    with Store(tmp_path / "s.mistudy", readonly=True) as back:
        for _, item, sample, kept in content(store).values():
            assert trace_from(sample, back.body(sample.key), item.answer) == trace_from(sample, kept, item.answer)
        assert summarise(back, "s").json() == summarise(store, "s").json()


def test_what_a_caller_does_to_a_body_stays_with_the_caller(tmp_path):
    export_study(filled(tmp_path / "s.db"), "s", tmp_path / "s.mistudy")
    with Store(tmp_path / "s.mistudy", readonly=True) as back:
        key = back.samples(1)[0].key
        back.body(key)["ids"].append(9)
        back.body(key).pop("text")
        assert back.body(key) == Store(tmp_path / "s.db").body(key)


def test_it_is_small(tmp_path):
    """Texts that models write again and again, and peaked log-probs: a twentieth of the store's bytes."""
    sums = [(a, b, a + b) for a in range(9) for b in range(9)]
    lines = [
        f"<think>Let me see: {a} + {b} = {c}. Wait, let me check: {b} + {a} = {c}.</think> The answer is {c}."
        for a, b, c in sums
    ]
    store = filled(
        tmp_path / "s.db", lams=[i / 10 for i in range(11)], samples=20, script=lambda r: lines[r.decoding.seed % 81]
    )
    export_study(store, "s", tmp_path / "s.mistudy")
    store.seal()
    assert (tmp_path / "s.mistudy").stat().st_size * 20 < (tmp_path / "s.db").stat().st_size


def test_a_file_of_the_first_format_is_read_as_before(tmp_path):
    with filled(tmp_path / "old.mistudy") as store:  # format 1: a store with one study in it
        store.seal()
        want = content(store)
    with Store(tmp_path / "old.mistudy", readonly=True) as old:
        assert content(old) == want
        export_study(old, "s", tmp_path / "new.mistudy")
    assert not archive.is_sealed(tmp_path / "old.mistudy") and archive.is_sealed(tmp_path / "new.mistudy")
    with Store(tmp_path / "h.db") as home:
        assert import_study(home, tmp_path / "old.mistudy") == ("s", 24) and import_study(
            home, tmp_path / "new.mistudy"
        ) == ("s", 0)
        assert content(home) == want


def test_a_damaged_file_is_refused_whole(tmp_path):
    export_study(filled(tmp_path / "s.db"), "s", tmp_path / "s.mistudy")
    data = (tmp_path / "s.mistudy").read_bytes()
    chance = random.Random(0)
    places = [chance.randrange(8, len(data)) for _ in range(60)]
    for i, place in enumerate(places):
        path = tmp_path / f"{i}.mistudy"
        path.write_bytes(data[:place] if i % 2 else data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with Store(tmp_path / "home" / "o.db") as other:
            with pytest.raises(StoreError):
                import_study(other, path)
            assert other.studies() == []
    (tmp_path / "9.mistudy").write_bytes(data[:7] + b"3" + data[8:])
    with pytest.raises(StoreNewer, match="format 3"):
        Store(tmp_path / "9.mistudy", readonly=True)


ODD_VALUES = st.sampled_from([None, -1, 10**30, 1e308, "", "x", "{}", [], {}, [[]], [None], [[1, 2, 3]], True])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A sealed study's bytes, cut into mark, head and the rest."""
    folder = tmp_path_factory.mktemp("plain")
    with filled(folder / "s.db", lams=(0, 1), samples=1) as store:
        export_study(store, "s", folder / "s.mistudy")
    raw = (folder / "s.mistudy").read_bytes()
    size, length = struct.unpack("<II", raw[8:16])
    return raw[:8], expand(raw[16 : 16 + size], length), raw[16 + size :]


@MODEST
@given(data=st.data())
def test_a_head_that_says_anything_is_read_or_refused(plain, tmp_path_factory, data):
    """A file with right check sums and a wrong head: a `UserError` or a study, never another fault."""
    folder = tmp_path_factory.mktemp("odd")
    mark, head, rest = plain[0], json.loads(plain[1]), plain[2]
    place = data.draw(st.sampled_from(sorted(head)))
    if isinstance(head[place], list) and data.draw(st.booleans()):
        inner = head[place][0]
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        inner[key] = data.draw(ODD_VALUES)
    else:
        head[place] = data.draw(ODD_VALUES)
    text = json.dumps(head).encode()
    top = squeeze(text)
    (folder / "odd.mistudy").write_bytes(mark + struct.pack("<II", len(top), len(text)) + top + rest)
    with Store(folder / "home.db") as home:
        try:
            import_study(home, folder / "odd.mistudy")
            with Store(folder / "odd.mistudy", readonly=True) as back:
                for info in back.studies():
                    content(back, info.name)
        except UserError:
            pass


def test_a_sealed_file_is_only_read(tmp_path):
    export_study(filled(tmp_path / "s.db"), "s", tmp_path / "s.mistudy")
    before = (tmp_path / "s.mistudy").read_bytes()
    with Store(tmp_path / "s.mistudy", readonly=True) as back:
        for change in (
            lambda: back.delete("s"),
            lambda: back.rename("s", "t"),
            lambda: back.add(back.samples(1)[0], None),
        ):
            with pytest.raises(StoreError, match="reading only"):
                change()
    with pytest.raises(StoreCorrupt):
        Store(tmp_path / "s.mistudy")  # not as a store to write into
    assert (tmp_path / "s.mistudy").read_bytes() == before
    with Store(tmp_path / "s.mistudy", readonly=True) as one, Store(tmp_path / "s.mistudy", readonly=True) as two:
        one.close()
        assert len(two.samples(1)) == 24  # the rows are shared, closing is not


# -- the shelf ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def trio(tmp_path, monkeypatch):
    """A pair of three small folders under the name that the scripted studies have."""
    for role in ("instruct", "thinking"):
        (tmp_path / role).mkdir()
        (tmp_path / role / "model.safetensors").write_bytes(role.encode() * 100)
    pair = Pair("mini", str(tmp_path / "instruct"), str(tmp_path / "thinking"))
    monkeypatch.setattr(bundled, "get_pair", lambda name: pair)
    return pair


def on_shelf(tmp_path, fingerprint, form):
    """A shelf with one study of a fingerprint, in either format."""
    folder = tmp_path / f"shelf{form}"
    folder.mkdir()
    plan = Plan("sums", grid(Recipe(), (0, 1), Decoding()), 1, 1)
    rows = [CellRow(cell.key(fingerprint, "float32"), cell, fingerprint, "float32") for cell in plan.cells]
    path = folder / "s.mistudy" if form == 1 else tmp_path / f"shelf{form}.db"
    with Store(path) as store:
        store.put_study("s", plan, rows, [Item("sums", "1", "What is 3 + 4?", "7")])
        if form == 1:
            store.seal()
        else:
            export_study(store, "s", folder / "s.mistudy")
    return folder


@pytest.mark.parametrize("form", [1, 2])
def test_a_shelf_study_of_other_weights_says_so(tmp_path, trio, form):
    own = Store(tmp_path / "home" / "studies.db")
    folder = on_shelf(tmp_path, identity.pair_fingerprint(trio), form)
    assert [(info.name, info.origin, info.foreign) for info in bundled.shelf(folder)] == [("s", "precomputed", False)]
    with bundled.open_study(own, "s", folder)[0] as store:
        assert store.studies()[0].origin == "precomputed"
    (tmp_path / "thinking" / "model.safetensors").write_bytes(b"retrained" * 90)
    assert [(info.origin, info.foreign) for info in bundled.shelf(folder)] == [
        ("precomputed, made with other weights", True)
    ]
    store, info = bundled.open_study(own, "s", folder)
    with store:
        assert (
            info.origin == "precomputed, made with other weights"
            and "made with other weights" in summarise(store, "s").json()["origin"]
        )


def test_a_shelf_study_of_a_pair_that_is_not_here_is_only_precomputed(tmp_path, trio, monkeypatch):
    folder = on_shelf(tmp_path, "0" * 16, 2)
    monkeypatch.setattr(bundled, "get_pair", lambda name: Pair("big", "someone/instruct", "someone/thinking"))
    assert [info.origin for info in bundled.shelf(folder)] == ["precomputed"]


def test_what_is_on_the_shelf_is_small_complete_and_of_these_weights(tmp_path):
    """Stale, half-made or bloated files must not ship: this fails when a pair is retrained and its studies are not."""
    files = bundled.precomputed()
    assert sum(path.stat().st_size for path in files) < 6e6
    found = {info.name: info for info in bundled.shelf()}
    assert {info.origin for info in found.values()} <= {"precomputed"} and len(found) == len(files)
    with Store(tmp_path / "own.db") as own:
        for name, info in found.items():
            assert info.samples == info.units and info.plan.command.startswith("python -m mi_explorer ")
            with bundled.open_study(own, name)[0] as store:
                samples = store.samples(store.study(name).id)
                texts = [s for s in samples if s.number == 0 and store.body(s.key)]
                assert texts and {s.cell for s in texts} == {s.cell for s in samples}  # every point opens a trace
                assert all(run["host"] == "" for run in store.runs(store.study(name).id))


def test_the_fingerprint_of_a_pair_is_that_of_the_opened_pair():
    from mi_explorer.pairs import get_pair

    with Workbench.open("mini") as bench:
        assert identity.pair_fingerprint(get_pair("mini")) == bench.fingerprint
