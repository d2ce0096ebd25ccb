"""Settings, scope presets and the command line of the page."""

import re
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from mi_explorer.merging.methods import METHODS
from mi_explorer.pairs import get_pair
from mi_explorer.recipe import MODULES, Scope
from mi_explorer.ui.access.setting_checks import SettingsError
from mi_explorer.ui.access.settings import (
    OPTIONS,
    Settings,
    check_port,
    read_page_settings,
    settings_table,
    startup_notes,
)
from mi_explorer.ui.explore.page_setup import example_questions, method_controls, page_setup, scope_presets
from mi_explorer.ui.server import offered_questions
from tests.ui.fake import QUESTIONS, FakeBench

ROOT = Path(__file__).resolve().parents[2]


def test_flags_beat_the_environment_and_the_environment_the_defaults():
    assert read_page_settings([], {}) == Settings(pairs="any") and Settings().host == "127.0.0.1"
    assert read_page_settings([], {"MI_EXPLORER_PORT": "7000", "MI_EXPLORER_PAIR": "x"}) == Settings(
        port=7000, pair="x", pairs="any"
    )
    assert read_page_settings(["--port", "7001"], {"MI_EXPLORER_PORT": "7000"}).port == 7001
    assert read_page_settings([], {"GRADIO_SERVER_NAME": "0.0.0.0"}).host == "0.0.0.0"  # as in a container of a Space
    assert (
        read_page_settings(["--host", "0.0.0.0"], {}).pairs == "fixed"
    )  # an open page lets nobody load models unless it is told to
    with pytest.raises(SettingsError, match="fixed, presets or any"):
        read_page_settings(["--pairs", "some"], {})


