"""Task files in the forms that people have: endings, columns, ids, choices, worked solutions."""

import json

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.tasks import TaskError, load_task
from mi_explorer.tasks.rows import ENDINGS

ROW = {"question": "2 + 2?", "answer": 4, "id": 0}
FORMS = {  # one question, "2 + 2?" with the answer 4, in the forms that people have
    "a.csv": "question;answer\n2 + 2?;4\n",
    "b.csv": "Problem,Target\n2 + 2?,4\n",
    "c.tsv": "prompt\tanswer\n2 + 2?\t4\n",
    "d.json": '[{"question": "2 + 2?", "answer": 4}]',
    "e.jsonl": '{"question": "2 + 2?", "answer": "It is 2 and 2.\\n#### 4", "id": 0}\n',
    "f.JSON": json.dumps(ROW, indent=1),
    "g.jsonl": json.dumps(
        {"problem": "2 + 2?", "solution": "So it is $\\\\boxed{4}$.\n", "level": "Level 1", "type": "Sums"}
    ),
    "h.jsonl": json.dumps({"question": "2 + 2?", "answer": None, "answerKey": "4"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_task_files(tmp_path, name):
    (tmp_path / name).write_text(FORMS[name], encoding="utf-8")
    (question,) = load_task(tmp_path / name).questions
    assert (question.text, question.answer) == ("2 + 2?", "4")
    assert question.id == "0"


def test_rows_end_at_line_feeds_and_decimals_stay(tmp_path):
    text = "a\u2028b\u0085c"
    row = json.dumps({"question": text, "answer": 0}, ensure_ascii=False).replace("0}", "0.00005}")
    (tmp_path / "a.jsonl").write_text(row + "\n", encoding="utf-8")
    (question,) = load_task(tmp_path / "a.jsonl").questions
    assert (question.text, question.answer) == (text, "0.00005")


def test_labelled_choices(tmp_path):
    choices = [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "Which?", "answer": "B", "choices": choices}) + "\n")
    task = load_task(tmp_path / "a.jsonl")
    assert task.questions[0].gold == "B) blue" and "A) red" in task.prompt(task.questions[0])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200), st.sampled_from(ENDINGS))
def test_any_text_is_a_task_or_a_sentence(tmp_path, text, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert load_task(path).questions
    except UserError:
        pass


def parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def test_parquet_by_its_path_alone(tmp_path):
    rows = [
        {"id": "a", "question": "1 + 1?", "answer": "2", "family": "sums", "level": 1, "choices": None},
        {"id": "b", "question": "Which?", "answer": "red", "family": "x", "level": 2, "choices": ["blue", "red"]},
    ]
    parquet(tmp_path / "mine.parquet", rows)
    write(tmp_path / "mine.jsonl", rows)
    one, two = (load_task(tmp_path / f"mine{ending}") for ending in (".parquet", ".jsonl"))
    assert one.questions == two.questions and {q.gold for q in one.questions} == {"2", "B) red"}


def test_what_table_readers_make_of_gaps_and_decimals(tmp_path):
    """A column of whole numbers with a gap holds 1.0 and NaN; single precision is written as people write it."""
    frame = pandas.DataFrame(
        {"question": ["a", "b", "c"], "answer": [0.1, 3.0, 0.00005], "id": [7, None, 9], "level": [2, None, 3]}
    ).astype({"answer": "float32"})
    frame.to_parquet(tmp_path / "a.parquet")
    found = {q.text: (q.id, q.answer, q.level) for q in load_task(tmp_path / "a.parquet").questions}
    assert found == {"a": ("7", "0.1", 2), "b": ("1", "3", 0), "c": ("9", "0.00005", 3)}


def test_a_damaged_parquet_is_a_sentence(tmp_path):
    path = parquet(tmp_path / "a.parquet", [ROW])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TaskError, match="read as Parquet"):
        load_task(path)
    with pytest.raises(TaskError, match="it has a"):
        load_task(parquet(path, [{"a": 1}]))


# Ids ----------------------------------------------------------------------------------------------------------------------


