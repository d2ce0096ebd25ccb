"""`study` on a store of its own: listing, renaming, deleting, the bundled studies."""

import json
import re

from mi_explorer.studies.store import reader
from mi_explorer.studies.store.store import Store
from tests.cli.commands import call, sweep

FOREIGN = f"precomputed, {reader.FOREIGN}"


def test_study_commands(scripted, capsys, monkeypatch):
    monkeypatch.setattr("mi_explorer.studies.store.bundled.precomputed", lambda folder=None: ())
    assert "No studies in" in call(capsys, "study", "list")[1]
    sweep(capsys, "--lambda", "0,1", "--quiet")
    assert re.search(r"^s +sweep +sums.jsonl +mini +2 +160 +160 ", call(capsys, "study", "list")[1], re.M)
    assert json.loads(call(capsys, "study", "list", "--json")[1])[0]["samples"] == 160
    out = call(capsys, "study", "show", "s")[1]
    assert "command: python -m mi_explorer" in out and "160 samples, cpu float32" in out and "mean@2 %" in out
    assert (
        call(capsys, "study", "export", "s", "out.parquet", "--texts", 0)[1] == "160 samples written to out.parquet\n"
    )
    assert call(capsys, "study", "export", "s", "out.parquet")[0] == 2
    assert call(capsys, "study", "import", "out.parquet", "--name", "again")[1] == "study again: 0 new samples\n"
    assert call(capsys, "study", "rm", "again", "nosuch")[0] == 2 and len(Store.open().studies()) == 2
    assert call(capsys, "study", "rm", "again")[1].split()[:4] == ["study", "again", "deleted,", "0"]
    assert call(capsys, "study", "rm", "s")[1].split()[:4] == ["study", "s", "deleted,", "160"]


def test_precomputed_studies_are_listed_shown_and_exported(scripted, capsys, monkeypatch, tmp_path):
    sweep(capsys, "--lambda", "0,1", "--quiet")
    call(capsys, "study", "export", "s", "bundled.parquet")
    call(capsys, "study", "rm", "s")
    monkeypatch.setattr(
        "mi_explorer.studies.store.bundled.precomputed", lambda folder=None: (tmp_path / "bundled.parquet",)
    )
    assert [(s["name"], s["origin"], s["samples"]) for s in json.loads(call(capsys, "study", "list", "--json")[1])] == [
        ("s", FOREIGN, 160)  # the scripted pair is not the embedded one
    ]
    found = json.loads(call(capsys, "study", "show", "s", "--json")[1])
    assert found["origin"].startswith("precomputed") and [c["total"] for c in found["cells"]] == [80, 80]
    assert call(capsys, "study", "show", "s")[1].startswith(f"s: task sums.jsonl, pair mini ({FOREIGN})")
    assert call(capsys, "study", "export", "s", "again.csv")[1] == "160 samples written to again.csv\n"
    assert "Did you mean 's'" in call(capsys, "study", "show", "ss")[2]
    assert call(capsys, "study", "rm", "s")[0] == 2 and (tmp_path / "bundled.parquet").exists()
