"""Every option of every command with what nobody means: exit code 0, 1 or 2, and a sentence where it is not 0."""

import argparse
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mi_explorer.cli.main import main, parser
from mi_explorer.errors import UserError

ODD = ["", " ", "-1", "0", "1", "1e400", "nan", "inf", "9" * 5000, "0:1:0.5", "0:1:1e-9", "1:0:0.1", "0..1", "x", "../..", "/dev/zero", "/",
       "folder", "text", "bytes", "fifo", "missing", "sums.jsonl", "a" * 300, "all", "none", "mini", "mini@base", "|", "a|b", "a|b|c|d", "=",
       "density=2", "density=nan", "0-1", "3-1", "0-999999999", "q_proj", "\u202e", "{}", "[]", "true", "http://[", "%s", "-", "é", ",",
       "2026-01-01"]  # fmt: skip
MEANT = {  # what makes each command do its least
    "run": ["--lambda=0.5", "--cap=5", "--", "What is 3 + 4?"],
    "strip": ["--cap=5", "--", "What is 3 + 4?"],
    "probe": ["--cap=5", "--", "What is 3 + 4?"],
    "sweep": ["--task=sums.jsonl", "--questions=1", "--cap=5", "--name=s"],
    "ablate": ["--task=sums.jsonl", "--questions=1", "--cap=5", "--name=a"],
    "search": ["--task=sums.jsonl", "--questions=8", "--samples=1", "--heldout-questions=8", "--heldout-samples=1", "--evaluations=4",
               "--cap=5", "--name=k"],
    "preflight": ["mini"],
    "weights": ["mini"],
    "export": ["--lambda=0.5", "--out=out"],
    "lm-eval": ["--tasks=x"],
    "doctor": [],
}  # fmt: skip
PARSED = ("doctor", "lm-eval")  # they measure and import for seconds: their words are read, not followed


def sub_parsers(one):
    found = [a.choices for a in one._actions if isinstance(a, argparse._SubParsersAction)]
    return found[0] if found else {}


def every_option():
    """(words of the command, option, whether it takes a value, how many words it asks for)."""
    for name, command in sub_parsers(parser()).items():
        for more, leaf in sub_parsers(command).items() or [("", command)]:
            needed = sum(not a.option_strings and a.nargs not in ("?", "*") for a in leaf._actions)
            for action in leaf._actions:
                if name != "app" and action.option_strings and action.dest != "help":
                    yield [name, *([more] if more else [])], action.option_strings[-1], action.nargs != 0, needed


OPTIONS = list(every_option())


@pytest.fixture
def odd_files(scripted, tmp_path, monkeypatch):
    """The odd files, a scripted pair, and a hub that does not answer."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "fifo")


def outcome(words, capsys):
    try:
        if words[0] in PARSED:
            parser().parse_args(words)
            return
        code = main(words)
    except UserError as error:
        assert words[0] in PARSED and str(error).strip()
        return
    except SystemExit as end:  # argparse: a value that it cannot take
        code = end.code
    said = capsys.readouterr()
    assert code in (0, 1, 2) and "Traceback" not in said.out + said.err, words
    assert code == 0 or 0 < len(said.err.strip()) < 6000 and "fault of the program" not in said.err, (words, said.err)


@pytest.mark.timeout(120)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@example(option=(["sweep"], "--think-open", True, 0), value="9" * 5000, other="")
@given(option=st.sampled_from(OPTIONS), value=st.sampled_from(ODD), other=st.sampled_from(ODD))
def test_any_value_of_any_option(odd_files, capsys, option, value, other):
    command, name, takes, needed = option
    meant = MEANT.get(" ".join(command), [])
    words = [*command, f"{name}={value}" if takes else name, *meant]
    if command[0] == "study":
        words += ["--", *[other] * needed] if needed else []
    outcome(words, capsys)
