"""The sentence and the bands of a strip: computed from the frames, clause by clause."""

from mi_explorer.ui.explore.strip_sentence import strip_bands, strip_sentence


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
    assert strip_sentence(PAPER) == (
        "Thought appears between λ 0.4 and 0.5. 3 of 4 answers are right, the shortest of them at λ 0.4 with 30 tokens. "
        "λ 1 writes 8.0 times the 25 tokens of λ 0. From λ 0.5 on, 71 % of the tokens come after the answer was first right."
    )  # (70 + 150) / 310 = 0.7097


def test_without_a_known_answer_nothing_is_said_about_right_and_wrong():
    said = strip_sentence([frame(0, 25), frame(1, 50, closed=True)])
    assert "appears between λ 0 and 1" in said and "2.0 times the 25 tokens" in said


def test_thought_everywhere_nowhere_and_in_between():
    assert strip_sentence([frame(0, closed=True), frame(1, closed=True)]).startswith(
        "A thought at every λ from 0 to 1."
    )
    assert strip_sentence([frame(0), frame(0.5), frame(1)]).startswith("No thought at any of the 3 λ.")
    assert strip_sentence([frame(0), frame(1) | {"lenient": True}]).startswith(
        "No λ closes a thought, though some write one."
    )
    mixed = [frame(0), frame(0.3, closed=True), frame(0.4), frame(0.5, closed=True)]
    said = strip_sentence(mixed)
    assert "comes and goes between λ 0 and 0.5" in said and "λ 0.3 and 0.5" in said
    assert strip_sentence([frame(0, closed=True), frame(1)]).startswith(
        "Thought is there up to λ 0 and gone from 1 on."
    )


def test_verdicts_in_full():
    assert "Every one of the 2" in strip_sentence([frame(0, verdict="correct"), frame(1, verdict="correct")])
    assert "None of the 2" in strip_sentence([frame(0, verdict="wrong"), frame(1, verdict="no_answer")])


def test_length_and_cuts():
    assert "hardly" in strip_sentence([frame(0, 20), frame(1, 22)])
    assert "50 % of the 20 tokens" in strip_sentence([frame(0, 20), frame(1, 10)])
    assert strip_sentence([frame(0), frame(0.9) | {"truncated": True}, frame(1) | {"truncated": True}]).endswith(
        "Cut short by the token limit at λ 0.9 and 1."
    )


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
