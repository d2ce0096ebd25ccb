"""The bridge to lm-eval: what of a response is scored, what is counted, whose decoding holds, and likelihoods against its own Hugging Face model."""

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from mi_explorer.errors import UserError
from mi_explorer.generation.traces import trace_of_text
from mi_explorer.harness import BlendLM
from mi_explorer.harness.requests import answer_of
from mi_explorer.paths import ASSETS
from mi_explorer.tasks import load_task
from tests.fakes import OPENS, ByteTokenizer, ScriptedEngine, scripted_bench

MINI = ASSETS / "models" / "mini"


def request(context, *rest, kind="generate_until", doc=0):
    return Instance(kind, {}, (context, *rest), 0, ("task", doc, 1))


def told_by(script, options, templates=None, **more):
    """(answer, what it cost, the engine) of a scripted model for one request."""
    engine = ScriptedEngine(lambda r: script, delay=more.pop("delay", 0.0))
    with scripted_bench(engine, templates=templates) as bench:
        model = BlendLM(bench=bench, **more)
        ask = model.apply_chat_template([{"role": "user", "content": "What is 3 + 4?"}])
        (text,) = model.generate_until([request(ask, options)], disable_tqdm=True)
    return text, model.costs[0], engine


def test_stop_strings_hold_for_the_answer_alone():
    said = "<think>Question: is it 7?\n\nYes.</think>\n\nThe answer is 7.\n\nQuestion: what is 1 + 1?" + " and on" * 400
    text, told, engine = told_by(said, {"until": ["\n\n", "Question:"]}, delay=0.001)
    assert text == "The answer is 7."
    upto = said.split("Question: what")[0].removesuffix("\n\n")
    assert told.tokens == len(ByteTokenizer().encode(upto)) + 1  # the token in which the stop string begins
    assert (
        told.think_tokens == len(ByteTokenizer().encode(said.split("\n\nThe")[0]))
        and told.think_closed
        and not told.truncated
    )


def test_the_engine_is_told_to_stop_at_a_stop_string():
    produced = []

    class Counting(ScriptedEngine):
        def submit(self, requests):
            stream = super().submit(requests)
            queue = stream.events

            def put(_, event):
                produced.append(event)
                queue.put(event)

            stream.events = type("Counted", (), {"put": put, "get": queue.get, "empty": queue.empty})()
            return stream

    with scripted_bench(Counting(lambda r: "7.\nNext" + " word" * 2000, delay=0.002)) as bench:
        assert BlendLM(bench=bench).generate_until([request("Go", {"until": "\n"})], disable_tqdm=True) == ["7."]
    assert len(produced) < 2000


def test_an_opened_thought_of_the_template_is_known():
    text, told, _ = told_by("7 it is.\n\n</think>The answer is 7.", {"until": ["\n\n"]}, templates={"thinking": OPENS})
    assert (text, told.think_closed) == ("The answer is 7.", True)
    text, told, _ = told_by("7 it is.\n\nThe answer is 7.", {"until": ["\n\n"]}, templates={"thinking": OPENS})
    assert (text, told.think_closed) == ("", False)  # never came out of its thought


def test_a_response_that_is_cut_off_has_no_answer():
    said = "<think>abc</think>The answer is 7."
    text, told, _ = told_by(said, {"until": []}, cap=12)
    assert (text, told.truncated, told.tokens) == ("", True, 12)
    text, told, _ = told_by(said, {"until": []}, cap=200)
    assert (text, told.truncated) == ("The answer is 7.", False)


def test_a_tasks_length_is_the_answers():
    said = "<think>" + "hm " * 50 + "</think>The answer is 7, I think, and so on and so on."
    text, told, _ = told_by(said, {"until": [], "max_gen_toks": 15})
    assert (
        text == "The answer is 7"
        and told.tokens == told.think_tokens + 15
        and told.think_tokens == 152
        and not told.truncated
    )


def test_answers_of_traces():
    trace = trace_of_text("<think> a b </think> c d STOP e")
    assert (
        answer_of(trace)[0] == "c d STOP e"
        and answer_of(trace, ["STOP"])[0] == "c d "
        and answer_of(trace, [""])[0] == "c d STOP e"
    )
    assert answer_of(trace_of_text("<think> a b"))[0] == "" and answer_of(trace_of_text("a b", finish="cap"))[0] == ""


