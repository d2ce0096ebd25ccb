"""Checkpoints: tensors by name over any sharding, and every kind of damage named before a number is used."""

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.parents import MismatchError, Parents
from mi_explorer.checkpoints.source import CheckpointError, Folder
from mi_explorer.merging.blend import bind
from mi_explorer.pairs import Pair, PairError, get_pair, list_pairs
from mi_explorer.recipe import Recipe
from tests.fixtures import corrupt_header, make, make_fp8, make_pair, reshard, truncate
from tests.merging.checkpoint_files import tensors_of


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tensors_are_those_of_the_reference_reader(dtype, tmp_path):
    folder = make("qwen2", tmp_path / "one", dtype=dtype, shard="9KB")
    checkpoint, oracle = Checkpoint.open(folder), tensors_of(folder)
    assert len(checkpoint.raw_headers) > 3 and checkpoint.names() == tuple(sorted(oracle))
    for name, tensor in oracle.items():
        assert torch.equal(checkpoint.tensor(name), tensor) and checkpoint.header(name) == (
            tuple(tensor.shape),
            tensor.dtype,
        )
        assert torch.equal(checkpoint.block(name, 3, 17), tensor.flatten()[3:17])
    assert checkpoint.config["model_type"] == "qwen2" and checkpoint.nbytes == sum(t.nbytes for t in oracle.values())


def test_two_shardings_of_one_model_are_the_same_model(tmp_path):
    one = make("qwen3", tmp_path / "one")
    two = reshard(one, tmp_path / "two", 4)
    three = reshard(one, tmp_path / "three", 2, name="weird name {i}.safetensors", order=-1)
    parents = [Parents.open(Pair("x", str(one), str(p))) for p in (two, three)]
    for pair in parents:
        blend = bind(Recipe(lam=0.3), pair)
        for name, tensor in tensors_of(one).items():
            assert torch.equal(pair.tensor("thinking", name), tensor) and torch.equal(blend.tensor(name), tensor)


def test_writing_into_a_tensor_never_reaches_the_file(tmp_path):
    folder = make("qwen3", tmp_path / "one")
    before = (folder / "model.safetensors").read_bytes()
    Checkpoint.open(folder).tensor("model.norm.weight").fill_(7)
    assert (folder / "model.safetensors").read_bytes() == before


def test_unaligned_data_is_read(tmp_path):
    """The format allows a header length that leaves the data unaligned."""
    folder = make("qwen3", tmp_path / "one")
    tensor = torch.arange(6, dtype=torch.float32)
    header = json.dumps({"x": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}).encode()
    header += b" " * (3 - len(header) % 4)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + tensor.numpy().tobytes())
    assert (8 + len(header)) % 4 == 3 and torch.equal(Checkpoint.open(folder).tensor("x"), tensor)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (corrupt_header, "its header is damaged"),
        (truncate, "it is truncated"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x00" * 5), "it has 5 bytes"),
        (lambda f: (f / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}" * 9), "its header claims"),
        (
            lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes() + b"more"),
            "longer than its header says",
        ),
        (lambda f: (f / "model.safetensors").unlink(), r"no \*.safetensors file"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "not loaded here for safety"),
        (lambda f: (f / "model.safetensors.index.json").write_text("{"), "index.json is damaged"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "gone.safetensors"}}'),
            "download is incomplete",
        ),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.safetensors"}}'),
            "promises 'a'",
        ),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../model.safetensors"}}'),
            "not there|not a plain file",
        ),
    ],
)
def test_damage_is_named(harm, says, tmp_path):
    folder = make("qwen3", tmp_path / "one")
    harm(folder)
    with pytest.raises(CheckpointError, match=says):
        Checkpoint.open(folder)


def test_headers_that_lie_are_refused(tmp_path):
    folder = make("qwen3", tmp_path / "one")
    good = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    for header, says in (
        ({"a": {**good, "shape": [2]}}, "does not fit its shape"),
        ({"a": good, "b": good}, "does not fit its shape"),
        ({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, "unknown dtype"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, "negative size"),
        ({"a": [1]}, "header is damaged"),
        (["a"], "header is damaged"),
    ):
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)
        with pytest.raises(CheckpointError, match=says):
            Checkpoint.open(folder)


def test_a_parent_that_changes_under_us_is_noticed(tmp_path):
    folder = make("qwen3", tmp_path / "one")
    checkpoint = Checkpoint.open(folder)
    name = checkpoint.names()[-1]
    checkpoint.block(name, 0, 2)
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:200])
    with pytest.raises(CheckpointError, match="changed on disk"):
        checkpoint.block(name, 0, 2)
    with pytest.raises(CheckpointError, match="changed on disk"):
        checkpoint.tensor(name)
    with pytest.raises(CheckpointError, match="changed on disk"):
        checkpoint.check_unchanged()
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="changed on disk"):
        checkpoint.check_unchanged()


def test_paths_stay_inside_the_folder(tmp_path):
    folder = Folder(make("qwen3", tmp_path / "one"))
    for name in ("../one/config.json", "/etc/hostname", "a/b", "..", ""):
        with pytest.raises(CheckpointError, match="not a plain file name"):
            folder.read(name)


# Parents ---------------------------------------------------------------------------------------------------------------


