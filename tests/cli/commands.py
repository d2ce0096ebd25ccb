"""Commands called in this process, as the tests of several commands need them."""

from pathlib import Path

from mi_explorer.cli import main

ROOT = Path(__file__).resolve().parents[2]
RUN_KEYS = ["lambda", "text", "tokens", "think_tokens", "think_closed", "answer", "correct", "truncated"]


def call(capsys, *argv):
    """Exit code, standard output, standard error."""
    code = main.main([str(a) for a in argv])
    out = capsys.readouterr()
    return code, out.out, out.err


def sweep(capsys, *more):
    return call(
        capsys, "sweep", "--task", "sums.jsonl", "--questions", 40, "--samples", 2, "--cap", 200, "--name", "s", *more
    )
