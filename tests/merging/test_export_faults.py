"""Export that cannot go on: nothing half-written is left, nothing of the user's is touched."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.merging import export as module
from mi_explorer.merging.blend import bind
from mi_explorer.merging.export import export_checkpoint
from mi_explorer.merging.staging import ExportError
from mi_explorer.recipe import Recipe
from tests.merging.checkpoint_files import left_over


def test_nothing_of_the_users_is_overwritten(blend, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    os.symlink(tmp_path / "full", tmp_path / "link")
    for name, says in (
        ("full", "is not empty; nothing there is overwritten"),
        ("file", "is a file or a link"),
        ("link", "is a file or a link"),
    ):
        with pytest.raises(ExportError, match=says):
            export_checkpoint(blend, tmp_path / name)
    with pytest.raises(ExportError, match="is a file|Cannot write"):
        export_checkpoint(blend, tmp_path / "file" / "below")
    assert (tmp_path / "full/mine.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    export_checkpoint(blend, tmp_path / "empty")
    export_checkpoint(blend, tmp_path / "new" / "deep")
    assert (
        (tmp_path / "empty/config.json").exists()
        and (tmp_path / "new/deep/config.json").exists()
        and left_over(tmp_path) == []
    )


def test_a_target_filled_meanwhile_is_kept(blend, tmp_path):
    def fill(done, total):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out/mine.txt").write_text("mine")

    with pytest.raises(ExportError, match="meanwhile"):
        export_checkpoint(blend, tmp_path / "out", progress=fill)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"] and left_over(tmp_path) == []


def test_a_disk_that_is_too_small_or_fills_up(blend, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
        with pytest.raises(ExportError, match="16.9 MB.*0.0 MB"):
            export_checkpoint(blend, tmp_path / "out")
    written, real = [], module.write_all

    def full(file, data):
        written.append(len(data))
        if sum(written) > 60_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_all", full)
        with pytest.raises(ExportError, match="disk is full"):
            export_checkpoint(blend, tmp_path / "out")
    assert not (tmp_path / "out").exists() and left_over(tmp_path) == []


def test_parents_that_break_or_change_stop_the_export(blend, tmp_path):
    victim = Path(blend.parents.thinking.path) / "model.safetensors"
    data = victim.read_bytes()

    def cut(done, total):
        if done > total // 3:
            victim.write_bytes(data[: len(data) // 2])

    with pytest.raises(CheckpointError, match="changed on disk"):
        export_checkpoint(blend, tmp_path / "out", progress=cut)
    victim.write_bytes(data)
    assert not (tmp_path / "out").exists() and left_over(tmp_path) == []

    def rewrite(done, total):
        if done == total:
            victim.write_bytes(data)  # the same bytes, but written again: a training run saves over its checkpoint

    again = bind(Recipe(lam=0.4), Parents.open(blend.parents.pair))
    with pytest.raises(CheckpointError, match="changed on disk"):
        export_checkpoint(again, tmp_path / "out", progress=rewrite)
    assert not (tmp_path / "out").exists()


def test_an_interrupt_leaves_nothing(blend, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_checkpoint(blend, tmp_path / "out", progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["pair"]


def test_what_does_not_read_back_is_not_kept(blend, tmp_path, monkeypatch):
    real = module.tensor_bytes

    def flip(blend_, name, scratch):
        for piece in real(blend_, name, scratch):
            data = bytearray(piece)
            data[0] ^= 1
            yield memoryview(data)

    monkeypatch.setattr(module, "tensor_bytes", flip)
    with pytest.raises(ExportError, match="read back"):
        export_checkpoint(blend, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["pair"]
