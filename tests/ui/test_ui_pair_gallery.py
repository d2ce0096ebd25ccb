"""The gallery: what a preset needs and whether it fits, judged by the memory plan, before anything is loaded or fetched."""

import json
import socket
from pathlib import Path

import pytest

from mi_explorer.engine.memory_plan import plan_memory
from mi_explorer.engine.paper_plan import header_sizes
from mi_explorer.pairs import get_pair, list_pairs
from mi_explorer.ui.explore import demo_strip
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.pair_gallery import CONTEXT, PageMachine, memory_refusal, pair_card, parameters_of
from tests.ui.fake import FakeBench

GB = 10**9


def machine(usable: float | None = 12.0, **more) -> PageMachine:
    return PageMachine(usable=lambda: None if usable is None else int(usable * GB), **more)


def page(policy="presets", usable: float | None = 12.0, opened=None) -> PagePairs:
    first = OpenPair(Explore(FakeBench()), {"pair": {"name": "mini"}})
    return PagePairs(first, lambda pair, report: (opened or []).append(pair) or first, policy, machine(usable))


@pytest.fixture
def offline(monkeypatch):
    """Whatever would reach for the network breaks."""

    def refuse(*_args, **_more):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_every_preset_says_what_it_can_do_and_under_which_licence():
    for pair in list_pairs():
        assert pair.about and pair.licence and pair.task and parameters_of(pair.size) > 0, pair.name
        assert pair.local or pair.kv > 0, pair.name


def test_cards_need_no_network_and_the_shipped_pair_no_download(offline):
    cards = {c["name"]: c for c in page().gallery()["cards"]}
    assert list(cards) == [p.name for p in list_pairs()] and cards["mini"]["open"] and not cards["qwen3-4b"]["open"]
    mini = pair_card(get_pair("mini"), machine(), 12 * GB)
    assert (mini["download"], mini["fits"], mini["shipped"], mini["exact"], mini["strip"]) == (
        0,
        "rowwise",
        True,
        True,
        True,
    )
    four = cards["qwen3-4b"]
    assert four["download"] == pytest.approx(3 * 8 * GB, rel=0.02) and four["licence"] == "Apache-2.0"
    assert [cards[name]["fits"] for name in ("smollm2", "qwen3-4b", "qwen3-30b-a3b")] == ["rowwise", "folded", "no"]
    assert cards["smollm2"]["download"] == pytest.approx(0.27 * GB, rel=0.02)  # Thinking is shipped


def test_what_a_pair_needs_is_where_the_memory_plan_changes():
    sizes = header_sizes("mini", "float32")
    folded, rowwise = machine().needs(sizes)
    near = max(2 << 20, rowwise // 100)
    assert plan_memory(sizes, folded, 64, CONTEXT).mode == "folded"
    assert (
        plan_memory(sizes, rowwise, 64, CONTEXT).rowwise and not plan_memory(sizes, rowwise - near, 64, CONTEXT).rowwise
    )
    assert machine().plan(sizes, folded - near) is None


def test_where_memory_cannot_be_asked_nothing_is_promised():
    card = pair_card(get_pair("qwen3-4b"), machine(None, device="cuda"), None)
    assert card["fits"] == "" and card["needs"]["folded"] > 8 * GB
    unknown = pair_card(get_pair("/no/a|/no/b"), machine(), 12 * GB)
    assert (unknown["needs"], unknown["fits"], unknown["title"], unknown["strip"]) == (None, "", "a | b", False)


def test_a_fixed_page_shows_its_own_pair_alone():
    shut = page("fixed")
    assert [c["name"] for c in shut.gallery()["cards"]] == ["mini"]
    assert "error" in shut.preview("smollm2") and "error" in shut.preview("../../../etc/passwd")


def test_a_strip_is_there_before_its_pair_is_loaded(monkeypatch, tmp_path):
    strip = page().preview("mini")
    assert [f["lam"] for f in strip["frames"].values()] == [i / 10 for i in range(11)]
    assert strip["label"].startswith("Precomputed example") and strip["view"]["pair"] == "mini"
    assert "error" in page().preview("qwen3-4b")
    content = json.loads((demo_strip.STRIPS_FOLDER / "mini.json").read_text())
    (tmp_path / "qwen3-4b.json").write_text(json.dumps(content))
    monkeypatch.setattr(demo_strip.load_demo_strip, "__defaults__", (tmp_path,))
    monkeypatch.setattr(demo_strip.has_demo_strip, "__defaults__", (tmp_path,))
    assert page().preview("qwen3-4b")["frames"] and "error" in page().preview("mini")


def test_a_pair_that_does_not_fit_is_refused_before_it_is_fetched(monkeypatch):
    judged = type("Judged", (), {"obstacles": "", "facts": {"parameters": 30_500_000_000, "disk": {"a": 1}}})()
    monkeypatch.setattr("mi_explorer.checkpoints.preflight.preflight", lambda pair: judged)
    opened: list = []
    last = list(page(opened=opened).load("qwen3-30b-a3b"))[-1]
    assert "needs at least" in last["error"] and opened == []
    assert memory_refusal(get_pair("qwen3-30b-a3b"), 30_500_000_000, machine(200)) == ""
    assert memory_refusal(get_pair("qwen3-30b-a3b"), 0, machine(1)) == ""


def test_a_size_is_read_as_people_write_it():
    assert [parameters_of(s) for s in ("135M", "4.0B", " 1.3 M", "4 MB", "", "-1B")] == [
        135_000_000,
        4_000_000_000,
        1_300_000,
        0,
        0,
        0,
    ]


def test_the_shipped_strips_belong_to_presets():
    names = {p.name for p in list_pairs()}
    for file in Path(demo_strip.STRIPS_FOLDER).glob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        assert file.stem in names and content["view"]["pair"] == file.stem
        assert "/" not in content["view"]["pair"] and len(content["frames"]) == 11
