"""Files of commands: whole or not at all."""

import resource
import subprocess
import sys

import pytest

from mi_explorer.cli.output_file import check_new, write_whole
from mi_explorer.errors import UserError


def test_a_file_is_written_and_replaced_only_on_demand(tmp_path):
    out = tmp_path / "figure.svg"
    check_new(out, overwrite=False)
    write_whole(out, "<svg/>")
    assert out.read_text() == "<svg/>"
    with pytest.raises(UserError, match="overwrite"):
        check_new(out, overwrite=False)
    check_new(out, overwrite=True)
    write_whole(out, "λ")
    assert out.read_text(encoding="utf-8") == "λ" and [p.name for p in tmp_path.iterdir()] == ["figure.svg"]


@pytest.mark.parametrize("there", [None, "the old one"])
def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, there):
    """The kernel refuses to write more than 4 kB to a file, as a full disk would."""
    out = tmp_path / "figure.svg"
    if there:
        out.write_text(there)
    code = f"""
from pathlib import Path
from mi_explorer.cli.output_file import write_whole
from mi_explorer.errors import UserError
try:
    write_whole(Path({str(out)!r}), "x" * 100_000)
except UserError as error:
    print(error)
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    done = subprocess.run([sys.executable, "-B", "-c", code], preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 0 and "cannot be written" in done.stdout
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({"figure.svg": there} if there else {})


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        write_whole(tmp_path / "no" / "figure.svg", "x")
