"""The command line: what it prints, what it refuses, what it leaves in the store. Mostly with a scripted pair, once for real."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from mi_explorer.cli import main, terminal
from mi_explorer.studies.progress import Progress
from mi_explorer.studies.store.store import Store
from mi_explorer.workbench import Workbench
from tests import fixtures
from tests.fakes import ScriptedEngine, scripted_bench

ROOT = Path(__file__).resolve().parents[2]
RUN_KEYS = ["lambda", "text", "tokens", "think_tokens", "think_closed", "answer", "correct", "truncated"]
CELL_KEYS = {
    "lambda",
    "mean",
    "mean_ci",
    "pass",
    "vote",
    "tokens",
    "think_ratio",
    "truncated",
    "overthinking",
    "questions",
    "samples",
}


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """Commands run on a scripted pair with its own home; the list holds every engine that was made."""
    engines = []

    def open_(pair, **_):
        engines.append(ScriptedEngine())
        return scripted_bench(engines[-1], name=getattr(pair, "name", pair))

    monkeypatch.setattr(Workbench, "open", staticmethod(open_))
    monkeypatch.setenv("MI_EXPLORER_HOME", str(tmp_path / "home"))
    (tmp_path / "sums.jsonl").write_text(
        "".join(json.dumps({"question": f"What is {i} + 4?", "answer": str(i + 4)}) + "\n" for i in range(40))
    )
    monkeypatch.chdir(tmp_path)
    return engines


def call(capsys, *argv):
    """Exit code, standard output, standard error."""
    code = main.main([str(a) for a in argv])
    out = capsys.readouterr()
    return code, out.out, out.err


def sweep(capsys, *more):
    return call(
        capsys, "sweep", "--task", "sums.jsonl", "--questions", 40, "--samples", 2, "--cap", 200, "--name", "s", *more
    )


# -- run and strip ------------------------------------------------------------------------------------------------------


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


# -- sweep, ablate, study -----------------------------------------------------------------------------------------------


def test_sweep_ends_with_the_agreed_object(scripted, capsys):
    code, out, err = sweep(capsys, "--lambda", "0:1:0.1", "--json")
    found = json.loads(out.splitlines()[-1])
    cells = found["cells"]
    assert code == 0 and len(out.splitlines()) == 1 and [c["lambda"] for c in cells] == [i / 10 for i in range(11)]
    assert all(set(c) >= CELL_KEYS and (c["questions"], c["samples"], c["total"]) == (40, 2, 80) for c in cells)
    assert (
        all(c["mean_ci"][0] <= c["mean"] <= c["mean_ci"][1] for c in cells)
        and cells[-1]["mean"] > cells[0]["mean"] + 0.2
    )
    # the scripted blend thinks with σ((λ − 0.5)/0.05), and the same seeds at every λ
    assert abs(found["stages"]["lambda50"] - 0.5) < 0.03 and 0.02 < found["stages"]["s"] < 0.08
    assert (found["pairs"], found["fingerprints"], found["decoding"]["seed"]) == (["mini"], ["scripted"], 0)
    low, high = found["stages"]["stage2"]
    assert (
        low == pytest.approx(found["stages"]["lambda50"] - 4.595 * found["stages"]["s"], abs=1e-3) and 0.6 < high < 0.9
    )
    assert "880/880 samples" in err
    samples = Store.open().samples(1)
    by_lam = {c["lambda"]: [s for s in samples if s.cell == c["key"]] for c in cells}
    for c in cells:
        mine = by_lam[c["lambda"]]
        assert c["mean"] == pytest.approx(sum(s.correct for s in mine) / 80) and c["tokens"] == pytest.approx(
            sum(s.tokens for s in mine) / 80
        )
        assert c["think_ratio"] == pytest.approx(sum(s.think_closed for s in mine) / 80)


def test_tables_and_figures_for_a_readme(scripted, capsys, tmp_path):
    sweep(capsys, "--lambda", "0,0.5,1", "--quiet")
    code, out, _ = call(capsys, "study", "table", "s", "--markdown")
    lines = out.splitlines()
    assert code == 0 and lines[0] == "| λ | Mean@2 | Pass@2 | Vote@2 | Tokens | Think % | Truncated % | n |"
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| 0", "| 0.5", "| 1"] and lines[2].endswith("40 × 2 |")
    assert (
        "40 questions × 2 samples, T 0.6" in out
        and "`python -m mi_explorer" in out
        and "thought appears at a transition" in out.lower()
    )
    assert "Mean@2" in call(capsys, "study", "table", "s")[1]
    out = call(capsys, "study", "table", "s", "--by", "level", "--lambda", "0,1")[1]
    assert re.search(r"questions +λ 0 +λ 1\n", out) and re.search(r"^0 +40 ", out, re.M)
    code, _, err = call(capsys, "study", "table", "s", "--by", "level", "--lambda", "0.3")
    assert code == 2 and "λ 0.3 was not measured" in err
    assert call(capsys, "study", "figure", "s", "f.svg")[0] == 0 and (tmp_path / "f.svg").read_text().startswith("<svg")
    for words, says in (
        (["f.svg"], "left as it was"),
        (["f.png"], "written as .svg"),
        (["no/f.svg"], "cannot be written"),
    ):
        code, _, err = call(capsys, "study", "figure", "s", *words)
        assert code == 2 and says in err
    assert call(capsys, "study", "figure", "s", "f.svg", "--overwrite")[0] == 0


def test_exports_keep_the_texts_of_some_questions(scripted, capsys, tmp_path):
    sweep(capsys, "--lambda", "0", "--quiet")
    assert call(capsys, "study", "export", "s", "slim.parquet", "--texts", 1, "--text-questions", 3)[0] == 0
    with Store(tmp_path / "slim.parquet", readonly=True) as store:
        samples = store.samples(1)
        assert len(samples) == 80 and sum(store.body(s.key) is not None for s in samples) == 3


def test_sweep_again_resumes_and_extends(scripted, capsys):
    sweep(capsys, "--lambda", "0,1", "--quiet")
    _, out, err = sweep(capsys, "--lambda", "0,0.5,1")
    assert sum(len(e.asked) for e in scripted) == 240 and "160 from the store" in err
    rows = [line.split()[0] for line in out.splitlines() if re.match(r"\s*[\d.]+ .*×", line)]
    assert (
        rows == ["0", "0.5", "1"]
        and "Brackets: 95 % intervals" in out
        and "T 0.6, top-p 0.95, top-k 20, cap 200, seed 0" in out
    )
    _, out, _ = sweep(capsys, "--lambda", "0,1", "--json", "--quiet")
    assert [c["lambda"] for c in json.loads(out)["cells"]] == [0, 1]  # a smaller question gets a smaller answer
    assert len(Store.open().study("s").plan.cells) == 3


def test_sweep_refines_at_the_transition(scripted, capsys):
    code, out, err = sweep(capsys, "--lambda", "0:1:0.25", "--refine", 1, "--json")
    lams = [c["lambda"] for c in json.loads(out)["cells"]]
    new = sorted(set(lams) - {0, 0.25, 0.5, 0.75, 1})
    assert code == 0 and "Adding λ" in err and new and all(0.25 < x < 0.75 for x in new)


def test_sweep_compares_methods_curve_by_curve(scripted, capsys):
    code, out, _ = sweep(capsys, "--lambda", "0:1:0.25", "--method", "linear,slerp", "--json", "--quiet")
    found = json.loads(out)
    assert code == 0 and {(c["group"], c["method"]) for c in found["cells"]} == {
        ("linear", "linear"),
        ("slerp", "slerp"),
    }
    assert set(found["curves"]) == {"linear", "slerp"} and len(found["cells"]) == 10


def test_shards_merge_on_the_command_line(scripted, capsys, tmp_path):
    whole = json.loads(sweep(capsys, "--lambda", "0,0.5,1", "--json", "--quiet")[1])
    for i in (1, 2):
        assert (
            sweep(capsys, "--lambda", "0,0.5,1", "--shard", f"{i}/2", "--quiet", "--home", tmp_path / f"h{i}")[0] == 0
        )
    assert call(capsys, "study", "export", "s", "two.parquet", "--home", tmp_path / "h2")[0] == 0
    code, out, _ = call(
        capsys, "study", "merge", "s", tmp_path / "h1" / "studies.db", "two.parquet", "--home", tmp_path / "h3"
    )
    assert (code, out) == (0, "study s: 240 new samples\n")
    merged = json.loads(call(capsys, "study", "show", "s", "--json", "--home", tmp_path / "h3")[1])
    assert merged["cells"] == whole["cells"] and merged["stages"] == whole["stages"]


@pytest.mark.parametrize(
    "what, labels",
    [
        ("layers", ["Instruct", "Thinking", "layers 0-5 and all else", "layers 0-1", "layers 2-3", "layers 4-5", "layers 0-3", "layers 2-5",
                    "layers 0-1,4-5"]),
        ("modules", ["Instruct", "Thinking", "all modules", "without attention", "without mlp", "without norm", "attention alone", "mlp alone"]),
        ("backbone", ["into Instruct", "into base"]),
        ("decoding", [f"T {t}, top-p {p}" for p in ("0.95", "0.9", "0.85", "0.8") for t in ("0.6", "0.65", "0.7")]),
    ],
)  # fmt: skip
def test_ablations_have_the_papers_rows(scripted, capsys, what, labels):
    code, out, _ = call(
        capsys, "ablate", what, "--task", "sums.jsonl", "--questions", 4, "--samples", 1, "--json", "--quiet"
    )
    found = json.loads(out)
    assert code == 0 and [c["label"] for c in found["cells"]] == labels and found["kind"] == what
    blends = [c for c in found["cells"] if c["label"] not in ("Instruct", "Thinking")]
    assert {c["lambda"] for c in blends} == {0.4 if what == "decoding" else 0.8}
    asked = {r.recipe.pair for e in scripted for r in e.asked}
    assert asked == ({"mini", "mini@base"} if what == "backbone" else {"mini"})


def test_method_ablation_takes_published_settings_or_a_grid(scripted, capsys):
    code, out, _ = call(
        capsys, "ablate", "methods", "--task", "sums.jsonl", "--questions", 2, "--samples", 1, "--json", "--quiet"
    )
    found = {c["group"]: c["lambda"] for c in json.loads(out)["cells"]}
    assert (
        code == 0 and {"linear": 0.8, "task_arithmetic": 0.7, "ties": 0.5}.items() <= found.items() and len(found) >= 10
    )
    out = call(capsys, "ablate", "methods", "--task", "sums.jsonl", "--questions", 2, "--samples", 1, "--methods", "ties,linear",
               "--lambda", "0.2:0.6:0.2", "--param", "ties.density=0.4", "--json", "--quiet")[1]  # fmt: skip
    assert [(c["group"], c["lambda"]) for c in json.loads(out)["cells"]][2:] == [
        (m, x) for m in ("ties", "linear") for x in (0.2, 0.4, 0.6)
    ]
    assert {tuple(r.recipe.params) for r in scripted[-1].asked if r.recipe.method == "ties"} == {(("density", 0.4),)}


def test_study_commands(scripted, capsys, monkeypatch):
    monkeypatch.setattr("mi_explorer.studies.store.bundled.precomputed", lambda folder=None: ())
    assert "No studies in" in call(capsys, "study", "list")[1]
    sweep(capsys, "--lambda", "0,1", "--quiet")
    assert re.search(r"^s +sweep +sums.jsonl +mini +2 +160 +160 ", call(capsys, "study", "list")[1], re.M)
    assert json.loads(call(capsys, "study", "list", "--json")[1])[0]["samples"] == 160
    out = call(capsys, "study", "show", "s")[1]
    assert "command: python -m mi_explorer" in out and "160 samples, cpu float32" in out and "mean@2 %" in out
    assert (
        call(capsys, "study", "export", "s", "out.parquet", "--texts", 0)[1] == "160 samples written to out.parquet\n"
    )
    assert call(capsys, "study", "export", "s", "out.parquet")[0] == 2
    assert call(capsys, "study", "import", "out.parquet", "--name", "again")[1] == "study again: 0 new samples\n"
    assert call(capsys, "study", "rm", "again", "nosuch")[0] == 2 and len(Store.open().studies()) == 2
    assert call(capsys, "study", "rm", "again")[1] == "study again deleted, 0 samples with it\n"
    assert call(capsys, "study", "rm", "s")[1] == "study s deleted, 160 samples with it\n"


def test_precomputed_studies_are_listed_shown_and_exported(scripted, capsys, monkeypatch, tmp_path):
    sweep(capsys, "--lambda", "0,1", "--quiet")
    call(capsys, "study", "export", "s", "bundled.parquet")
    call(capsys, "study", "rm", "s")
    monkeypatch.setattr(
        "mi_explorer.studies.store.bundled.precomputed", lambda folder=None: (tmp_path / "bundled.parquet",)
    )
    assert [(s["name"], s["origin"], s["samples"]) for s in json.loads(call(capsys, "study", "list", "--json")[1])] == [
        ("s", "precomputed, made with other weights", 160)  # the scripted pair is not the embedded one
    ]
    found = json.loads(call(capsys, "study", "show", "s", "--json")[1])
    assert found["origin"].startswith("precomputed") and [c["total"] for c in found["cells"]] == [80, 80]
    assert call(capsys, "study", "show", "s")[1].startswith(
        "s: task sums.jsonl, pair mini (precomputed, made with other weights)"
    )
    assert call(capsys, "study", "export", "s", "again.csv")[1] == "160 samples written to again.csv\n"
    assert "Did you mean 's'" in call(capsys, "study", "show", "ss")[2]
    assert call(capsys, "study", "rm", "s")[0] == 2 and (tmp_path / "bundled.parquet").exists()


def test_help_reads_without_loading_torch():
    code = """
