"""The workbench: prompts and templates, snapshots that grow, verdicts, stop, failures and bad input. With a scripted engine."""

import shutil
import threading
import time

import pytest

from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.prompts import Prompts
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.workbench import Workbench
from tests import fixtures
from tests.fakes import END, OPENS, ByteTokenizer, ScriptedEngine, scripted_bench

SAYS = "<think>3 and 4. That is 8. Wait, that is 7.</think>The answer is 7."


def last(stream):
    """The final snapshot of each ask, and every tuple that was yielded."""
    final, ticks = {}, []
    for snapshots in stream:
        ticks.append(snapshots)
        final.update({s.id: s for s in snapshots})
    return final, ticks


def test_snapshots_grow_and_end_with_a_verdict():
    with scripted_bench(ScriptedEngine(lambda r: SAYS, delay=0.005)) as bench:
        asks = [
            GenerationRequest("a", "What is 3 + 4?", Recipe(lam=0.4), gold="7"),
            GenerationRequest("b", "What is 3 + 4?", Recipe(lam=1), gold="8"),
            GenerationRequest("c", "What is 3 + 4?", Recipe(lam=1)),
        ]
        final, ticks = last(bench.stream(asks, hz=50))
    assert len(ticks[0]) == 3 and {s.state for s in ticks[0]} <= {
        "queued",
        "running",
    }  # all of them, at the latest after one tick
    assert {k: (s.state, s.verdict, s.trace.answer) for k, s in final.items()} == {
        "a": ("done", "correct", "7"),
        "b": ("done", "wrong", "7"),
        "c": ("done", None, "7"),
    }
    a = final["a"].trace
    assert a.text == SAYS and a.tokens == len(ByteTokenizer().encode(SAYS)) and a.think_closed and a.finish == "stop"
    assert a.tokens == a.think_tokens + a.answer_tokens and a.think_tokens == len(
        ByteTokenizer().encode(SAYS.split("The answer")[0])
    )
    texts = [s.trace.text for tick in ticks for s in tick if s.id == "a"]
    assert len(texts) > 3 and all(SAYS.startswith(t) for t in texts) and texts == sorted(texts, key=len)
    assert final["a"].tokens_per_second > 0 and final["a"].mode == "folded"


def test_ticks_are_coalesced():
    with scripted_bench(ScriptedEngine(lambda r: "x" * 200, delay=0.002)) as bench:
        began = time.monotonic()
        _, ticks = last(bench.stream([GenerationRequest("a", "Go", Recipe())], hz=10))
        took = time.monotonic() - began
    assert len(ticks) <= 10 * took + 3  # 200 tokens, but about ten tuples a second


def test_the_first_token_is_shown_at_once_and_later_ones_by_the_tick():
    shown = []
    with scripted_bench(ScriptedEngine(rows=1, delay=0.2)) as bench:
        began = time.monotonic()
        for changed in bench.stream(
            [GenerationRequest(x, "What is 2 + 2?", Recipe(), Decoding(cap=4)) for x in "ab"], hz=0.5
        ):
            shown.append((time.monotonic() - began, {s.id: s.trace.tokens for s in changed if s.trace.tokens}))
    assert shown[0][1] == {"a": 1} and shown[0][0] < 0.15, "a quarter of a tick would be 0.5 s"
    assert shown[1][1] == {"a": 4, "b": 1} and 0.5 < shown[1][0] < 2, (
        "further first tokens wait for each other a quarter of a tick"
    )


