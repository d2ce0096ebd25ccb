"""Prompts of a pair against `transformers`: each template by its own tokenizer, stop ids of all sources, tags by their ids."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair, PairError
from mi_explorer.prompts import Prompts
from mi_explorer.prompts.think_tags import TagPair
from mi_explorer.recipe import Recipe
from tests.fixtures import save_tokenizer
from tests.prompts.templates import CACHE, CHATML, DISTILL, INSTRUCT, QWEN, R1, THINKING, load

LLAMA3 = (
    "{{- bos_token }}{%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST]' + m.content + '[/INST]' }}"
    "{% elif m.role == 'assistant' %}{% generation %}{{ m.content + eos_token }}{% endgeneration %}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)
TEMPLATES = {"chatml": CHATML, "r1": R1, "llama3": LLAMA3, "mistral": MISTRAL}


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
