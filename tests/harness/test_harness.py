"""The bridge to lm-eval: what is scored, what is counted, likelihoods against its own Hugging Face model, accuracy against ours."""

import json

import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

from mi_explorer.cli import main
from mi_explorer.cli.lm_eval_command import OWN, task_manager
from mi_explorer.errors import UserError
from mi_explorer.generation.traces import trace_of_text
from mi_explorer.harness import BlendLM, mean_costs
from mi_explorer.harness.requests import answer_of
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.tasks import load_task
from mi_explorer.workbench import GenerationRequest, Workbench
from tests.fakes import OPENS, ByteTokenizer, ScriptedEngine, scripted_bench

MINI = ASSETS / "models" / "mini"
GREEDY = Decoding(temperature=0, top_p=1, top_k=0, cap=512)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with Workbench.open("mini", home=tmp_path_factory.mktemp("home")) as bench:
        yield bench


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


# -- what is scored ----------------------------------------------------------------------------------------------------


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


# -- likelihoods -------------------------------------------------------------------------------------------------------


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


# -- whole tasks -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local_task(tmp_path_factory):
    """A task of the user's own: a YAML beside a JSONL of 12 held-out questions."""
    folder = tmp_path_factory.mktemp("tasks")
    questions = load_task("mini", 12).questions
    (folder / "sums.jsonl").write_text(
        "".join(json.dumps({"question": q.text, "answer": q.answer}) + "\n" for q in questions)
    )
    (folder / "sums.py").write_text("from mi_explorer.harness import score_answers as score\n")
    (folder / "sums.yaml").write_text(
        f"task: sums\ndataset_path: json\ndataset_kwargs:\n  data_files: {json.dumps(str(folder / 'sums.jsonl'))}\n"
        "test_split: train\noutput_type: generate_until\ndoc_to_text: question\ndoc_to_target: answer\n"
        "process_results: !function sums.score\ngeneration_kwargs: {until: [], do_sample: false}\n"
        "metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n"
    )
    return folder, questions


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_accuracy_and_tokens_are_our_own(bench, local_task, lam, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    folder, questions = local_task
    model = BlendLM(bench=bench, lam=lam, cap=GREEDY.cap)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = simple_evaluate(
        model=model, tasks=["sums"], task_manager=manager, apply_chat_template=True, log_samples=True, bootstrap_iters=0
    )
    last = {}
    for changed in bench.stream(
        [GenerationRequest(q.text, q.text, Recipe("mini", lam=lam), GREEDY, q.gold, q.kind) for q in questions]
    ):
        last |= {s.id: s for s in changed}
    theirs = {s["doc"]["question"]: s["acc"] for s in found["samples"]["sums"]}
    assert theirs == {q: float(s.verdict == "correct") for q, s in last.items()} and len(theirs) == 12
    assert found["results"]["sums"]["acc,none"] == sum(theirs.values()) / 12
    paid = mean_costs(model.costs)
    assert paid["tokens"] == sum(s.trace.tokens for s in last.values()) / 12
    assert paid["think_ratio"] == sum(s.trace.think_closed for s in last.values()) / 12


def test_a_tight_cap_gives_the_same_accuracy_too(bench, local_task):
    folder, questions = local_task
    model = BlendLM(bench=bench, lam=0.5, cap=25)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = simple_evaluate(
        model=model,
        tasks=["sums"],
        task_manager=manager,
        apply_chat_template=True,
        log_samples=False,
        bootstrap_iters=0,
    )
    decoding = Decoding(temperature=0, top_p=1, top_k=0, cap=25)
    last = {}
    for changed in bench.stream(
        [GenerationRequest(q.text, q.text, Recipe("mini", lam=0.5), decoding, q.gold, q.kind) for q in questions]
    ):
        last |= {s.id: s for s in changed}
    assert found["results"]["sums"]["acc,none"] == sum(s.verdict == "correct" for s in last.values()) / 12
    assert mean_costs(model.costs)["truncated"] == sum(s.trace.truncated for s in last.values()) / 12 > 0


def test_lm_eval_finds_the_model_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("MI_EXPLORER_HOME", str(tmp_path))
    assert get_model("mi_explorer") is BlendLM
    words = "pair=mini,lam=0.25,layers=2-5,modules=mlp+norm,temperature=0.6,cap=9,seed=3"
    model = BlendLM.create_from_arg_string(words, {"batch_size": 1, "device": "cuda:0"})  # its default
    assert model.recipe == Recipe("mini", "linear", 0.25, Scope("2-5", ("mlp", "norm"))) and (
        model.cap,
        model.seed,
    ) == (9, 3)
    assert (
        model.at(1).recipe.lam == 1 and model.at(1).bench is model.bench and model.at(1).given == {"temperature": 0.6}
    )
    assert model.get_model_info()["recipe"] == model.recipe.hash
    model.bench.close()
    with pytest.raises(UserError, match="Unknown model argument 'lamda'"):
        BlendLM(lamda=1)


def test_the_command_gives_a_line_per_lambda(capsys):
    assert (
        main.main(["lm-eval", "--tasks", "mi_mini", "--lambda", "0,1", "--limit", "3", "--cap", "256", "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert [c["lambda"] for c in found["cells"]] == [0, 1] and found["tasks"] == ["mi_mini"]
    for cell in found["cells"]:
        assert (
            cell["responses"] == 3
            and 0 <= cell["results"]["mi_mini"]["acc,none"] <= 1
            and cell["tokens"] >= cell["think_tokens"]
        )


@pytest.mark.parametrize(
    "words, text",
    [
        (["--tasks", ","], "at least one task"),
        (["--tasks", "nowhere.yaml"], "no task file 'nowhere.yaml'"),
        (["--tasks", "mi_mini", "--include", "nowhere"], "no folder 'nowhere'"),
        (["--tasks", "mi_mini", "--lambda", "abc"], "λ must be a number"),
        (["--tasks", "mi_mini", "--temperature", "nan"], "temperature must lie between"),
        (["--tasks", "mi_mini", "--limit", "0"], "--limit: must be a whole number"),
    ],
)
def test_bad_input_ends_with_a_sentence(capsys, words, text):
    assert main.main(["lm-eval", *words]) == 2
    assert text in capsys.readouterr().err


def test_a_task_that_lm_eval_cannot_run_ends_with_its_reason(capsys, tmp_path):
    (tmp_path / "gone.yaml").write_text(
        "task: gone\ndataset_path: json\ndataset_kwargs: {data_files: nowhere.jsonl}\ntest_split: train\n"
        "doc_to_text: question\ndoc_to_target: answer\ngeneration_kwargs: {until: []}\nmetric_list: [{metric: exact_match}]\n"
    )
    assert main.main(["lm-eval", "--tasks", "gone", "--include", str(tmp_path), "--lambda", "0"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("mi_explorer lm-eval: lm-eval could not run gone (") and "nowhere.jsonl" in said


def test_the_shipped_task_is_found_without_a_scan():
    manager = task_manager(["mi_mini"])
    assert "mi_mini" in manager.all_tasks and len(manager.all_tasks) < 50 and (OWN / "mi_mini.yaml").is_file()
