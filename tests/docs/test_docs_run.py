"""The how-tos are run as they stand: every block of a document, in order, in one empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\w+\.py)\n")


def blocks(document):
    """(language, text) of every fenced block that is code."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return [(language, code) for language, code in BLOCK.findall(text) if language in ("python", "sh")]


@pytest.mark.parametrize("document", ["add-a-method.md", "add-a-task.md", "add-a-pair.md"])
def test_every_block_of_a_how_to_runs(document, tmp_path):
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (bin_ / "python").chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
           "MI_EXPLORER_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}  # fmt: skip
    ran = 0
    for language, code in blocks(document):
        if named := NAMED.match(code):
            (folder / named[1]).write_text(code, encoding="utf-8")
            continue
        command = ["sh", "-e", "-c", code] if language == "sh" else [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"{document}:\n{code}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        ran += 1
    assert ran >= 1
