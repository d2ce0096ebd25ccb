"""Think tags of many families, told from templates and tokenizers that look like theirs."""

import pytest

from mi_explorer.prompts.think_tags import DEFAULT, HARMONY, TagPair, opens_thought, recognise_tags

FAMILIES = [
    ("{{ content.split('</think>')[-1] }}", [], DEFAULT, True),
    ("plain", ["<think>", "</think>"], DEFAULT, True),
    ("{{ '<seed:think>' }}{{ '</seed:think>' }}", ["<think>", "</think>"], TagPair("<seed:think>", "</seed:think>"), True),
    ("plain", ["<seed:bos>", "<seed:think>", "</seed:think>"], TagPair("<seed:think>", "</seed:think>"), True),
    (None, ["[INST]", "[THINK]", "[/THINK]"], TagPair("[THINK]", "[/THINK]"), True),
    ("[THINK]{{ m }}[/THINK]", [], TagPair("[THINK]", "[/THINK]"), True),
    ("<|start|>assistant<|channel|>analysis<|message|>{{ thinking }}<|end|>", ["<|channel|>", "<|message|>", "<|return|>"], HARMONY, True),
    (None, ["◁think▷", "◁/think▷"], TagPair("◁think▷", "◁/think▷"), True),
    ("<thinking>{{ x }}</thinking>", [], TagPair("<thinking>", "</thinking>"), True),
    ("x", ["<reasoning>", "</reasoning>"], TagPair("<reasoning>", "</reasoning>"), True),
    ("x", ["<|START_THINKING|>", "<|END_THINKING|>"], TagPair("<|START_THINKING|>", "<|END_THINKING|>"), True),
    ("x", ["<|begin_of_thought|>", "<|end_of_thought|>"], TagPair("<|begin_of_thought|>", "<|end_of_thought|>"), True),
    ("x", ["<acme:reasoning>", "</acme:reasoning>"], TagPair("<acme:reasoning>", "</acme:reasoning>"), True),
    ("x", ["<|thinking_start|>", "<|thinking_end|>"], TagPair("<|thinking_start|>", "<|thinking_end|>"), True),
    ("{{ messages }}", ["<|im_end|>", "<think_aloud>"], DEFAULT, False),
    (None, [], DEFAULT, False),
]  # fmt: skip


@pytest.mark.parametrize(("template", "tokens", "tags", "known"), FAMILIES)
def test_tags_of_a_family(template, tokens, tags, known):
    assert recognise_tags(DEFAULT, template, tokens) == (tags, known)


def test_named_tags_are_taken_as_they_are():
    named = TagPair("<a>", "</a>")
    assert recognise_tags(named, "<think></think>", ["[THINK]", "[/THINK]"]) == (named, True)


@pytest.mark.parametrize(("text", "opened"), [
    ("assistant\n<think>", True), ("assistant\n<think>\nOkay, ", True), ("<think>\n\n</think>\n", False), ("assistant\n", False),
    ("", False),
    ("<|channel|>analysis<|message|>", True), ("<|channel|>final<|message|>", False), ("<plan>\n", True),
    ("<plan></plan>", False)])  # fmt: skip
def test_whether_a_text_ends_inside_a_thought(text, opened):
    assert opens_thought(text, TagPair("<plan>", "</plan>")) is opened