def test_an_open_page_starts_closed_and_says_how_to_change_it():
    made = read_page_settings([], {"MI_EXPLORER_HOST": "0.0.0.0"})
    assert made.open and (made.pairs, made.hub, made.folders, made.address_runs) == ("fixed", False, (), 64)
    assert (
        any("--auth FILE" in note for note in startup_notes(made)) and startup_notes(read_page_settings([], {})) == ()
    )
    told = read_page_settings(
        ["--pairs", "presets", "--folders", "*"], {"MI_EXPLORER_HOST": "0.0.0.0", "MI_EXPLORER_AUTH": "a:b"}
    )
    assert [bool(re.search(p, " ".join(startup_notes(told)))) for p in ("--auth", "--hub yes", "--folders")] == [
        False,
        True,
        True,
    ]
    assert "huggingface.co" in read_page_settings([], {"SPACE_ID": "someone/space"}).frames


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("rows", "0", "whole number from 1 to 4096"),
        ("tokens", "1e6", "whole number"),
        ("queue", "-5", "whole number from 1"),
        ("runs", "٣", "whole number"),
        ("address_runs", "many", "address-runs must be a whole number"),
        ("upload", "99999", "to 10240"),
        ("hub", "maybe", "hub must be yes or no"),
        ("dtype", "int4", "float32, bfloat16 or float16"),
        ("pairs", "mini,unheard-of", "names of presets .*unheard-of"),
        ("folders", "no/such/folder", "there is no folder"),
        ("frames", "javascript:alert(1)", "frames must be self"),
        ("frames", "https://a.example; script-src *", "frames must be self"),
        ("hosts", "a b", "hosts must be names"),
        ("auth", "nobody", "entry 1 is not user:password"),
        ("auth", "a:x,a:y", "there twice"),
        ("auth", "#", "no user"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_start_by_flag_and_variable(name, wrong, said):
    with pytest.raises(SettingsError, match=said):
        read_page_settings([], {f"MI_EXPLORER_{name.upper()}": wrong})
    if name != "auth":
        with pytest.raises(SettingsError, match=said):
            read_page_settings(["--" + name.replace("_", "-"), wrong], {})


def test_a_home_that_cannot_be_written_is_told_at_start(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError, match="cannot be written"):
        read_page_settings(["--home", str(tmp_path / "file" / "home")], {})
    assert read_page_settings(["--home", str(tmp_path / "new" / "home")], {}).home.endswith("home")


def test_users_come_from_a_file_or_the_variable_and_never_from_the_command_line(tmp_path, capsys):
    file = tmp_path / "users"
    file.write_text("# who may enter\nann:se:cret\n\nbob:word\n")
    made = read_page_settings(["--auth", str(file)], {})
    assert made.auth == (("ann", "se:cret"), ("bob", "word")) and "cret" not in repr(made)
    assert read_page_settings([], {"MI_EXPLORER_AUTH": str(file)}).auth == made.auth
    assert read_page_settings([], {"MI_EXPLORER_AUTH": "ann:se:cret,bob:word"}).auth == made.auth
    with pytest.raises(SettingsError, match="read by others") as refused:
        read_page_settings(["--auth", "ann:hunter2"], {})
    assert "hunter2" not in str(refused.value)
    with pytest.raises(SettingsError) as refused:
        read_page_settings([], {"MI_EXPLORER_AUTH": "ann:ok,onlyasecret"})
    assert "onlyasecret" not in str(refused.value)


def test_help_and_table_say_every_setting_and_no_secret(capsys):
    with pytest.raises(SystemExit):
        read_page_settings(["--help"], {"MI_EXPLORER_AUTH": "ann:hunter2"})
    text = re.sub(r"\s", "", capsys.readouterr().out)
    assert {o.name for o in OPTIONS} == {f.name for f in fields(Settings)}
    rows = {row.split("`")[1]: row for row in settings_table().splitlines()[2:]}
    for option in OPTIONS:
        assert re.sub(r"\s", "", f"{option.text} (default: {option.default})") in text
        assert f"`{option.variable}`" in rows[option.flag] and option.flag in text
    assert "hunter2" not in text


def test_the_defaults_of_the_table_are_those_of_the_code():
    here, there = read_page_settings([], {}), read_page_settings([], {"MI_EXPLORER_HOST": "0.0.0.0"})
    words = {True: "yes", False: "no", "": "empty", (): "none", ("*",): "*"}
    for option in OPTIONS:
        if option.name in ("host", "auth"):
            continue
        values = [words.get(getattr(s, option.name), str(getattr(s, option.name))) if not isinstance(getattr(s, option.name), int)
                  or isinstance(getattr(s, option.name), bool) else str(getattr(s, option.name)) for s in (here, there)]  # fmt: skip
        assert option.default.split(" / ") in ([values[0]], values), option.name


def test_the_operating_guide_holds_the_table_of_the_settings():
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert text.split("<!-- settings -->")[1].split("<!-- /settings -->")[0].strip() == settings_table()


@pytest.mark.parametrize("port", ["abc", "0", "70000", "-1", "7860.5"])
def test_a_port_that_is_none(port):
    with pytest.raises(SettingsError, match="whole number from 1 to 65535"):
        read_page_settings(["--port", port], {})


def test_a_port_in_use_is_told_before_anything_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}"):
            check_port("127.0.0.1", port)
        done = subprocess.run(
            [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 2 and "Cannot listen" in done.stderr and "Traceback" not in done.stderr
    check_port("127.0.0.1", port)


@pytest.mark.parametrize("layers", [1, 2, 3, 6, 28, 36])
def test_presets_are_scopes_of_the_model_and_thirds_cover_it(layers):
    made = {p["label"]: Scope(p["layers"], tuple(p["modules"])) for p in scope_presets(layers)}
    for scope in made.values():
        scope.check(layers)
    assert made["everything"] == Scope()
    assert "attention" not in made["without attention"].modules and made["without MLP"].layers == "all"
    if layers >= 3:
        parts = [[i for i in range(layers) if made[f"{p} third"].has_layer(i)] for p in ("first", "middle", "last")]
        assert sum(parts, []) == list(range(layers))
        assert [i for i in range(layers) if made["last two thirds"].has_layer(i)] == parts[1] + parts[2]


def test_every_method_is_offered_and_those_without_their_base_are_not_available():
    assert [m["name"] for m in method_controls(True)] == list(METHODS) and all(
        m["available"] for m in method_controls(True)
    )
    assert [m["name"] for m in method_controls(False) if not m["available"]] == [
        n for n, m in METHODS.items() if m.needs_base
    ]
    ties = next(m for m in method_controls(True) if m["name"] == "ties")
    assert {p["name"]: p["default"] for p in ties["params"]} == METHODS["ties"].defaults


def test_examples_are_one_per_family():
    assert [e["family"] for e in example_questions(QUESTIONS)] == ["stories", "expressions", "search"]
    assert [e["family"] for e in example_questions(QUESTIONS * 3)] == ["stories", "expressions", "search"]


def test_without_questions_and_a_strip_the_page_still_has_its_parts():
    made = page_setup(FakeBench(), (), "mini", None)
    assert (
        made["task"] == ""
        and made["examples"] == []
        and made["strip"]["frames"] == {}
        and made["modules"] == list(MODULES)
    )


def test_one_variable_says_what_a_space_opens_with():
    made = read_page_settings([], {"SPACE_ID": "someone/space", "MI_EXPLORER_PAIR": "smollm2"})
    assert (made.pair, made.task, made.pairs) == ("smollm2", "", "fixed")
    pair = get_pair(made.pair)
    assert {q.family for q in offered_questions(made.task or pair.task)} >= {"weekdays", "sums"}
    bench = FakeBench()
    bench.pair = pair
    shown = page_setup(bench, offered_questions(pair.task), pair.task, None)
    assert shown["strip"]["view"]["q"] == shown["examples"][0]["q"] == pair.questions[0]
    assert shown["task"] == "smollm2"
