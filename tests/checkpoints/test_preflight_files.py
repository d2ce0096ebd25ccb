"""What preflight reads: headers and small files, of a folder or by ranges of a hub, and no weight."""

import gc
import json
import re
import struct
import time
from pathlib import Path

import pytest
import torch

from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.checkpoints.source import CheckpointError, Folder, Hub
from mi_explorer.pairs import Pair
from tests.fixtures import make_pair, make_tokenizer
from tests.hub_server import HubServer, point_to


def big_index(folder: Path, layers=48, experts=128, shards=16) -> Path:
    """A 30B-A3B-sized checkpoint whose data are holes: 18,867 tensors over 16 shards, 61 GB of address space, no disk."""
    folder.mkdir()
    shapes = {
        "model.embed_tokens.weight": [151936, 2048],
        "lm_head.weight": [151936, 2048],
        "model.norm.weight": [2048],
    }
    for i in range(layers):
        at = f"model.layers.{i}."
        shapes |= {f"{at}self_attn.{p}_proj.weight": [2048, 2048] for p in "qkvo"} | {
            f"{at}self_attn.{p}_norm.weight": [128] for p in "qk"
        }
        shapes |= {
            f"{at}input_layernorm.weight": [2048],
            f"{at}post_attention_layernorm.weight": [2048],
            f"{at}mlp.gate.weight": [128, 2048],
        }
        for e in range(experts):
            shapes |= {
                f"{at}mlp.experts.{e}.{p}_proj.weight": [768, 2048] if p != "down" else [2048, 768]
                for p in ("gate", "up", "down")
            }
    weight_map, names = {}, list(shapes)
    for s in range(shards):
        shard, header, at = f"model-{s + 1:05}-of-{shards:05}.safetensors", {}, 0
        for name in names[s::shards]:
            size = 2 * torch.Size(shapes[name]).numel()
            header[name] = {"dtype": "BF16", "shape": shapes[name], "data_offsets": [at, at + size]}
            at, weight_map[name] = at + size, shard
        text = json.dumps(header).encode()
        with open(folder / shard, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + at)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text(
        json.dumps(
            {"model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": layers, "vocab_size": 151936}
            | {"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 128, "moe_intermediate_size": 768}
        )
    )
    return folder


def test_a_30b_index_is_judged_in_seconds_without_a_weight_byte(tmp_path, monkeypatch):
    pair = Pair("big", str(big_index(tmp_path / "instruct")), str(big_index(tmp_path / "thinking")))
    small = big_index(tmp_path / "small", layers=1, experts=2, shards=1)
    preflight(Pair("small", str(small), str(small)))  # what transformers imports once in a process is not counted
    spans = []
    span = Folder.span

    def watched(self, name, start, stop):
        spans.append((self.path / name, start, stop))
        return span(self, name, start, stop)

    monkeypatch.setattr(Folder, "span", watched)
    io = Path("/proc/self/io")
    gc.freeze()  # what other tests left behind is not gone through on preflight's account
    before, started = int(re.search(r"rchar: (\d+)", io.read_text())[1]), time.process_time()
    result = preflight(pair, memory=200 * 10**9)
    seconds = time.process_time() - started
    gc.unfreeze()
    read = int(re.search(r"rchar: (\d+)", io.read_text())[1]) - before
    assert (
        result.ok and result.facts["tensors"] == 48 * (9 + 384) + 3 and 57e9 < result.facts["disk"]["instruct"] < 63e9
    )
    assert seconds < 2.0  # of processor time, with what transformers needs to build the model without weights
    for path, _, stop in spans:
        with open(path, "rb") as file:
            assert stop <= 8 + struct.unpack("<Q", file.read(8))[0]
    assert len(spans) == 64 and read < 20_000_000  # headers and indexes of both parents are 7 MB


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = HubServer(tmp_path / "hub")
    pair = make_pair("qwen3", tmp_path / "hub" / "lab", shards=("20KB", "50GB"))
    for folder in (pair.instruct, pair.thinking):
        make_tokenizer(folder)
    point_to(monkeypatch, server.endpoint, tmp_path / "cache")
    yield server
    server.close()


def test_a_hub_pair_is_judged_by_ranges(hub, tmp_path):
    result = preflight(Pair("x", "lab/instruct", "lab/thinking", "lab/base"))
    assert result.ok and result.facts["tensors"] == 35 and result.facts["shards"]["instruct"] > 3
    for name, _, last in hub.spans:
        if name.endswith(".safetensors"):
            lengths = {8 + struct.unpack("<Q", f.read_bytes()[:8])[0] for f in (tmp_path / "hub/lab").rglob(name)}
            assert last in lengths | {8}
    assert {n for n, _, _ in hub.spans if not n.endswith(".safetensors")} <= {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
    }
    missing = preflight(Pair("x", "lab/instruct", "lab/nothing"))
    assert missing.verdict == "refused" and "lab/nothing" in missing.findings[0].what
    with pytest.raises(CheckpointError, match="hub id"):
        Hub("../../etc/passwd")


def test_a_dead_hub_is_one_clear_message(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(CheckpointError, match="local folder"):
        Hub("lab/model", endpoint="http://127.0.0.1:9").files()
