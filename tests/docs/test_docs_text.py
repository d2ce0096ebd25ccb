"""The documents are true: links lead somewhere, named files exist, commands parse, generated parts are up to date, arrows hold."""

import ast
import graphlib
import re
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import generate  # noqa: E402

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMES = [str(p.relative_to(ROOT)) for p in DOCUMENTS]


def anchors(path):
    """What can be linked to in a document, by the hub's rule for headings."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    path = ROOT / name
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{name}: {target}"
        assert found.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(found), f"{name}: {target}"


@pytest.mark.parametrize("name", NAMES)
def test_named_files_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for file in re.findall(r"`((?:mi_explorer|tests|assets|docs|app\.py|Dockerfile|Makefile)[\w/.-]*)`", text):
        assert (ROOT / file).exists(), f"{name}: {file}"


def flags():
    """Known flags by program: "app.py", and each command of the command line."""
    from mi_explorer.cli.main import parser
    from mi_explorer.ui.access.settings import OPTIONS

    known = {"app.py": {o.flag for o in OPTIONS} | {"--help"}}
    known["app"] = known["app.py"]
    for one in generate.parsers(parser()):
        command = one.prog.split("mi_explorer", 1)[-1].strip()
        if command != "app":
            known[command] = {s for action in one._actions for s in action.option_strings}
    return known


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_their_flags_exist(name):
    known = flags()
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = re.findall(r"^\s*((?:python -m mi_explorer|python app\.py)\b.*)$", text, re.MULTILINE)
    lines += re.findall(r"`((?:python -m mi_explorer|python app\.py)\b[^`]*)`", text)
    for line in lines:
        words = shlex.split(line.replace("…", " ").replace("(", " ").replace(")", " "), comments=True)
        rest = words[2:] if words[1] == "app.py" else words[3:]
        if words[1] == "app.py":
            command = "app.py"
        else:
            if words[2].startswith("mi_explorer.") or not rest:
                continue
            two = " ".join(rest[:2])
            command = two if two in known else rest[0]
        assert command in known, f"{name}: {line}"
        for word in rest:
            if word.startswith("--") and len(word) > 2:
                assert word.partition("=")[0] in known[command] | known.get(rest[0], set()), f"{name}: {line}: {word}"


def test_variables_named_in_documents_are_settings():
    from mi_explorer.cluster.staffing import VLLM_PYTHON
    from mi_explorer.errors import TRACEBACK
    from mi_explorer.ui.access.settings import OPTIONS

    known = {o.variable for o in OPTIONS} | {"MI_EXPLORER_CHROMIUM", TRACEBACK, VLLM_PYTHON}
    for path in DOCUMENTS:
        for variable in re.findall(r"\bMI_EXPLORER_[A-Z_]+\b", path.read_text(encoding="utf-8")):
            assert variable in known, f"{path.name}: {variable}"


def test_generated_parts_are_up_to_date(capsys):
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


def test_the_citation_file_is_one():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0" and cited["title"] and cited["message"] and cited["authors"]
    assert cited["license"] == "Apache-2.0" and (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    assert {r["url"].rsplit("/", 1)[1] for r in cited["references"]} == {"2510.10977", "2509.22034"}


# -- what architecture.md says of the rooms ---------------------------------------------------------------------------------

# Top to bottom: a room may import what stands below it.
ROOMS = (
    ("ui", "cli"),
    ("harness",),
    ("library",),
    ("search",),
    ("cluster",),
    ("workbench",),
    ("studies",),
    ("generation",),
    ("engine",),
    ("merging",),
    ("mergekit_reader",),
    ("mergekit_yaml",),
    ("checkpoints",),
    ("tasks",),
    ("recipe_io", "prompts", "command_line", "parquet_process"),
    ("parquet_check",),
    ("pairs", "input_limits"),
    ("recipe", "background"),
    ("paths", "errors", "machine", "limited_process"),
)
LEVEL = {name: level for level, names in enumerate(ROOMS) for name in names}


@cache
def imported(path):
    """Modules of ours that a file imports, wherever in it, but those for the type checker alone."""
    return tuple(_imported(path))


def _imported(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(n)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for n in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mi_explorer":
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "mi_explorer")


def room(module):
    return (module.split(".") + ["", ""])[1]


def modules():
    """Name of every module of the package → its file."""
    package = ROOT / "mi_explorer"
    return {
        ".".join(("mi_explorer", *p.relative_to(package).with_suffix("").parts)).removesuffix(".__init__"): p
        for p in package.rglob("*.py")
    }


def test_arrows_between_the_rooms_point_one_way():
    wrong = []
    for name, path in modules().items():
        here = room(name)
        for module in imported(path):
            there = room(module)
            if (
                here in LEVEL
                and there in LEVEL
                and here != there
                and LEVEL[there] <= LEVEL[here]
                and (here, there) != ("cli", "ui")
            ):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []


def test_no_import_runs_in_a_circle():
    """File by file, imports inside functions included."""
    files = modules()
    graph = {}
    for name, path in files.items():
        found = {m if m in files else m.rpartition(".")[0] for m in imported(path)}
        graph[name] = {m for m in found if m in files and m not in ("mi_explorer", name)}
    assert len(tuple(graphlib.TopologicalSorter(graph).static_order())) == len(graph)  # a CycleError names the circle
