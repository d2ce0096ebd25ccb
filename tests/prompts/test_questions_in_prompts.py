"""Whatever a template is like, the question is in the prompt or the pair is refused in words."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair
from mi_explorer.prompts import Prompts
from mi_explorer.prompts.chat_template import read_template
from mi_explorer.prompts.thinking_switches import named_values, switch_values, switches_of
from tests.prompts.templates import CACHE, DISTILL, HYBRID, INSTRUCT, QWEN, THINKING, load

PARTS = "{% for m in messages %}{{ m.role }}:{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %};{% endfor %}"
SYSTEM_FIRST = "{{ messages[0].content and '' }}{% for m in messages[1:] %}<u>{{ m.content }}</u>{% endfor %}"


@pytest.mark.parametrize(("switch", "recipe", "ends"), [
    ("auto", THINKING, "[A]<think>"), ("auto", INSTRUCT, "[A]</think>"), ("on", INSTRUCT, "[A]<think>"),
    ("off", THINKING, "[A]</think>")])  # fmt: skip
def test_a_thinking_switch_that_is_off_by_default_can_be_turned_on(switch, recipe, ends, tmp_path):
    both = {**DISTILL, "template": HYBRID}
    found = load(tmp_path, both, both, Pair("x", "i", "t", thinking_switch=switch)).render("Hi", recipe)
    assert found.text.endswith(ends) and found.opened is ends.endswith("<think>")


@pytest.mark.parametrize("name", ["enable_thinking", "thinking", "reasoning"])
def test_switches_are_told_from_the_code_of_a_template(name):
    assert switches_of("{% if " + name + " is defined and " + name + " %}x{% endif %}") == (name,)
    assert switches_of(name + " {{ m." + name + " }} {{ m['" + name + "'] }} {{ 'enable' }}") == ()


@pytest.mark.parametrize("template", [PARTS, SYSTEM_FIRST, HYBRID.replace("m.content", "(m.content | string)")])
def test_the_question_is_in_the_prompt_whatever_form_the_template_wants(template, tmp_path):
    prompts = load(tmp_path, QWEN, {**DISTILL, "template": template})
    for question in ("What is 3 + 4?", "a", "think", "{'type': 1}", "two\nlines", " spaced  out "):
        assert question.strip() in prompts.render(question, THINKING).text


@pytest.mark.parametrize(
    "template",
    ["{{ 'always the same' }}", "{% for m in messages %}{{ m.role }}{% endfor %}", "{{ messages[0].content[:20] }}"],
)
def test_a_template_that_loses_the_question_is_refused(template, tmp_path):
    prompts = load(tmp_path, QWEN, {**DISTILL, "template": template})
    with pytest.raises(UserError, match="question"):
        prompts.render("What is the sum of three and four, and of five and six?", THINKING)
    assert prompts.render("Hi", INSTRUCT).ids


@pytest.mark.parametrize(("end", "opened"), [
    ("<think>", True), ("<think>\n", True), ("<think>\nOkay, ", True), ("<think>\n\n</think>\n\n", False), ("", False),
    ("<thinking>\n", True),
    ("</think>", False), ("<think></think><think>", True)])  # fmt: skip
def test_a_thought_that_the_template_opened_is_seen(end, opened, tmp_path):
    prompts = load(
        tmp_path,
        QWEN,
        {
            **DISTILL,
            "template": "<|User|>{{ messages[0].content }}<|Assistant|>{{ '" + end.replace("\n", "\\n") + "' }}",
        },
    )
    for question in ("Hi", "think", "What does <think> mean?", "</think>", "a"):
        assert prompts.render(question, THINKING).opened is opened


@pytest.mark.parametrize(("files", "want"), [
    ({"chat_template.jinja": "A", "tokenizer_config.json": {"chat_template": "B"}}, "A"),
    ({"tokenizer_config.json": {"chat_template": "B"}, "chat_template.json": {"chat_template": "C"}}, "B"),
    ({"chat_template.json": {"chat_template": "C"}}, "C"), ({"chat_template.json": "C"}, "C"),
    ({"tokenizer_config.json": {"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}}, "D"),
    ({"tokenizer_config.json": {"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "thinking", "template": "H"}]}}, "H"),
    ({"additional_chat_templates/rag.jinja": "R", "additional_chat_templates/chat.jinja": "K"}, "K"),
    ({"tokenizer_config.json": {"chat_template": 5}}, None), ({"tokenizer_config.json": {"chat_template": [5, {"name": {}}]}}, None),
    ({}, None)])  # fmt: skip
def test_every_place_where_a_template_may_lie(files, want):
    raw = {
        name: (text if isinstance(text, str) and name.endswith("jinja") else json.dumps(text)).encode()
        for name, text in files.items()
    }
    assert read_template(raw, raw.__getitem__) == want


def test_templates_beside_the_tokenizer_are_used(tmp_path):
    load(tmp_path, QWEN, {**DISTILL, "template": None})
    folder = tmp_path / "thinking"
    for name, marks in (
        ("additional_chat_templates/chat.jinja", "1"),
        ("chat_template.json", "2"),
        ("chat_template.jinja", "3"),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        text = f"({marks}) {{{{ messages[0].content }}}}"
        (folder / name).write_text(json.dumps({"chat_template": text}) if name.endswith("json") else text)
        assert Prompts.load([str(tmp_path / "instruct"), str(folder)]).render("Hi", THINKING).text == f"({marks}) Hi"


@pytest.mark.parametrize(
    "text",
    [
        "\ud800",
        "half \udfff a character",
        "🙂"[:1].encode("utf-16-le", "surrogatepass")[:2].decode("utf-16-le", "surrogatepass"),
    ],
)
def test_half_a_character_ends_in_a_sentence(text, tmp_path):
    prompts = load(tmp_path, QWEN, DISTILL)
    for recipe in (INSTRUCT, THINKING):
        with pytest.raises(UserError, match="half a character"):
            prompts.render(text, recipe)


@given(text=st.text(st.characters(), max_size=50))
@settings(max_examples=100, deadline=None)
def test_any_text_is_rendered_or_refused_in_words(text, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "any"
    if not folder.exists():
        load(folder, QWEN, DISTILL)
    prompts = CACHE.setdefault(str(folder), Prompts.load([str(folder / "instruct"), str(folder / "thinking")]))
    for recipe in (INSTRUCT, THINKING):
        try:
            found = prompts.render(text, recipe)
        except UserError as error:
            assert not text.strip() or any(0xD800 <= ord(c) < 0xE000 for c in text), error
        else:
            assert text in found.text and prompts.codec(recipe).decode(found.ids) == found.text


# What published templates do with a value for thinking: gpt-oss, Seed-OSS, DeepSeek-V3.1, Granite and Qwen3, in one line each.
GRADED = {
    "reasoning_effort": "Reasoning: {{ reasoning_effort if reasoning_effort is defined else 'medium' }};",
    "thinking_budget": "{% if thinking_budget is defined %}Budget {{ thinking_budget + 0 }};{% endif %}",
    "thinking": "{% if thinking %}Think.{% else %}Do not.{% endif %}",
    "enable_thinking": "{% if enable_thinking is defined and enable_thinking is false %}No thought.{% endif %}",
}


@pytest.mark.parametrize(("setting", "thinking", "instruct"), [
    ("auto", "Reasoning: medium;Think.", "Reasoning: medium;Do not."),
    ("reasoning_effort=high", "Reasoning: high;Think.", "Reasoning: high;Do not."),
    ("thinking_budget=512", "Reasoning: medium;Budget 512;Think.", "Reasoning: medium;Budget 512;Do not."),
    ("thinking_budget=512,reasoning_effort=low", "Reasoning: low;Budget 512;Think.", "Reasoning: low;Budget 512;Do not."),
    ("thinking=false", "Reasoning: medium;Do not.", "Reasoning: medium;Do not."),
    ("enable_thinking=False,thinking=true", "Reasoning: medium;Think.No thought.", "Reasoning: medium;Think.No thought."),
    ("off", "Reasoning: medium;Budget 0;Do not.No thought.", "Reasoning: medium;Budget 0;Do not.No thought."),
    ("on", "Reasoning: medium;Think.", "Reasoning: medium;Think."),
    ("unknown=1", "Reasoning: medium;Think.", "Reasoning: medium;Do not.")])  # fmt: skip
def test_switches_take_texts_and_numbers(setting, thinking, instruct, tmp_path):
    template = "".join(GRADED.values()) + "{% for m in messages %}{{ m.content }}{% endfor %}"
    both = {**QWEN, "template": template}
    prompts = load(tmp_path, both, both, Pair("x", "i", "t", thinking_switch=setting))
    assert [prompts.render("|Hi", recipe).text.split("|")[0] for recipe in (THINKING, INSTRUCT)] == [thinking, instruct]


def test_values_of_switches():
    found = named_values("a=true, b=-3,c=0.5,d=high,e= x y ,f=1e5")
    assert found == {"a": True, "b": -3, "c": 0.5, "d": "high", "e": "x y", "f": "1e5"} and found["a"] is True
    assert named_values("auto") == {} and switch_values(GRADED["reasoning_effort"], "off", True) == {}


@pytest.mark.parametrize(
    "setting", ["high", "", "=1", "a=", "a b=1", "messages=1", "a=1,tools=x", "a=1,", "__class__=1", "a=" + "x" * 500]
)
def test_switches_that_cannot_be_meant(setting):
    with pytest.raises(UserError, match="NAME=VALUE"):
        Pair("x", "i", "t", thinking_switch=setting)
