"""Chat templates are programs of a checkpoint's: whatever they do ends in time, within limits, in words."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.prompts.chat_template import TemplateFault, render_template, renderer

TURN = [{"role": "user", "content": "Hi"}]
HOSTILE = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a huge power": "{{ 10**(10**9) }}",
    "a huge product": "{{ 'x' * 10**10 }}",
    "much text": "{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}",
    "doubling": "{% set ns = namespace(t='xxxxxxxx') %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
    "replacing": "{% set ns = namespace(t='xx') %}{% for i in range(60) %}{% set ns.t = ns.t.replace('x', ns.t) %}{% endfor %}{{ ns.t }}",
    "padding": "{{ '%1000000000d' % 1 }}{{ 'x' | center(10**9) }}",
    "endless recursion": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "deep nesting": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a file": "{% include '/etc/passwd' %}",
    "the inside of Python": "{{ ''.__class__.__mro__ }}",
    "a namespace with a way in": "{% set ns = namespace(__class__=1) %}",
    "a command": "{{ cycler.__init__.__globals__.os.system('true') }}",
    "an exception": "{{ raise_exception('no users here') }}",
    "no template": "{% if %}",
    "changing the messages": "{{ messages.append(1) }}",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_templates_end_in_words(kind):
    began = time.monotonic()
    with pytest.raises(TemplateFault) as fault:
        render_template(HOSTILE[kind], TURN, {})
    assert 0 < len(str(fault.value)) < 400 and "\n" not in str(fault.value).strip()
    assert time.monotonic() - began < 30
    assert render_template("{{ messages[0].content }}", TURN, {}) == "Hi"  # the next one works


def test_ordinary_templates_are_fast():
    template = "{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}"
    render_template(template, TURN, {})
    began = time.perf_counter()
    for _ in range(100):
        render_template(template, TURN, {})
    assert (time.perf_counter() - began) / 100 < 0.02


def test_a_process_that_died_is_replaced():
    renderer.close()
    assert render_template("{{ bos_token }}", TURN, {"bos_token": "<s>"}) == "<s>"


PIECES = ["{{ ", " }}", "{% ", " %}", "{%- for m in messages %}", "{% endfor %}", "{% if add_generation_prompt %}", "{% endif %}", "m.content",
          "messages[-1]", "|tojson", "|join('x')", "range(10)", "{% set ns = namespace(x=1) %}", "{% set ns.x = 2 %}", "raise_exception('no')",
          "strftime_now('%Y')", "{% macro f(x) %}", "{% endmacro %}", "f(1)", "{% generation %}", "{% break %}", "{% import 'os' as os %}",
          "''.__class__", "{# c #}", "\ud800", "\0", "<think>", "bos_token", "tools", "1/0", "none.x", "'%s' % 1", "{%", "-%}", "loop.index", "not",
          "(", ")", "[", "]", ",", "+", "~", "\n"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.booleans())
def test_any_template_is_a_text_or_a_sentence(template, generation):
    try:
        assert isinstance(render_template(template, TURN, {"bos_token": "<s>"}, generation), str)
    except TemplateFault as fault:
        assert 0 < len(str(fault)) < 1000
