"""Think tags: the texts with which models of many families begin and end a thought, and which of them a pair uses."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class TagPair(NamedTuple):
    """What begins a thought and what ends it."""

    open: str
    close: str


DEFAULT = TagPair("<think>", "</think>")
# The channels of gpt-oss ("harmony"): a message in the analysis channel is a thought, one in the final channel the answer.
HARMONY = TagPair("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")
KNOWN = (
    DEFAULT, TagPair("<thinking>", "</thinking>"), TagPair("<thought>", "</thought>"), TagPair("<reasoning>", "</reasoning>"),
    TagPair("<seed:think>", "</seed:think>"), TagPair("[THINK]", "[/THINK]"), TagPair("◁think▷", "◁/think▷"),
    TagPair("<|begin_of_thought|>", "<|end_of_thought|>"), TagPair("<|START_THINKING|>", "<|END_THINKING|>"), HARMONY,
    TagPair("<|think|>", "<|/think|>"), TagPair("<thoughts>", "</thoughts>"), TagPair("<reason>", "</reason>"),
    TagPair("<reflection>", "</reflection>"), TagPair("<|channel>thought", "<channel|>"),
)  # fmt: skip
OPENING = tuple(pair.open for pair in KNOWN)
# Blends in stage 1-2 write whole thoughts and close them with a tag of their other parent (table 6 of 2510.10977:
# `<tool_call>`), so that the strict tag alone undercounts. A tool call closes only a thought that is open.
TOOL_CALLS = ("<tool_call>", "</tool_call>")
CLOSING = (*(pair.close for pair in KNOWN), "<|channel|>final<|message|>", *TOOL_CALLS)

_WORDS = "think|thinking|thought|thoughts|reason|reasoning|reflection|scratchpad|rationale|deliberation"
# Spellings of an opening tag by any name, and of the tag that ends it.
_SPELLINGS = (
    (re.compile(rf"<((?:[\w-]{{1,20}}:)?(?:{_WORDS}))>", re.I), "<{}>", "</{}>"),
    (re.compile(rf"\[({_WORDS})\]", re.I), "[{}]", "[/{}]"),
    (re.compile(rf"◁({_WORDS})▷", re.I), "◁{}▷", "◁/{}▷"),
    (re.compile(rf"<\|({_WORDS})\|>", re.I), "<|{}|>", "<|/{}|>"),
    (re.compile(rf"<\|begin_of_({_WORDS})\|>"), "<|begin_of_{}|>", "<|end_of_{}|>"),
    (re.compile(rf"<\|START_({_WORDS.upper()})\|>"), "<|START_{}|>", "<|END_{}|>"),
    (re.compile(rf"<\|({_WORDS})_start\|>"), "<|{}_start|>", "<|{}_end|>"),
    (re.compile(rf"<({_WORDS})_start>"), "<{}_start>", "<{}_end>"),
)
_SEARCHED = 2_000_000  # characters


def recognise_tags(named: TagPair, template: str | None, tokens: Iterable[str]) -> tuple[TagPair, bool]:
    """(tags of a pair, whether they are known to be its own) from the chat template and added tokens of Thinking.

    Tags that the user named are taken as they are. Otherwise the template's word counts before the tokenizer's, and the usual
    `<think>` before others.
    """
    if named != DEFAULT:
        return named, True
    text, added = (template or "")[:_SEARCHED], list(tokens)
    for words, others in ((text, "\n".join(added)), ("\n".join(added), text)):
        if DEFAULT.open in words or DEFAULT.close in words:
            return DEFAULT, True
        if "<|channel|>" in words and "<|message|>" in words:
            return HARMONY, True
        found = [p for p in _candidates(words + others) if p.close in words and p.open in words + others]
        if found:
            return max(found, key=lambda pair: words.count(pair.open) + words.count(pair.close)), True
    return DEFAULT, False


def _candidates(text: str) -> list[TagPair]:
    """Every pair of tags that `text` may speak of."""
    found = [pair for pair in KNOWN if pair.close in text]
    for pattern, opening, closing in _SPELLINGS:
        found += [TagPair(opening.format(w), closing.format(w)) for w in dict.fromkeys(pattern.findall(text))]
    return list(dict.fromkeys(found))


def opens_thought(text: str, tags: TagPair = DEFAULT) -> bool:
    """Whether `text` (the end of a prompt, after the question) ends inside a thought: its last think tag is an opening one."""
    opening = max(text.rfind(tag) for tag in (tags.open, *OPENING))
    closing = max(text.rfind(tag) for tag in (tags.close, *CLOSING))
    return opening > closing
