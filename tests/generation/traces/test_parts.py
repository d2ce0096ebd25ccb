"""Prompt, thought and answer: tags of several kinds, present, missing, wrong, pre-filled, cut off."""

import pytest

from mi_explorer.generation.traces import ThinkTags, trace_of, trace_of_text

TEXT = (
    "<think>\nFirst 3 * 6 = 18. Then 14 + 18 = 32, and 32 - 9 = 23. So the answer is 23.\n"
    "Wait, let me check again: 14 + 18 = 32.\n</think>\nThe answer is 23."
)


def test_a_whole_trace_by_hand():
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


def test_equations_stop_counting_once_an_answer_was_stated():
    trace = trace_of_text("So 2 + 2 = 4. The answer is 4. Check: 2 * 9 = 18. The answer is 5.", gold="4")
    assert [(r.answer, r.sign) for r in trace.running_answers] == [("4", "equation"), ("4", "stated"), ("5", "stated")]
    assert (trace.first_correct, trace.flips, trace.answer) == (6, 1, "5")
    assert trace.stable_from == trace.tokens


@pytest.mark.parametrize(
    ("text", "tags", "thought", "answer_text", "closed", "lenient"),
    [
        ("The answer is 7.", ThinkTags(), "", "The answer is 7.", False, False),
        ("<think>a</think>b", ThinkTags(), "a", "b", True, True),
        ("a</think>b", ThinkTags(), "a", "b", True, True),  # the opening is missing
        ("a</think>b", ThinkTags(prefilled=True), "a", "b", True, True),
        ("[THINK]a[/THINK]b", ThinkTags("[THINK]", "[/THINK]"), "a", "b", True, True),
        ("[THINK]a[/THINK]b", ThinkTags(), "a", "b", False, True),  # another family's tags
        ("<think>a<tool_call>b", ThinkTags(), "a", "b", False, True),  # a whole thought, wrongly closed
        ("a<tool_call>b", ThinkTags(prefilled=True), "a", "b", False, True),
        ("<think>a", ThinkTags(), "a", "", False, False),  # never closed
        ("a", ThinkTags(prefilled=True), "a", "", False, False),
        ("<think>a</think>b<think>c</think>d", ThinkTags(), "c", "d", True, True),
        ("<think>a</think>b<think>c", ThinkTags(), "c", "", True, True),
        ("<think>a<think>b</think>c", ThinkTags(), "a<think>b", "c", True, True),
        ("<think></think>b", ThinkTags(), "", "b", True, True),
    ],
)
def test_parts(text, tags, thought, answer_text, closed, lenient):
    for tokens in ([text], list(text)):
        trace = trace_of(range(len(tokens)), lambda ids, t=tokens: "".join(t[i] for i in ids), tags)
        assert (trace.thought, trace.answer_text) == (thought, answer_text)
        assert (trace.think_closed, trace.think_lenient) == (closed, lenient)


HARMONY = ThinkTags("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")


@pytest.mark.parametrize(("text", "tags", "thought", "answer"), [
    ("The answer is 5.</think>", ThinkTags(), "", "5"), ("The answer is 5.\n</think>\n", ThinkTags(), "", "5"),
    ("<think>a</think>The answer is 5.</think>", ThinkTags(), "a", "5"),
    ("<think>a</think>The answer is 5.</think>\n</think>", ThinkTags(), "a", "5"),
    ("a</think>The answer is 5.</think>", ThinkTags(prefilled=True), "a", "5"),
    ("a</think>The answer is 5.\n</think>", ThinkTags(), "a", "5"),
    ("<think>a</think>4</think>\nThe answer is 5.", ThinkTags(), "a</think>4", "5"),  # what follows a tag is the answer, if anything does
    ("The answer is 5.\n<tool_call>{}</tool_call>", ThinkTags(), "", "5"),
    ("<think>a</think>The answer is 5.<tool_call>", ThinkTags(), "a", "5"),
    ("The answer is 5. The tag `</think>` ends a thought.", ThinkTags(), "", "5"),
    ("The answer is 5. Close it with </think> tags.", ThinkTags(), "", "5"),
    ("<think>a</think>The answer is 5. I closed with \"</think>\".", ThinkTags(), "a", "5"),
    ("<think>I end with `</think>` later. 4</think>The answer is 5.", ThinkTags(), "I end with `</think>` later. 4", "5"),
    ("<seed:think>a 4</seed:think>The answer is 5.", ThinkTags("<seed:think>", "</seed:think>"), "a 4", "5"),
    ("<seed:think>a 4</seed:think>The answer is 5.", ThinkTags(), "a 4", "5"),
    ("<|channel|>analysis<|message|>It is 4?<|end|><|start|>assistant<|channel|>final<|message|>The answer is 5.", HARMONY, "It is 4?",
     "5"),
    ("<|channel|>final<|message|>The answer is 5.", HARMONY, "", "5"),
    ("<|channel|>analysis<|message|>It is 4.", HARMONY, "It is 4.", None),
    ("[THINK]4[/THINK]The answer is 5.", ThinkTags("[THINK]", "[/THINK]"), "4", "5"),
    ("◁think▷4◁/think▷The answer is 5.", ThinkTags(), "4", "5"),
    ("Okay, 4</think>The answer is 5.", ThinkTags(prefilled=True), "Okay, 4", "5"),
    ("<think>a</think>", ThinkTags(), "a", None)])  # fmt: skip
