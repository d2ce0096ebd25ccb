"""Pairs of a page: what may be opened, what is said before loading, and who makes opened."""

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mi_explorer.pairs import Pair, list_pairs
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.open_pairs import LoadStopped, OpenPair, OpenPairError, PagePairs
from mi_explorer.workbench import Workbench
from tests.checkpoints.test_adapter import make_adapter
from tests.ui.fake import FakeBench

NOT_LOADED = str(LoadStopped())
MINI = Path(__file__).resolve().parents[2] / "assets" / "models" / "mini"


def pairs(policy="any", made=None):
    def make(pair: Pair, report):
        for what in (
            ("check", 0, 0),
            ("open", 0, 0),
            ("read", 0, 68),
            ("read", 34, 68),
            ("bind", 0, 0),
            ("measure", 3, 35),
        ):
            report(*what)
        bench = FakeBench(layers=8, name=pair.name)
        (made if made is not None else []).append(bench)
        return OpenPair(Explore(bench), {"pair": {"name": pair.name}})

    return PagePairs(OpenPair(Explore(FakeBench()), {"pair": {"name": "mini"}}), make, policy)


def spec(folder: Path) -> str:
    return f"{folder}/instruct|{folder}/thinking"


@pytest.fixture
def copy(tmp_path):
    """The embedded parents in another folder."""
    for role in ("instruct", "thinking"):
        shutil.copytree(MINI / role, tmp_path / role)
    return tmp_path


def test_the_policy_says_what_may_be_opened(copy):
    assert [p["name"] for p in pairs("fixed").offered()] == ["mini"]
    assert [p["name"] for p in pairs("presets").offered()] == ["mini"] + [
        p.name for p in list_pairs() if p.name != "mini"
    ]
    assert "only the loaded pair" in pairs("fixed").judge("qwen3-4b")["error"]
    assert "presets only" in pairs("presets").judge(spec(copy))["error"]
    assert pairs("any").judge(spec(copy))["ok"] is True
    assert list(pairs("fixed").load(spec(copy)))[-1]["error"]
    with pytest.raises(OpenPairError, match="fixed, presets, any"):
        pairs("some")


