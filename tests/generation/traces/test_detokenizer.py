"""Text a token at a time is the text of the whole: tokenizers of four kinds, made here and of the embedded pair, any ids."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mi_explorer.generation.traces.detokenizer import UNFINISHED, Detokenizer

MINI = Path(__file__).resolve().parents[3] / "assets" / "models" / "mini"
TAGS = ["<think>", "</think>"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,é日", "▁", "▁the", "▁a", "th", "▁answer"]


@cache
def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, special_tokens=TAGS, show_progress=False)
    tokenizer.train_from_iterator(["The answer is 23. Wait, 日本 é 👩‍🔬 let me."] * 5, trainer)
    return tokenizer


@cache
def byte_fallback(strip):
    """Llama's kind (`strip`: the text's first space is dropped) and Gemma's."""
    every = ["<unk>", *(f"<0x{i:02X}>" for i in range(256)), *LETTERS]
    vocabulary = {token: i for i, token in enumerate(every)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strip else steps)
    tokenizer.add_special_tokens(TAGS)
    return tokenizer


@cache
def metaspace():
    vocabulary = [("<unk>", 0.0), *((token, -1.0) for token in LETTERS)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens(TAGS)
    return tokenizer


@cache
def word_piece():
    pieces = [
        "[UNK]",
        "the",
        "answer",
        "##s",
        "##ing",
        "is",
        "2",
        "##3",
        ".",
        ",",
        "'",
        "s",
        "don",
        "t",
        "##'",
        "日",
        "##本",
        "n't",
        "!",
    ]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    return tokenizer


@cache
def embedded(parent):
    return Tokenizer.from_file(str(MINI / parent / "tokenizer.json"))


LOCAL = [byte_level, metaspace, word_piece, *(lambda p=p: embedded(p) for p in ("base", "instruct", "thinking"))]
FALLBACK = [lambda: byte_fallback(True), lambda: byte_fallback(False)]


def streamed(tokenizer, ids, hidden):
    """What has been given out after each token, and after the end."""
    detokenizer = Detokenizer(lambda some: tokenizer.decode(list(some), skip_special_tokens=hidden))
    texts, text = [], ""
    for token in ids:
        text += detokenizer.add(token)
        texts.append(text)
    return [*texts, text + detokenizer.flush()]


def some_ids(tokenizer):
    size = tokenizer.get_vocab_size()
    words = st.lists(
        st.sampled_from(["the ", "é", "日本", "👩‍🔬", "a", " ", "  ", "answer", "23. ", "\n", *TAGS]), max_size=9
    )
    return st.lists(st.integers(0, size - 1), max_size=40) | words.map(
        lambda parts: tokenizer.encode("".join(parts), add_special_tokens=False).ids
    )


@pytest.mark.parametrize("make", LOCAL)
@given(data=st.data(), hidden=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_ids_give_the_text_of_the_whole(make, data, hidden):
    tokenizer = make()
    ids = data.draw(some_ids(tokenizer))
    whole = tokenizer.decode(ids, skip_special_tokens=hidden)
    texts = streamed(tokenizer, ids, hidden)
    assert texts[-1] == whole
    for count, text in enumerate(texts[:-1], 1):  # all is shown but a character that may go on
        soon = tokenizer.decode(ids[:count], skip_special_tokens=hidden)
        assert soon.startswith(text) and set(soon[len(text) :]) <= {UNFINISHED}


@pytest.mark.parametrize("make", FALLBACK)
@given(data=st.data(), hidden=st.booleans())
@settings(max_examples=300, deadline=None)
def test_byte_fallback_gives_the_text_of_the_whole_where_its_bytes_are_valid(make, data, hidden):
    tokenizer = make()
    ids = data.draw(some_ids(tokenizer))
    whole = tokenizer.decode(ids, skip_special_tokens=hidden)
    text = streamed(tokenizer, ids, hidden)[-1]
    if UNFINISHED in whole:  # its run is replaced as a whole; ours keeps what was shown before
        assert UNFINISHED in text
    else:
        assert text == whole


@pytest.mark.parametrize("make", [*LOCAL, *FALLBACK])
@given(st.text(max_size=40) | st.text("👩‍🔬é日 a\n", max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_text_survives(make, text):
    tokenizer = make()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert streamed(tokenizer, ids, False)[-1] == tokenizer.decode(ids, skip_special_tokens=False)