def test_template_policy_decides_the_prompt_and_the_open_thought():
    engine = ScriptedEngine(lambda r: "so it is 7.</think>The answer is 7.")
    with scripted_bench(engine, templates={"instruct": ByteTokenizer.chat_template, "thinking": OPENS}) as bench:
        asks = [
            GenerationRequest("own0", "Q", Recipe(lam=0)),
            GenerationRequest("own1", "Q", Recipe(lam=0.1)),
            GenerationRequest("instruct", "Q", Recipe(lam=0.1, template="instruct")),
            GenerationRequest("thinking", "Q", Recipe(lam=0, template="thinking")),
        ]
        final, _ = last(bench.stream(asks))
    text = {r.id: ByteTokenizer().decode(r.prompt) for r in engine.asked}
    assert {k: v.endswith("<think>\n") for k, v in text.items()} == {
        "own0": False,
        "own1": True,
        "instruct": False,
        "thinking": True,
    }
    assert final["own1"].trace.thought == "so it is 7." and final["own1"].trace.answer_text == "The answer is 7."
    assert all(r.stop_ids == (END,) for r in engine.asked)


def test_stop_keeps_partial_text():
    with scripted_bench(ScriptedEngine(lambda r: "y" * 4000, delay=0.002)) as bench:
        stop, seen = threading.Event(), {}
        for snapshots in bench.stream([GenerationRequest("a", "Go", Recipe(), gold="1")], stop=stop, hz=50):
            seen.update({s.id: s for s in snapshots})
            if seen["a"].trace.tokens > 20 and not stop.is_set():
                stop.set()
                at = time.monotonic()
        assert time.monotonic() - at < 0.5
    assert seen["a"].state == "cancelled" and 20 < seen["a"].trace.tokens < 4000 and seen["a"].verdict is None
    assert seen["a"].trace.text == "y" * seen["a"].trace.tokens


def test_closing_the_iterator_cancels():
    engine = ScriptedEngine(lambda r: "z" * 100_000, delay=0.001)
    with scripted_bench(engine) as bench:
        stream = bench.stream([GenerationRequest("a", "Go", Recipe(), Decoding(cap=100_000))], hz=50)
        next(stream)
        next(stream)
        threads = threading.active_count()
        stream.close()
        deadline = time.monotonic() + 2
        while threading.active_count() >= threads and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threading.active_count() < threads  # the scripted engine's thread ended: it was cancelled


def test_one_failure_does_not_stop_the_others():
    with scripted_bench(ScriptedEngine(lambda r: None if r.id == "bad" else "The answer is 7.")) as bench:
        final, _ = last(
            bench.stream(
                [GenerationRequest("bad", "Q", Recipe(), gold="7"), GenerationRequest("good", "Q", Recipe(), gold="7")]
            )
        )
    assert (final["bad"].state, final["bad"].message) == ("failed", "scripted failure")
    assert (final["good"].state, final["good"].verdict) == ("done", "correct")


def test_truncated_is_no_answer():
    with scripted_bench(ScriptedEngine(lambda r: "The answer is 7. The answer is 7.")) as bench:
        final, _ = last(bench.stream([GenerationRequest("a", "Q", Recipe(), Decoding(cap=20), gold="7")]))
    assert final["a"].trace.truncated and final["a"].verdict == "no_answer" and final["a"].trace.tokens == 20


@pytest.mark.parametrize(
    "prompt, says",
    [
        ("", "prompt is empty"),
        ("  \n", "prompt is empty"),
        ("x" * 100_000, "context holds 4,096"),
        ("x" * 1_000_001, "at most 1,000,000"),
    ],
)
def test_bad_prompts_are_refused_before_anything_runs(prompt, says):
    engine = ScriptedEngine()
    with scripted_bench(engine) as bench, pytest.raises(UserError, match=says):
        bench.stream([GenerationRequest("ok", "Fine?", Recipe()), GenerationRequest("a", prompt, Recipe())])
    assert engine.asked == []


def test_a_template_that_fails_is_said_and_the_other_one_works(tmp_path):
    for i, template in enumerate(("{{ raise_exception('no users here') }}", "{{ ''.__class__.__mro__ }}", "{% if %}")):
        folder = fixtures.make_tokenizer(tmp_path / f"a{i}", template=template)
        prompts = Prompts.load([str(folder), str(fixtures.make_tokenizer(tmp_path / f"b{i}"))])
        with pytest.raises(UserError, match="Instruct's chat template fails"):
            prompts.render("Hi", Recipe(lam=0))
        assert (
            prompts.render("Hi", Recipe(lam=0, template="thinking")).text
            == "<|im_start|>user Hi<|im_end|><|im_start|>assistant "
        )


