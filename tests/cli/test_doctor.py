"""`doctor`: plans on paper from a config or headers, a report of this machine, and sentences for bad input."""

import json
import os
from pathlib import Path

import pytest

from mi_explorer.cli.main import main
from mi_explorer.engine import paper_plan
from mi_explorer.engine.paper_plan import CARDS_GB, KNOWN_MODELS, cards_table, config_sizes


@pytest.fixture
def config(tmp_path):
    def write(name):
        (tmp_path / "config.json").write_text(json.dumps(KNOWN_MODELS[name] | {"dtype": "bfloat16"}))
        return str(tmp_path / "config.json")

    return write


def plan(capsys, *words):
    assert main(["doctor", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_sizes_are_those_of_the_published_models():
    assert config_sizes(KNOWN_MODELS["Qwen3-4B"]).weights == 2 * 4_022_468_096
    assert config_sizes(KNOWN_MODELS["Qwen3-30B-A3B"]).weights == pytest.approx(61.06e9, rel=1e-3)
    assert config_sizes(KNOWN_MODELS["Qwen3-8B"], "float32").weights == pytest.approx(4 * 8.19e9, rel=1e-3)


def test_cards_keep_a_cap_of_32768(capsys, config):
    file = config("Qwen3-4B")
    plans = {
        gb: plan(capsys, "--config", file, "--memory", str(gb), "--cap", "32768") for gb in (24, 32, 40, 48, 80, 141)
    }
    for less, more in zip(list(plans.values()), list(plans.values())[1:]):
        assert all(less[key] <= more[key] for key in ("rows", "context", "blocks"))
    assert all(p["context"] > 32_768 for p in plans.values()) and plans[24]["mode"] == "folded"
    assert plans[48]["mode"] == "rowwise" and plans[48]["blocks"] * plans[48]["block_tokens"] >= 11 * 14_000
    assert plans[80]["rows"] >= 24 and plans[80]["pool_tokens"] >= 24 * 15_000
    file = config("Qwen3-30B-A3B")
    for cards in ("2x80", "4x24"):
        assert plan(capsys, "--config", file, "--memory", cards)["context"] > 32_768


def test_a_pair_on_paper_is_read_from_its_headers(capsys):
    found = plan(capsys, "--pair", "mini", "--memory", "1", "--cap", "100", "--dtype", "float32")
    assert (found["context"], found["mode"], found["rows"]) == (1024, "both", 64) or found["context"] == 1124
    assert found["pair"] == "mini" and found["pool_bytes"] == found["pool_tokens"] * 6 * 2 * 2 * 32 * 4


def test_the_report_of_this_machine(capsys, monkeypatch):
    from mi_explorer.engine import doctor

    monkeypatch.setattr(doctor, "COPY_BYTES", 1 << 22)
    monkeypatch.setattr(doctor, "LIBRARY_TOKENS", 2)
    words = ["doctor", "--pair", "mini", "--cap", "64", "--rows", "12"]
    assert main([*words, "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert "transformers.generate" in told.err
    assert {(s["mode"], s["rows"]) for s in found["steps"]} == {
        (m, n) for m in ("folded", "rowwise") for n in (1, 11, 24)
    }
    assert all(s["seconds"] > 0 and s["floor_s"] > 0 for s in found["steps"]) and found["merge_s"] > 0
    assert [g["rows"] for g in found["generate"]] == [1, 11, 64] and found["bandwidth_bytes_s"] > 1e8
    checks = [check["name"] for check in found["checks"]]
    assert checks == ["paged attention", "recorded steps", "packed weights"] and "mini" in found["verdict"]
    monkeypatch.setattr(doctor, "examine", lambda *asked: found)  # the same in words
    assert main(words) == 0 and "merge:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--config", "nowhere.json", "--memory", "24"], "cannot be read"),
        (["--memory", "0"], "between 0"),
        (["--memory", "many"], "GB of a card"),
        (["--memory", "24x"], "GB of a card"),
        (["--pair", "mini", "--memory", "0.001"], "needs at least"),
        (["--pair", "mini", "--config", "x"], "not allowed"),
        (["--pair", "mini", "--memory", "1", "--dtype", "int3"], "dtype must be one of"),
    ],
)
def test_bad_input_is_a_sentence(capsys, words, told):
    assert main(["doctor", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_config_that_is_none(capsys, tmp_path):
    for text in ("[]", "{", '{"model_type": "no"}', '{"model_type": "qwen3", "vocab_size": "x"}'):
        (tmp_path / "config.json").write_text(text)
        assert main(["doctor", "--config", str(tmp_path), "--memory", "24"]) == 2
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.timeout(60)
def test_a_config_that_is_no_file(capsys, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for place in (
        "/dev/zero",
        str(tmp_path / "fifo"),
        str(tmp_path / "none"),
    ):  # read without a limit, the first is endless
        assert main(["doctor", "--config", place, "--memory", "24"]) == 2
        assert Path(place).name in capsys.readouterr().err


def test_the_table_of_cards_has_a_cell_for_each():
    lines = cards_table().splitlines()
    assert len(lines) == 2 + len(KNOWN_MODELS) and all(line.count("|") == len(CARDS_GB) + 2 for line in lines)
    assert paper_plan.paper_plan(config_sizes(KNOWN_MODELS["Qwen3-4B"]), 24, 32_768, 64).mode in lines[2]