def test_a_tag_that_closes_nothing_does_not_swallow_the_answer(text, tags, thought, answer):
    for tokens in ([text], list(text)):
        trace = trace_of(range(len(tokens)), lambda ids, t=tokens: "".join(t[i] for i in ids), tags, gold="5")
        assert (trace.thought, trace.answer) == (thought, answer)


def test_only_the_special_token_closes_strictly_where_there_is_one():
    words = ["<think>", "a", "</think>", "</", "think>", "b"]
    tags = ThinkTags(open_id=0, close_id=2)

    def decode(ids):
        return "".join(words[i] for i in ids)

    spelled = trace_of([0, 1, 3, 4, 5], decode, tags)
    assert (spelled.think_closed, spelled.think_lenient, spelled.answer_text) == (False, True, "b")
    special = trace_of([0, 1, 2, 5], decode, tags)
    assert (special.think_closed, special.think_lenient, special.answer_text) == (True, True, "b")
    assert (spelled.think_tokens, special.think_tokens) == (4, 3)


def test_a_thought_that_was_cut_off_has_no_answer_even_if_it_is_boxed():
    trace = trace_of_text("<think>It must be \\boxed{5}. So the answer is 5.", finish="cap", gold="5")
    assert trace.truncated and trace.answer is None
    assert trace.think_tokens == trace.tokens
    assert trace_of_text("<think>It must be \\boxed{5}.", finish="stop").answer is None


@pytest.mark.parametrize(("reason", "answer", "truncated"), [
    ("stop", "5", False), ("cap", None, True), ("context", None, True), ("cancelled", None, False), ("failed", None, False)])  # fmt: skip
def test_only_a_response_that_ended_by_itself_answers(reason, answer, truncated):
    trace = trace_of_text("<think>x</think>The answer is 5.", finish=reason)
    assert (trace.answer, trace.truncated, trace.finish) == (answer, truncated, reason)


def test_the_answer_comes_from_after_the_last_closing_tag():
    assert (
        trace_of_text("<think>\\boxed{1}</think> No. \\boxed{2} <think>so \\boxed{3}</think> I can not say").answer
        is None
    )


def test_right_once_and_left_again_is_not_right_at_the_end():
    trace = trace_of_text("<think>The answer is 4. Hmm. No, the answer is 6.</think>\nThe answer is 6.", gold="4")
    assert trace.first_correct == 4 and trace.answer == "6" and trace.flips == 1
    assert [r.correct for r in trace.running_answers] == [True, False, False]


def test_without_a_gold_answer_nothing_is_judged():
    trace = trace_of_text("The answer is 4.")
    assert trace.first_correct is None and trace.overthinking is None
    assert [r.correct for r in trace.running_answers] == [None]


def test_an_empty_response():
    trace = trace_of_text("")
    assert (trace.text, trace.tokens, trace.answer, trace.looped, trace.markers["reflect"]) == ("", 0, None, False, 0)


def test_the_token_of_a_character():
    trace = trace_of_text("one two  three")
    assert trace.ends == (3, 7, 14)
    assert [trace.token_at(i) for i in (0, 2, 3, 6, 7, 13, 99)] == [0, 0, 1, 1, 2, 2, 2]
    assert trace_of_text("").token_at(0) == 0
