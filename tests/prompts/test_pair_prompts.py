"""Prompts of a pair against `transformers`: each template by its own tokenizer, stop ids of all sources, the question always in it."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair, PairError
from mi_explorer.prompts import Prompts
from mi_explorer.prompts.chat_template import read_template, switches_of
from mi_explorer.prompts.think_tags import TagPair
from mi_explorer.recipe import Recipe
from tests.fixtures import save_tokenizer

INSTRUCT, THINKING = Recipe(lam=0), Recipe(lam=1)
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|User|>' + m['content'] }}{% endif %}"
    "{% if m['role'] == 'assistant' %}{{ '<|Assistant|>' + m['content'].split('</think>')[-1] + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
LLAMA3 = (
    "{{- bos_token }}{%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
HYBRID = (
    "{%- set ns = namespace(last='') %}{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
    "{% for m in messages %}{{ '[U]' + m.content if m.role == 'user' else m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[A]' }}{% if thinking %}{{ '<think>' }}{% else %}{{ '</think>' }}{% endif %}{% endif %}"
)
PARTS = "{% for m in messages %}{{ m.role }}:{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %};{% endfor %}"
SYSTEM_FIRST = "{{ messages[0].content and '' }}{% for m in messages[1:] %}<u>{{ m.content }}</u>{% endfor %}"
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST]' + m.content + '[/INST]' }}"
    "{% elif m.role == 'assistant' %}{% generation %}{{ m.content + eos_token }}{% endgeneration %}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)
TEMPLATES = {"chatml": CHATML, "r1": R1, "llama3": LLAMA3, "mistral": MISTRAL}


def load(tmp_path, instruct, thinking, pair=None, **more):
    """`Prompts` of two tokenizers given as settings of `save_tokenizer`."""
    folders = [
        str(save_tokenizer(tmp_path / role, **s)) for role, s in (("instruct", instruct), ("thinking", thinking))
    ]
    return Prompts.load(folders, pair, **more)


QWEN = {"special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "template": CHATML, "eos": "<|im_end|>"}
DISTILL = {
    "special": ["<bos>", "<|end|>", "<|User|>", "<|Assistant|>", "<think>", "</think>"],
    "template": R1,
    "eos": "<|end|>",
    "bos": "<bos>",
}


def test_the_tokenizer_goes_with_the_template(tmp_path):
    prompts = load(tmp_path, QWEN, DISTILL)
    for recipe, role in (
        (INSTRUCT, "instruct"),
        (THINKING, "thinking"),
        (Recipe(lam=1, template="instruct"), "instruct"),
    ):
        oracle = AutoTokenizer.from_pretrained(tmp_path / role)
        found = prompts.render("What is 3 + 4?", recipe)
        text = oracle.apply_chat_template(
            [{"role": "user", "content": "What is 3 + 4?"}], tokenize=False, add_generation_prompt=True
        )
        assert found.text == text and list(found.ids) == oracle.encode(text, add_special_tokens=False)
        assert prompts.codec(recipe).decode(found.ids) == text
    assert (
        prompts.render("Hi", THINKING).ids[0] == 0 and prompts.render("Hi", THINKING).ids[1] == 2
    )  # <bos><|User|>, one id each
    assert prompts.render("Hi", THINKING).opened and not prompts.render("Hi", INSTRUCT).opened
    assert (prompts.tag_id("</think>", "thinking"), prompts.tag_id("</think>", "instruct")) == (5, None)


@pytest.mark.parametrize("name", TEMPLATES)
@given(text=st.text(min_size=1, max_size=60), generation=st.booleans())
@settings(max_examples=40, deadline=None)
def test_rendering_is_that_of_transformers(name, text, generation, tmp_path_factory):
    special = ["<bos>", "<eos>", "<|User|>", "<|Assistant|>", "<|eot_id|>", "<|im_start|>", "<|im_end|>"]
    folder = tmp_path_factory.getbasetemp() / f"render-{name}"
    if not folder.exists():
        save_tokenizer(folder, special, TEMPLATES[name], "<eos>", "<bos>")
    key = str(folder)
    prompts, oracle = CACHE.setdefault(key, (Prompts.load([key, key]), AutoTokenizer.from_pretrained(folder)))
    turns = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": "Well."},
        {"role": "user", "content": "And?"},
    ]
    assert prompts.render_chat(turns, THINKING) == oracle.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True
    )
    if generation and text.strip():
        try:
            found = prompts.render(text, THINKING)
        except UserError as error:
            assert text.encode("utf-8", "replace") != text.encode("utf-8", "surrogatepass"), error
            return
        assert found.text == oracle.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)


CACHE = {}


def test_a_conversation_that_the_model_goes_on_with(tmp_path):
    prompts = load(tmp_path, QWEN, DISTILL)
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "The answer is"}]
    oracle = AutoTokenizer.from_pretrained(tmp_path / "instruct")
    assert prompts.render_chat(turns, INSTRUCT, generation=False) == oracle.apply_chat_template(
        turns, tokenize=False, continue_final_message=True
    )


def test_stop_ids_are_the_union_of_all_sources(tmp_path):
    one = {"special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "template": CHATML, "eos": "<|endoftext|>"}
    two = {**DISTILL, "eos": "<bos>"}
    for role, settings_ in (("instruct", one), ("thinking", two)):
        save_tokenizer(tmp_path / role, **settings_)
    (tmp_path / "instruct/generation_config.json").write_text(json.dumps({"eos_token_id": [11, True, "x", -3]}))
    (tmp_path / "instruct/config.json").write_text(json.dumps({"eos_token_id": 12}))
    (tmp_path / "thinking/generation_config.json").write_text(json.dumps({"eos_token_id": 21}))
    (tmp_path / "thinking/config.json").write_text(
        json.dumps({"eos_token_id": None, "text_config": {"eos_token_id": [22]}})
    )
    found = Prompts.load([str(tmp_path / "instruct"), str(tmp_path / "thinking")]).stop_ids
    assert set(found) == {0, 11, 12, 21, 22} | {2} | {
        1
    }  # both tokenizers, four files, <|im_end|> and <|end|> of the templates
    for odd in ("[]", "{", json.dumps({"eos_token_id": {}}), "[" * 100_000):
        (tmp_path / "thinking/generation_config.json").write_text(odd)
        assert 22 in Prompts.load([str(tmp_path / "instruct"), str(tmp_path / "thinking")]).stop_ids
    (tmp_path / "thinking/generation_config.json").unlink()
    os.mkfifo(tmp_path / "thinking/generation_config.json")
    assert 22 in Prompts.load([str(tmp_path / "instruct"), str(tmp_path / "thinking")]).stop_ids


@pytest.mark.parametrize(("adds", "want"), [("", []), ("bos", [0]), ("bos eos", [0]), ("eos", [])])
def test_a_bare_prompt_begins_as_its_tokenizer_begins_a_text(adds, want, tmp_path):
    base = {"special": ["<s>", "</s>"], "bos": "<s>", "eos": "</s>", "adds": adds}
    prompts = load(tmp_path, base, DISTILL)
    plain = AutoTokenizer.from_pretrained(tmp_path / "instruct").encode("2 + 2 =", add_special_tokens=False)
    found = prompts.render("2 + 2 =", INSTRUCT)
    assert list(found.ids) == [*want, *plain] and found.text == "2 + 2 =" and not found.opened
    with_template = load(tmp_path / "more", {**QWEN, "bos": "<|endoftext|>", "adds": adds}, DISTILL)
    assert with_template.render("Hi", INSTRUCT).ids[0] == 1  # a template writes its own beginning


def test_thinking_without_a_template_borrows_both_template_and_tokenizer(tmp_path):
    prompts = load(tmp_path, QWEN, {**DISTILL, "template": None})
    assert prompts.render("Hi", THINKING).ids == prompts.render("Hi", INSTRUCT).ids
    assert prompts.codec(THINKING) is prompts.codec(INSTRUCT)
    bare = load(tmp_path / "bare", {**QWEN, "template": None}, {**DISTILL, "template": None})
    assert bare.render("Hi", THINKING).text == "Hi" and bare.codec(THINKING) is not bare.codec(INSTRUCT)


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


def test_tags_are_recognised_or_named(tmp_path):
    seed = {"special": ["<eos>", "<seed:think>", "</seed:think>"], "template": "{{ messages[0].content }}"}
    assert load(tmp_path, QWEN, seed).tags == ("<seed:think>", "</seed:think>")
    named = Pair("x", "i", "t", think_open="<plan>", think_close="</plan>")
    assert load(tmp_path / "named", QWEN, seed, named).tags == TagPair("<plan>", "</plan>")
    with pytest.raises(PairError):
        Pair("x", "i", "t", think_open=" ")


def test_the_ids_of_tags_where_only_thinking_has_them(tmp_path):
    """Instruct's tokenizer is shorter: the id closes a thought all the same."""
    table = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    prompts = load(
        tmp_path,
        QWEN,
        {**DISTILL, "special": [*table, *"abc", "<bos>", "<|User|>", "<|Assistant|>", "<|end|>"], "template": R1},
    )
    assert prompts.tag_id("<think>", "instruct") is None
    more = save_tokenizer(tmp_path / "more", ["<|end|>", "<bos>"], R1, "<|end|>", "<bos>")
    fast = AutoTokenizer.from_pretrained(more)
    fast.add_tokens(["<think>", "</think>"], special_tokens=True)
    fast.save_pretrained(more)
    prompts = Prompts.load([str(tmp_path / "instruct"), str(more)])
    assert (
        prompts.tag_id("</think>", "instruct")
        == prompts.tag_id("</think>", "thinking")
        == fast.convert_tokens_to_ids("</think>")
    )
