"""The sentence and the bands of a strip: computed from the frames, clause by clause."""

from mi_explorer.ui.explore.strip_sentence import strip_bands, strip_sentence
from tests.expected import numbers_in


def frame(lam, tokens=20, closed=False, verdict=None, first=None, **more):
    return {
        "lam": lam,
        "tokens": tokens,
        "closed": closed,
        "lenient": closed,
        "verdict": verdict,
        "first": first,
        "state": "done",
        "truncated": False,
        **more,
    }


PAPER = [
    frame(0, 25, verdict="wrong"),
    frame(0.4, 30, verdict="correct", first=28),
    frame(0.5, 110, closed=True, verdict="correct", first=40),
    frame(1, 200, closed=True, verdict="correct", first=50),
]


def test_the_whole_story_of_a_strip():
    said = strip_sentence(PAPER)
    thought, right, length, over = said.rstrip(".").split(". ")
    assert "appears" in thought and numbers_in(thought) == [0.4, 0.5]
    assert "3 of 4 answers" in right and numbers_in(right)[2:] == [0.4, 30]  # the shortest right one: λ and tokens
    assert "times" in length and numbers_in(length) == [1, 8, 25, 0]
    assert "%" in over and numbers_in(over) == [0.5, 71]  # (70 + 150) / 310 = 0.7097


def test_without_a_known_answer_nothing_is_said_about_right_and_wrong():
    said = strip_sentence([frame(0, 25), frame(1, 50, closed=True)])
    assert numbers_in(said) == [0, 1, 1, 2, 25, 0] and "right" not in said


def test_thought_everywhere_nowhere_and_in_between():
    everywhere = strip_sentence([frame(0, closed=True), frame(1, closed=True)])
    assert "every λ" in everywhere and numbers_in(everywhere)[:2] == [0, 1]
    nowhere = strip_sentence([frame(0), frame(0.5), frame(1)])
    assert nowhere.startswith("No thought") and numbers_in(nowhere)[0] == 3
    assert strip_sentence([frame(0), frame(1) | {"lenient": True}]).startswith("No λ closes")
    mixed = [frame(0), frame(0.3, closed=True), frame(0.4), frame(0.5, closed=True)]
    said = strip_sentence(mixed)
    assert "comes and goes" in said and numbers_in(said)[:4] == [0, 0.5, 0.3, 0.5]
    gone = strip_sentence([frame(0, closed=True), frame(1)])
    assert "gone" in gone and numbers_in(gone)[:2] == [0, 1]


def test_verdicts_in_full():
    assert "Every one" in strip_sentence([frame(0, verdict="correct"), frame(1, verdict="correct")])
    assert "None of the 2" in strip_sentence([frame(0, verdict="wrong"), frame(1, verdict="no_answer")])


def test_length_and_cuts():
    assert "hardly" in strip_sentence([frame(0, 20), frame(1, 22)])
    assert "50 %" in strip_sentence([frame(0, 20), frame(1, 10)])
    cut = strip_sentence([frame(0), frame(0.9) | {"truncated": True}, frame(1) | {"truncated": True}])
    assert "token limit" in cut and numbers_in(cut)[-2:] == [0.9, 1]


def test_only_finished_frames_count_and_one_is_no_story():
    assert strip_sentence([]) == strip_sentence([frame(0)]) == ""
    assert strip_sentence([frame(0), frame(1) | {"state": "running"}]) == ""


def test_bands_span_the_strip_and_leave_the_change_between():
    assert strip_bands(PAPER) == [
        {"stage": 1, "from": 0, "to": 0.4},
        {"stage": 2, "from": 0.4, "to": 0.5},
        {"stage": 3, "from": 0.5, "to": 1},
    ]
    ragged = [frame(0), frame(0.2), frame(0.3, closed=True), frame(0.4), frame(0.5, closed=True), frame(1, closed=True)]
    assert [(b["from"], b["to"]) for b in strip_bands(ragged)] == [(0, 0.2), (0.2, 0.5), (0.5, 1)]
    assert (
        strip_bands([frame(0), frame(0.5), frame(1)])
        == []
        == strip_bands([frame(0, closed=True), frame(0.5), frame(1)])
    )
