"""`search`: the object it ends with, resuming, extending, what is refused. With a scripted pair."""

import json

import pytest

from tests.cli.commands import call

KEYS = {"frontier", "hypervolume", "evaluations", "tokens_generated", "verdict"}
SMALL = ("--questions", 8, "--heldout-questions", 12, "--batch", 3, "--quiet", "--task", "sums.jsonl")


def search(capsys, *more):
    return call(capsys, "search", *SMALL, "--evaluations", 6, *more)


def test_search_ends_with_the_agreed_object(scripted, capsys):
    code, out, _ = search(capsys, "--vary", "lambda,budget", "--name", "s", "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 0 and set(found) >= KEYS and found["evaluations"] == 6 == len(found["hypervolume"])
    for one in found["frontier"]:
        low, high = one["heldout"]["mean_ci"]
        assert low <= one["heldout"]["mean"] <= high and set(one["search"]) == {"mean", "tokens"}
        if one["on_line"]:
            assert one["heldout"]["difference"] <= 1e-9  # a point of the line is never above the line
    trace = [point["value"] for point in found["hypervolume"]]
    assert trace == sorted(trace) and 0 <= trace[-1] <= 1
    code, out, _ = call(capsys, "search", "show", "s", "--json")
    assert code == 0 and json.loads(out) == found


def test_the_same_command_resumes_and_a_larger_one_extends(scripted, capsys):
    first = json.loads(search(capsys, "--vary", "lambda,budget", "--json")[1])
    before = sum(len(engine.asked) for engine in scripted)
    again = json.loads(search(capsys, "--vary", "lambda,budget", "--json")[1])
    assert sum(len(engine.asked) for engine in scripted) == before and again == first
    more = json.loads(call(capsys, "search", *SMALL, "--vary", "lambda,budget", "--evaluations", 9, "--json")[1])
    assert more["evaluations"] == 9 and more["hypervolume"][:6] == first["hypervolume"]


@pytest.mark.parametrize(
    "words, says",
    [
        (("--vary", ""), "Nothing may vary"),
        (("--temperature", ""), "temperature"),
        (("--vary", "lamda"), "Did you mean 'lambda'"),
        (("--vary", "lambda", "--tokens", 3), "below any candidate"),
        (("--vary", "method", "--methods", "ties,linear", "--pair", "a|b"), "needs a base"),
        (("--vary", "layers", "--groups", 99), "layer groups"),
        (("--vary", "lambda", "--sampler", "cma"), "sampler"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(scripted, capsys, words, says):
    code, out, err = search(capsys, *words)
    assert (code, out) == (2, "") and says in err and "Traceback" not in err


def test_a_task_of_three_questions_is_refused(scripted, capsys, tmp_path):
    rows = [json.dumps({"question": f"What is {i} + 4?", "answer": str(i + 4)}) for i in range(3)]
    (tmp_path / "three.jsonl").write_text("\n".join(rows))
    code, _, err = call(capsys, "search", "--task", "three.jsonl")
    assert code == 2 and "this task has 3" in err and not scripted  # told before a pair is loaded
