"""Answers found in text: final ones, and running ones at the ends of sentences."""

import pytest

from mi_explorer.generation.traces import answers


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 23.", "23"),
        ("So 14 + 3 * 6 - 9 = 23. The answer is 23.", "23"),
        ("The answer is 11:15.", "11:15"),
        ("The answer is Tuesday.", "Tuesday"),
        ("the final answer is: **42**", "42"),
        ("Answer: 3.5", "3.5"),
        ("The answer to the question is 12 apples.", "12 apples"),
        ("The answer is $\\frac{1}{2}$.", "$\\frac{1}{2}$"),
        ("The answer is (B) mitochondria.", "(B)"),
        ("The answer is 4. No, the answer is 5.", "5"),
        ("We get \\boxed{\\frac{3}{4}}.", "\\frac{3}{4}"),
        ("\\boxed{1} and then \\boxed{ 2 }", "2"),
        ("\\boxed{3} or \\boxed{4", "3"),  # the last one is not complete
        ("The answer is 7. \\boxed{8}", "8"),
        ("She sells 9 eggs.\n#### 18", "18"),
        ("Therefore x = 12.", "12"),
        ("First 2 + 2 = 4. Then 4 * 3 = 12", "12"),
        ("That makes 3 * 4 = 12 apples.", "12"),
        ("23", "23"),
        ("**Tuesday**", "Tuesday"),
        ("<answer>\n1 2\n3 4\n</answer>", "1 2\n3 4"),
        ("The answer is 1. <answer>2</answer>", "2"),
        ("I can not tell what it is at all.", None),
        ("", None),
        ("\n\n", None),
        ("The answer is", None),
    ],
)
def test_final(text, answer):
    assert answers.final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "B"), ("(C)", "C"), ("**D**", "D"), ("Answer: B", "B"), ("The answer is (A).", "(A)"), ("\\boxed{C}", "C"),
        ("A is wrong because of heat.\nB)", "B"), ("It is a hard question.", None),
    ],
)  # fmt: skip
def test_final_choice(text, answer):
    assert answers.final_answer(text, "choice") == answer


def test_whole_responses():
    text = "Any text. The answer is 3."
    assert answers.final_answer(f"  {text} ", "ifeval") == text
    assert answers.final_answer("  ", "ifeval") is None


@pytest.mark.parametrize(
    ("sentence", "answer", "sign"),
    [
        ("Then 14 + 18 = 32.", "32", "equation"),
        ("so 32 − 9 = 23, ", "23", "equation"),
        ("= $1,234.50.", "1,234.50", "equation"),
        ("a = b = -3", "-3", "equation"),
        ("x = 4 and then more words come", None, None),
        ("x = y", None, None),
        ("= \\frac{1}{2}", "\\frac{1}{2}", "equation"),
        ("Yes, the answer is 23.", "23", "stated"),
        ("So the answer = 9", "9", "stated"),
        ("Thus \\boxed{7}, since 3 + 4 = 7.", "7", "boxed"),
        ("No answers here.", None, None),
    ],
)
def test_running(sentence, answer, sign):
    found = answers.running_answer(sentence)
    assert (found and found.answer, found and found.sign) == (answer, sign)
    if found:
        assert answer in sentence[found.start : found.end]


@pytest.mark.parametrize(
    "text", ["\\boxed{" * 20_000, "= " * 50_000, "answer is " * 20_000, "####" * 50_000, "{" * 100_000, "= 1 " * 30_000]
)
def test_hostile_text_ends_soon(text):
    import time

    start = time.process_time()
    answers.final_answer(text)
    answers.running_answer(text)
    assert time.process_time() - start < 2
