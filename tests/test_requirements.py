"""Dependencies without a network: what is imported is declared, what is declared is used, and what is installed is in range."""

import ast
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

# Imported, but brought by a declared package that needs it: ours would only repeat its range.
COMES_WITH = {
    "starlette": "gradio",
    "markupsafe": "gradio",
    "gradio-client": "gradio",
    "tqdm": "transformers",
    "regex": "transformers",
    "jinja2": "gradio",
    "nltk": "lm-eval",
    "langdetect": "lm-eval",
}
# Declared, but used by name only: what for.
USED_BY_NAME = {"accelerate": "device_map"}  # transformers asks for it as soon as a device map is given
# On Hugging Face Spaces alone; in an environment of its own (make vllm-env).
ELSEWHERE = {"spaces", "vllm"}
TOOLS = {"pytest-timeout", "pytest-xdist", "ruff", "mypy", "types-pyyaml", "coverage", "pip-audit"}  # run, not imported


def declared(file):
    """name → requirement of a requirements file."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in (ROOT / file).read_text().splitlines())
    return {canonicalize_name(r.name): r for r in map(Requirement, filter(None, lines))}


def imported(paths):
    """Distribution name → one file that imports it."""
    brought = metadata.packages_distributions()
    ours = {
        "mi_explorer",
        "tests",
        *(p.stem for p in ROOT.glob("tests/**/*.py")),
        *(p.stem for p in ROOT.glob("docs/*.py")),
    }
    found = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {n.split(".")[0] for n in names} - sys.stdlib_module_names - ours - {""}:
                for distribution in brought.get(name, [name]):
                    found.setdefault(canonicalize_name(distribution), path.relative_to(ROOT))
    return found


CORE, DEV = declared("requirements.txt"), declared("requirements-dev.txt")


@pytest.fixture(scope="module")
def product():
    return imported([*(ROOT / "mi_explorer").rglob("*.py"), ROOT / "app.py"])


@pytest.fixture(scope="module")
def tests():
    return imported([*(ROOT / "tests").rglob("*.py")])


def test_what_the_product_imports_is_declared(product):
    extras = {"lm-eval", "reasoning-gym", "ray"}  # optional: the import is guarded, and says how to get it
    for name, path in product.items():
        assert name in CORE or name in extras or name in ELSEWHERE or name in COMES_WITH, f"{path} imports {name}"
    for name, parent in COMES_WITH.items():
        needs = {canonicalize_name(Requirement(r).name) for r in metadata.requires(parent) or ()}
        assert name in needs or name in {"nltk", "langdetect"} and "ifeval" in str(metadata.requires(parent)), (
            f"{parent} does not bring {name}"
        )
        assert parent in CORE or parent in extras


def test_what_is_declared_is_used(product, tests):
    for name in CORE:
        if name in USED_BY_NAME:
            assert any(
                USED_BY_NAME[name] in p.read_text(encoding="utf-8") for p in (ROOT / "mi_explorer").rglob("*.py")
            ), name
        else:
            assert name in product, f"requirements.txt names {name}, which nothing imports"
    for name in DEV:
        assert name in TOOLS or name in tests or name in product, (
            f"requirements-dev.txt names {name}, which nothing uses"
        )


def test_what_the_tests_import_is_declared(tests):
    for name, path in tests.items():
        assert name in CORE or name in DEV or name in COMES_WITH or name == "packaging" or name in ELSEWHERE, (
            f"{path} imports {name}"
        )


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_what_is_installed_is_in_range_and_what_is_pinned_too(file):
    pins = {name: next(iter(r.specifier)).version for name, r in declared("constraints.txt").items()}
    for name, requirement in declared(file).items():
        if name not in TOOLS or name in pins:
            assert metadata.version(name) in requirement.specifier, name
        assert (
            pins.get(name, metadata.version(name) if name not in TOOLS else "") in requirement.specifier
            or name in TOOLS
        ), name


def test_every_range_of_the_product_has_a_floor_and_is_open_to_spaces():
    for name, requirement in CORE.items():
        operators = {s.operator for s in requirement.specifier}
        assert ">=" in operators and "==" not in operators, name
    assert "2.8.0" in CORE["torch"].specifier and "2.11.0" in CORE["torch"].specifier
