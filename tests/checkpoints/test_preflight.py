"""Preflight: each trap found from small files and headers alone, in words; no weight byte is read, on disk or on a hub."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.config_checks import lineage_findings
from mi_explorer.checkpoints.parents import MismatchError, Parents
from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.checkpoints.source import Folder
from mi_explorer.pairs import Pair, get_pair
from tests.checkpoints.adapters import KINDS, make_adapter
from tests.expected import numbers_in
from tests.fixtures import corrupt_header, make, make_fp8, make_pair, make_tokenizer, reshard, truncate


@pytest.fixture
def pair(tmp_path):
    pair = make_pair("qwen3", tmp_path / "pair", dtype=torch.bfloat16)
    for folder in (pair.instruct, pair.thinking, pair.base):
        make_tokenizer(folder)
    return pair


def edit(folder, **changes):
    file = Path(folder) / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in config.items() if v != "DROP"}))


def found(pair, **more):
    result = preflight(pair, **more)
    return result, {f.topic: f for f in result.findings}


def test_a_good_pair_is_ok(pair):
    result = preflight(pair, memory=10**9)
    assert (result.verdict, result.findings) == ("ok", ())
    f = result.facts
    assert (f["architecture"], f["layers"], f["tensors"], f["vocabulary"], f["tied"], f["dtype"]) == (
        "qwen3",
        3,
        35,
        96,
        True,
        ["BF16"],
    )
    size = sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(pair.instruct).parameters())
    assert f["parameters"] == size and f["memory"] == {"fold": 6 * size, "rowwise": 4 * size, "free": 10**9}
    assert f["disk"]["instruct"] == (Path(pair.instruct) / "model.safetensors").stat().st_size
    json.dumps(result.to_dict())


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({"model_type": "llama"}, "refused", "Instruct is a qwen3, Thinking a llama"),
        ({"rms_norm_eps": 1e-5}, "refused", "rms_norm_eps is 1e-06 in Instruct and 1e-05 in Thinking"),
        ({"num_attention_heads": 8}, "refused", "num_attention_heads is 4 in Instruct and 8"),
        ({"hidden_act": "gelu"}, "refused", "hidden_act is 'silu' in Instruct and 'gelu'"),
        (
            {"rope_parameters": {"rope_theta": 5e6, "rope_type": "default"}},
            "refused",
            "rope_theta is 10000.0 in Instruct and 5000000.0",
        ),
        ({"rope_parameters": "DROP", "rope_theta": 5e6}, "refused", "rope_theta is 10000.0 in Instruct and 5000000.0"),
        (
            {"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarn", "factor": 4.0}},
            "note",
            "rope_scaling is None in Instruct",
        ),
        ({"max_position_embeddings": 512}, "note", "max_position_embeddings is 256 in Instruct and 512"),
        ({"head_dim": "DROP"}, "refused", "head_dim is 8 in Instruct and 128"),
        ({"quantization_config": {"quant_method": "awq"}}, "note", "its weights are plain"),
    ],
)
def test_config_fields(changes, level, says, pair):
    edit(pair.thinking, **changes)
    result, _ = found(pair)
    hits = [f for f in result.findings if says in f.what]
    assert (
        hits
        and hits[0].level == level
        and hits[0].why
        and result.verdict == ("refused" if level == "refused" else "ok with notes")
    )


def test_config_fields_without_effect_are_quiet(pair):
    edit(
        pair.thinking,
        transformers_version="4.51.0",
        use_cache=False,
        eos_token_id=7,
        torch_dtype="bfloat16",
        attention_dropout=0.1,
        architectures=["X"],
    )
    edit(pair.thinking, rope_parameters="DROP", rope_theta=10000, rope_scaling=None)
    assert preflight(pair).verdict == "ok"


def test_tensors_shapes_ties_and_dtypes(pair, tmp_path):
    untied = make("qwen3-untied", tmp_path / "untied", dtype=torch.bfloat16)
    result, topics = found(Pair("x", pair.instruct, str(untied)))
    assert (
        result.verdict == "refused"
        and "Instruct ties its lm_head" in topics["tied"].what
        and "--untie" in topics["tied"].todo
    )
    result, topics = found(Pair("x", pair.instruct, str(untied), untie=True))
    assert result.ok and "untied, as asked" in topics["tied"].why
    off = make("qwen3", tmp_path / "off", dtype=torch.bfloat16, vocab_size=99)
    result, topics = found(Pair("x", pair.instruct, str(off)))
    assert result.verdict == "refused" and numbers_in(topics["vocabulary"].what) == [96, 99] and "tensors" not in topics
    deep = make("qwen3", tmp_path / "deep", dtype=torch.bfloat16, num_hidden_layers=4)
    result, topics = found(Pair("x", pair.instruct, str(deep)))
    assert numbers_in(topics["tensors"].what)[0] == 11 and "'model.layers.3." in topics["tensors"].what
    wide = make("qwen3", tmp_path / "wide", dtype=torch.bfloat16, intermediate_size=64)
    result, topics = found(Pair("x", pair.instruct, str(wide)))
    assert "9 tensors" in topics["tensors"].what
    single = make("qwen3", tmp_path / "fp32")
    make_tokenizer(single)
    result, topics = found(Pair("x", pair.instruct, str(single)))
    assert result.verdict == "ok with notes" and re.findall("BF16|F32", topics["dtype"].what) == ["BF16", "F32"]
    result, topics = found(Pair("x", pair.instruct, pair.thinking, str(deep)))
    assert result.verdict == "refused" and "11 tensors" in topics["base"].what


def test_other_sharding_is_fine_and_damage_is_not(pair, tmp_path):
    two = reshard(Path(pair.thinking), tmp_path / "resharded", 3, name="odd {i}.safetensors")
    result = preflight(Pair("x", pair.instruct, str(two)))
    assert result.verdict == "ok" and result.facts["shards"] == {"instruct": 1, "thinking": 3}
    fp8 = make_fp8(Path(pair.thinking), tmp_path / "fp8")
    result, topics = found(Pair("x", pair.instruct, str(fp8)))
    assert (
        result.verdict == "refused"
        and "Thinking is quantised (fp8)" in topics["quantised"].what
        and "bf16 release" in topics["quantised"].todo
    )
    for harm, says in (
        (truncate, "truncated"),
        (corrupt_header, "header is damaged"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is damaged"),
        (lambda f: (f / "config.json").unlink(), "no config.json"),
    ):
        bad = reshard(Path(pair.thinking), tmp_path / f"bad {says}", 1)
        harm(bad)
        result, topics = found(Pair("x", pair.instruct, str(bad)))
        assert result.verdict == "refused" and says in topics["files"].what


def test_tokenizers_tags_and_templates(pair, tmp_path):
    make_tokenizer(
        pair.thinking,
        extra=("<tool>",),
        template="{{ messages[0]['content'] }}{% if add_generation_prompt %}<|im_start|>assistant <think>\n{% endif %}",
    )
    result, topics = found(pair)
    assert result.verdict == "ok with notes"
    assert "(95: 'z' / '<tool>')" in topics["vocabulary"].what
    assert "<think> is part" in topics["template"].why
    (Path(pair.thinking) / "tokenizer.json").unlink()
    result, topics = found(pair)
    assert "Thinking has no tokenizer.json" in topics["tokenizer"].what and result.ok
    make_tokenizer(pair.thinking)
    result, topics = found(Pair("x", pair.instruct, pair.thinking, think_open="[THINK]", think_close="[/THINK]"))
    assert "[THINK] or [/THINK]" in topics["think tags"].what


def test_tokenizers_that_disagree_are_refused(pair):
    file = Path(pair.thinking) / "tokenizer.json"
    content = json.loads(file.read_text())
    vocab = content["model"]["vocab"]
    content["model"]["vocab"] = {t: (i + 1) % len(vocab) for t, i in vocab.items()}
    content["added_tokens"] = []
    file.write_text(json.dumps(content))
    result, topics = found(pair)
    assert result.verdict == "refused" and topics["vocabulary"].what.startswith(f"{len(vocab)} token ids")


def test_memory_is_said_before_loading(pair):
    need = preflight(pair).facts["memory"]
    assert "memory" not in found(pair, memory=need["fold"])[1]
    assert "A folded third copy needs" in found(pair, memory=need["fold"] - 1)[1]["memory"].what
    result, topics = found(pair, memory=need["rowwise"] - 1)
    assert "It would not fit" in topics["memory"].why and result.verdict == "ok with notes"


def test_a_lora_parent(tmp_path):
    base = make_tokenizer(make("qwen2", tmp_path / "base"))
    folder = make_adapter(base, tmp_path / "lora", **KINDS["plain"])
    result, topics = found(Pair("x", str(base), str(folder)), memory=10**9)
    assert result.verdict == "ok with notes" and "(rank 4, 9 tensors) on instruct" in topics["adapter"].what
    assert (
        result.facts["memory"]["rowwise"]
        == result.facts["parameters"] * 4 + (folder / "adapter_model.safetensors").stat().st_size
    )
    other = make("qwen2", tmp_path / "wide", hidden_size=64)
    result, topics = found(Pair("x", str(other), str(folder)))
    assert result.verdict == "refused" and "have shapes" in topics["files"].what


@pytest.mark.parametrize("size", ["1.5B", "7B"])
def test_known_strangers_are_refused_by_name(size):
    spec = f"Qwen/Qwen2.5-{size}-Instruct|deepseek-ai/DeepSeek-R1-Distill-Qwen-{size}"
    result, topics = found(spec)
    assert (
        result.verdict == "refused"
        and "different lineages" in topics["lineage"].what
        and "Qwen2.5-Math" in topics["lineage"].todo
    )
    assert list(lineage_findings(get_pair("qwen2.5-math-1.5b"))) == []


# No weight byte ------------------------------------------------------------------------------------------------------


def test_a_pair_is_read_once_when_it_is_judged_and_opened(pair, monkeypatch):
    reads = []
    read, span = Folder.read, Folder.span
    monkeypatch.setattr(Folder, "read", lambda self, *a: reads.append((self.label, *a)) or read(self, *a))
    monkeypatch.setattr(Folder, "span", lambda self, *a: reads.append((self.label, *a)) or span(self, *a))
    assert preflight(pair).ok
    headers = [read for read in reads if read[1].endswith(".safetensors")]
    assert len(headers) == len(set(headers)) == 6
    first = len(reads)
    Parents.open(pair)
    assert {name for _, name, *_ in reads[first:]} <= {"config.json"}  # the blend's own config
    edit(pair.thinking, rms_norm_eps=1e-5)  # whatever changes is read again
    assert not preflight(pair).ok
    with pytest.raises(MismatchError, match="rms_norm_eps"):
        Parents.open(pair)
