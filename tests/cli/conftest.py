"""A scripted pair for the command line."""

import json

import pytest

from mi_explorer.workbench import Workbench
from tests.fakes import ScriptedEngine, scripted_bench


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """Commands run on a scripted pair with its own home; the list holds every engine that was made."""
    engines = []

    def open_(pair, **_):
        engines.append(ScriptedEngine())
        return scripted_bench(engines[-1], name=getattr(pair, "name", pair))

    monkeypatch.setattr(Workbench, "open", staticmethod(open_))
    monkeypatch.setenv("MI_EXPLORER_HOME", str(tmp_path / "home"))
    (tmp_path / "sums.jsonl").write_text(
        "".join(json.dumps({"question": f"What is {i} + 4?", "answer": str(i + 4)}) + "\n" for i in range(40))
    )
    monkeypatch.chdir(tmp_path)
    return engines
