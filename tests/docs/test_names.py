"""One name for one thing: no class or public function is defined twice, no file name stands twice in a room or shadows a library."""

import ast
import sys
from collections import defaultdict

import pytest

from tests.servers import ROOT

PACKAGE = ROOT / "mi_explorer"
FILES = sorted(PACKAGE.rglob("*.py"))
EVERYWHERE = {"__init__", "__main__"}


def test_no_class_or_public_function_is_defined_twice():
    places = defaultdict(list)
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                places[node.name].append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


@pytest.mark.parametrize("room", sorted({PACKAGE, *(f.parent for f in FILES)}), ids=lambda room: room.name)
def test_no_file_name_stands_twice_in_sibling_rooms(room):
    places = defaultdict(list)
    for file in [*room.glob("*.py"), *room.glob("*/*.py")]:
        if file.stem not in EVERYWHERE:
            places[file.stem].append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_no_file_shadows_the_standard_library():
    names = {f.stem for f in FILES} - EVERYWHERE
    assert names & sys.stdlib_module_names == set()


def test_no_file_is_longer_than_a_reader_can_hold():
    """300 lines, as the guide to contributors says."""
    long = {str(f.relative_to(ROOT)): n for f in FILES if (n := len(f.read_text(encoding="utf-8").splitlines())) > 300}
    assert long == {}
