"""The precomputed strip: made, written, read again, labelled; and the scores of its traces."""

import json
import math
from types import SimpleNamespace

import pytest

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding
from mi_explorer.ui.explore import demo_strip
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.token_scores import token_scores
from tests.expected import numbers_in
from tests.ui.fake import QUESTIONS, FakeBench


@pytest.fixture
def made():
    bench = FakeBench()
    return bench, json.loads(json.dumps(demo_strip.make_demo_strip(bench, QUESTIONS, Decoding())))


def test_a_strip_comes_back_as_it_was_made(made, tmp_path):
    bench, content = made
    (tmp_path / "mini.json").write_text(json.dumps(content))
    assert (
        demo_strip.load_demo_strip("mini", tmp_path) == content
        and demo_strip.load_demo_strip("other", tmp_path) is None
    )
    (tmp_path / "mini.json").write_text("{broken")
    assert demo_strip.load_demo_strip("mini", tmp_path) is None
    strip = demo_strip.demo_state(content, "scripted")
    assert sorted(f["lam"] for f in strip["frames"].values()) == [i / 10 for i in range(11)]
    assert strip["sentence"] and numbers_in(strip["sentence"])[:2] == [0.4, 0.5] and len(strip["bands"]) == 3
    said, *conditions = strip["label"].split(" · ")
    assert (
        said.startswith("Precomputed") and numbers_in(said) == [3] and conditions == ["n = 1 per λ", "T 0.6", "seed 0"]
    )


def test_a_strip_of_other_weights_says_so_and_is_not_scored(made):
    bench, content = made
    assert demo_strip.demo_state(content, "new weights")["label"].startswith("Precomputed with other weights")
    bench.fingerprint = "new weights"
    assert list(demo_strip.demo_snapshots(content, bench)) == []


def test_the_question_that_shows_the_change_is_chosen():
    def frame(lam, closed, verdict, tokens):
        text = {"thought": "step " * tokens if closed else "", "answer": f"{tokens} tokens"}
        return {
            "lam": lam,
            "closed": closed,
            "verdict": verdict,
            "tokens": tokens,
            "state": "done",
            "truncated": False,
            "looped": False,
            **text,
        }

    story = [
        frame(0, False, "wrong", 20),
        frame(0.5, False, "correct", 30),
        frame(0.6, True, "correct", 90),
        frame(1, True, "correct", 150),
    ]
    flat = [frame(lam, False, "correct", 20) for lam in (0, 0.5, 0.6, 1)]
    failing = [dict(f, verdict="wrong") for f in story]
    dull = [dict(f, thought="always", answer="the same") for f in story]
    formless = [dict(story[0], verdict="no_answer", answer="It is 23, of course."), *story[1:]]
    scores = [demo_strip.demo_score(frames, "23") for frames in (story, formless, dull, failing, flat)]
    assert scores[0] > scores[1] and scores[0] > scores[2] > scores[3] > scores[4]
    with pytest.raises(UserError, match="no questions"):
        demo_strip.make_demo_strip(FakeBench(), (), Decoding())


def test_kept_traces_can_be_scored_token_by_token(made):
    bench, content = made
    explore = Explore(bench)
    kept = {s.id: s for s in demo_strip.demo_snapshots(content, bench)}
    for trace in kept.values():
        explore.traces.keep(demo_strip.DEMO_TOKEN, trace)
    one = kept["1"]
    assert one.trace.tokens == 108 and one.trace.thought.strip() == content["frames"][10]["thought"]
    n, top = one.trace.tokens, ((0, math.log(0.75)), (1, math.log(0.25)))
    bench.score = lambda snapshot: SimpleNamespace(
        llr=[1.23456] * n, entropy=[0.5] * n, logprob=[math.log(0.5)] * n, lam_hat=[None] + [0.4567] * (n - 1),
        argmax=["both"] * n, top_instruct=[top] * n, top_thinking=[top] * n,
    )  # fmt: skip
    found = explore.score({"token": demo_strip.DEMO_TOKEN, "id": "1"})
    assert found == token_scores(bench, one)
    assert "".join(t[0] for t in found["tokens"]) == one.trace.text
    assert "".join(t[0] for t in found["tokens"] if t[1] == "thought").strip() == one.trace.thought.strip()
    assert "".join(t[0] for t in found["tokens"] if t[1] == "answer").strip() == one.trace.answer_text.strip()
    assert found["tokens"][5][2:] == [1.235, 0.5]
    words = bench.words.words
    assert found["detail"][1] == {
        "lam": 0.457,
        "argmax": "both",
        "p": 0.5,
        "instruct": [[words[0], 0.75], [words[1], 0.25]],
        "thinking": [[words[0], 0.75], [words[1], 0.25]],
    }
    assert found["detail"][0]["lam"] is None


def test_a_broken_scorer_is_said_and_not_thrown(made):
    bench, content = made
    explore = Explore(bench)
    for trace in demo_strip.demo_snapshots(content, bench):
        explore.traces.keep(demo_strip.DEMO_TOKEN, trace)
    bench.score = lambda snapshot: 1 / 0
    assert "ZeroDivisionError" in explore.score({"token": demo_strip.DEMO_TOKEN, "id": "1"})["error"]
