"""Checkpoint folders with files that are no files, and configs that no model can run with: preflight refuses them, at once."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.engine.resident import LoadError, ResidentPair
from mi_explorer.errors import UserError
from mi_explorer.input_limits import read_bytes, read_text
from mi_explorer.pairs import Pair, get_pair

MINI = get_pair("mini")


@pytest.fixture
def pair(tmp_path):
    """The embedded pair in folders that may be changed; weights are linked."""
    for role in ("instruct", "thinking"):
        shutil.copytree(getattr(MINI, role), tmp_path / role, ignore=shutil.ignore_patterns("*.safetensors"))
        (tmp_path / role / "model.safetensors").symlink_to(Path(getattr(MINI, role)) / "model.safetensors")
    return Pair("odd", str(tmp_path / "instruct"), str(tmp_path / "thinking"))


def fifo(path):
    os.mkfifo(path)


def huge(path):
    with path.open("wb") as file:
        file.truncate(20 << 30)


def zero(path):
    path.symlink_to("/dev/zero")


def loop(path):
    path.symlink_to(path)


def folder(path):
    path.mkdir()


KINDS = (fifo, huge, zero, loop, folder)


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "chat_template.json", "tokenizer.json", "generation_config.json", "additional_chat_templates/x.jinja"]
)  # fmt: skip
def test_files_that_are_none(pair, name, make):
    path = Path(pair.thinking) / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    result = preflight(pair)
    assert not result.ok and path.name in result.findings[0].text()


@pytest.mark.parametrize("make", KINDS)
def test_the_one_reader_of_small_files(tmp_path, make):
    make(tmp_path / "x")
    for read in (read_bytes, read_text):
        with pytest.raises(UserError, match="'?x'? "):
            read(tmp_path / "x", 1000)
    for path in (Path("/proc/self/environ"), Path("a" * 5000), Path("a\0b"), Path("/dev/null")):
        with pytest.raises(UserError):
            read_bytes(path, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"num_labels": 10**30},
        {"num_labels": 10**9},
        {"rope_parameters": {"rope_type": "linear", "factor": 0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": -5.0}},
        {"rms_norm_eps": float("nan")},
    ],
)
@pytest.mark.parametrize("role", ["instruct", "thinking"])
def test_configs_that_no_model_runs_with(pair, role, change):
    path = Path(getattr(pair, role)) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    result = preflight(pair)
    assert not result.ok and next(iter(change))[:5] in result.findings[0].text()


def test_a_template_that_drops_the_question_is_said(pair):
    (Path(pair.instruct) / "chat_template.jinja").write_text("hello")
    (note,) = [f for f in preflight(pair).findings if f.topic == "template"]
    assert "question" in note.what and "Instruct" in note.what


def test_a_device_without_values():
    with pytest.raises(LoadError, match="meta"):
        ResidentPair.load(MINI, "meta")