import sys
from mi_explorer.cli.main import main
for argv in ([], ["run"], ["strip"], ["sweep"], ["ablate"], ["study"], *(["study", x] for x in ("export", "table", "figure", "precompute"))):
    try:
        main([*argv, "--help"])
    except SystemExit as end:
        assert end.code == 0
assert "torch" not in sys.modules and "gradio" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: python -m mi_explorer") == 10 and max(map(len, done.stdout.splitlines())) <= 122


def test_progress_line():
    p = Progress("s", "running", 200, 40, 10, 0, 1, 4, 9_000, 1234.5, 10, 185.4)
    assert (
        terminal.progress_text(p)
        == "█████··············· 50/200 samples · 1/4 cells · 10 from the store · 1,234 tokens/s · 3:05 min left"
    )
    assert [terminal.duration(s) for s in (None, 42, 185, 7800)] == ["?", "42 s", "3:05 min", "2:10 h"]


def test_progress_is_one_line_on_a_terminal_and_now_and_then_elsewhere():
    class Tty(StringIO):
        def isatty(self):
            return True

    running = Progress("s", "running", 200, 40, 10, 3, 1, 4, message="bad \x1b[2J news")
    for out, kind in ((Tty(), "live"), (StringIO(), "log")):
        bar = terminal.ProgressLine(out)
        bar.show(running)
        bar.show(replace(running, done=45))
        bar.note("Adding λ 0.45.")
        bar.show(replace(running, done=190, state="done"))
        bar.end()
        text = out.getvalue()
        assert "\x1b" not in text and "3 failed (bad \\x1b[2J news)" in text and "Adding λ 0.45.\n" in text
        assert "200/200 samples" in text and ("55/200" in text) == (kind == "live")
        assert text.count("\n") == (2 if kind == "live" else 3) and ("\r" in text) == (kind == "live")
    assert terminal.ProgressLine(quiet := StringIO(), quiet=True).show(running) is None and quiet.getvalue() == ""


