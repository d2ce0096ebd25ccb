"""Tests hold values, not wordings, and look at what is public: no whole sentences, no private names of ours."""

import ast
import re
from pathlib import Path

from tests.servers import ROOT

TESTS = sorted((ROOT / "tests").rglob("*.py"))
SENTENCE_WORDS = 5  # a text of so many words is a sentence; a key word and a figure need fewer
SENTENCES = {"tests/tasks/test_benchmarks.py": "the prompt that the paper's figures were made with, to the letter"}
OF_LIBRARIES = {  # private names that are not ours, and why there is no public way
    "_actions": "argparse lists the options of a parser nowhere else",
    "_SubParsersAction": "argparse: the commands of a parser",
    "_exit": "os._exit: a worker that dies as by kill -9",
    "_device": "torch.utils: a device written in Python, for the tests",
    "_pytree": "torch.utils: the tensors among the arguments of an operation",
    "_python_dispatch": "torch.utils: every operation that is run",
    "_device_constructors": "torch: the functions that make tensors on a device",
    "_setup_privateuseone_for_python_backend": "torch: a device written in Python",
    "_make_wrapper_subclass": "torch: a tensor of such a device",
    "_schema": "torch: which arguments an operation writes to",
    "_queue": "Gradio's queue, which gradio_patches.py changes",
    "_get_df": "Gradio's table of events, which gradio_patches.py turns off",
}


def words(text: str) -> int:
    """The words of a text: letters only, so that names of files, tensors and options are none."""
    stripped = (word.strip(".,:;!?()[]<>'\"|$^*\\") for word in text.split())
    return sum(len(word) > 1 and word.isalpha() for word in stripped)


def texts(node: ast.AST) -> list[ast.Constant]:
    """The literal texts of an expression, without those that a call in it is given."""
    if isinstance(node, ast.Constant):
        return [node] if isinstance(node.value, str) else []
    if isinstance(node, ast.Call | ast.Subscript):
        return []
    return [text for child in ast.iter_child_nodes(node) for text in texts(child)]


def asserted_texts(tree: ast.AST):
    """What is compared in `assert`, what a text must begin or end with, and what an error must match."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            for part in ast.walk(node.test):
                if isinstance(part, ast.Compare):
                    yield from (text for side in (part.left, *part.comparators) for text in texts(side))
                elif isinstance(part, ast.Call) and getattr(part.func, "attr", "") in ("startswith", "endswith"):
                    yield from (text for argument in part.args for text in texts(argument))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "raises":
            yield from (text for keyword in node.keywords if keyword.arg == "match" for text in texts(keyword.value))


def private_names(tree: ast.AST):
    """(line, name) of every underscore name of something else than the class itself, also as a text for `setattr`."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")).endswith("attr"):
            names = [part for text in node.args for constant in texts(text) for part in constant.value.split(".")]
        yield from ((node.lineno, name) for name in names if re.match(r"_[^_]", name))


def by_file(found) -> dict[str, list]:
    """What `found` gives for the tree of each file of the tests, where it gives something."""
    trees = {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in TESTS}
    return {name: hits for name, tree in trees.items() if (hits := found(tree))}


def test_no_test_holds_a_whole_sentence():
    def sentences(tree):
        return [(text.lineno, text.value) for text in asserted_texts(tree) if words(text.value) >= SENTENCE_WORDS]

    assert by_file(sentences).keys() == SENTENCES.keys()


def test_no_test_reads_a_private_name_of_ours():
    found = by_file(lambda tree: list(private_names(tree)))
    ours = {
        file: names for file, hits in found.items() if (names := [hit for hit in hits if hit[1] not in OF_LIBRARIES])
    }
    assert ours == {}
    assert {name for hits in found.values() for _, name in hits} == OF_LIBRARIES.keys(), (
        "a name that no test uses any more"
    )


def test_the_rules_see_what_they_are_for():
    tree = ast.parse('assert a.b()._c == "One two three four five." and x(match="One two three four five.")')
    assert [text.value.count(" ") for text in asserted_texts(tree)] == [4] and [n for _, n in private_names(tree)] == [
        "_c"
    ]
    assert words("model.layers.0.mlp 12 --flag, two") == 1 and Path(__file__) in TESTS


def test_one_session_takes_all_of_them():
    """Python knows a test's file by its name alone: two of one name cannot be collected together."""
    names = [path.name for path in TESTS if path.name.startswith("test_")]
    assert len(names) == len(set(names))
