"""IFEval: the gold answer carries the instructions; strict and loose by the maintained checks."""

import json

import pytest

from mi_explorer.tasks import TaskError, load_task, verify
from mi_explorer.tasks.check_process import CheckUnavailable

ROW = {
    "key": 1000, "prompt": "Write five words or more without commas.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{}, {"relation": "at least", "num_words": 5}],
}  # fmt: skip


@pytest.fixture
def task(tmp_path):
    def load(name, *rows):
        path = tmp_path / "ifeval.jsonl"
        path.write_text("\n".join(map(json.dumps, rows or (ROW,))))
        return load_task(f"{name}@{path}")

    return load


def test_strict(task):
    strict = task("ifeval")
    (q,) = strict.questions
    assert (q.id, q.family, q.level, q.kind, strict.prompt(q)) == (
        "ifeval-1000",
        "punctuation",
        2,
        "ifeval",
        ROW["prompt"],
    )
    assert strict.verify(q, "one two three four five")
    assert not strict.verify(q, "one, two three four five six")
    assert not strict.verify(q, "one two three")
    assert not strict.verify(q, "")
    assert not strict.verify(q, None)


def test_loose_forgives_a_first_line(task):
    strict, loose = task("ifeval"), task("ifeval-loose")
    response = "Sure, here it is:\none two three four five"
    assert not strict.verify(strict.questions[0], response)
    assert loose.verify(loose.questions[0], response)
    assert not loose.verify(loose.questions[0], "Sure, here\nit is, two three four five")


def test_languages_are_judged_the_same_every_time():
    gold = json.dumps({"prompt": "x", "ids": ["language:response_language"], "kwargs": [{"language": "de"}]})
    assert all(verify(gold, "Das ist ein ganz gewöhnlicher deutscher Satz.", "ifeval") for _ in range(5))
    assert not any(verify(gold, "This is a perfectly ordinary English sentence.", "ifeval") for _ in range(5))


def test_a_check_without_its_data_says_so_instead_of_wrong():
    gold = json.dumps(
        {
            "prompt": "x",
            "ids": ["length_constraints:number_sentences"],
            "kwargs": [{"relation": "at least", "num_sentences": 2}],
        }
    )
    try:
        assert verify(gold, "One here. Two here. Three here.", "ifeval") is True
    except CheckUnavailable as error:  # where the machine has no punkt data
        assert "nltk.downloader punkt_tab" in str(error)


def test_an_over_long_response_is_wrong():
    gold = json.dumps({"prompt": "x", "ids": ["punctuation:no_comma"], "kwargs": [{}]})
    assert verify(gold, "a " * 1000, "ifeval") and not verify(gold, "a " * 200_000, "ifeval")


def test_rows_without_instructions(task):
    with pytest.raises(TaskError, match="Row 1"):
        task("ifeval", {"prompt": "x", "instruction_id_list": 5, "kwargs": None})


def test_missing_extra_and_missing_data_are_said_before_anything_runs(task, monkeypatch):
    import nltk

    from mi_explorer.tasks import ifeval

    def missing(name):
        raise LookupError(name)

    monkeypatch.setattr(nltk.data, "find", missing)
    counts = {
        **ROW,
        "instruction_id_list": ["length_constraints:number_sentences"],
        "kwargs": [{"relation": "at least", "num_sentences": 2}],
    }
    with pytest.raises(TaskError, match="nltk.downloader punkt_tab"):
        task("ifeval", counts)
    assert task("ifeval").questions  # nothing here counts sentences
    monkeypatch.setattr(ifeval, "find_spec", lambda name: None)
    with pytest.raises(TaskError, match="pip install"):
        task("ifeval")