# -- for real -----------------------------------------------------------------------------------------------------------


def real(tmp_path, *argv, **more):
    """The program as a process, on a tiny real pair."""
    spec = "|".join(str(tmp_path / role) for role in ("instruct", "thinking", "base"))
    argv = [spec if a == "PAIR" else str(a) for a in argv]
    command = [sys.executable, "-m", "mi_explorer", *argv]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.timeout(900)
def test_the_program_runs_sweeps_stops_and_resumes_on_real_weights(tmp_path):
    fixtures.make_pair("qwen3", tmp_path)
    for role in ("instruct", "thinking"):
        fixtures.make_tokenizer(tmp_path / role)
    (tmp_path / "sums.csv").write_text("question,answer\n" + "".join(f"What is {i} + 4?,{i + 4}\n" for i in range(30)))
    run = real(tmp_path, "run", "What is 3 + 4?", "--pair", "PAIR", "--lambda", "0,0.5,1", "--cap", 8, "--json")
    out, err = run.communicate(timeout=280)
    assert run.returncode == 0, err
    assert [list(json.loads(line)) for line in out.splitlines()] == [RUN_KEYS] * 3

    size = [
        "--task",
        tmp_path / "sums.csv",
        "--questions",
        30,
        "--samples",
        4,
        "--cap",
        60,
        "--home",
        tmp_path / "home",
        "--name",
        "s",
    ]
    first = real(tmp_path, "sweep", "--pair", "PAIR", "--lambda", "0,0.5,1", *size)
    deadline = time.monotonic() + 280
    while (
        not (tmp_path / "home" / "studies.db").exists()
        or not (studies := Store.open(tmp_path / "home").studies())
        or not studies[0].samples
    ):
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=280)
    kept = Store.open(tmp_path / "home").study("s").samples
    assert first.returncode == 130 and "run the same command to go on" in err and 0 < kept < 360
    again = real(tmp_path, "sweep", "--pair", "PAIR", "--lambda", "0,0.5,1", *size, "--json")
    out, err = again.communicate(timeout=280)
    assert again.returncode == 0 and f"{kept} from the store" in err, err
    assert [(c["lambda"], c["questions"], c["samples"]) for c in json.loads(out)["cells"]] == [
        (0, 30, 4),
        (0.5, 30, 4),
        (1, 30, 4),
    ]
    assert Store.open(tmp_path / "home").study("s").samples == 360


def test_the_program_says_what_is_wrong_with_a_model_folder(tmp_path):
    fixtures.make_pair("qwen3", tmp_path)
    fixtures.truncate(tmp_path / "instruct")
    run = real(tmp_path, "run", "Q", "--pair", "PAIR")
    out, err = run.communicate(timeout=280)
    assert (run.returncode, out) == (2, "") and f"{tmp_path}/instruct" in err and "Traceback" not in err
