"""Whole tasks through lm-eval: accuracy and tokens against our own, the command, bad input."""

import json

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager

from mi_explorer.cli import main
from mi_explorer.cli.lm_eval_command import OWN, task_manager
from mi_explorer.errors import UserError
from mi_explorer.harness import BlendLM, mean_costs
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.tasks import load_task
from mi_explorer.workbench import GenerationRequest

GREEDY = Decoding(temperature=0, top_p=1, top_k=0, cap=512)


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
    assert said.startswith("mi_explorer lm-eval: ") and " gone (" in said and "nowhere.jsonl" in said


def test_the_shipped_task_is_found_without_a_scan():
    manager = task_manager(["mi_mini"])
    assert "mi_mini" in manager.all_tasks and len(manager.all_tasks) < 50 and (OWN / "mi_mini.yaml").is_file()