def ids(path):
    return {q.text: q.id for q in load_task(path).questions}


@pytest.mark.parametrize(
    ("given_ids", "want"),
    [
        ([None, None, None], ["0", "1", "2"]),
        ([None, "0", None], ["row-0", "0", "2"]),
        (["1", None, None], ["1", "row-1", "2"]),
        ([2, 0, None], ["2", "0", "row-2"]),
        (["row-2", 2, ""], ["row-2", "2", "row-row-2"]),
        ([" x ", 0, "  "], ["x", "0", "2"]),
        ([0, 1.5, True], ["0", "1.5", "True"]),
    ],
)
def test_ids_are_unique_and_given_ones_are_kept(tmp_path, given_ids, want):
    rows = [{"question": f"q{i}", "answer": "1", "id": id} for i, id in enumerate(given_ids)]
    assert ids(write(tmp_path / "a.jsonl", rows)) == {f"q{i}": id for i, id in enumerate(want)}
    for row in rows:
        if row["id"] is None:
            del row["id"]
    assert ids(write(tmp_path / "b.jsonl", rows)) == ids(tmp_path / "a.jsonl")


@pytest.mark.parametrize("pair", [(1, "1"), ("a", "a"), ("a", " a"), (0, 0), (True, "True")])
def test_two_rows_with_one_id_are_named(tmp_path, pair):
    rows = [{"question": "q", "answer": "1", "id": id} for id in (pair[0], "between", pair[1])]
    with pytest.raises(TaskError, match="rows 1 and 3"):
        load_task(write(tmp_path / "a.jsonl", rows))


@given(
    st.lists(
        st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["", "0", "1", "row-0", "row-1", "x"])), min_size=1
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_ids_are_unique_or_refused(tmp_path, given_ids):
    path = write(
        tmp_path / "a.jsonl", [{"question": f"q{i}", "answer": "1", "id": id} for i, id in enumerate(given_ids)]
    )
    named = [str(id) for id in given_ids if id not in (None, "")]
    if len(set(named)) < len(named):
        with pytest.raises(TaskError, match="same id"):
            load_task(path)
    else:
        found = ids(path)
        assert len(set(found.values())) == len(given_ids) and set(named) <= set(found.values())
        assert all(found[f"q{i}"] == str(id) for i, id in enumerate(given_ids) if id not in (None, ""))


# Choices and columns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choices", "answer", "gold"),
    [
        ([{"label": "B", "text": "red"}, {"label": "A", "text": "blue"}], "A", "B) blue"),
        ([{"label": "1", "text": "red"}, {"label": "2", "text": "blue"}], 2, "B) blue"),
        ({"label": ["A", "B"], "text": ["red", "blue"]}, "B", "B) blue"),
        ({"A": "red", "B": "blue"}, "(b)", "B) blue"),
        (["B", "A"], "A", "B) A"),
        ([1, 2, 3], 2, "B) 2"),
        ('{"A": "red", "B": "blue"}', "blue", "B) blue"),
        ("red|blue", "b.", "B) blue"),
    ],
)
def test_forms_of_choices(tmp_path, choices, answer, gold):
    row = {"question": "Which?", "answer": answer, "choices": choices}
    assert load_task(write(tmp_path / "a.jsonl", [row])).questions[0].gold == gold


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"choices": ["a", ["b"]], "answer": "a"}, "an option"),
        ({"choices": ["a", ""], "answer": "a"}, "an option"),
        ({"choices": ["a", "a", "b"], "answer": "a"}, "two options"),
        ({"choices": ["\ud800", "b"], "answer": "b"}, "surrogate"),
        ({"answer": "1", "family": "\ud800"}, "surrogate"),
        ({"answer": 1e400}, "no number"),
        ({"solution": "First,\nthen 4.\n"}, "names no answer"),
        ({"answer": "1", "level": 2.5}, "whole number"),
    ],
)
def test_rows_that_cannot_be_meant(tmp_path, row, says):
    with pytest.raises(TaskError, match=says):
        load_task(write(tmp_path / "a.jsonl", [{"question": "x", **row}]))


