"""Streaming equals parsing the whole, whatever the cut; and it costs a constant per token."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.generation.traces import ThinkTags, TraceBuilder, trace_of

TAGS = ThinkTags()
PIECES = [
    "<think>", "</think>", "</thinking>", "<tool_call>", "<thi", "nk>", "</", "think", "\n", "\n\n", " ", ". ", "? ", ".\n", "Wait, ",
    "hmm",
    "let me check", " again", "However, ", "double-check", "another way", "`wait`", "```\nwait\n```", "$x = wait$", "$5 and ", "$$", "\\[",
    "3 * 6 = 18", " = 23", "So the answer is 23", "The answer is 7.", "\\boxed{23}", "\\boxed{\\frac{1}{2}}", "#### 9", "é", "日本", "👩‍🔬",
    "\u200b", "…", "(yes.) ", "x" * 50,
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def by_bytes(tokens):
    """A decoder for tokens that are byte strings, as byte-level BPE has them."""
    return lambda ids: b"".join(tokens[i] for i in ids).decode("utf-8", "replace")


def cut(text, places):
    """The bytes of `text` cut at the given places."""
    data = text.encode()
    edges = sorted({0, len(data), *(p % (len(data) + 1) for p in places)})
    return [data[a:b] for a, b in pairwise(edges)]


def measures(trace):
    """Everything that must not depend on the tokens, only on the text."""
    return (
        trace.text, trace.thought, trace.answer_text, trace.think_open, trace.think_closed, trace.think_lenient, trace.marks, trace.answer,
        [(r.answer, r.sign, r.correct) for r in trace.running_answers], trace.flips,
    )  # fmt: skip


@given(
    texts, st.lists(st.integers(0, 10_000), max_size=60), st.lists(st.integers(0, 10_000), max_size=60), st.booleans()
)
@settings(max_examples=150, deadline=None)
def test_the_cut_into_tokens_does_not_matter(text, places, others, prefilled):
    tags = ThinkTags(prefilled=prefilled)
    results = []
    for tokens in (
        cut(text, places),
        cut(text, others),
        [text.encode()] if text else [],
        [bytes([b]) for b in text.encode()],
    ):
        results.append(measures(trace_of(range(len(tokens)), by_bytes(tokens), tags, gold="23")))
    assert results[0][0] == text
    assert results[0] == results[1] == results[2] == results[3]


@given(texts, st.lists(st.integers(0, 10_000), max_size=60), st.sampled_from(["stop", "cap", "cancelled"]))
@settings(max_examples=150, deadline=None)
def test_looking_in_between_changes_nothing_and_counts_grow(text, places, reason):
    tokens = cut(text, places)
    plain = trace_of(range(len(tokens)), by_bytes(tokens), TAGS, reason, gold="23")
    builder, seen = TraceBuilder(TAGS, by_bytes(tokens), gold="23"), []
    for i in range(len(tokens)):
        builder.add(i, -0.5)
        seen.append(builder.trace())
    builder.finish(reason)
    final = builder.trace()
    assert measures(final) == measures(plain)
    assert final.ends == plain.ends and final.think_tokens == plain.think_tokens
    for i, trace in enumerate(seen):
        assert trace.tokens == i + 1 == len(trace.ends)
        assert text.startswith(trace.text) and trace.answer is None and trace.finish is None
    assert final.tokens == final.think_tokens + final.answer_tokens == len(tokens)
    assert final.logprobs == (-0.5,) * len(tokens)


spelled = st.tuples(texts, st.lists(st.integers(0, 10_000), max_size=60)).map(lambda x: cut(*x))


@given(
    st.one_of(spelled, st.lists(st.binary(min_size=1, max_size=4), max_size=90)),
    st.lists(st.integers(1, 30), max_size=30), st.booleans(), st.none() | st.integers(0, 30), st.none() | st.integers(0, 30),
    st.integers(1, 4),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_tokens_that_come_at_once_give_what_they_give_one_by_one(tokens, sizes, prefilled, open_id, close_id, times):
    tags, decode = ThinkTags(prefilled=prefilled, open_id=open_id, close_id=close_id), by_bytes(tokens)
    ids = list(range(len(tokens))) * times  # repeated: loops are looked for at lengths of their own
    one, many = TraceBuilder(tags, decode, gold="23"), TraceBuilder(tags, decode, gold="23")
    while ids:
        some, ids = ids[: (size := sizes.pop() if sizes else 7)], ids[size:]
        for token in some:
            one.add(token, -token)
        many.extend(some, [-token for token in some])
        assert many.trace() == one.trace()
    one.finish("stop"), many.finish("stop")
    assert many.trace() == one.trace()
    with pytest.raises(RuntimeError):
        many.extend([0], [0.0])


@given(texts, st.lists(st.integers(0, 10_000), max_size=60))
@settings(max_examples=150, deadline=None)
def test_parts_against_a_parser_of_the_whole(text, places):
    tokens = cut(text, places)
    trace = trace_of(range(len(tokens)), by_bytes(tokens), TAGS)
    opened, closes, any_close = (
        None,
        [],
        False,
    )  # closes: (start, end) of those that count, since the last thought that was opened
    for m in re.finditer(r"</?think>|</thinking>|<tool_call>", text):
        if m[0] == "<think>":
            opened, closes = (m.end(), []) if opened is None else (opened, closes)
        elif opened is not None:
            opened, closes, any_close = None, [(m.end(), True)], True
        elif m[0] != "<tool_call>":
            closes, any_close = [*closes, (m.end(), False)], True
    spoken_of = r"[\w,;] (</think>|</thinking>|<tool_call>)( [a-z(]|[.,;:!?)])"  # in the middle of a sentence
    quoted = r"(?<![\w`])`(</think>|</thinking>|<tool_call>)`(?!\w)"
    named = {m.end(1) for form in (spoken_of, quoted) for m in re.finditer(rf"(?={form})", text)}
    rest = lambda end: re.sub(r"\s|</think>|</thinking>|<tool_call>", "", text[end:])  # noqa: E731
    while closes and not closes[-1][1] and (closes[-1][0] in named or not rest(closes[-1][0])):
        closes.pop()  # a tag that is spoken of, or that ends the response, closes no thought
    closed_at = closes[-1][0] if closes else 0
    assert trace.think_open is (opened is not None)
    assert trace.answer_text == ("" if opened is not None else text[closed_at:])
    assert trace.think_closed is ("</think>" in text)
    assert trace.think_lenient is any_close
    if opened is not None:
        assert trace.thought == text[opened:]
        assert trace.think_tokens == trace.tokens
    else:
        total, count = 0, 0
        while total < len(text[:closed_at].encode()):
            total, count = total + len(tokens[count]), count + 1
        assert trace.think_tokens == count


@given(st.lists(st.binary(min_size=1, max_size=5), max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_the_text_of_the_whole(tokens):
    decode = by_bytes(tokens)
    builder = TraceBuilder(TAGS, decode)
    for i in range(len(tokens)):
        builder.add(i)
        assert len(builder.trace().ends) == i + 1
    builder.finish("stop")
    trace = builder.trace()
    assert trace.text == decode(range(len(tokens)))
    assert list(trace.ends) == sorted(trace.ends) and (not tokens or trace.ends[-1] == len(trace.text))


def test_spaces_that_depend_on_the_left_neighbour():
    words = ["▁The", "▁answer", "▁is", "▁2", "3", "."]
    trace = trace_of(range(6), lambda ids: "".join(words[i] for i in ids).replace("▁", " ").removeprefix(" "), TAGS)
    assert trace.text == "The answer is 23."
    assert trace.ends == (3, 10, 13, 15, 16, 17)
    assert trace.answer == "23"


def test_a_real_byte_level_tokenizer_with_special_tags():
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<think>", "</think>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(["The answer is 23. Wait, let me check."] * 5, trainer)
    text = "<think>\nWait… 日本 👩‍🔬 = 23.\n</think>\nThe answer is 23."
    ids = tokenizer.encode(text).ids
    tags = ThinkTags(open_id=tokenizer.token_to_id("<think>"), close_id=tokenizer.token_to_id("</think>"))
    shown = trace_of(ids, lambda x: tokenizer.decode(list(x), skip_special_tokens=False), tags, gold="23")
    assert shown.text == text
    assert shown.thought == "\nWait… 日本 👩‍🔬 = 23.\n" and shown.think_closed and shown.answer == "23"
    assert shown.think_tokens == ids.index(tags.close_id) + 1
    hidden = trace_of(ids, lambda x: tokenizer.decode(list(x), skip_special_tokens=True), tags, gold="23")
    assert hidden.thought == shown.thought and hidden.answer_text == shown.answer_text
    assert hidden.think_tokens == shown.think_tokens and hidden.think_closed
    assert hidden.first_correct == shown.first_correct


class Counting:
    """A decoder that counts the ids it was given."""

    def __init__(self, tokens):
        self.decode, self.ids = by_bytes(tokens), 0

    def __call__(self, ids):
        self.ids += len(ids)
        return self.decode(ids)


@pytest.mark.parametrize("token", [b"word ", b"x", b"\x80", b"\xe6", b"\xf0\x9f", b"A sentence = 4. ", b"wait\n", b"$"])
def test_decoding_costs_a_bounded_window_per_token(token):
    count = 3000
    decode = Counting([token])
    builder = TraceBuilder(TAGS, decode)
    for _ in range(count):
        builder.add(0)
    builder.finish("cap")
    assert decode.ids <= 60 * count
    assert builder.trace().text == (token * count).decode("utf-8", "replace")


@pytest.mark.parametrize("token", [b"word ", b"x", b"A sentence = 4. ", b"wait\n", b"<", b"\\boxed{", b" answer is "])
def test_time_grows_with_the_number_of_tokens_and_no_faster(token):
    def seconds(count):
        best = float("inf")
        for _ in range(3):
            builder = TraceBuilder(TAGS, by_bytes([token]), gold="4")
            start = time.process_time()
            for _ in range(count):
                builder.add(0)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(8_000) / seconds(1_000) < 24  # linear is 8, quadratic 64


def test_nothing_comes_after_the_end():
    builder = TraceBuilder(TAGS, by_bytes([b"a"]))
    builder.finish("stop")
    with pytest.raises(RuntimeError):
        builder.add(0)
