"""What real checkpoints are found with, and what a broken one may hold: edits of a checkpoint folder in hub layout, by name.

Each takes the folder and changes it in place. `ACCEPTED` leave a model that `transformers` loads whole; `REFUSED` do not.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints.codings import bnb4, bnb8, exl2, fp8, fp8_bare, gptq, hqq, mxfp4, packed, trellis

Edit = Callable[[Path], None]
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
NOISE = torch.Generator().manual_seed(7)


def checked(path: Path) -> Path:
    """The path, if an edit may read it: an earlier edit may have put a pipe or a huge file there (`OSError`)."""
    if path.exists() and not (path.is_file() and path.stat().st_size < 1 << 24):
        raise OSError(f"{path.name} is no small regular file")
    return path


def fields(path: Path) -> dict[str, Any]:
    """The fields of a JSON file, if an earlier edit left it any (`ValueError`)."""
    content = json.loads(checked(path).read_text())
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} has no fields")
    return content


def settings(folder: Path, file: str = "config.json", **changes: Any) -> None:
    """Change fields of a JSON file; "DROP" removes one. In config.json the text model's fields."""
    path = Path(folder) / file
    content = fields(path) if path.exists() else {}
    content.update(changes)
    path.write_text(json.dumps({k: v for k, v in content.items() if v != "DROP"}))


def config_edit(**changes: Any) -> Edit:
    return lambda folder: settings(folder, **changes)


def tensors_edit(change: Callable[[dict[str, torch.Tensor]], None]) -> Edit:
    """An edit of the tensors as one dict."""

    def edit(folder: Path) -> None:
        file = checked(Path(folder) / "model.safetensors")
        tensors = {k: v.clone() for k, v in load_file(file).items()}
        change(tensors)
        save_file({k: v.contiguous() for k, v in tensors.items()}, file, metadata={"format": "pt"})

    return edit


def add(**tensors: torch.Tensor) -> Edit:
    """More tensors; `__` in a keyword stands for a dot."""
    return tensors_edit(lambda t: t.update({name.replace("__", "."): value for name, value in tensors.items()}))


def both(*edits: Edit) -> Edit:
    def edit(folder: Path) -> None:
        for one in edits:
            one(folder)

    return edit


def linears(tensors: dict[str, torch.Tensor]) -> list[str]:
    return [n for n in tensors if n.endswith("proj.weight")]


def other_head(tensors: dict[str, torch.Tensor]) -> None:
    tensors[HEAD] = tensors[EMBEDDING] + 0.3 * torch.randn(tensors[EMBEDDING].shape, generator=NOISE).to(
        tensors[EMBEDDING]
    )


def no_head(tensors: dict[str, torch.Tensor]) -> None:
    tensors.pop(HEAD, None)


