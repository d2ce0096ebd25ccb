"""`probe`, the options of interventions, `mi.probe`: JSON that agrees with its own definitions, a table, a sentence for bad input."""

import json

import pytest

import mi_explorer as mi
from mi_explorer.cli.main import main

ASK = ["What is 14 + 3 * 6 - 9?", "--pair", "mini", "--lambda", "1", "--gold", "23", "--temperature", "0"]


def test_json_agrees_with_the_definitions(capsys):
    assert main(["probe", *ASK, "--points", "12", "--free", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    points = found["points"]
    assert 2 <= len(points) <= 12 and [p["token"] for p in points] == sorted({p["token"] for p in points})
    assert all({"token", "answer", "right", "confidence"} <= set(point) for point in points)
    assert all(point["right"] == (point["answer"] == "23") for point in points)
    lasting = [p["token"] for i, p in enumerate(points) if all(q["right"] for q in points[i:])]
    assert found["right"] and found["sufficient"] == lasting[0]
    assert found["verbose"] == pytest.approx(1 - lasting[0] / found["tokens"], abs=1e-3) and found["harmful"] is False
    answers = [p["answer"] for p in points if p["answer"] is not None]
    assert found["switches"] == sum(a != b for a, b in zip(answers, answers[1:]))
    assert all(len(point["free"]) == 1 for point in points), "greedy: all continuations would be the same"


def test_the_table_and_the_library_say_the_same(capsys):
    assert main(["probe", *ASK, "--at", "30,60", "--at-lambda", "0.5"]) == 0
    text = capsys.readouterr().out
    probed = mi.probe(
        ASK[0], mi.Recipe(lam=1.0), gold="23", at=(30, 60), at_lambda=0.5, decoding=mi.Decoding(temperature=0)
    )
    rows = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [int(row[0]) for row in rows] == [point.token for point in probed.points] == [30, 60]
    assert [("✓" in row) for row in rows] == [point.right for point in probed.points]


def test_a_budget_and_a_lambda_of_the_answer(capsys):
    assert main(["run", *ASK, "--think-budget", "30", "--answer-lambda", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["think_tokens"] == 31 and found["think_closed"] and found["answer"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["probe", *ASK, "--at", "9999"], "9999"),
        (["probe", ASK[0], "--lambda", "1"], "--gold"),
        (["probe", ASK[0], "--lambda", "0", "--gold", "23"], "no thought"),
        (["probe", *ASK, "--at", "a,b"], "20,40,60"),
        (["probe", *ASK, "--points", "0"], "256"),
        (["run", *ASK, "--think-budget", "0"], "budget"),
        (["run", *ASK, "--answer-lambda", "7"], "λ"),
        (["sweep", "--think-budget", "20,x"], "budget"),
    ],
)
def test_bad_input_is_a_sentence(capsys, words, said):
    assert main(words) == 2
    found = capsys.readouterr()
    assert said in found.err and "Traceback" not in found.err and not found.out


def test_a_recipe_of_two_blends_is_no_checkpoint(tmp_path):
    with pytest.raises(mi.UserError, match="two blends"):
        mi.export(mi.Recipe(lam=0.3, answer_lam=1.0), tmp_path / "out")
