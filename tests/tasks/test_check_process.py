"""The check process: hostile answers end in "wrong" within the limit, from any thread, and the next check is fine."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mi_explorer.tasks import check_process
from mi_explorer.tasks.check_process import WALL_LIMIT, CheckUnavailable
from mi_explorer.tasks.verify import verify

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = [
    "9^9^9^9", "9^{9^{9^{9}}}", "9**9**9**9", "10^{10^{10}}!", "((((" * 400 + "x" + "))))" * 400, "\\frac{" * 300, "\\sqrt{" * 250 + "2" + "}" * 250,
    "9" * 1_000_000, "1/" * 900 + "1", "\\boxed{\\boxed{" * 100, "x" * 1999, "$" * 1500, "\\left(" * 200, "{" * 1900, "\x00\ud83d",
    "∞^∞", "1e999999999",    "-" * 1999, "=" * 1999, "1,2,3," * 300, "\u202e32\u202c",
    "__import__('os').system('true')", "\\begin{matrix}" * 100,
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def warm():
    assert verify("x+1", "1+x", "math")  # imports are not part of the limit
    yield
    check_process.checker.close()


@pytest.mark.parametrize("answer", HOSTILE, ids=lambda a: ascii(a[:16]))
@pytest.mark.parametrize("kind", ["math", "number", "choice", "text"])
def test_hostile_answers_are_wrong_in_time(answer, kind):
    start = time.monotonic()
    assert verify("C) 23" if kind == "choice" else "x^2+23" if kind == "math" else "23", answer, kind) is False
    assert time.monotonic() - start < WALL_LIMIT + 10


def test_from_many_threads():
    results = {}

    def work(i):
        results[i] = [
            verify("x^2-1", "(x-1)(x+1)", "math"),
            verify("x^2-1", f"(x-{i + 2})(x+1)", "math"),
            verify("23", "23.0"),
        ]

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {i: [True, False, True] for i in range(12)}


def test_a_check_out_of_time_costs_its_process_and_no_more():
    assert check_process.ask("latex", "x", "x")
    before = check_process.checker.child.process
    start = time.monotonic()
    assert check_process.ask("latex", "x", "((((" * 400 + "x", limit=0.05) is False
    assert time.monotonic() - start < WALL_LIMIT
    assert before.poll() is not None
    assert check_process.ask("math", "x+y", "y+x") is True
    assert check_process.checker.child.process.pid != before.pid


def test_a_child_that_dies_is_replaced():
    check_process.ask("math", "x", "x")
    check_process.checker.child.process.kill()
    check_process.checker.child.process.wait()
    assert check_process.ask("math", "x", "x") is False
    assert check_process.ask("math", "x", "x") is True


def test_an_unknown_check_is_an_error_of_ours_not_of_the_answer():
    with pytest.raises(CheckUnavailable, match="no check .*astrology"):
        check_process.ask("astrology", "x", "x")


def test_works_without_a_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from mi_explorer.tasks import verify\nprint(verify('x^2-1', '(x-1)(x+1)', 'math'))\n")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "True", done.stderr
