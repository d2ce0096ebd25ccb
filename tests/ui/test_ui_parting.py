"""The first token where λ matters: as the page tells it, as the engine verifies it, and when neither can say."""

import pytest

from mi_explorer.engine.events import Request, Verified
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.generation.traces import ThinkTags, TraceBuilder
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.tasks import load_task
from mi_explorer.ui.explore import board
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.workbench import Workbench

WORDS = ("Two ", "and ", "three ", "is ", "five", "<think>", "Hmm ", "</think>", "six")


def snapshot(ids, lam=0.5, state="done", prompt=(1, 2), seed=3):
    builder = TraceBuilder(ThinkTags("<think>", "</think>", 5, 7), lambda ids: "".join(WORDS[i] for i in ids), None)
    for i in ids:
        builder.add(i, -0.1)
    if state == "done":
        builder.finish("stop")
    return Snapshot(
        board.frame_id(lam), Recipe(lam=lam), Decoding(seed=seed), state, builder.trace(), prompt_ids=prompt
    )


BASE = snapshot((0, 1, 2, 3, 4), 0)


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ((0, 1, 2, 3, 4), {"tokens": 5, "part": None, "at": 0}),
        ((0, 1, 2, 3, 8), {"tokens": 4, "part": "answer", "at": len("Two and three is ")}),
        (
            (0, 1, 2),
            {"tokens": 3, "part": "answer", "at": len("Two and three ")},
        ),  # it ends here: the end is the first other token
        ((0, 1, 2, 3, 4, 8), {"tokens": 5, "part": "answer", "at": len("Two and three is five")}),
        ((4, 1), {"tokens": 0, "part": "answer", "at": 0}),
        ((5, 6, 7, 0, 1), {"tokens": 0, "part": "thought", "at": 0}),  # the opening tag is no part of the thought
    ],
)
def test_the_first_other_token_and_its_place(ids, told):
    assert board.first_difference(snapshot(ids), BASE) == told


def test_where_it_cannot_be_told_it_is_not():
    assert board.first_difference(BASE, BASE) is None
    assert board.first_difference(snapshot((0, 2), prompt=(1, 3)), BASE) is None  # another template
    assert board.first_difference(snapshot((0, 2), seed=4), BASE) is None
    assert board.first_difference(snapshot((0, 2), state="running"), BASE) is None
    assert board.first_difference(snapshot((0, 2), prompt=()), BASE) is None
    assert board.first_difference(snapshot((0, 1), state="cancelled"), BASE) is None  # stopped before they parted
    assert board.first_difference(snapshot((0, 2), state="cancelled"), BASE)["tokens"] == 1
    assert [f["parted"] and f["parted"]["tokens"] for f in board.strip_frames([BASE, snapshot((0, 2))])] == [None, 1]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with Workbench.open("mini", home=tmp_path_factory.mktemp("home"), max_rows=16) as bench:
        yield bench


def request(token, kind="strip", **view):
    return {"token": token * 16, "kind": kind, "view": {"gold": "", "cap": 60, "seed": 4, **view}}


@pytest.mark.parametrize("t", [0, 0.8])
def test_the_page_tells_what_the_engine_verifies(bench, t):
    question, explore = load_task("mini", 1, 5).questions[0].text, Explore(bench)
    strip = list(explore.run(request("a", q=question, t=t)))[-1]
    frames = [strip["frames"][k] | {"run": "a" * 16} for k in strip["frames"]]
    held = {f["lam"]: explore.traces.get("a" * 16, f["id"]) for f in frames}
    told = {f["lam"]: f["parted"] for f in frames}
    assert told[0] is None
    for lam in (0.3, 1.0):  # the engine itself, with the trace of λ 0 as a draft
        ask = Request(
            "x", held[lam].prompt_ids, held[lam].recipe, held[lam].decoding, bench.prompts.stop_ids, draft=held[0].ids
        )
        verified = [e.kept for e in bench.engine.submit([ask]) if isinstance(e, Verified)]
        assert held[lam].prompt_ids == held[0].prompt_ids and verified == [told[lam]["tokens"]]


def test_a_frame_made_here_starts_from_its_neighbours_tokens_and_is_the_same(bench):
    question, explore = load_task("mini", 1, 6).questions[0].text, Explore(bench)
    strip = list(explore.run(request("a", q=question)))[-1]
    kept = [{k: f[k] for k in ("id", "lam", "tokens", "state")} | {"run": "a" * 16} for f in strip["frames"].values()]
    last = list(explore.run({**request("b", "here", q=question, lam=0.91), "kept": kept}))[-1]
    assert last["verified"]["lam"] == 0.9 and 0 <= last["verified"]["kept"] <= min(60, strip["frames"]["0.9"]["tokens"])
    alone = list(explore.run(request("c", "here", q=question, lam=0.91)))[-1]
    assert alone["verified"] is None
    made, plain = (s["frames"]["0.91"] for s in (last, alone))
    assert {k: made[k] for k in ("thought", "answer", "tokens", "finish")} == {
        k: plain[k] for k in ("thought", "answer", "tokens", "finish")
    }
    assert made["parted"] and plain["parted"] is None
    other = list(explore.run({**request("d", "here", q=question, lam=0.91, seed=5), "kept": kept}))[-1]
    assert (
        other["verified"] is None and other["frames"]["0.91"]["parted"] is None
    )  # another seed: nothing to verify against


def test_a_draft_under_another_prompt_is_not_used(bench):
    ask = {"id": "a", "prompt": "What is 2 + 2?", "recipe": Recipe(lam=0.5), "decoding": Decoding(cap=8)}
    first = list(bench.stream([GenerationRequest(**ask)]))[-1][0]
    ids, prompt = first.ids, first.prompt_ids
    same = list(bench.stream([GenerationRequest(**ask, draft=ids, draft_prompt=prompt)]))[-1][0]
    other = list(bench.stream([GenerationRequest(**ask, draft=ids, draft_prompt=prompt[1:])]))[-1][0]
    assert same.kept == len(ids) and other.kept is None and same.ids == other.ids == ids