def lost_tensor(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[linears(tensors)[0]]


def renamed(tensors: dict[str, torch.Tensor]) -> None:
    """Saved from the model without its head: no `model.` before the names."""
    for name in [n for n in tensors if n.startswith("model.")]:
        tensors[name.removeprefix("model.")] = tensors.pop(name)


def poisoned(value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[linears(tensors)[1]][1, 2] = value

    return change


def coded(change: Callable[[dict[str, torch.Tensor], str, torch.Tensor], None]) -> Edit:
    """Replace each linear weight by what a quantiser stores."""

    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for name in linears(tensors):
            change(tensors, name.removesuffix(".weight"), tensors.pop(name))

    return tensors_edit(edit)


def next_token_layer(folder: Path) -> None:
    """One more layer than the config says, as DeepSeek-V3, GLM-4.5 and their kin store it."""
    count = fields(folder / "config.json")["num_hidden_layers"]

    def change(tensors: dict[str, torch.Tensor]) -> None:
        root = f"model.layers.{count - 1}."
        more = {n.replace(root, f"model.layers.{count}."): t.clone() for n, t in tensors.items() if n.startswith(root)}
        tensors.update(more)
        tensors[f"model.layers.{count}.eh_proj.weight"] = torch.ones(4, 8)
        tensors[f"model.layers.{count}.enorm.weight"] = torch.ones(4)

    tensors_edit(change)(folder)


def older_shards(folder: Path) -> None:
    """The index and shards of an earlier save beside the whole file: other numbers, which nobody loads."""
    old = {k: torch.zeros_like(v) for k, v in load_file(checked(folder / "model.safetensors")).items()}
    names = sorted(old)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, inside in shards.items():
        save_file({n: old[n] for n in inside}, folder / shard, metadata={"format": "pt"})
    weight_map = {n: shard for shard, inside in shards.items() for n in inside}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def stale_index(folder: Path) -> None:
    """The index of an earlier save, without its shards."""
    older_shards(folder)
    for shard in folder.glob("model-0*.safetensors"):
        shard.unlink()


def fifo(name: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return edit


def linked(name: str, to: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(to)

    return edit


def huge(name: str) -> Edit:
    def edit(folder: Path) -> None:
        with open(checked(folder / name), "wb") as file:
            file.truncate(1 << 40)

    return edit


def text(name: str, content: str) -> Edit:
    return lambda folder: checked(folder / name).write_text(content) and None


YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}
QUANTISED = {"quantization_config": {"quant_method": "gptq", "bits": 4}}

# What `transformers` loads whole: one parent with it and one without still make a pair.
ACCEPTED: dict[str, Edit] = {
    "nothing": lambda folder: None,
    "another head under a tied config": tensors_edit(other_head),
    "a copy of the embedding as head": tensors_edit(lambda t: t.update({HEAD: t[EMBEDDING].clone()})),
    "quantisation left in the config": config_edit(**QUANTISED),
    "multi-token prediction": add(mtp__fc__weight=torch.ones(4, 8), mtp__layers__0__norm__weight=torch.ones(4)),
    "a layer beyond the last": next_token_layer,
    "rotary buffers": add(model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(4)),
    "a value head": add(v_head__summary__weight=torch.ones(1, 32), v_head__summary__bias=torch.ones(1)),
    "causal masks": add(model__layers__0__attn__masked_bias=torch.tensor(float("-inf"))),
    "unused codes": add(extra__table=torch.ones(3, 3, dtype=torch.uint32)),
    "names without a prefix": tensors_edit(renamed),
    "shards of an older save": older_shards,
    "an index without its shards": stale_index,
    "YaRN": config_edit(rope_parameters=YARN),
    "a longer context": config_edit(max_position_embeddings=512),
    "a field nobody knows": config_edit(use_mrope=False, auto_map={"AutoModel": "x.Y"}),
    "several ends": lambda folder: settings(folder, "generation_config.json", eos_token_id=[1, 2]),
    "another format beside it": text("consolidated.safetensors", "not read"),
    "a link to nowhere": linked("README.md", "/nonexistent/file"),
    "unbounded tokenizer": lambda folder: settings(folder, "tokenizer_config.json", model_max_length=10**30),
}
# What no library loads, or what would compute something else than its authors meant.
REFUSED: dict[str, Edit] = {
    "untied without a head": both(tensors_edit(no_head), config_edit(tie_word_embeddings=False)),
    "a lost tensor": tensors_edit(lost_tensor),
    "GPTQ": both(coded(gptq), config_edit(**QUANTISED)),
    "GPTQ unnamed": coded(gptq),
    "bitsandbytes 4 bit": coded(bnb4),
    "bitsandbytes 8 bit": coded(bnb8),
    "FP8": coded(fp8),
    "FP8 without scales": coded(fp8_bare),
    "EXL2": coded(exl2),
    "EXL3": coded(trellis),
    "HQQ": coded(hqq),
    "MXFP4": coded(mxfp4),
    "compressed-tensors": coded(packed),
    "vocab_size below the stored rows": config_edit(vocab_size=90),
    "vocab_size above the stored rows": config_edit(vocab_size=128),
    "another rope_theta": config_edit(rope_parameters={"rope_type": "default", "rope_theta": 5e6}),
    "an index for nothing": both(
        older_shards,
        lambda folder: (folder / "model-00002-of-00002.safetensors").unlink(),
        lambda folder: (folder / "model.safetensors").unlink(),
    ),
    "a FIFO for generation_config.json": fifo("generation_config.json"),
    "a FIFO for config.json": fifo("config.json"),
    "a FIFO for the weights": fifo("model.safetensors"),
    "/dev/zero for tokenizer_config.json": linked("tokenizer_config.json", "/dev/zero"),
    "a huge config.json": huge("config.json"),
    "a huge generation_config.json": huge("generation_config.json"),
    "a damaged generation_config.json": text("generation_config.json", "{"),
    "a list for tokenizer_config.json": text("tokenizer_config.json", "[1]"),
}
# Values of one field that describe no model (or none that runs); every one ends in a sentence.
FIELDS: dict[str, tuple[Any, ...]] = {
    "tie_word_embeddings": ("no", 5, None, {}),
    "rope_scaling": (5, "x", [1], {"rope_type": "x"}, {"type": 3}),
    "rope_parameters": (5, "x", {"rope_type": "nonsense", "rope_theta": 1e4}, {"rope_type": "yarn", "rope_theta": 1e4}),
    "sliding_window": ("x", {}, -1),
    "eos_token_id": ({}, "x", 1.5),
    "pad_token_id": (10**9, -1000, "x"),
    "max_position_embeddings": (None, "x", 0, -5, 10**18),
    "num_hidden_layers": ("DROP", "x", -1, 0, 10**9, 10**18, 2.5, None),
    "num_attention_heads": (0, -1, 3, "x", 10**9),
    "num_key_value_heads": (0, 3, "x", 10**18),
    "hidden_size": (0, -1, 33, "x", None, 10**15),
    "intermediate_size": (0, -1, "x", 10**15),
    "head_dim": (0, -1, 7, "x"),
    "vocab_size": (0, -1, "x", None, 10**15),
    "hidden_act": ("x", 5, None),
    "rms_norm_eps": ("x", None),
    "layer_types": ("x", [], ["x", "y", "z"], 5),
    "text_config": (5, "x", [1]),
    "model_type": (5, None, "x", [], "bert", "t5", "clip"),
    "dtype": ("x", []),
    "attention_bias": ("x", None),
}
# The same for the other small files, by file: a field that breaks its reader, or is never read.
OTHER_FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "generation_config.json": {
        "eos_token_id": ("x", {}, [1, "x"], [[1]], 10**30, -1, True, 2.5),
        "pad_token_id": ("x", [1]),
        "temperature": ("x", -1, {}),
        "cache_implementation": ("x", 5),
        "watermarking_config": (5, {"x": 1}),
        "max_length": (-1, "x"),
    },
    "tokenizer_config.json": {
        "model_max_length": ("x", -1, {}, []),
        "eos_token": (5, []),
        "bos_token": ({}, {"content": 5}),
        "chat_template": (5, [5], {"a": 5}, "{{"),
        "added_tokens_decoder": (5, [], {"x": {}}, {"1": 5}),
        "tokenizer_class": ("Nonsense", 5, "BertTokenizer"),
        "extra_special_tokens": (5, "x", {"a": 5}),
        "padding_side": ("x", 5),
        "split_special_tokens": ("x",),
        "auto_map": ({"AutoTokenizer": ["x.Y", None]}, 5),
    },
    "tokenizer.json": {
        "model": (5, None, {"type": "BPE"}, {"type": "x", "vocab": {}}),
        "pre_tokenizer": (5, {"type": "x"}),
        "added_tokens": (5, [5], [{"id": "x", "content": "a"}]),
        "post_processor": ({"type": "x"},),
        "version": (5,),
    },
    "special_tokens_map.json": {"eos_token": (5, [], {}), "bos_token": ("<new>",)},
}