def test_recipes_that_do_not_fit_the_pair_are_refused():
    with scripted_bench() as bench:
        with pytest.raises(UserError, match="layers 0-5"):
            bench.stream([GenerationRequest("a", "Q", Recipe(scope=Scope("4-9")))])
        with pytest.raises(UserError, match="for the pair 'other'"):
            bench.stream([GenerationRequest("a", "Q", Recipe(pair="other"))])
        with pytest.raises(UserError, match="same id"):
            bench.stream([GenerationRequest("a", "Q", Recipe()), GenerationRequest("a", "Q", Recipe())])
    with pytest.raises(UserError, match="closed"):
        bench.stream([GenerationRequest("a", "Q", Recipe())])


def test_a_real_pair_opens_streams_and_refuses_what_it_cannot_run(tmp_path):
    pair = fixtures.make_pair("qwen3", tmp_path)
    for role in ("instruct", "thinking"):
        fixtures.make_tokenizer(tmp_path / role)
    with Workbench.open(pair, home=tmp_path / "home") as bench:
        asks = [
            GenerationRequest(
                str(lam), "What is 3 + 4?", Recipe(pair=pair.name, lam=lam), Decoding(cap=12, temperature=0)
            )
            for lam in (0, 0.5, 1)
        ]
        final, _ = last(bench.stream(asks))
        again, _ = last(bench.stream(asks[1:2]))
        assert {s.state for s in final.values()} == {"done"} and 0 < final["0.5"].trace.tokens <= 12
        assert again["0.5"].ids == final["0.5"].ids  # alone and in company
        assert (
            bench.tokenizer.decode(final["0"].prompt_ids)
            .replace(" ", "")
            .endswith("3+4?<|im_end|><|im_start|>assistant")
        )
        assert (bench.prompts.stop_ids, bench.tags.close_id, bench.layers) == ((2,), 4, 3)
        for recipe, says in (
            (Recipe(pair=pair.name, method="tie"), "Did you mean 'ties'"),
            (Recipe(pair=pair.name, scope=Scope("3")), "layers 0-2"),
            (Recipe(pair=pair.name, method="ties", params=(("density", 7.0),)), "density must lie between"),
        ):
            with pytest.raises(UserError, match=says):
                bench.check(recipe)
        scores = bench.score(final["0.5"])
        assert len(scores.llr) == final["0.5"].trace.tokens and scores.logprob == pytest.approx(
            final["0.5"].trace.logprobs, abs=1e-4
        )
        before = bench.fingerprint
        assert bench.store.studies() == []
    with Workbench.open(pair, home=tmp_path / "home") as bench:
        assert bench.fingerprint == before
    shutil.copy(tmp_path / "thinking" / "model.safetensors", tmp_path / "instruct" / "model.safetensors")
    with Workbench.open(pair, home=tmp_path / "home") as bench:
        assert bench.fingerprint != before


def test_missing_and_broken_folders_are_refused_with_a_message(tmp_path):
    pair = fixtures.make_pair("qwen3", tmp_path, base=False)
    with pytest.raises(UserError, match="tokenizer"):  # the fixture has none yet
        Workbench.open(pair)
    with pytest.raises(UserError, match="no checkpoint folder"):
        Workbench.open(f"{tmp_path / 'gone'}|{tmp_path / 'thinking'}")
    fixtures.make_tokenizer(tmp_path / "instruct")
    (tmp_path / "instruct" / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="tokenizer.json is damaged"):
        Workbench.open(pair)
    shutil.rmtree(tmp_path / "instruct")
    fixtures.make("qwen3", tmp_path / "instruct", rope_theta=777.0)
    with pytest.raises(UserError, match="rope"):  # from the configs alone
        Workbench.open(pair)
    fixtures.corrupt_header(tmp_path / "thinking")
    with pytest.raises(UserError, match="thinking"):
        Workbench.open(pair)
