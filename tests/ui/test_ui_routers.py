"""λ by a router: on the page, in its endpoints and in the library the same choice; judged routers on the chart of Curves."""

import json

import pytest

import mi_explorer as mi
from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.search.router import RouterError, load_router
from mi_explorer.search.saved_routing import keep_routing, routing_of, saved_routing
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.api.endpoints import Api
from mi_explorer.ui.curves.router_lines import router_lines, router_note
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.routed_lambda import route_for_page
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.spaces.space_bench import SpaceBench
from tests.ui.curve_studies import swept, tab
from tests.ui.fake import FakeBench

QUESTION = "What is 14 + 3 * 6 - 9?"
SHORT = Decoding(temperature=0, cap=3)
JUDGED = json.loads((ASSETS / "searches" / "mini-sweep-routing.json").read_text(encoding="utf-8"))


def test_page_endpoints_and_library_choose_the_same(bench):
    router = load_router("auto", "mini")
    chosen = mi.route(QUESTION, bench=bench)
    assert router.kind == "logistic" and chosen.lam == (router.low if chosen.score >= router.threshold else router.high)
    page = Explore(bench).route({"q": QUESTION, "pair": "mini"})
    assert page == {"lam": chosen.lam, "score": chosen.score, "why": chosen.why} and "logistic" in page["why"]
    api = Api(PagePairs(OpenPair(Explore(bench), {}), lambda pair, report: None))
    assert api.route(QUESTION) == page and "confidence" in api.route(QUESTION, "confidence")["why"]
    assert list(api.generate(QUESTION, lam=0.9, router="auto", cap=3))[-1]["lam"] == chosen.lam
    assert {f["lam"] for f in list(api.strip(QUESTION, "0,auto", cap=3))[-1]} == {0, chosen.lam}
    assert mi.generate(QUESTION, router="auto", decoding=SHORT, bench=bench).recipe.lam == chosen.lam
    frames = mi.strip(QUESTION, Recipe(), lams="1,auto", decoding=SHORT, bench=bench)
    assert [f.recipe.lam for f in frames] == [1, chosen.lam]


@pytest.mark.parametrize("router", ["../../etc/passwd", "assets/searches/mini-router.json", "", "autoo"])
def test_a_visitor_names_no_file(bench, router):
    with pytest.raises(UserError, match="confidence"):
        route_for_page(bench, QUESTION, router)


def test_what_no_router_can_be_asked_is_said(bench):
    assert "no question" in Explore(bench).route({"q": " "})["error"]
    assert "no question" in Explore(bench).route(None)["error"]
    assert "20,001 characters" in Explore(bench).route({"q": "x" * 20_001})["error"]
    assert "weights" in Explore(FakeBench()).route({"q": QUESTION})["error"]
    with pytest.raises(UserError, match="command line"):
        route_for_page(SpaceBench.__new__(SpaceBench), QUESTION)


def test_judged_routers_are_kept_read_and_refused_where_damaged(tmp_path):
    result = saved_routing(None, "mini-sweep", is_bundled=True)
    assert json.loads(json.dumps({"study": "mini-sweep", **result.json()})) == JUDGED
    assert saved_routing(tmp_path, "mini-sweep") is None and saved_routing(tmp_path, "../mini-sweep", True) is None
    path = keep_routing(tmp_path, "a/b", result)
    assert path.parent.parent == tmp_path and saved_routing(tmp_path, "a/b") == result
    for text in ("{", "[]", '{"routers": [{}]}', json.dumps({**JUDGED, "oracle": [{"x": 1}]})):
        path.write_text(text)
        with pytest.raises(RouterError, match="search route a/b"):
            saved_routing(tmp_path, "a/b")


def test_a_router_is_a_curve_as_its_threshold_moves():
    result = routing_of(JUDGED)
    drawn = {t["name"]: t for t in router_lines(result)}
    assert len(drawn) == 4
    for one in JUDGED["routers"]:
        trace = drawn[f"router {one['router']['kind']}"]
        assert sorted(zip(trace["x"], trace["y"])) == sorted((p["tokens"], p["right"]) for p in one["curve"])
        assert trace["marker"]["symbol"].count("star") == 1
    note = router_note(result)
    assert note.count("no better than") == 2 and "203 others" in note


def test_curves_draw_the_routers_of_the_one_study_that_is_shown(tmp_path):
    store = Store(tmp_path / "s.db")
    for name in "ab":
        swept(store, name, samples=1)
    (tmp_path / "none").mkdir()
    keep_routing(tmp_path, "a", routing_of(JUDGED))
    handlers = tab(store, tmp_path / "none")

    def names(*studies):
        found = handlers.show(list(studies))
        bar = json.loads(found["bar"])
        return {t["name"] for t in json.loads(found["pareto"])["figure"]["data"]}, bar

    drawn, bar = names("a")
    assert {"router confidence", "router logistic"} <= drawn and "Routers" in bar["routers"]
    drawn, bar = names("a", "b")
    assert "router confidence" not in drawn and bar["routers"] == ""
    assert names("b")[1]["routers"] == ""
    next((tmp_path / "routings").iterdir()).write_text("{")
    assert any("search route a" in message for message in names("a")[1]["messages"])
