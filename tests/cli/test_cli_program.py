"""The program as a process: help, the progress line, a sweep that is interrupted and resumed on real weights."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO

import pytest

from mi_explorer.cli import terminal
from mi_explorer.studies.progress import Progress
from mi_explorer.studies.store.store import Store
from tests import fixtures
from tests.cli.commands import ROOT, RUN_KEYS
from tests.expected import numbers_in


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
    bar, *parts = terminal.progress_text(p).split(" · ")
    assert (
        bar == "█████" + "·" * 15 + " 50/200 samples"
        and parts[0] == "1/4 cells"
        and parts[2:] == ["1,234 tokens/s", "3:05 min left"]
    )
    assert numbers_in(parts[1]) == [10]  # from the store
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
    assert first.returncode == 130 and "same command" in err and 0 < kept < 360
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
