"""Files of ours are written whole or not at all."""

import resource
import subprocess
import sys

import pytest

from mi_explorer.studies.store.whole_files import FileWriteError, whole_file


def test_a_file_is_written_and_replaced_only_on_demand(tmp_path):
    out = tmp_path / "figure.svg"
    with whole_file(out) as staged:
        staged.write_text("<svg/>")
        assert not out.exists()
    assert out.read_text() == "<svg/>"
    with pytest.raises(FileWriteError, match="overwrite"), whole_file(out):
        pass
    with whole_file(out, overwrite=True) as staged:
        staged.write_text("λ", encoding="utf-8")
    assert out.read_text(encoding="utf-8") == "λ" and [p.name for p in tmp_path.iterdir()] == ["figure.svg"]


@pytest.mark.parametrize("there", [None, "the old one"])
def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, there):
    """The kernel refuses to write more than 4 kB to a file, as a full disk would."""
    out = tmp_path / "figure.svg"
    if there:
        out.write_text(there)
    code = f"""
from pathlib import Path
from mi_explorer.studies.store.whole_files import FileWriteError, whole_file
try:
    with whole_file(Path({str(out)!r}), overwrite=True) as staged:
        staged.write_text("x" * 100_000)
except FileWriteError as error:
    print(error)
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    done = subprocess.run([sys.executable, "-B", "-c", code], preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 0 and "cannot be written" in done.stdout
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({"figure.svg": there} if there else {})


@pytest.mark.parametrize("name", ["no/figure.svg", "f" * 300, "a\0b"])
def test_places_where_nothing_can_be(tmp_path, name):
    with pytest.raises(FileWriteError, match="cannot be written"), whole_file(tmp_path / name) as staged:
        staged.write_text("x")
