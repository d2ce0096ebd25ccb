"""Limits per visitor: who holds too much is told so, nobody else notices, and every way to end gives the place back."""

import threading
from contextlib import ExitStack

import pytest

from mi_explorer.recipe import Decoding
from mi_explorer.ui.access.limits import LimitError, Limits, Visitor
from mi_explorer.ui.explore.explore_handlers import Explore
from tests.ui.fake import FakeBench

ANN, BOB, NEAR = Visitor("ann", "10.0.0.1"), Visitor("bob", "10.0.0.2"), Visitor("near", "10.0.0.1")


def ask(token, **view):
    return {"token": token * 16, "kind": "here", "view": {"q": "What is 3 + 4?", "gold": "7", "lam": 0.5, **view}}


def test_a_visitor_over_the_limit_is_told_and_others_are_not_affected():
    explore = Explore(FakeBench(rate=50), limits=Limits(runs=2))
    runs = [explore.run(ask(x), ANN) for x in "ab"]
    assert all(next(r)["state"] == "running" for r in runs)
    (refused,) = explore.run(ask("c"), ANN)
    assert refused["state"] == "failed" and "2 runs of yours" in refused["message"] and refused["frames"] == {}
    assert next(other := explore.run(ask("d"), BOB))["state"] == "running"
    for r in (*runs, other):
        r.close()


@pytest.mark.parametrize("end", ["whole", "closed", "stopped", "failed", "bad request"])
def test_every_way_to_end_gives_the_place_back(end):
    class Breaks(FakeBench):
        def stream(self, asks, **more):
            yield next(super().stream(asks, **more))
            raise RuntimeError("engine fault")

    limits = Limits(runs=1)
    explore = Explore(
        Breaks() if end == "failed" else FakeBench(rate=100 if end in ("closed", "stopped") else 0), limits=limits
    )
    request = ask("a", lam="abc") if end == "bad request" else ask("a")
    run = explore.run(request, ANN)
    next(run)
    if end == "closed":
        run.close()
    else:
        if end == "stopped":
            explore.runs.stop("a" * 16)
        list(run)
    assert limits.going(ANN) == 0
    assert next(explore.run(ask("b"), ANN))["message"] == ""


def test_an_address_has_its_own_limit_over_all_its_tabs():
    limits = Limits(runs=2, address_runs=3)
    with ExitStack() as going:
        ann = going.enter_context(ExitStack())
        ann.enter_context(limits.run(ANN))
        for who in (ANN, NEAR, BOB):
            going.enter_context(limits.run(who))
        with pytest.raises(LimitError, match="3 runs .*network address"):
            going.enter_context(limits.run(NEAR))
        ann.close()
        going.enter_context(limits.run(NEAR))


def test_a_refused_take_holds_nothing_and_counts_survive_threads():
    limits = Limits(runs=50, address_runs=20)
    taken = []

    def visit():
        for _ in range(200):
            try:
                with limits.run(ANN):
                    taken.append(limits.going(ANN))
            except LimitError:
                pass

    threads = [threading.Thread(target=visit, daemon=True) for _ in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert limits.going(ANN) == 0 and 1 <= max(taken) <= 20


def test_tokens_are_capped_on_the_server_whatever_the_page_sends():
    explore = Explore(bench := FakeBench(), limits=Limits(tokens=256))
    (refused,) = explore.run(ask("a", cap=257), ANN)
    assert "at most 256" in refused["message"] and refused["state"] == "failed" and not bench.asked
    assert list(explore.run(ask("b", cap=256), ANN))[-1]["state"] == "done"
    with pytest.raises(LimitError, match="1,000,000"):
        Limits(tokens=32_768).check(Decoding(cap=1_000_000))
