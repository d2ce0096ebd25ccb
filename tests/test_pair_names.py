"""Short names of pairs: no paths, and distinct where they stand side by side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.pair_names import pair_name, short_names


@pytest.mark.parametrize(("spec", "name"), [
    ("mini", "mini"),
    ("mini@base", "mini@base"),
    ("/data/run7/instruct|/data/run7/thinking", "instruct | thinking"),
    ("/data/run7/instruct | ./thinking/ | /data/base", "instruct | thinking"),
    ("C:\\models\\one|C:\\models\\two", "one | two"),
    ("Qwen/Qwen3-4B|me/my-qwen", "Qwen3-4B | my-qwen"),
    ("/a/run1/checkpoint|/a/run2/checkpoint", "run1/checkpoint | run2/checkpoint"),
    ("/a/one|/a/two?untie=true&think_open=%3Cplan%3E", "one | two (untie=true, think_open=<plan>)"),
    ("/c/models--Qwen--Qwen3-4B/snapshots/0a1b2c3d|/x/mine", "Qwen3-4B | mine"),
    ("/a/one|/a/two|/a/base@base", "one | two@base"),
])  # fmt: skip
def test_a_name_is_the_last_part_of_each_path(spec, name):
    assert pair_name(spec) == name


def test_names_side_by_side_are_distinct():
    given_pairs = ["mini", "/a/instruct|/a/thinking", "/b/instruct|/b/thinking", "/a/instruct|/a/thinking|/a/base"]
    names = short_names(given_pairs)
    assert names["mini"] == "mini" and len(set(names.values())) == 4
    assert names["/b/instruct|/b/thinking"] == "b/instruct | b/thinking"
    assert names["/a/instruct|/a/thinking|/a/base"].endswith("base")
    assert short_names(["mini", "/a/instruct|/a/thinking"])["/a/instruct|/a/thinking"] == "instruct | thinking"


parts = st.text("abc", min_size=1, max_size=2)
paths = st.lists(parts, min_size=2, max_size=3).map(lambda p: "/" + "/".join(p))


@given(st.lists(st.tuples(paths, paths).map("|".join), min_size=1, max_size=4, unique=True))
def test_no_name_is_a_path_from_the_root(specs):
    names = short_names(specs)
    assert set(names) == set(specs)
    assert all(not part.strip().startswith("/") for name in names.values() for part in name.split("|"))
    assert len(set(names.values())) == len(specs)
