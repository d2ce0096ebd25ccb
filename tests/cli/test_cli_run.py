"""`run` and `strip`, and what bad input gives: with a scripted pair."""

import json
import re
from io import StringIO

import pytest

from mi_explorer.workbench import Workbench
from tests.cli.commands import RUN_KEYS, call
from tests.fakes import ScriptedEngine, scripted_bench


def test_run_json_is_one_object_a_line_in_the_order_asked(scripted, capsys):
    code, out, err = call(
        capsys, "run", "What is 3 + 4?", "--lambda", 1, "--lambda", 0, "--lambda", 0.4, "--gold", "7", "--json"
    )
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err, [list(line) for line in lines]) == (0, "", [RUN_KEYS] * 3)
    assert [line["lambda"] for line in lines] == [1, 0, 0.4]
    for line in lines:
        assert (
            line["correct"] == (line["answer"] == "7")
            and line["think_closed"] == ("</think>" in line["text"])
            and not line["truncated"]
        )
        assert (
            line["text"].endswith(f"The answer is {line['answer']}.")
            and (line["think_tokens"] > 0) == line["think_closed"]
        )
    assert lines[0]["think_closed"] and not lines[1]["think_closed"]  # σ(±10)


def test_run_shows_every_trace_whole_and_without_escape_sequences(scripted, capsys, monkeypatch):
    hostile = "\x1b[2Jred\x1b[31m alert\x07 and \u009bmore. The answer is 7."
    monkeypatch.setattr("tests.fakes.blend_script", lambda r: hostile)
    monkeypatch.setattr(
        Workbench,
        "open",
        staticmethod(lambda pair, **_: scripted_bench(ScriptedEngine(lambda r: hostile, delay=0.002))),
    )
    code, out, _ = call(capsys, "run", "What is 3 + 4?", "--lambda", "0,0.5", "--gold", "8")
    assert code == 0 and out.count("\\x1b[2Jred\\x1b[31m alert\\x07 and \\x9bmore. The answer is 7.") == 2
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", out)
    assert out.count("✗ wrong · 40 tokens") == 2 or out.count("✗ wrong") == 2
    assert out.index("── λ 0 ") < out.index("── λ 0.5 ")


def test_strip_has_a_line_for_each_lambda(scripted, capsys):
    code, out, _ = call(capsys, "strip", "What is 3 + 4?", "--gold", "7")
    rows = out.splitlines()[2:]
    assert code == 0 and [float(row.split()[0]) for row in rows] == [i / 10 for i in range(11)]
    assert " no " in rows[0] and " yes " in rows[-1] and all("✓" in row or "✗" in row for row in rows)
    assert len(scripted[0].asked) == 11


def test_prompt_from_standard_input(scripted, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("What is 20 + 22?\n"))
    code, out, _ = call(capsys, "run", "-", "--lambda", 1, "--json")
    assert code == 0 and json.loads(out)["answer"] in ("42", "43") and json.loads(out)["correct"] is None


def test_options_reach_recipe_and_decoding(scripted, capsys):
    call(capsys, "run", "Q?", "--lambda", "-0.2", "--method", "ties", "--param", "density=0.3", "--param", "linear.x=1", "--layers", "2-3,0",
         "--modules", "all-mlp-norm", "--template", "thinking", "--temperature", 0, "--top-k", 5, "--cap", 9, "--seed", 4)  # fmt: skip
    request = scripted[0].asked[0]
    r, d = request.recipe, request.decoding
    assert (r.method, r.lam, dict(r.params), r.scope.layers, r.template) == (
        "ties",
        -0.2,
        {"density": 0.3},
        "0,2-3",
        "thinking",
    )
    assert r.scope.modules == ("attention", "embedding", "lm_head", "other")
    assert (d.temperature, d.top_k, d.cap, d.seed, d.top_p) == (0, 5, 9, 4, 0.95)


@pytest.mark.parametrize(
    "argv, says",
    [
        (["run", ""], "prompt is empty"),
        (["run", "x" * 100_000], "context holds 4,096"),
        (["run", "Q", "--lambda", "abc"], "λ must be a number, not 'abc'"),
        (["run", "Q", "--lambda", "nan"], "not nan"),
        (["run", "Q", "--lambda", "inf"], "not inf"),
        (["run", "Q", "--lambda", "7"], "between -1 and 2"),
        (["run", "Q", "--lambda", "0:1:0"], "never arrives"),
        (["run", "Q", "--lambda", "0:1:1e-9"], "at most 10,000"),
        (["run", "Q", "--lambda", "0:1"], "first:last:step"),
        (["run", "Q", "--lambda", ","], "No λ given"),
        (["run", "Q", "--layers", "4-9"], "layers 0-5"),
        (["run", "Q", "--layers", "x"], "Layers must look like"),
        (["run", "Q", "--modules", "mpl"], "Unknown module 'mpl'"),
        (["run", "Q", "--modules", "all-mpl"], "Unknown module 'mpl'"),
        (["run", "Q", "--param", "density"], "NAME=VALUE"),
        (["run", "Q", "--temperature", "hot"], "temperature must be a number"),
        (["run", "Q", "--cap", "0"], "cap must lie"),
        (["run", "Q", "--seed", "1.5"], "whole number"),
        (["run", "Q", "--rows", "many"], "--rows: must be a whole number"),
        (["strip", " "], "prompt is empty"),
        (["sweep", "--questions", "0"], "--questions: must be a whole number"),
        (["sweep", "--samples", "-1"], "--samples: must be a whole number"),
        (["sweep", "--task", "nosuch"], "Unknown task 'nosuch'"),
        (["sweep", "--task", "nosuch.jsonl"], "no task file"),
        (["sweep", "--task", "sums.jsonl", "--shard", "0/4"], "counted from 1"),
        (["sweep", "--task", "sums.jsonl", "--shard", "1/2", "--refine"], "cannot refine"),
        (["sweep", "--task", "sums.jsonl", "--layers", "9"], "layers 0-5"),
        (["sweep", "--pair", "nosuch"], "Unknown pair 'nosuch'"),
        (["ablate", "layers", "--task", "sums.jsonl", "--lambda", "0.1,0.2"], "made at one λ"),
        (["ablate", "decoding", "--task", "sums.jsonl", "--temperatures", "hot"], "list of numbers"),
        (["ablate", "methods", "--task", "sums.jsonl", "--methods", "linea"], "Did you mean 'linear'"),
        (["study", "show", "nosuch"], "Unknown study"),
        (["study", "export", "nosuch", "x.csv"], "Unknown study"),
        (["study", "import", "nosuch.csv"], "no file"),
        (["study", "rm", "nosuch"], "no study"),
    ],
)
def test_bad_input_ends_with_2_and_one_paragraph(scripted, capsys, argv, says):
    code, out, err = call(capsys, *argv)
    assert (code, out) == (2, "") and says in err and len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert all(engine.asked == [] for engine in scripted)
