"""What preflight says of tokenizers, tags and templates, and that it is what prompts do."""

import json
from pathlib import Path

import pytest

from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.pairs import Pair
from mi_explorer.prompts import Prompts
from mi_explorer.recipe import Recipe
from tests.fixtures import make_pair, save_tokenizer

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
PLAIN = "<|im_start|>{{ messages[0].content }}<|im_end|>"


@pytest.fixture
def pair(tmp_path):
    made = make_pair("qwen3", tmp_path, base=False, vocab_size=300)
    for place in (made.instruct, made.thinking):
        save_tokenizer(place, SPECIAL, PLAIN)
    return made


def said(pair, topic):
    return " ".join(f.text() for f in preflight(pair).findings if f.topic == topic)


def test_equal_tokenizers_and_templates_need_no_word(pair):
    assert said(pair, "tokenizer") == said(pair, "template") == said(pair, "think tags") == ""


def test_tokenizers_that_cut_text_differently(pair):
    file = f"{pair.thinking}/tokenizer.json"
    content = json.loads(Path(file).read_text())
    Path(file).write_text(json.dumps({**content, "normalizer": {"type": "Lowercase"}}))
    assert "cut text differently" in said(pair, "tokenizer")
    prompts = Prompts.load([pair.instruct, pair.thinking], pair)
    assert prompts.render("ABC", Recipe(lam=0)).ids != prompts.render("ABC", Recipe(lam=1)).ids


def test_tags_that_are_not_known(pair):
    save_tokenizer(pair.thinking, [*SPECIAL[:3], "<a>", "</a>"], PLAIN)
    assert "--think-open" in said(pair, "think tags")
    named = Pair("x", pair.instruct, pair.thinking, think_open="<a>", think_close="</a>")
    assert (
        "--think-open" not in said(named, "think tags")
        and Prompts.load([pair.instruct, pair.thinking], named).tags.close == "</a>"
    )


@pytest.mark.parametrize(
    "template",
    ["{{ raise_exception('no') }}", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"],
)
def test_a_template_that_fails(template, pair):
    save_tokenizer(pair.thinking, SPECIAL, template)
    assert "Thinking's chat template fails" in said(pair, "template")


def test_a_template_that_opens_the_thought_or_switches_it(pair):
    save_tokenizer(pair.thinking, SPECIAL, PLAIN + "<think>{{ '\\nOkay, ' }}")
    assert "opens the thought" in said(pair, "template")
    save_tokenizer(pair.thinking, SPECIAL, PLAIN + "{% if enable_thinking %}<think>{% endif %}")
    assert "enable_thinking" in said(pair, "template")
    assert Prompts.load([pair.instruct, pair.thinking], pair).render("Hi", Recipe(lam=1)).opened


def test_the_switches_that_a_template_knows_are_named(pair):
    save_tokenizer(pair.thinking, SPECIAL, "{{ reasoning_effort or '' }}" + PLAIN)
    assert "reasoning_effort" in said(pair, "thinking switch")
    for setting, known in (("reasoning_effort=high", True), ("enable_thinking=false", False)):
        named = Pair("x", pair.instruct, pair.thinking, thinking_switch=setting)
        assert ("changes nothing" in said(named, "thinking switch")) is not known
