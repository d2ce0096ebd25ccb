"""Settings, scope presets and the command line of the page."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fake import QUESTIONS, FakeBench

from mi_explorer.recipe import MODULES, Scope
from mi_explorer.ui.settings import Settings, SettingsError, check_port, read
from mi_explorer.ui.setup import examples, methods, presets, setup
from mi_explorer.weights.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]


def test_flags_beat_the_environment_and_the_environment_the_defaults():
    assert read([], {}) == Settings(pairs="any") and Settings().host == "127.0.0.1"
    assert read([], {"MI_EXPLORER_PORT": "7000", "MI_EXPLORER_PAIR": "x"}) == Settings(port=7000, pair="x", pairs="any")
    assert read(["--port", "7001"], {"MI_EXPLORER_PORT": "7000"}).port == 7001
    assert read([], {"GRADIO_SERVER_NAME": "0.0.0.0"}).host == "0.0.0.0"  # as in a container of a Space
    assert read(["--host", "0.0.0.0"], {}).pairs == "fixed"  # an open page lets nobody load models unless it is told to
    with pytest.raises(SettingsError, match="pairs must be fixed, presets or any"):
        read(["--pairs", "some"], {})


@pytest.mark.parametrize("port", ["abc", "0", "70000", "-1", "7860.5"])
def test_a_port_that_is_none(port):
    with pytest.raises(SettingsError, match="whole number from 1 to 65535"):
        read(["--port", port], {})


def test_a_port_in_use_is_told_before_anything_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Cannot listen on 127.0.0.1:{port} .* choose another port"):
            check_port("127.0.0.1", port)
        done = subprocess.run([sys.executable, "app.py", "--port", str(port)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Cannot listen" in done.stderr and "Traceback" not in done.stderr
    check_port("127.0.0.1", port)


@pytest.mark.parametrize("layers", [1, 2, 3, 6, 28, 36])
def test_presets_are_scopes_of_the_model_and_thirds_cover_it(layers):
    made = {p["label"]: Scope(p["layers"], tuple(p["modules"])) for p in presets(layers)}
    for scope in made.values():
        scope.check(layers)
    assert made["everything"] == Scope()
    assert "attention" not in made["without attention"].modules and made["without MLP"].layers == "all"
    if layers >= 3:
        parts = [[i for i in range(layers) if made[f"{p} third"].has_layer(i)] for p in ("first", "middle", "last")]
        assert sum(parts, []) == list(range(layers))
        assert [i for i in range(layers) if made["last two thirds"].has_layer(i)] == parts[1] + parts[2]


def test_every_method_is_offered_and_those_without_their_base_are_not_available():
    assert [m["name"] for m in methods(True)] == list(METHODS) and all(m["available"] for m in methods(True))
    assert [m["name"] for m in methods(False) if not m["available"]] == [n for n, m in METHODS.items() if m.needs_base]
    ties = next(m for m in methods(True) if m["name"] == "ties")
    assert {p["name"]: p["default"] for p in ties["params"]} == METHODS["ties"].defaults


def test_examples_are_one_per_family():
    assert [e["family"] for e in examples(QUESTIONS)] == ["stories", "expressions", "search"]
    assert [e["family"] for e in examples(QUESTIONS * 3)] == ["stories", "expressions", "search"]


def test_without_questions_and_a_strip_the_page_still_has_its_parts():
    made = setup(FakeBench(), (), "mini", None)
    assert made["task"] == "" and made["examples"] == [] and made["landing"]["frames"] == {} and made["modules"] == list(MODULES)
