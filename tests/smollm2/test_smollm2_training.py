"""Documents and the adapter of the pair that speaks, on a Llama of a few thousand parameters."""

import json
import random
import shutil

import pytest
import torch
from peft import PeftModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mi_explorer.smollm2 import low_rank
from mi_explorer.smollm2.__main__ import smollm2_main
from mi_explorer.smollm2.chat_documents import Chat, chat_batches, document_pool, plain_batch
from mi_explorer.smollm2.evaluate import measure_everyday
from mi_explorer.smollm2.everyday import TRAINED, Everyday
from mi_explorer.smollm2.train_adapter import AdapterRun, learned_loss, train_low_rank
from mi_explorer.workbench import Workbench

ANSWERS = [(Everyday("What is the capital of Nowhere?", "a capital"), "Nowhere has none.")]
PLAIN = [("What is 2 + 2?", "It is 4."), ("Who are you?", "A small model.")]
TEMPLATE = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}"


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A tiny Llama with a tokenizer of single bytes."""
    folder = tmp_path_factory.mktemp("parent")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(["</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", chat_template=TEMPLATE)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocab), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_prompts_and_slips_are_not_learned(parent):
    chat = Chat.load(str(parent))
    start, end = "<think>\nSo 1", " 3\n</think>\n\nThe answer is 3."
    ids, learn = chat.document("Why?", [(start, True), (" 2", False), (end, True)])
    learned = bytes_of(chat, [i for i, wanted in zip(ids, learn) if wanted])
    assert learned == start + end + "</s>"
    assert bytes_of(chat, ids).startswith("<s>user\nWhy?</s><s>assistant\n<think>")


def bytes_of(chat, ids):
    return chat.tokenizer.decode(ids, skip_special_tokens=False).replace(" ", "").replace("Ġ", " ").replace("Ċ", "\n")


def test_equal_numbers_give_equal_pools_and_batches_keep_to_their_size(parent):
    chat = Chat.load(str(parent))
    assert (
        document_pool(chat, ANSWERS, 3, 5) == document_pool(chat, ANSWERS, 3, 5) != document_pool(chat, ANSWERS, 3, 6)
    )
    source = chat_batches(chat, ANSWERS, 0, 4096)
    for _ in range(5):
        _, ids, learn = next(source)
        assert ids.shape == learn.shape and (ids.numel() <= 4096 or len(ids) == 1) and learn.any(1).all()


def test_the_adapter_is_pefts(parent, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(parent)
    factors = low_rank.attach_factors(model, rank=4, alpha=8)
    assert len(factors) == 14 and {n.rsplit(".")[-1] for n, p in model.named_parameters() if p.requires_grad} == {
        "a",
        "b",
    }
    with torch.no_grad():
        for pair in factors.values():
            pair.a.copy_(pair.a.bfloat16())
            pair.b.copy_(torch.randn_like(pair.b).bfloat16() / 10)
            pair.set_strength(1)
    low_rank.save_factors(factors, "nobody/tiny", tmp_path)
    ids = torch.randint(0, 200, (2, 9))
    with torch.no_grad():
        ours = model(ids).logits
        theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(parent), str(tmp_path))(ids).logits
    assert torch.allclose(ours, theirs, atol=1e-4) and not torch.allclose(ours, model_of(parent)(ids).logits, atol=1e-2)
    again = low_rank.attach_factors(model_of(parent), rank=4, alpha=8)
    low_rank.load_factors(again, tmp_path)
    assert all(torch.equal(again[name].b, factors[name].b) for name in factors)


def model_of(parent):
    return AutoModelForCausalLM.from_pretrained(parent)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_gradients_are_those_of_the_whole_matrix(strength):
    torch.manual_seed(1)
    linear = torch.nn.Linear(6, 5, bias=False, dtype=torch.float64)
    layer = low_rank.LowRankLinear(linear, rank=2, scale=1.7)
    with torch.no_grad():
        layer.b.normal_()
    layer.set_strength(strength)
    x, out = torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True), torch.randn(3, 4, 5, dtype=torch.float64)
    a, b = (p.detach().double().requires_grad_() for p in (layer.a, layer.b))
    whole = x @ (linear.weight.detach() + strength * 1.7 * (b @ a)).T
    want = torch.autograd.grad((whole * out).sum(), (x, a, b))
    got = torch.autograd.grad((layer(x) * out).sum(), (x, layer.a, layer.b))
    assert torch.allclose(layer(x), whole, atol=1e-6)
    for ours, theirs in zip(got, want):
        assert torch.allclose(ours.double(), theirs, atol=1e-5)


def test_plain_responses_are_learned_below_a_quarter_and_thoughts_above():
    run = AdapterRun(plain=0.2, full=0.5)
    drawn = [run.strength(step) for step in range(2000)]
    assert drawn == [run.strength(step) for step in range(2000)]
    plain, thoughts = [s for s, is_plain in drawn if is_plain], [s for s, is_plain in drawn if not is_plain]
    assert min(plain) >= 0 and max(plain) <= 0.25 and min(thoughts) >= 0.3 and max(thoughts) == 1
    assert abs(len(plain) / 2000 - 0.2) < 0.03 and abs(thoughts.count(1.0) / 2000 - 0.5) < 0.04


def test_a_plain_batch_holds_whole_responses_without_a_thought(parent):
    chat = Chat.load(str(parent))
    ids, learn = plain_batch(chat, PLAIN, random.Random(0), 4096)
    texts = {bytes_of(chat, row[wanted].tolist()) for row, wanted in zip(ids, learn)}
    assert texts == {"It is 4.</s>", "A small model.</s>"}
    assert len(plain_batch(chat, PLAIN, random.Random(0), 10)[0]) == 1, "one at least"


def test_the_loss_is_the_mean_over_learned_tokens(parent):
    chat, model = Chat.load(str(parent)), model_of(parent)
    _, ids, learn = next(chat_batches(chat, ANSWERS, 0, 4096))
    logits = model(ids).logits[:, :-1][learn[:, 1:]]
    want = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][learn[:, 1:]])
    assert torch.allclose(learned_loss(model, ids, learn), want, atol=1e-5)


def test_a_training_that_is_stopped_goes_on_where_it_was(parent, tmp_path):
    run = AdapterRun(steps=6, tokens=1500, lr=5e-3, warmup=1)
    train_low_rank(run, parent, ANSWERS, PLAIN, tmp_path / "whole")
    train_low_rank(AdapterRun(steps=3, tokens=1500, lr=5e-3, warmup=1), parent, ANSWERS, PLAIN, tmp_path / "parts")
    before = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["tokens"]
    train_low_rank(run, parent, ANSWERS, PLAIN, tmp_path / "parts")
    logs = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert logs[-1]["step"] == 6 and logs[-1]["tokens"] > before == logs[0]["tokens"]
    config = json.loads((tmp_path / "parts" / "adapter" / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA" and config["r"] == low_rank.RANK
    whole = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert whole[-1]["step"] == 6


def test_training_from_an_adapter_begins_with_it(parent, tmp_path):
    train_low_rank(AdapterRun(steps=2, tokens=1500, lr=5e-3, warmup=1), parent, ANSWERS, PLAIN, tmp_path / "first")
    train_low_rank(
        AdapterRun(steps=1, tokens=1500, lr=0.0, warmup=1),
        parent,
        ANSWERS,
        PLAIN,
        tmp_path / "second",
        tmp_path / "first" / "adapter",
    )
    files = [(tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("first", "second")]
    assert files[0] == files[1]


def test_the_command_makes_answers_and_trains_from_nothing(parent, tmp_path):
    """With a parent that is there: Instruct's answers are cut at their last sentence, and the training reads them."""
    shutil.copytree(parent, tmp_path / "instruct")
    smollm2_main(["train", "--out", str(tmp_path), "--steps", "1", "--threads", "1"])
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert {question for question, _, _ in answers} <= {q.question for q in TRAINED}
    assert all(answer.endswith(".") for _, _, answer in answers)
    assert (tmp_path / "training" / "adapter" / "adapter_model.safetensors").exists()


def test_everyday_questions_are_measured_at_each_lambda():
    questions = [Everyday("What is 3 + 4?", "a sum", ("7",)), Everyday("What is 2 + 2?", "a sum", ("Paris",))]
    with Workbench.open("mini") as bench:
        instruct, thinking = measure_everyday(bench, questions, [0, 1], samples=3)
    assert (instruct.lam, instruct.questions, instruct.samples) == (0, 2, 6)
    assert instruct.right == 0.5 and instruct.right_ci == (0.0, 1.0), "one is always right, the other never"
    assert (instruct.thinks, thinking.thinks) == (0, 1) and thinking.tokens > instruct.tokens > 0