def test_the_plain_name_of_a_column_counts_before_others_and_none_is_lost(tmp_path):
    row = {"input": "context", "question": "x", "label": "7", "answer": "1", "solution": "By \\boxed{1}."}
    (question,) = load_task(write(tmp_path / "a.jsonl", [row])).questions
    assert (question.text, question.answer) == ("x", "1")
    assert dict(question.meta) == {"input": "context", "label": "7", "solution": "By \\boxed{1}."}


def test_a_boxed_fraction_in_a_solution(tmp_path):
    row = {"problem": "x", "solution": "By \\boxed{1}, so\n\\[ \\boxed{\\frac{1}{2}} \\]"}
    assert load_task(write(tmp_path / "a.jsonl", [row])).questions[0].answer == "\\frac{1}{2}"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_benchmark_takes_every_form_as_a_local_copy(tmp_path, ending):
    rows = [{"question": "2 + 2?", "answer": "So #### 1,004"}]
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        parquet(path, rows)
    elif ending in (".csv", ".tsv"):
        pandas.DataFrame(rows).to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    else:
        path.write_text(json.dumps(rows) if ending == ".json" else json.dumps(rows[0]))
    assert load_task(f"gsm8k@{path}").questions[0].answer == "1004"


# Fuzz -----------------------------------------------------------------------------------------------------------------------

CELLS = ["2 + 2?", "4", "A", "B) red", "", "x" * 300, "\ud800", "\0", "\u2028", "1,2", '"', 0, -1, 2.5, 1e400, float("nan"), 10**30, True,
         None, [], {}, ["a", "b"], ["a", "a"], {"A": "red"}, {"label": ["A", "B"], "text": ["x", "y"]}, [[1]], [None], "#### 4", "\\boxed{",
         "Level ?", '["a"]', "A|B", "number", "ifeval", "reasoning_gym", "__import__"]  # fmt: skip
COLUMNS = ["question", "problem", "prompt", "answer", "solution", "answerKey", "choices", "id", "unique_id", "level", "family", "kind", "type",
           "instruction_id_list", "kwargs", "entry", "metadata", "Question", "Correct Answer", "Incorrect Answer 1", ""]  # fmt: skip
BENCHMARKS = ("", "gsm8k@", "math500@", "gpqa@", "aime25@", "ifeval@", "mini@")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(CELLS), max_size=6), min_size=1, max_size=3),
    st.sampled_from([".jsonl", ".json", ".csv", ".parquet"]),
    st.sampled_from(BENCHMARKS),
)
@example([{"problem": "a", "answer": "1"}, {"answer": "1"}], ".jsonl", "aime25@")
def test_any_rows_are_questions_or_a_sentence(tmp_path, rows, ending, benchmark):
    path = tmp_path / f"a{ending}"
    try:
        if ending == ".parquet":
            parquet(path, rows)
        elif ending == ".csv":
            pandas.DataFrame(rows).to_csv(path, index=False)
        else:
            path.write_text(json.dumps(rows) if ending == ".json" else "\n".join(map(json.dumps, rows)))
    except (pa.ArrowException, UnicodeError, OverflowError):  # no such table can be written
        return
    try:
        task = load_task(f"{benchmark}{path}")
    except UserError as error:
        assert 0 < len(str(error)) < 2000
    else:
        assert all(task.prompt(q) and q.gold is not None for q in task.questions)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4), st.floats(0.3, 1))
def test_any_damage_of_a_parquet_is_seen_or_harmless(tmp_path, flips, keep):
    path = parquet(tmp_path / "a.parquet", [{"question": f"{i} + 2?", "answer": str(i + 2)} for i in range(20)])
    raw = bytearray(path.read_bytes())
    for where, byte in flips:
        raw[int(where * len(raw))] = byte
    path.write_bytes(bytes(raw[: int(keep * len(raw))]))
    try:
        assert load_task(path).questions
    except UserError as error:
        assert 0 < len(str(error)) < 2000
