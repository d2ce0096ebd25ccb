"""The handlers of Explore, called directly on a scripted workbench: what the page gets, and what it gets when things break."""

import json
import threading
import time

import pytest

from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.generation.traces import ThinkTags, trace_of_text
from mi_explorer.recipe import Decoding
from mi_explorer.ui.explore import board
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.explore_tab import gradio_state
from mi_explorer.ui.explore.view import View
from tests.expected import numbers_in
from tests.ui.fake import QUESTIONS, FakeBench

TOKEN = "0123456789abcdef"


def request(kind="strip", **view):
    return {"token": TOKEN, "kind": kind, "view": {"q": "How many?", "gold": "7", **view}}


def test_a_strip_is_eleven_frames_and_the_lambdas_looked_at():
    bench = FakeBench()
    last = list(Explore(bench).run(request(lam=0.45, pins=[0.33, 1])))[-1]
    assert sorted(f["lam"] for f in last["frames"].values()) == [
        0,
        0.1,
        0.2,
        0.3,
        0.33,
        0.4,
        0.45,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        1,
    ]
    assert last["state"] == "done" and last["message"] == ""
    assert {a.recipe.lam for a in bench.asked} == {f["lam"] for f in last["frames"].values()}
    one = last["frames"]["1"]
    assert (one["tokens"], one["think"], one["verdict"], one["first"], one["closed"]) == (108, 103, "correct", 11, True)
    assert last["frames"]["0"]["verdict"] == "wrong"
    assert last["sentence"].startswith("Thought appears between λ 0.4 and 0.45.")


def test_states_are_json_and_texts_only_grow():
    states = list(Explore(FakeBench()).run(request()))
    before = {}
    for state in states:
        assert json.loads(json.dumps(state)) == state
        for key, frame in state["frames"].items():
            for part in ("thought", "answer"):
                assert frame[part].startswith(before.get((key, part), ""))
                before[key, part] = frame[part]
    assert [s["state"] for s in states[:-1]].count("done") == 0 and states[-1]["state"] == "done"


def test_no_two_states_share_what_may_change():
    states = list(Explore(FakeBench()).run(request()))
    assert len({id(s["frames"]) for s in states}) == len(
        states
    )  # Gradio sends differences: a shared dict would differ in nothing


def test_run_here_makes_one_frame_and_tells_the_whole_story():
    bench = FakeBench()
    kept = [
        {"lam": x / 10, "tokens": 5, "state": "done", "closed": x > 4, "verdict": "correct", "first": 5}
        for x in range(11)
    ]
    last = list(Explore(bench).run({**request("here", lam=0.47), "kept": kept}))[-1]
    assert list(last["frames"]) == ["0.47"] and len(bench.asked) == 1
    assert numbers_in(last["sentence"])[:3] == [0.4, 0.47, 12]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (None, "not a run"),
        ({"token": "<script>", "view": {}}, "not a run"),
        (request(q="  "), "There is no question yet"),
        (request(q="x" * 100_000), "100,000 characters"),
        (request(lam="abc"), "λ must be a number"),
        (request(layers="0-99"), "names layer 99, but this pair has layers 0-5"),
        (request(t=99), "temperature"),
        (request(pins=list(range(99))), "at most 8"),
    ],
)
def test_what_cannot_run_is_one_state_with_a_word(sent, said):
    states = list(Explore(FakeBench()).run(sent))
    assert (
        len(states) == 1
        and states[0]["state"] == "failed"
        and said in states[0]["message"]
        and states[0]["frames"] == {}
    )


def test_stop_ends_within_a_moment_and_keeps_the_text():
    explore = Explore(FakeBench(rate=50))
    states, began = [], time.monotonic()
    for state in explore.run(request()):
        states.append(state)
        if state["frames"].get("1", {}).get("tokens", 0) > 15 and state["state"] == "running":
            assert explore.runs.is_running(TOKEN) and explore.runs.stop(TOKEN)
            began = time.monotonic()
    assert time.monotonic() - began < 0.5
    assert states[-1]["state"] == "stopped" and not explore.runs.is_running(TOKEN) and not explore.runs.stop(TOKEN)
    one = states[-1]["frames"]["1"]
    assert one["state"] == "cancelled" and one["thought"].startswith("First I add the numbers.") and one["tokens"] >= 15
    assert states[-1]["frames"]["0"]["state"] == "done"


def test_a_closed_tab_stops_the_run():
    bench = FakeBench(rate=50)
    stops = []
    stream = bench.stream
    bench.stream = lambda asks, stop, **k: (stops.append(stop), stream(asks, stop=stop, **k))[1]
    run = Explore(bench).run(request())
    next(run)
    run.close()
    assert stops[0].is_set()


def test_a_broken_engine_keeps_the_partial_text(caplog):
    class Broken(FakeBench):
        def stream(self, asks, **more):
            for i, out in enumerate(super().stream(asks, **more)):
                if i == 12:
                    raise RuntimeError("device on fire")
                yield out

    last = list(Explore(Broken()).run(request()))[-1]
    assert last["state"] == "failed" and "RuntimeError" in last["message"] and "kept" in last["message"]
    assert (
        last["frames"]["1"]["thought"].startswith("First I add the numbers")
        and last["frames"]["1"]["state"] == "cancelled"
    )
    assert last["frames"]["0"]["state"] == "done" and "device on fire" in caplog.text


