"""Reflection markers: words, not parts of words; prose, not code or formulas."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.generation.traces.markers import MAX_LINE, MarkerScan


def groups(text):
    scan = MarkerScan()
    scan.feed(text)
    return [(text[m.start : m.end], m.group) for m in scan.marks]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Wait, hmm. Oh! Again a mistake", ["Wait", "hmm", "Oh", "Again", "mistake"]),
        ("WAIT waiting await hmmmm against ohm", ["WAIT", "hmmmm"]),
        ("let me double-check and recheck, then verify the check", ["double-check", "recheck", "verify", "check"]),
        (
            "Alternatively another\nway; another approach, however instead of him",
            ["Alternatively", "another approach", "however", "instead"],
        ),
        ("`wait` and ```\nwait\nhmm\n``` again", ["again"]),
        ("$wait$ costs $5, wait, and $6", ["wait"]),
        ("\\(wait\\) \\[ wait \n wait \\] oh", ["oh"]),
        ("$$ wait\nwait $$ wait", ["wait"]),
        ("an open $$ formula\nwait\nwait", []),
        ("", []),
    ],
)
def test_found(text, found):
    assert [word for word, _ in groups(text)] == found


def test_groups():
    assert groups("wait, instead verify") == [("wait", "reflect"), ("instead", "switch"), ("verify", "verify")]


pieces = st.lists(
    st.sampled_from(
        ["wait ", "however", " ", "\n", "`", "```", "$", "$$", "\\[", "\\]", "oh", "5", "x" * 700, "check, "]
    ),
    max_size=60,
)


@given(pieces, st.lists(st.integers(0, 50_000), max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_cut_gives_the_marks_of_the_whole(parts, places):
    text = "".join(parts)
    edges = sorted({0, len(text), *(p % (len(text) + 1) for p in places)})
    scan, whole = MarkerScan(), MarkerScan()
    whole.feed(text)
    for a, b in pairwise(edges):
        scan.feed(text[a:b])
        assert scan.marks[: len(scan.settled)] == tuple(scan.settled)
    assert scan.marks == whole.marks
    for mark in scan.marks:
        assert text[mark.start : mark.end].strip() == text[mark.start : mark.end] != ""


def test_a_line_without_end_is_scanned_in_pages():
    scan = MarkerScan()
    for _ in range(3 * MAX_LINE):
        scan.feed("wait ")
    assert len(scan.marks) == 3 * MAX_LINE
    assert sum(map(len, scan.open_line)) <= MAX_LINE
