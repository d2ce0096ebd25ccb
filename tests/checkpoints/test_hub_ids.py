"""Hub ids: what counts as one, and which files of it are fetched."""

import json

import pytest
from huggingface_hub.utils import filter_repo_objects

from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.hub_cache import download, open_source
from mi_explorer.checkpoints.source import CheckpointError, Hub
from tests.fixtures import make
from tests.hub_server import HubServer, point_to
from tests.merging.checkpoint_files import tensors_of


def test_what_is_neither_folder_nor_hub_id():
    for where in ("./nowhere", "nowhere", "a/b/c", "", "https://example.org/x"):
        with pytest.raises(CheckpointError, match="no checkpoint folder"):
            open_source(where)


def test_hub_ids_are_downloaded_as_safetensors_and_small_files(tmp_path, monkeypatch):
    folder = make("qwen3", tmp_path / "hub" / "lab" / "model")
    for name in ("pytorch_model.bin", "modeling_x.py", "model.gguf", "x.pkl"):
        (folder / name).write_bytes(b"x")
    server = HubServer(tmp_path / "hub")
    point_to(monkeypatch, server.endpoint, tmp_path / "cache")
    checkpoint = Checkpoint.open("lab/model")
    assert checkpoint.label == "lab/model" and len(checkpoint.names()) == 35
    assert {f.name for f in checkpoint.path.iterdir()} == {"config.json", "generation_config.json", "model.safetensors"}

    def fail(repo, **options):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(CheckpointError, match="lab/model.* local folder"):
        Checkpoint.open("lab/model")
    server.close()


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        (
            ["model.safetensors", "consolidated.safetensors", "original/model.safetensors", "model.fp16.safetensors"],
            {"model.safetensors"},
        ),
        (["model.safetensors", "old-1.safetensors", "old-2.safetensors"], {"model.safetensors"}),
        (
            [
                "model.safetensors",
                "pytorch_model.bin",
                "pytorch_model.bin.index.json",
                "onnx/model.onnx",
                "onnx/x.safetensors",
            ]
            + [
                "flax_model.msgpack",
                "tf_model.h5",
                "training_args.bin",
                "optimizer.pt",
                "model-q4.gguf",
                "rng_state.pth",
            ],
            {"model.safetensors"},
        ),
        (
            ["old-1.safetensors", "old-2.safetensors", "consolidated.safetensors"],
            {"old-1.safetensors", "old-2.safetensors"},
        ),
    ],
)
def test_a_download_takes_the_weights_once(files, weights, tmp_path, monkeypatch):
    """A publisher's second copy (another format, another precision, an older save) is left on the hub."""
    tensors = tensors_of(make("qwen3", tmp_path / "one"))
    small = [
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "modeling_x.py",
        "model.gguf",
        "original/params.json",
    ]
    sizes = dict.fromkeys((*files, *small), 10)
    index = {"weight_map": {n: f"old-{1 + i % 2}.safetensors" for i, n in enumerate(tensors)}}
    hub = Hub("lab/model")
    if any("old" in name for name in files):
        sizes["model.safetensors.index.json"] = 100
    sizes["model.safetensors"] = (
        len((tmp_path / "one" / "model.safetensors").read_bytes()) if files[0] == "model.safetensors" else 0
    )
    sizes = {n: s for n, s in sizes.items() if s and "/" not in n}  # as `Hub.files` lists them
    content = {"model.safetensors.index.json": json.dumps(index).encode()}
    content["model.safetensors"] = (tmp_path / "one" / "model.safetensors").read_bytes()
    monkeypatch.setattr(hub, "files", lambda: sizes)
    monkeypatch.setattr(hub, "read", lambda name: content[name])
    monkeypatch.setattr(hub, "span", lambda name, start, stop: content[name][start:stop])
    asked = {}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path.parent))
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda repo, **options: asked.update(options) or str(tmp_path)
    )
    download(hub)
    everything = [*files, *small, "model.safetensors.index.json"]
    taken = set(
        filter_repo_objects(
            everything, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"]
        )
    )
    assert {name for name in taken if name.endswith(".safetensors")} == weights
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= taken
    formats = (".py", ".gguf", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx")
    assert not any("/" in name or name.endswith(formats) for name in taken)
