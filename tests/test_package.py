"""What reaches a stranger: the Dockerfile, the package's metadata, the command line's entry. No daemon and no network is needed."""

import fnmatch
import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from mi_explorer import __version__
from mi_explorer.cli import main
from mi_explorer.paths import ASSETS
from mi_explorer.ui.access.settings import OPTIONS, read_page_settings

ROOT = Path(__file__).resolve().parents[1]
KNOWN = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}


@pytest.fixture(scope="module")
def steps():
    """(instruction, arguments) of the Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def at(steps, word):
    return [rest for name, rest in steps if name == word]


def environment(steps):
    return dict(pair.split("=", 1) for rest in at(steps, "ENV") for pair in shlex.split(rest))


def ignored(path: str) -> bool:
    """By the last rule of .dockerignore that names the path or a folder above it."""
    parts = [path, *(str(p) for p in Path(path).parents if str(p) != ".")]
    out = False
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        keep, pattern = rule.startswith("!"), rule.lstrip("!")
        names = [pattern, pattern.removeprefix("**/")]
        if any(
            fnmatch.fnmatch(part, name) or fnmatch.fnmatch(Path(part).name, name) and "**/" in pattern
            for part in parts
            for name in names
        ):
            out = not keep
    return out


def test_the_dockerfile_reads(steps):
    assert {word for word, _ in steps} <= KNOWN and steps[0] == ("FROM", "python:3.11-slim")
    assert len(at(steps, "CMD")) == len(at(steps, "HEALTHCHECK")) == len(at(steps, "USER")) == 1
    words = [word for word, _ in steps]
    assert words.index("USER") > max(
        i for i, (word, rest) in enumerate(steps) if word in ("RUN", "COPY")
    )  # what runs is not root
    assert at(steps, "USER") == ["lab"] and any("useradd" in run and " lab" in run for run in at(steps, "RUN"))


def test_what_is_copied_is_there_and_not_ignored(steps):
    sources = [s for rest in at(steps, "COPY") for s in shlex.split(rest)[:-1]]
    assert "mi_explorer" in sources and "assets" in sources
    for source in sources:
        assert (ROOT / source).exists() and not ignored(source)
    needed = [p.relative_to(ROOT).as_posix() for p in (ROOT / "assets" / "models").rglob("*") if p.is_file()]
    needed += [
        "assets/pairs.yaml",
        "assets/web/style.css",
        "mi_explorer/ui/page.py",
        "mi_explorer/weights/methods/__init__.py",
    ]
    assert not [n for n in needed if ignored(n)]
    assert all(
        map(
            ignored,
            (
                ".git",
                ".venv/bin/python",
                "build/mini",
                "tests/fakes.py",
                "mi_explorer/ui/__pycache__/page.cpython-311.pyc",
            ),
        )
    )


def test_it_copies_all_that_the_app_needs(steps, tmp_path):
    """The app of a folder that holds only what the image copies reads its settings there."""

    def unwanted(folder, names):
        return [n for n in names if ignored((Path(folder) / n).relative_to(ROOT).as_posix())]

    for source in (s for rest in at(steps, "COPY") for s in shlex.split(rest)[:-1]):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source, ignore=unwanted)
        else:
            shutil.copy(ROOT / source, tmp_path)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MI_EXPLORER", "GRADIO"))}
    env |= {**environment(steps), "MI_EXPLORER_HOME": str(tmp_path)}
    code = """
import mi_explorer.ui.page
from mi_explorer import get_pair
from mi_explorer.ui.access.settings import read_page_settings
print(read_page_settings([]).host, get_pair("mini").instruct)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["0.0.0.0", str(tmp_path / "assets" / "models" / "mini" / "instruct")], done.stderr


def test_its_settings_are_ours(steps, tmp_path):
    names = {option.variable for option in OPTIONS}
    given = {k: v for k, v in environment(steps).items() if k.startswith("MI_EXPLORER")}
    assert set(given) <= names and given["MI_EXPLORER_HOME"] in at(steps, "VOLUME")
    settings = read_page_settings([], {**given, "MI_EXPLORER_HOME": str(tmp_path)})
    assert settings.open and (str(settings.port), settings.pairs) == (at(steps, "EXPOSE")[0], "fixed")


def test_its_health_check_tells_up_from_down(steps):
    command = json.loads(at(steps, "HEALTHCHECK")[0].split("CMD ", 1)[1])
    assert command[0] == "python"

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 - its name there
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {
        **os.environ,
        "MI_EXPLORER_PORT": str(server.server_address[1]),
        "http_proxy": "http://127.0.0.1:9",
        "no_proxy": "",
    }  # not by a proxy
    assert subprocess.run([sys.executable, *command[1:]], env=env, timeout=60).returncode == 0
    server.shutdown()
    server.server_close()
    assert (
        subprocess.run([sys.executable, *command[1:]], env=env, stderr=subprocess.DEVNULL, timeout=60).returncode == 1
    )


def test_the_packages_metadata():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    assert project["project"]["scripts"]["mi-explorer"] == "mi_explorer.cli.main:main" and callable(main.main)
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {ROOT / source for source in included} == {ASSETS} and set(included.values()) == {"mi_explorer/assets"}
    assert (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text().count(f'__version__ = "{__version__}"') == 1
    extras, dev = project["project"]["optional-dependencies"], (ROOT / "requirements-dev.txt").read_text().splitlines()
    assert all(
        wanted in dev for extra in extras.values() for wanted in extra
    )  # what is offered is what the tests ran with


def test_app_is_a_command(capsys):
    assert main.main(["app", "--rows", "0"]) == 2 and "rows must be" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main.main(["app", "--help"])
    assert end.value.code == 0 and "--folders" in capsys.readouterr().out
