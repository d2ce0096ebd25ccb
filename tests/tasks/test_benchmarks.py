"""Benchmarks in their published columns, from local copies; what is said where there is no copy and no hub."""

import json

import pandas as pd
import pytest

from mi_explorer.tasks import TaskError, gpqa, load_task
from mi_explorer.tasks.registry import names
from mi_explorer.tasks.sources import BenchmarkSource


def jsonl(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_gsm8k(tmp_path):
    path = jsonl(
        tmp_path / "test.jsonl", [{"question": "Eggs?", "answer": "She sells 9 * 2 = <<9*2=18>>1,018.\n#### 1,018"}]
    )
    task = load_task(f"gsm8k@{path}")
    (q,) = task.questions
    assert (q.answer, q.kind, task.licence) == ("1018", "number", "MIT")
    assert task.prompt(q) == "Eggs?\n\nPlease reason step by step, and put your final answer within \\boxed{}."
    assert task.verify(q, "\\$1018") and not task.verify(q, "1019")
    with pytest.raises(TaskError, match="'####'"):
        load_task(f"gsm8k@{jsonl(tmp_path / 'b.jsonl', [{'question': 'x', 'answer': '3'}])}")


def test_math500_from_parquet(tmp_path):
    row = {
        "problem": "Factor",
        "answer": "(x-1)(x+1)",
        "level": 3,
        "subject": "Algebra",
        "unique_id": "test/algebra/1.json",
    }
    pd.DataFrame([row]).to_parquet(tmp_path / "test-00000.parquet")
    task = load_task(f"math500@{tmp_path}")
    (q,) = task.questions
    assert (q.id, q.family, q.level, q.kind) == ("test/algebra/1.json", "Algebra", 3, "math")
    assert task.verify(q, "x^2-1") and not task.verify(q, "x^2+1")


def test_aime25_from_csv(tmp_path):
    (tmp_path / "aime.csv").write_text('id,problem,answer\n0,"Find it, please.",70\n1,Angle,"336^\\circ"\n')
    task = load_task(f"aime25@{tmp_path / 'aime.csv'}")
    a, b = task.by_id("aime25-0"), task.by_id("aime25-1")
    assert a.text == "Find it, please." and task.verify(a, "070") and not task.verify(a, "71")
    assert task.verify(b, "336")


GPQA = [
    {"Question": f"Q{i}?", "Correct Answer": f"right {i}", "Incorrect Answer 1": "w1", "Incorrect Answer 2": "w2", "Incorrect Answer 3": "w3",
     "Record ID": f"r{i}", "High-level domain": "Physics"} for i in range(40)
]  # fmt: skip


def test_gpqa_options_are_shuffled_by_seed_and_question(tmp_path):
    path = jsonl(tmp_path / "gpqa.jsonl", GPQA)
    task = load_task(f"gpqa@{path}")
    assert task.republish is False
    letters = {q.answer for q in task.questions}
    assert letters == set("ABCD")
    for q in task.questions:
        assert q.gold == f"{q.answer}) right {q.id.removeprefix('gpqa-r')}"
        assert sorted(q.choices)[1:] == ["w1", "w2", "w3"]
        assert task.verify(q, f"({q.answer})") and not task.verify(q, "w2")
    again = {q.id: q for q in load_task(f"gpqa@{path}").questions}
    fewer = {q.id: q for q in load_task(f"gpqa@{jsonl(tmp_path / 'few.jsonl', GPQA[7:9])}").questions}
    other = {q.id: q for q in load_task(f"gpqa@{path}", seed=1).questions}
    assert all(again[q.id] == q for q in task.questions)
    assert all(again[i].choices == q.choices for i, q in fewer.items())
    assert sum(other[i].choices != q.choices for i, q in again.items()) > 20


def test_gated_data_says_how_to_get_it():
    def refuse(*args, **kwargs):
        raise PermissionError("401 Client Error: gated\nlong traceback")

    with pytest.raises(TaskError) as error:
        gpqa.SOURCE.rows(loader=refuse)
    text = str(error.value)
    for part in (
        "Idavidrein/gpqa",
        "gpqa_diamond",
        "gated",
        "own token",
        "CC-BY-4.0",
        "NAME@PATH",
        "401 Client Error: gated",
    ):
        assert part in text
    assert "traceback" not in text


def test_a_hub_is_asked_for_the_right_split():
    asked = []

    def loader(id, config, split):
        asked.append((id, config, split))
        return [{"question": "x", "answer": "#### 1"}]

    source = BenchmarkSource("openai/gsm8k", "test", ("question", "answer"), "MIT", config="main")
    assert source.rows(loader=loader) == [{"question": "x", "answer": "#### 1"}]
    assert asked == [("openai/gsm8k", "main", "test")]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [("[]", "a.json", "no column 'question'"), ('{"problem": 1}', "a.jsonl", "no column 'question'"), ("{", "a.jsonl", "cannot be read"),
     ("[1]", "a.json", "one object a row"), ("", "a.txt.jsonl", "no column")],
)  # fmt: skip
def test_bad_local_copies(tmp_path, content, name, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(TaskError, match=message):
        load_task(f"gsm8k@{tmp_path / name}")


def test_local_copies_that_are_not_there(tmp_path):
    with pytest.raises(TaskError, match="no file"):
        load_task(f"gsm8k@{tmp_path / 'none.jsonl'}")
    with pytest.raises(TaskError, match="holds 0 data files"):
        load_task(f"gsm8k@{tmp_path}")
    with pytest.raises(TaskError, match="Write gsm8k@PATH"):
        load_task("gsm8k@")


def test_the_names():
    assert names() == (
        "mini",
        "smollm2",
        "gsm8k",
        "math500",
        "aime25",
        "gpqa",
        "ifeval",
        "ifeval-loose",
        "reasoning_gym",
    )
