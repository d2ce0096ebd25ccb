"""One trace, by hand."""

from mi_explorer.traces import trace_of_text

TEXT = (
    "<think>\nFirst 3 * 6 = 18. Then 14 + 18 = 32, and 32 - 9 = 23. So the answer is 23.\n"
    "Wait, let me check again: 14 + 18 = 32.\n</think>\nThe answer is 23."
)


def test_parts_and_marks_of_a_thought():
    trace = trace_of_text(TEXT, gold="23")
    assert trace.text == TEXT
    assert trace.thought == TEXT[7 : TEXT.index("</think>")]
    assert trace.answer_text == "\nThe answer is 23."
    assert (trace.tokens, trace.think_tokens, trace.answer_tokens) == (39, 35, 4)
    assert trace.think_closed and trace.think_lenient and not trace.truncated and not trace.looped
    assert trace.answer == "23"
    assert trace.markers == {"reflect": 2, "switch": 0, "verify": 1}
    assert [(r.token, r.answer, r.correct) for r in trace.running_answers] == [
        (7, "18", False), (19, "23", True), (24, "23", True), (39, "23", True)]  # fmt: skip
    assert (trace.first_correct, trace.stable_from, trace.flips) == (19, 19, 1)
    assert trace.overthinking == 1 - 19 / 39
