"""`Any` has a name and a reason: `untyped.py` for JSON and untyped libraries, and a few places that say why."""

import ast

from tests.servers import ROOT

PACKAGE = ROOT / "mi_explorer"
REASONS = {
    "untyped.py": "the names themselves",
    "__init__.py": "names that load at first use have each their own type",
    "engine/__init__.py": "names that load at first use have each their own type",
    "generation/request_engine.py": "each engine adds to its own kind of stream",
    "studies/jobs.py": "whoever started a job knows its runner",
    "checkpoints/parents.py": "what is kept with a pair, by whoever keeps it",
    "ui/api/registration.py": "an endpoint has arguments and an answer of its own types",
    "tasks/grammar/expression.py": "a nested tuple has no finite type",
}


def test_any_stands_only_where_there_is_a_reason():
    found = set()
    for file in PACKAGE.rglob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if any(isinstance(n, ast.Name) and n.id == "Any" for n in nodes):
            found.add(file.relative_to(PACKAGE).as_posix())
    assert found == REASONS.keys()