def test_one_failed_row_leaves_its_companions():
    class OneFails(FakeBench):
        def snapshot_at(self, ask, *rest):
            made = super().snapshot_at(ask, *rest)
            return (
                made
                if ask.recipe.lam != 0.5
                else Snapshot(made.id, made.recipe, made.decoding, "failed", made.trace, message="No room.")
            )

    last = list(Explore(OneFails()).run(request()))[-1]
    assert last["state"] == "failed" and last["message"] == "No room."
    assert sorted({f["state"] for f in last["frames"].values()}) == ["done", "failed"]


def test_two_visitors_run_side_by_side():
    explore = Explore(FakeBench(rate=80))
    out = {}

    def visitor(name, gold):
        states = [
            (time.monotonic(), s)
            for s in explore.run({"token": name * 16, "kind": "here", "view": {"q": "?", "gold": gold, "lam": 1}})
        ]
        out[name] = states

    threads = [threading.Thread(target=visitor, args=a, daemon=True) for a in (("a", "31"), ("b", "47"))]
    [t.start() for t in threads]
    [t.join(20) for t in threads]
    assert "31" in out["a"][-1][1]["frames"]["1"]["answer"] and "47" in out["b"][-1][1]["frames"]["1"]["answer"]
    assert all("47" not in s["frames"]["1"]["thought"] for _, s in out["a"] if s["frames"])
    assert out["a"][2][0] < out["b"][-1][0] and out["b"][2][0] < out["a"][-1][0]  # neither waited for the other's end


def test_questions_are_drawn_from_the_task_and_differ():
    explore = Explore(FakeBench(), QUESTIONS)
    drawn = [explore.draw() for _ in range(60)]
    assert {(d["q"], d["gold"]) for d in drawn} == {(q.text, q.answer) for q in QUESTIONS}
    assert "error" in Explore(FakeBench()).draw()


def test_an_address_for_another_pair_or_too_many_layers_is_answered_with_a_word():
    explore = Explore(FakeBench())
    opened = explore.open({"pair": "qwen3-4b", "lam": "0.3"})
    assert (
        opened["view"]["pair"] == "mini"
        and opened["view"]["lam"] == 0.3
        and "“mini” is loaded here" in opened["messages"][0]
    )
    opened = explore.open({"layers": "0-40"})
    assert opened["view"]["layers"] == "all" and "layers 0-5" in opened["messages"][0]
    assert explore.open({"lam": "0.3", "utm": "x"})["given"] == ["lam"]
    assert explore.open({"q": "What?"})["given"] == ["gold", "q"]


def test_a_forgotten_trace_cannot_be_scored():
    assert "no longer held" in Explore(FakeBench()).score({"token": TOKEN, "id": "0.5"})["error"]
    assert "no longer held" in Explore(FakeBench()).score(None)["error"]


def snapshot(text, gold=None, finish="stop"):
    trace = trace_of_text(text, ThinkTags(), finish, gold)
    return Snapshot("0.5", View().recipe(), Decoding(), "done", trace, "correct")


def test_a_frame_shows_parts_without_the_white_space_around_them():
    thought, answer = "Wait, 3 + 4 is 7. The answer is 7. Let me check it.", "The answer is 7."
    made = board.trace_frame(snapshot(f"<think>\n{thought}\n</think>\n\n{answer}", "7"))
    assert (made["thought"], made["answer"]) == (thought, answer)
    assert [made["thought"][s:e] for s, e, _ in made["spots"]["thought"]] == ["Wait", "check"]
    assert made["mark"]["part"] == "thought" and made["thought"][: made["mark"]["at"]].rstrip().endswith("7.")
    assert made["markers"] == {"reflect": 1, "switch": 0, "verify": 1}


def test_a_frame_without_a_thought_is_all_answer():
    made = board.trace_frame(snapshot("So the answer is 7.", "7"))
    assert (made["thought"], made["answer"], made["closed"]) == ("", "So the answer is 7.", False)


def test_the_lambdas_of_a_strip_are_bounded():
    assert board.strip_lambdas(0.5, ()) == board.STRIP_LAMBDAS
    assert len(board.strip_lambdas(0.455, [i / 97 for i in range(97)])) == board.MAX_FRAMES


def test_a_summary_takes_only_what_it_knows():
    assert board.frame_summary({"lam": 0.1, "tokens": 5, "state": "done", "first": "x", "verdict": "<b>", "closed": 1}) == {
        "lam": 0.1, "tokens": 5, "state": "done", "first": None, "verdict": None, "closed": True, "lenient": False, "truncated": False,
    }  # fmt: skip
    assert board.frame_summary("x") is None and board.frame_summary({"lam": True, "tokens": 1}) is None


def test_what_travels_holds_the_whole_state_and_its_texts_only_grow():
    before = {"thought": {}, "answer": {}}
    for state in Explore(FakeBench()).run(request()):
        sent = gradio_state(state)
        assert set(sent) == {"run", "thought", "answer"}
        again = json.loads(sent["run"])
        for key, f in again["frames"].items():
            f |= {part: sent[part][key] for part in ("thought", "answer")}
        assert again == state
        for part, texts in before.items():
            assert all(sent[part][k].startswith(t) for k, t in texts.items())
        before = {part: sent[part] for part in before}
