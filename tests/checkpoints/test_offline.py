"""A parent that was downloaded once opens without a network: online → cached → offline, and what an incomplete or hostile cache does."""

import os
import shutil
import socket
import time

import pytest

from mi_explorer.checkpoints.hub_cache import CachedSnapshot, cached_checkpoint, cached_snapshot, open_source, reachable
from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.checkpoints.source import CheckpointError, Hub
from mi_explorer.pairs import Pair
from tests.fixtures import make, make_tokenizer
from tests.hub_server import SHA, HubServer, point_to
from tests.merging.checkpoint_files import tensors_of

OTHER_SHA = "f" * 40
LLAMA = {"tie_word_embeddings": True}  # as SmolLM2 is


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with lab/whole and lab/shards (three shards and more), and an empty cache."""
    for name, shard in (("whole", "50GB"), ("shards", "20KB")):
        make_tokenizer(make("llama", tmp_path / "hub" / "lab" / name, shard=shard, **LLAMA))
    server = HubServer(tmp_path / "hub")
    point_to(monkeypatch, server.endpoint, tmp_path / "cache")
    yield server
    server.close()


@pytest.fixture
def thinking(tmp_path):
    return str(make_tokenizer(make("llama", tmp_path / "thinking", delta_seed=1, **LLAMA)))


def go_offline(hub, how, monkeypatch):
    if how == "HF_HUB_OFFLINE":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    elif how == "no such host":
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://no-such-host.invalid")
    elif how == "nobody listens":
        hub.close()
    else:
        hub.fault = how
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 1)


def fill(tmp_path, name="whole", commit=SHA, ref="main"):
    """The repository of the hub in the cache, in the hub's layout: blobs, and a snapshot of links to them."""
    cache = tmp_path / "cache" / f"models--lab--{name}"
    snapshot = cache / "snapshots" / commit
    for folder in (snapshot, cache / "blobs", cache / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    if ref:
        (cache / "refs" / ref).write_text(commit)
    for file in (tmp_path / "hub" / "lab" / name).iterdir():
        blob = cache / "blobs" / f"{commit[:4]}{file.name}"
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


@pytest.mark.parametrize("how", ["HF_HUB_OFFLINE", "no such host", "nobody listens", "broken", "silent", "portal"])
def test_online_then_cached_then_offline(how, hub, thinking, monkeypatch, caplog, tmp_path):
    pair = Pair("p", "lab/shards", thinking)
    online = preflight(pair)
    assert online.verdict == "ok" and cached_checkpoint("lab/shards") is None  # judged by ranges
    assert Parents.open(pair).instruct.path.name == SHA and not caplog.messages
    go_offline(hub, how, monkeypatch)
    asked, began = len(hub.asked), time.monotonic()
    offline, parents = preflight(pair), Parents.open(pair)
    assert time.monotonic() - began < 10
    assert len(hub.asked) - asked == (how in ("broken", "silent", "portal"))  # once, not at every step
    assert offline.verdict == "ok with notes" and offline.facts["tensors"] == online.facts["tensors"]
    (note,) = (f for f in offline.findings if f.topic == "hub")
    assert "lab/shards" in note.what and SHA[:12] in note.what and caplog.messages == [note.what]
    assert ("HF_HUB_OFFLINE" in note.what) == (how == "HF_HUB_OFFLINE")
    assert parents.instruct.label == "lab/shards" and parents.instruct.path.name == SHA
    for name, tensor in tensors_of(tmp_path / "hub/lab/shards").items():
        assert parents.instruct.tensor(name).equal(tensor)


def test_offline_no_socket_is_opened(hub, thinking, tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    tried = []
    monkeypatch.setattr(socket.socket, "connect", lambda *a: tried.append(a))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: tried.append(a))
    assert preflight(Pair("p", "lab/whole", thinking)).ok and Parents.open(Pair("p", "lab/whole", thinking)).layers == 3
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE"):
        open_source("lab/nothing")
    assert not tried


def test_the_named_revision_is_used_else_main(hub, tmp_path, monkeypatch):
    for commit, ref in ((SHA, "main"), (OTHER_SHA, ""), ("e" * 40, "v2")):
        fill(tmp_path, commit=commit, ref=ref)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for revision, commit in (("main", SHA), (OTHER_SHA, OTHER_SHA), ("v2", "e" * 40)):
        found = reachable(Hub("lab/whole", revision))
        assert isinstance(found, CachedSnapshot) and found.revision == commit and commit[:12] in found.note
    with pytest.raises(CheckpointError, match="holds no copy"):
        reachable(Hub("lab/whole", "v3"))


def test_what_the_hub_refuses_is_not_taken_from_the_cache(hub, tmp_path):
    fill(tmp_path)
    shutil.rmtree(tmp_path / "hub" / "lab" / "whole")
    with pytest.raises(CheckpointError, match="404"):
        open_source("lab/whole")


def missing_shard(snapshot):
    next(iter(sorted(snapshot.glob("model-*")))).unlink()
    return "model-00001"


def missing_blob(snapshot):
    link = max(snapshot.glob("model-*"))
    link.resolve().unlink()
    return link.name


def cut_blob(snapshot):
    link = max(snapshot.glob("model-*"))
    os.truncate(link.resolve(), link.stat().st_size - 4)
    return "truncated"


def no_config(snapshot):
    (snapshot / "config.json").unlink()
    return "config.json"


def no_index(snapshot):
    (snapshot / "model.safetensors.index.json").unlink()
    return "index"


@pytest.mark.parametrize("damage", [missing_shard, missing_blob, cut_blob, no_config, no_index])
def test_an_incomplete_copy_is_one_clear_error(damage, hub, thinking, tmp_path, monkeypatch):
    word = damage(fill(tmp_path, "shards"))
    go_offline(hub, "nobody listens", monkeypatch)
    began = time.monotonic()
    refused = preflight(Pair("p", "lab/shards", thinking))
    assert refused.verdict == "refused" and word in refused.obstacles and "lab/shards" in refused.obstacles
    assert str(tmp_path) not in refused.obstacles
    with pytest.raises(CheckpointError, match=word):
        Parents.open(Pair("p", "lab/shards", thinking))
    assert time.monotonic() - began < 5 and cached_checkpoint("lab/shards") is None


def test_a_small_file_that_the_listing_named_is_missed(hub, thinking, monkeypatch):
    """An interrupted download: weights are there, the template is not. The client keeps the listing beside the snapshot."""
    snapshot = Parents.open(Pair("p", "lab/whole", thinking)).instruct.path
    (snapshot / "chat_template.jinja").unlink()
    go_offline(hub, "nobody listens", monkeypatch)
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja"):
        open_source("lab/whole")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors", "LICENSE.txt"])
def test_a_link_out_of_the_cache_is_refused(file, hub, tmp_path, monkeypatch):
    snapshot, secret = fill(tmp_path), tmp_path / "secret"
    shutil.copy(tmp_path / "hub/lab/whole/config.json", secret)
    (snapshot / file).unlink(missing_ok=True)
    (snapshot / file).symlink_to(secret)
    assert cached_checkpoint("lab/whole") is None
    with pytest.raises(CheckpointError, match="leads out"):
        cached_snapshot("lab/whole")
    with pytest.raises(CheckpointError, match="leads out"):  # the hub works, and its client takes what is there
        Parents.open(Pair("p", "lab/whole", "lab/whole"))


@pytest.mark.parametrize("ref", ["../../../outside", "../../../../../../../../etc", "", "nowhere", "\0"])
def test_a_ref_out_of_the_cache_is_refused(ref, hub, tmp_path, monkeypatch):
    shutil.copytree(tmp_path / "hub/lab/whole", tmp_path / "outside")
    cache = fill(tmp_path).parents[1]
    (cache / "refs" / "main").write_text(ref)
    assert cached_checkpoint("lab/whole") is None
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="lab/whole"):
        open_source("lab/whole")


def test_a_repository_moved_to_another_disk_is_read(hub, tmp_path, monkeypatch):
    cache = fill(tmp_path).parents[1]
    shutil.move(cache, tmp_path / "disk")
    cache.symlink_to(tmp_path / "disk")
    assert cached_snapshot("lab/whole").revision == SHA


def test_a_pipe_in_a_snapshot_is_not_opened(hub, tmp_path, monkeypatch):
    snapshot = fill(tmp_path)
    (snapshot / "tokenizer.json").unlink()
    os.mkfifo(snapshot / "tokenizer.json")
    assert cached_checkpoint("lab/whole") is None
