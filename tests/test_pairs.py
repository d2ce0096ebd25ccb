"""Pairs as words: names, specs, and the settings that may follow them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.pairs import ADAPTER_ON, THINKING_SWITCH, PairError, get_pair, with_settings

tags = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda t: t.strip())


@given(
    st.sampled_from(ADAPTER_ON),
    st.booleans(),
    tags,
    tags,
    st.sampled_from([*THINKING_SWITCH, "reasoning_effort=high", "thinking_budget=512,a=x y|z&?"]),
)
def test_settings_survive_a_spec(adapter_on, untie, think_open, think_close, switch):
    if think_open == think_close:
        return
    spec = with_settings(
        "a|b|c",
        adapter_on=adapter_on,
        untie=untie,
        think_open=think_open,
        think_close=think_close,
        thinking_switch=switch,
    )
    pair = get_pair(spec)
    assert (pair.instruct, pair.thinking, pair.base) == ("a", "b", "c")
    assert (pair.adapter_on, pair.untie, pair.thinking_switch) == (adapter_on, untie, switch)
    assert (pair.think_open, pair.think_close) == (think_open, think_close)
    assert get_pair(pair.name) == pair  # what studies and recipes keep


def test_settings_follow_presets_and_the_base_as_backbone():
    assert get_pair("mini?untie=true").name == "mini?untie=true" and get_pair("mini").name == with_settings(
        "mini", untie=False
    )
    assert get_pair("mini@base?adapter_on=base").instruct == get_pair("mini").base


@pytest.mark.parametrize(("spec", "word"), [
    ("mini?adapter=base", "adapter_on"), ("mini?adapter_on=other", "adapter_on"), ("mini?untie=maybe", "untie"),
    ("mini?think_open=", "tag"), (f"mini?think_close={'>' * 101}", "characters"),
    ("none?untie=true", "none")])  # fmt: skip
def test_settings_that_are_none_are_refused(spec, word):
    with pytest.raises((PairError, ValueError), match=word):
        get_pair(spec)
