"""Training at toy size: it learns, resumes where it was stopped, freezes what it says, and saves what `transformers` reads."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mi_explorer.mini import train as training
from mi_explorer.mini.documents import Mix, batches, encode, pool
from mi_explorer.mini.families import distinct_problems
from mi_explorer.mini.render import Style, thought
from mi_explorer.mini.tokenizer import prompt_text, train_tokenizer
from mi_explorer.mini.train import Run, loss_of, new_model, save, train

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}
MIX = Mix(Style(0.5, 0.3, 0.2, (0, 1), 0.5), facts=0.2, plain=0.1, learn_question=0.2)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(training, "SIZE", SMALL)
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **_: None
    )  # seconds of compiling for steps of milliseconds
    monkeypatch.setattr("mi_explorer.mini.documents.POOL", 32)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([p.question for p in distinct_problems(3, "dev", 200)])


def test_loss_falls_and_the_frozen_stay(tokenizer, tmp_path):
    run = Run("toy", MIX, steps=30, lr=1e-2, muon_lr=1e-2, tokens=512, warmup=2)
    base = train(run, tokenizer, tmp_path / "base")
    _, ids, learn = next(batches(tokenizer, MIX, 99, 512))
    before, after = loss_of(new_model(tokenizer, 0), ids, learn).item(), loss_of(base, ids, learn).item()
    assert after < before - 0.5
    save(base, tokenizer, tmp_path / "model")
    start = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    tuned = train(
        replace(run, muon_lr=None, freeze=True, steps=3, lr=1e-3),
        tokenizer,
        tmp_path / "tuned",
        start=tmp_path / "model",
    )
    moved = {n for n, p in tuned.named_parameters() if not torch.equal(p, dict(start.named_parameters())[n])}
    assert "model.embed_tokens.weight" not in moved and "model.norm.weight" not in moved
    assert len(moved) == len(list(tuned.named_parameters())) - 2


def test_a_stopped_run_resumes_from_its_state(tokenizer, tmp_path, capsys):
    run = Run("toy", MIX, steps=6, lr=1e-3, tokens=512, warmup=2)
    original = training.loss_of
    calls = {"n": 0}

    def dies(*args):
        calls["n"] += 1
        if calls["n"] == 5:
            raise KeyboardInterrupt
        return original(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "loss_of", dies)
        with pytest.raises(KeyboardInterrupt):
            train(run, tokenizer, tmp_path, save_every=0.0)
    assert (tmp_path / "state.pt").exists()
    calls["n"] = 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "loss_of", dies)
        train(run, tokenizer, tmp_path)
    assert calls["n"] == 102  # four of six steps were kept
    assert not (tmp_path / "state.pt").exists()


def test_documents_are_a_function_of_seed_and_number(tokenizer):
    assert pool(tokenizer, MIX, 1, 2) == pool(tokenizer, MIX, 1, 2) != pool(tokenizer, MIX, 1, 3)
    number, ids, learn = next(batches(tokenizer, MIX, 1, 512, first_pool=7))
    assert number == 7 and ids.shape == learn.shape and ids.numel() <= 512 + 8 * len(ids)


def test_pieces_tokenize_like_the_whole_text(tokenizer):
    import random

    rng = random.Random(0)
    for p in distinct_problems(5, "dev", 60):
        pieces = [(prompt_text(p.question), False), *thought(p, 2, rng, slip=True)]
        assert encode(tokenizer, pieces)[0] == tokenizer.encode("".join(t for t, _ in pieces)).ids


def test_saved_models_load_with_their_template(tokenizer, tmp_path):
    save(new_model(tokenizer, 0), tokenizer, tmp_path)
    model, loaded = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert (
        model.dtype == torch.bfloat16
        and type(model).__name__ == "Qwen3ForCausalLM"
        and model.config.tie_word_embeddings
    )
    asked = loaded.apply_chat_template(
        [{"role": "user", "content": "What is 1 + 2?"}], add_generation_prompt=True, tokenize=False
    )
    assert asked == prompt_text("What is 1 + 2?")
    assert model.generation_config.eos_token_id == loaded.eos_token_id