def test_decoding_is_the_tasks_unless_given():
    seen = []

    def script(r):
        seen.append(r.decoding)
        return "7"

    asked = [{"until": []}, {"until": [], "do_sample": True}, {"until": [], "do_sample": True, "temperature": 0.3, "top_p": 0.5},
             {"until": [], "do_sample": False, "temperature": 0.7}]  # fmt: skip
    with scripted_bench(ScriptedEngine(script)) as bench:
        BlendLM(bench=bench).generate_until([request("Go", options) for options in asked], disable_tqdm=True)
        BlendLM(bench=bench, temperature=0.6, top_k=20, cap=99).generate_until(
            [request("Go", options) for options in asked], disable_tqdm=True
        )
    assert [(d.temperature, d.top_p) for d in seen[:4]] == [(0, 1), (1, 1), (0.3, 0.5), (0, 1)]
    assert {(d.temperature, d.top_k, d.cap) for d in seen[4:]} == {(0.6, 20, 99)}
    assert len({d.seed for d in seen[:4]}) == 4  # repeats of a prompt are samples of their own
    assert [d.seed for d in seen[:4]] == [d.seed for d in seen[4:]]


def test_a_request_that_fails_is_told():
    with scripted_bench(ScriptedEngine(lambda r: None)) as bench, pytest.raises(UserError, match="scripted failure"):
        BlendLM(bench=bench).generate_until([request("Go", {"until": []})], disable_tqdm=True)


@pytest.fixture(scope="module")
def oracle():
    """lm-eval's own model on Instruct, and on the blend of all weights at λ 0.3 in fp32."""

    def model(lam):
        one, two = (
            AutoModelForCausalLM.from_pretrained(MINI / role, dtype=torch.float32) for role in ("instruct", "thinking")
        )
        with torch.no_grad():
            for p, q in zip(one.parameters(), two.parameters()):
                p.lerp_(q, lam)
        return HFLM(pretrained=one, tokenizer=AutoTokenizer.from_pretrained(MINI / "instruct"), batch_size=1)

    return {0.0: model(0.0), 0.3: model(0.3)}


@pytest.mark.parametrize("lam", [0.0, 0.3])
def test_likelihoods_are_lm_evals_own(bench, oracle, lam):
    ours = BlendLM(bench=bench, lam=lam)
    pairs = [
        ("What is 3 + 4?", " The answer is 7."),
        ("What is 3 + 4? ", "7"),
        ("", "The answer is 7."),
        ("Tom has", " 3 apples"),
    ]
    asked = [request(a, b, kind="loglikelihood") for a, b in pairs]
    found, wanted = ours.loglikelihood(asked, disable_tqdm=True), oracle[lam].loglikelihood(asked, disable_tqdm=True)
    for (logp, greedy), (logp_, greedy_) in zip(found, wanted):
        assert logp == pytest.approx(logp_, abs=2e-3) and greedy == greedy_
    chat = ours.apply_chat_template([{"role": "user", "content": "What is 3 + 4?"}])
    ids = oracle[lam].model.generate(torch.tensor([ours.tok_encode(chat)]), max_new_tokens=4, do_sample=False)[0, -4:]
    said = bench.prompts.tokenizer.decode(ids)
    assert ours.loglikelihood([request(chat, said, kind="loglikelihood")], disable_tqdm=True)[0][
        1
    ]  # what it says itself is greedy


def test_rolling_likelihood_over_several_windows(bench, oracle):
    text = " ".join(q.text for q in load_task("mini", 100).questions)
    ours = BlendLM(bench=bench, lam=0.0)
    assert len(ours.tok_encode(text)) > ours.max_length
    asked = [request(text, kind="loglikelihood_rolling"), request("Tom has 3 apples.", kind="loglikelihood_rolling")]
    found = ours.loglikelihood_rolling(asked, disable_tqdm=True)
    assert found == pytest.approx(oracle[0.0].loglikelihood_rolling(asked, disable_tqdm=True), rel=1e-4)
