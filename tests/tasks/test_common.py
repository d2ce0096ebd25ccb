"""Tasks and users' own questions as JSONL and CSV: what is accepted, and what is said about what is not."""

import json

import pytest

from mi_explorer.errors import UserError
from mi_explorer.tasks import Question, Task, TaskError, load_task
from mi_explorer.tasks.task import choose


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def test_jsonl(tmp_path):
    path = write(tmp_path / "mine.jsonl", [
        {"id": "a", "question": "1 + 1?", "answer": 2, "family": "sums", "level": 1, "source": "me"},
        {"id": "b", "question": "Which?", "answer": "red", "choices": ["blue", "red"]},
        {"id": "c", "question": "Which?", "answer": "a", "choices": "blue | red"},
        {"id": "d", "question": "x?", "answer": "x^2", "kind": "math"},
    ])  # fmt: skip
    task = load_task(path)
    a, b, c, d = (task.by_id(name) for name in "abcd")
    assert (task.name, a.text, a.answer, a.gold, a.family, a.level, dict(a.meta)) == (
        "mine",
        "1 + 1?",
        "2",
        "2",
        "sums",
        1,
        {"source": "me"},
    )
    assert (b.kind, b.answer, b.gold) == ("choice", "B", "B) red")
    assert (c.answer, c.gold, c.choices) == ("A", "A) blue", ("blue", "red"))
    assert task.prompt(b) == "Which?\n\nA) blue\nB) red"
    assert [task.verify(q, x) for q, x in ((a, "2.0"), (b, "(B)"), (b, "blue"), (d, "x\\cdot x"))] == [
        True,
        True,
        False,
        True,
    ]


def test_csv(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        'question,answer,choices\n"How many, in all?",12,\nWhich?,blue,blue|red\n"Two\nlines?",3,\n',
        encoding="utf-8-sig",
    )
    questions = {q.id: q for q in load_task(path).questions}
    assert (
        questions["0"].text == "How many, in all?" and questions["0"].answer == "12" and questions["0"].kind == "auto"
    )
    assert questions["1"].gold == "A) blue"
    assert questions["2"].text == "Two\nlines?"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "", "holds no questions"),
        ("a.jsonl", "{", "line 1 is not JSON"),
        ("a.jsonl", "[1]", "not an object"),
        ("a.jsonl", '{"question": "x"}', "it has question"),
        ("a.jsonl", '{"question": "", "answer": 1}', "needs a question"),
        ("a.jsonl", '{"question": "x", "answer": [1]}', "needs a question"),
        ("a.jsonl", '{"question": "x", "answer": "1", "kind": "magic"}', "unknown kind 'magic'"),
        ("a.jsonl", '{"question": "x", "answer": "1", "level": "hard"}', "whole number"),
        ("a.jsonl", '{"question": "x", "answer": "1", "choices": ["a"]}', "2 to 26"),
        ("a.jsonl", '{"question": "x", "answer": "z", "choices": ["a", "b"]}', "none of the choices"),
        ("a.jsonl", '{"question": "x", "answer": "1", "id": 1}\n{"question": "x", "answer": "1", "id": 1}', "same id"),
        ("a.jsonl", json.dumps({"question": "x" * 200_000, "answer": "1"}), "100,000"),
        ("a.jsonl", "[" * 100_000, "not JSON"),
        ("a.csv", "frage;antwort\nx;1\n", "it has frage, antwort"),
        ("a.json", "[1, 2", "not JSON"),
        ("a.jsonl", '{"question": "x", "answer": NaN}', "no number"),
        ("a.jsonl", '{"question": "\\ud800", "answer": 1}', "surrogate"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TaskError, match=message):
        load_task(path)


def test_missing_and_unreadable(tmp_path):
    with pytest.raises(TaskError, match="no task file"):
        load_task(tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaskError, match="UTF-8"):
        load_task(tmp_path / "bad.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(TaskError, match="cannot be read"):
        load_task(tmp_path / "folder.jsonl")


def test_unknown_names_get_a_suggestion():
    with pytest.raises(UserError, match="Did you mean 'gsm8k'"):
        load_task("gsm8")


def test_choosing_is_nested_repeatable_and_depends_on_the_seed():
    questions = [Question(str(i), "?", "1") for i in range(100)]
    small, large = choose(questions, 10, 0), choose(reversed(questions), 40, 0)
    assert large[:10] == small
    assert set(choose(questions, None, 0)) == set(questions)
    assert choose(questions, 10, 1) != small
    with pytest.raises(TaskError, match="at least one"):
        choose(questions, 0, 0)


def test_where():
    task = Task("t", tuple(Question(str(i), "?", "1", level=i) for i in range(5)))
    assert [q.id for q in task.where(lambda q: q.level > 2).questions] == ["3", "4"]
