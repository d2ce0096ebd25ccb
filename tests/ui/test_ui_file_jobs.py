"""Files that are made for visitors: for those who know the token, for a while, so many at a time."""

import time

import pytest

from mi_explorer.errors import UserError
from mi_explorer.ui.file_jobs import FileJobError, FileJobs, FileResult
from tests.ui.taking import wait


def test_files_hold_files_for_those_who_know_the_token():
    files = FileJobs()

    def make(folder, tell):
        tell("Working", 1, 2)
        (folder / "a b.txt").write_text("hello")
        return FileResult("There.", folder / "a b.txt")

    token = files.start(make)
    end = wait(files, token)
    assert end["state"] == "done" and end["bytes"] == 5 and end["url"] == f"/mi/take/{token}/a%20b.txt"
    assert files.file(token, "a b.txt").read_text() == "hello"
    for other in ((token, "../a b.txt"), (token, ""), ("0" * 32, "a b.txt"), ("", "a b.txt")):
        with pytest.raises(FileJobError):
            files.file(*other)
    path = files.file(token, "a b.txt")
    files.close()
    assert not path.exists()


def test_files_go_when_they_are_old_or_too_many():
    def make(size):
        def work(folder, tell):
            (folder / "f").write_bytes(b"x" * size)
            return FileResult("", folder / "f")

        return work

    files = FileJobs(max_bytes=250)
    tokens = []
    for _ in range(3):
        tokens.append(files.start(make(100)))
        wait(files, tokens[-1])
    time.sleep(0.05)
    assert [files.look(t)["state"] for t in tokens] == ["gone", "done", "done"]
    files.keep_s = 0
    assert files.start(make(1)) and [files.look(t)["state"] for t in tokens] == ["gone"] * 3
    files.close()


def test_files_that_fail_keep_nothing_and_too_many_are_refused(caplog):
    import threading

    files, gate, folders = FileJobs(), threading.Event(), []

    def broken(folder, tell):
        folders.append(folder)
        (folder / "half").write_text("x")
        raise RuntimeError("secret /path")

    end = wait(files, files.start(broken))
    assert end["state"] == "failed" and "RuntimeError" in end["text"] and "secret" not in end["text"]
    assert list(folders[0].parent.iterdir()) == []

    def told(folder, tell):
        raise UserError("The moon is full.")

    assert wait(files, files.start(told))["text"] == "The moon is full."
    for _ in range(12):
        files.start(lambda folder, tell: gate.wait(30) and FileResult(""))
    with pytest.raises(FileJobError, match="already"):
        files.start(told)
    gate.set()
    files.close()