def test_a_pair_is_judged_in_words_before_anything_is_read(copy):
    judged = pairs().judge(spec(copy))
    rows = dict(judged["rows"])
    assert rows["Architecture"].startswith("qwen3, 6 layers, width 128, tied") and rows["Preflight"].startswith("ok")
    assert judged["facts"] == "6 layers · 1.3 M parameters" and "lm_head" not in judged["modules"]
    assert judged["title"] == "instruct | thinking" and judged["name"] == spec(copy)
    config = json.loads((copy / "thinking" / "config.json").read_text())
    (copy / "thinking" / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    judged = pairs().judge(spec(copy))
    assert judged["ok"] is False and any(
        "rms_norm_eps" in f["text"] and f["kind"] == "refused" for f in judged["findings"]
    )


def test_what_is_refused_is_never_loaded(copy):
    made = []
    (copy / "instruct" / "model.safetensors").write_bytes(b"\xff" * 100)
    steps = list(pairs(made=made).load(spec(copy)))
    assert (
        (steps[0]["phase"], steps[0]["of"], steps[0]["text"]) == (1, 5, "Checking instruct | thinking")
        and "error" in steps[-1]
        and made == []
    )
    assert "error" in list(pairs(made=made).load("no-such-pair"))[-1]
    assert "error" in list(pairs(made=made).load("/nowhere/a|/nowhere/b"))[-1] and made == []


def test_loading_goes_in_numbered_phases_and_the_pair_is_there(copy):
    opened = pairs()
    steps = list(opened.load(spec(copy)))
    assert [s.get("phase") for s in steps] == [1, 2, 3, 4, 5, None] and steps[-1] == {"loaded": spec(copy)}
    texts = [s["text"] for s in steps[:-1]]
    assert texts[2].startswith("Reading 34/68 tensors") and texts[3:] == [
        "Binding",
        "Measuring steps 3/35",
    ]
    assert opened.at(spec(copy)).bench.layers == 8 and opened.at("something else").bench.layers == 6
    assert list(opened.load(spec(copy))) == [{"loaded": spec(copy)}]  # it is there already


def test_another_pair_makes_room_unless_somebody_runs_on_it(copy, tmp_path):
    made = []
    opened = pairs(made=made)
    list(opened.load(spec(copy)))
    run = opened.at(spec(copy)).explore.run(
        {"token": "a" * 16, "kind": "strip", "view": {"q": "?", "pair": spec(copy)}}
    )
    next(run)
    other = spec(copy) + f"|{copy}/instruct"
    assert "something runs on it" in list(opened.load(other))[-1]["error"] and not made[0].closed
    run.close()
    opened.in_use = lambda name: name == spec(copy)  # a sweep goes on there
    assert "something runs on it" in list(opened.load(other))[-1]["error"] and not made[0].closed
    opened.in_use = lambda name: False
    assert list(opened.load(other))[-1] == {"loaded": other}
    assert made[0].closed and not made[1].closed and opened.at(spec(copy)).bench.pair.name == "mini"
    opened.close()
    assert made[1].closed


def test_a_load_that_fails_says_so_and_the_next_one_works(copy):
    opened = pairs()
    good = opened.open_pair

    def bad(pair, report):
        report("read", 1, 68)
        raise MemoryError("no opened")

    opened.open_pair = bad
    steps = list(opened.load(spec(copy)))
    assert steps[1]["text"].startswith("Reading 1/68")
    assert set(steps[-1]) == {"error"} and "MemoryError" in steps[-1]["error"]
    opened.open_pair = good
    assert list(opened.load(spec(copy)))[-1] == {"loaded": spec(copy)}


def test_a_load_goes_on_when_its_visitor_leaves(copy):
    opened, going = pairs(), threading.Event()
    good = opened.open_pair

    def slow(pair, report):
        report("read", 1, 68)
        going.wait(20)
        return good(pair, report)

    opened.open_pair = slow
    load = opened.load(spec(copy))
    assert [next(load)["phase"], next(load)["phase"]] == [1, 3]
    load.close()
    assert "being loaded" in list(opened.load(spec(copy)))[-1]["error"]
    going.set()
    end = time.monotonic() + 20
    while opened.at(spec(copy)).bench.pair.name == "mini" and time.monotonic() < end:
        time.sleep(0.01)
    assert list(opened.load(spec(copy))) == [{"loaded": spec(copy)}]


def test_a_load_is_stopped_by_whoever_asked_for_it(copy):
    """In the loader's thread, where `report` ends it, and after its last word, when the pair is there but nobody wants it."""
    for late in (False, True):
        made: list[FakeBench] = []
        opened, going = pairs(made=made), threading.Event()
        good = opened.open_pair

        def slow(pair, report, good=good, going=going, late=late):
            out = good(pair, report) if late else None
            report("read", 2, 68)
            going.wait(20)
            if not late:
                report("read", 3, 68)
            return out

        opened.open_pair = slow
        load = opened.load(spec(copy), "t" * 16)
        while not next(load)["text"].startswith("Reading 2"):
            pass
        assert not opened.stop("") and not opened.stop("someone else's") and opened.stop("t" * 16)
        going.set()
        assert list(load)[-1] == {"error": NOT_LOADED}
        assert [bench.closed for bench in made] == [True] * late and opened.at(spec(copy)).bench.pair.name == "mini"
        assert not opened.stop("t" * 16)
        opened.open_pair = good
        assert list(opened.load(spec(copy)))[-1] == {"loaded": spec(copy)}


def test_a_stop_during_the_check_loads_nothing(copy):
    made: list[FakeBench] = []
    opened = pairs(made=made)
    load = opened.load(spec(copy), "t" * 16)
    assert next(load)["phase"] == 1 and opened.stop("t" * 16)
    assert list(load) == [{"error": NOT_LOADED}] and made == []
    left = opened.load(spec(copy), "u" * 16)
    next(left)
    left.close()  # the visitor left during the check: nothing is there to stop
    assert not opened.stop("u" * 16)
    unnamed = opened.load(spec(copy))
    next(unnamed)
    assert not opened.stop(""), "a load that nobody gave a token is nobody's to stop"
    unnamed.close()
    assert list(opened.load(spec(copy), "v" * 16))[-1] == {"loaded": spec(copy)}


def test_a_real_load_that_is_stopped_leaves_no_engine(copy):
    before = set(threading.enumerate())
    for phase in ("open", "read", "measure"):  # in the loader's thread and in the engine's
        opened = pairs()

        def make(pair, report, phase=phase, opened=opened):
            def told(what, done, total):
                if what == phase:
                    opened.stop("t" * 16)
                report(what, done, total)

            return OpenPair(Explore(Workbench.open(pair, report=told)), {})

        opened.open_pair = make
        assert list(opened.load(spec(copy), "t" * 16))[-1] == {"error": NOT_LOADED}
        assert not [t for t in set(threading.enumerate()) - before if t.name == "mi-engine" and t.is_alive()]


def test_opening_tells_its_phases_with_the_tensors_of_the_pair(copy):
    told = []
    with Workbench.open(spec(copy), home=copy / "home", report=lambda *what: told.append(what)) as bench:
        assert bench.engine.status().mode in ("idle", "rowwise", "folded")
        names = len(bench.resident.names)
    assert list(dict.fromkeys(phase for phase, *_ in told)) == ["check", "open", "read", "bind", "measure"]
    read = [(done, total) for phase, done, total in told if phase == "read"]
    assert read[0] == (0, names) and read[-1] == (names, names) and read == sorted(read) and len(read) > 10
    steps = [done / total for phase, done, total in told if phase == "measure"]
    assert steps == sorted(steps) and 0 <= steps[0] < steps[-1] < 1


def test_a_form_asks_the_task_of_the_pair_unless_another_was_chosen(copy):
    opened, bench, other = pairs(), FakeBench(name=spec(copy)), spec(copy)
    bench.pair = replace(bench.pair, task="smollm2")
    opened.open_pair = lambda pair, report: OpenPair(Explore(bench), {})
    assert list(opened.load(other))[-1] == {"loaded": other}
    page = PageContext(opened, pair=None, settings=Settings())
    assert (page.task("mini"), page.task(other)) == ("mini", "smollm2")
    assert [page.task_for(other, chosen, "mini") for chosen in ("mini", "own.jsonl")] == ["smollm2", "own.jsonl"]
    assert replace(page, settings=Settings(task="mine.csv")).task(other) == "mine.csv"


def test_findings_call_parents_by_short_names(copy):
    adapter = make_adapter(str(copy / "instruct"), copy / "lora", target_modules=["q_proj"])
    judged = pairs().judge(f"{copy}/instruct|{adapter}")
    words = " ".join(x["text"] for x in judged["findings"])
    assert judged["ok"] and "rank 4" in words and str(copy) not in words + judged["title"]