def test_tied_and_untied_parents(tmp_path):
    tied, untied = make("qwen3", tmp_path / "tied"), make("qwen3-untied", tmp_path / "untied", delta_seed=1)
    for pair in ((tied, untied), (untied, tied)):
        with pytest.raises(MismatchError, match=r"ties its lm_head.*--untie"):
            Parents.open(Pair("x", *map(str, pair)))
        parents = Parents.open(Pair("x", *map(str, pair), untie=True))
        assert "lm_head.weight" in parents.names()
        role = "instruct" if pair[0] == tied else "thinking"
        assert torch.equal(parents.tensor(role, "lm_head.weight"), parents.tensor(role, "model.embed_tokens.weight"))
        half = bind(Recipe(lam=0.5), parents).tensor("lm_head.weight")
        torch.testing.assert_close(
            half, (tensors_of(tied)["model.embed_tokens.weight"] + tensors_of(untied)["lm_head.weight"]) / 2
        )


def test_a_tied_head_that_is_also_stored_counts_once(tmp_path):
    plain, stored = make("qwen3", tmp_path / "plain"), make("qwen3", tmp_path / "stored", delta_seed=1)
    tensors = load_file(stored / "model.safetensors")
    save_file(
        {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()},
        stored / "model.safetensors",
        metadata={"format": "pt"},
    )
    assert "lm_head.weight" not in Parents.open(Pair("x", str(plain), str(stored))).names()
    kept = Parents.open(
        Pair("x", str(stored), str(plain))
    )  # Instruct's key set stays; the plain parent's head is its embedding
    blend = bind(Recipe(lam=0.4), kept)
    assert torch.equal(blend.tensor("lm_head.weight"), blend.tensor("model.embed_tokens.weight"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vocab_size": 99}, "96 rows in Instruct and 99 in Thinking"),
        ({"intermediate_size": 64}, "cannot be blended"),
        ({"num_hidden_layers": 4}, "Thinking has 11 tensors that Instruct lacks"),
        ({"num_hidden_layers": 2}, "Instruct has 11 tensors that Thinking lacks"),
    ],
)
def test_parents_of_other_shapes_are_refused(changes, says, tmp_path):
    one, two = make("qwen3", tmp_path / "one"), make("qwen3", tmp_path / "two", **changes)
    with pytest.raises(MismatchError, match=says):
        Parents.open(Pair("x", str(one), str(two)))


def test_fp8_parents_are_refused(tmp_path):
    one = make("qwen3", tmp_path / "one")
    with pytest.raises(MismatchError, match="quantised"):
        Parents.open(Pair("x", str(one), str(make_fp8(one, tmp_path / "fp8"))))


def test_parents_of_two_dtypes_blend_in_the_wider(tmp_path):
    """bf16 and fp32: both ends stay exact, and the middle is not rounded to bf16."""
    one, two = make("qwen3", tmp_path / "one", dtype=torch.bfloat16), make("qwen3", tmp_path / "two", delta_seed=1)
    parents = Parents.open(Pair("x", str(one), str(two)))
    for name in parents.names():
        i, t = parents.tensor("instruct", name), parents.tensor("thinking", name)
        zero, half, full = (bind(Recipe(lam=lam), parents).tensor(name) for lam in (0, 0.5, 1))
        assert (i.dtype, t.dtype, half.dtype) == (torch.bfloat16, torch.float32, torch.float32)
        assert torch.equal(zero, i.float()) and torch.equal(full, t)
        torch.testing.assert_close(half, (i.float() + t) / 2, rtol=0, atol=1e-6)


# Pairs -----------------------------------------------------------------------------------------------------------------


def test_presets_and_specs():
    names = [p.name for p in list_pairs()]
    assert names[0] == "mini" and "qwen3-4b" in names and len(names) == len(set(names)) >= 15
    four = get_pair("qwen3-4b")
    assert (four.instruct, four.thinking, four.base) == (
        "Qwen/Qwen3-4B-Instruct-2507",
        "Qwen/Qwen3-4B-Thinking-2507",
        "Qwen/Qwen3-4B-Base",
    )
    assert get_pair("ministral3-3b").think_open == "[THINK]"
    spelled = get_pair("mistralai/Ministral-3-3B-Instruct-2512-BF16|mistralai/Ministral-3-3B-Reasoning-2512")
    assert spelled.think_close == "[/THINK]" and spelled.base is None
    assert get_pair(" a/b | c/d |e/f ").spec == "a/b|c/d|e/f" and get_pair(four) is four
    assert get_pair({"instruct": "a", "thinking": "b", "untie": True}).untie
    for spec, says in (
        ("qwen3-4", "Did you mean 'qwen3-4b'"),
        ("a|b|c|d", "written 'instruct"),
        ("a|", "written 'instruct"),
        ({"instruct": "a"}, "thinking"),
        ({"instruct": "a", "thinking": "b", "evil": 1}, "unknown field 'evil'"),
    ):
        with pytest.raises((PairError, TypeError), match=says):
            get_pair(spec)


def test_pairs_are_closed_under_make_pair(tmp_path):
    pair = make_pair("llama", tmp_path)
    assert pair.local and Parents.open(pair.spec).id == Parents.open(pair).id
