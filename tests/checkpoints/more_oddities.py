"""More edits of a checkpoint folder, of the kinds in `oddities`: quantisers, tensors, indexes and files as people leave them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints.oddities import (
    EMBEDDING,
    Edit,
    add,
    both,
    checked,
    coded,
    config_edit,
    linears,
    settings,
    tensors_edit,
    text,
)

Tensors = dict[str, torch.Tensor]


def quantiser(make: Callable[[torch.Tensor], dict[str, torch.Tensor]]) -> Edit:
    """An edit that puts `make(weight)`, by the ends of their names, in each linear weight's place."""

    def change(t: Tensors, root: str, w: torch.Tensor) -> None:
        t.update({root + end: value for end, value in make(w).items()})

    return coded(change)


def awq(w: torch.Tensor) -> Tensors:
    return {
        ".qweight": torch.ones(w.shape[1], max(1, w.shape[0] // 8), dtype=torch.int32),
        ".qzeros": torch.ones(1, max(1, w.shape[0] // 8), dtype=torch.int32),
        ".scales": torch.ones(1, w.shape[0], dtype=torch.float16),
    }


def int8(w: torch.Tensor) -> torch.Tensor:
    return torch.ones(w.shape, dtype=torch.int8)


QUANTISERS: dict[str, Edit] = {
    "AWQ": both(quantiser(awq), config_edit(quantization_config={"quant_method": "awq", "bits": 4, "version": "gemm"})),
    "AWQ unnamed": quantiser(awq),
    "bitsandbytes NF4": quantiser(
        lambda w: {
            ".weight": torch.zeros(w.numel() // 2, 1, dtype=torch.uint8),
            ".weight.absmax": torch.zeros(4, dtype=torch.uint8),
            ".weight.nested_absmax": torch.ones(1),
            ".weight.quant_state.bitsandbytes__nf4": torch.zeros(80, dtype=torch.uint8),
        }
    ),
    "FP8 with one scale": quantiser(
        lambda w: {".weight": w.to(torch.float8_e4m3fn), ".weight_scale": torch.tensor(1.0), ".input_scale": torch.tensor(1.0)}
    ),
    "FP8 of the other kind": quantiser(lambda w: {".weight": w.to(torch.float8_e5m2)}),
    "compressed-tensors int8": quantiser(lambda w: {".weight": int8(w), ".weight_scale": torch.ones(w.shape[0], 1)}),
    "NVFP4": quantiser(
        lambda w: {
            ".weight_packed": torch.zeros(w.shape[0], w.shape[1] // 2, dtype=torch.uint8),
            ".weight_scale": torch.ones(w.shape[0], 2).to(torch.float8_e4m3fn),
            ".weight_global_scale": torch.ones(1),
        }
    ),
    "AQLM": quantiser(
        lambda w: {
            ".codes": torch.zeros(w.shape[0], 4, 1, dtype=torch.int16),
            ".codebooks": torch.zeros(1, 16, 1, 8, dtype=torch.float16),
            ".scales": torch.ones(w.shape[0], 1, 1, 1, dtype=torch.float16),
        }
    ),
    "QuIP#": quantiser(
        lambda w: {".Qidxs": torch.zeros(w.shape[0], 4, dtype=torch.int64), ".SU": torch.ones(w.shape[1]), ".SV": torch.ones(4)}
    ),
    "VPTQ": quantiser(lambda w: {".indices": torch.zeros(1, w.shape[0], 4, dtype=torch.int64), ".centroids.weight": torch.ones(1, 64)}),
    "quanto": quantiser(lambda w: {".weight._data": int8(w), ".weight._scale": torch.ones(w.shape[0], 1)}),
    "BitNet": quantiser(
        lambda w: {".weight": torch.zeros(w.shape[0] // 4, w.shape[1], dtype=torch.uint8), ".weight_scale": torch.ones(1)}
    ),
    "Marlin": quantiser(lambda w: {".B": torch.zeros(2, 64, dtype=torch.int32), ".s": torch.ones(1, w.shape[0])}),
    "int8 without scales": quantiser(lambda w: {".weight": int8(w)}),
    "int64 codes in a weight's place": quantiser(lambda w: {".weight": int8(w).long()}),
    "booleans in a weight's place": quantiser(lambda w: {".weight": w > 0}),
    "codes under new names": quantiser(lambda w: {".zzz": int8(w)[:2], ".yyy": torch.ones(3)}),
    "one quantised layer": tensors_edit(
        lambda t: t.update({n: t[n].to(torch.float8_e4m3fn) for n in linears(t)[:1]}) or None
    ),
}  # fmt: skip


def prefixed(prefix: str) -> Edit:
    def change(tensors: Tensors) -> None:
        for name in list(tensors):
            tensors[prefix + name] = tensors.pop(name)

    return tensors_edit(change)


def shouted(tensors: Tensors) -> None:
    name = linears(tensors)[0]
    tensors[name.replace("proj", "Proj")] = tensors.pop(name)


def fused(tensors: Tensors) -> None:
    for name in [n for n in tensors if n.endswith("self_attn.q_proj.weight")]:
        root = name.removesuffix("q_proj.weight")
        tensors[f"{root}qkv_proj.weight"] = torch.cat([tensors.pop(f"{root}{p}_proj.weight") for p in "qkv"])


def first_norm(make: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    """Another tensor in the place of the final norm."""
    return tensors_edit(lambda t: t.update({"model.norm.weight": make(t["model.norm.weight"])}))


def padded(rows: int, say: bool) -> Edit:
    """An embedding with more rows than the tokenizer has tokens; `say`: the config knows."""

    def change(tensors: Tensors) -> None:
        old = tensors[EMBEDDING]
        tensors[EMBEDDING] = torch.cat([old, torch.zeros(rows - len(old), old.shape[1], dtype=old.dtype)])
        for name in [n for n in tensors if n == "lm_head.weight"]:
            tensors[name] = torch.cat([tensors[name], torch.zeros(rows - len(old), old.shape[1], dtype=old.dtype)])

    return both(tensors_edit(change), *([config_edit(vocab_size=rows)] if say else []))


def sharded(change: Callable[[dict[str, Any]], None], keep: bool = False) -> Edit:
    """Two shards and an index, which is then edited."""

    def edit(folder: Path) -> None:
        whole = checked(folder / "model.safetensors")
        tensors = load_file(whole)
        names = sorted(tensors)
        shards = {f"model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
        for shard, inside in shards.items():
            save_file({n: tensors[n] for n in inside}, folder / shard, metadata={"format": "pt"})
        size = sum(t.nbytes for t in tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": {n: s for s, inside in shards.items() for n in inside}}
        change(index)
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        if not keep:
            whole.unlink()

    return edit


def first_entry(shard: str) -> Callable[[dict[str, Any]], None]:
    return lambda index: index["weight_map"].update({min(index["weight_map"]): shard})


def moved(name: str, folder: str) -> Edit:
    """A copy of a file in a folder inside the checkpoint."""

    def edit(path: Path) -> None:
        (path / folder).mkdir(exist_ok=True)
        (path / folder / name).write_bytes(checked(path / name).read_bytes())

    return edit


def gone(*names: str) -> Edit:
    return lambda folder: [(folder / name).unlink(missing_ok=True) for name in names] and None


def as_folder(name: str) -> Edit:
    return both(gone(name), lambda folder: (folder / name).mkdir())


def reencoded(name: str, encoding: str) -> Edit:
    return lambda folder: (folder / name).write_bytes(checked(folder / name).read_text().encode(encoding)) and None


PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}"
NAMED = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": PLAIN}]
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "added_tokens.json",
)

# One parent with it and one without make a pair, and each is read as `transformers` reads it.
ACCEPTED: dict[str, Edit] = {
    "a scalar beside the weights": add(extra__scale=torch.tensor(2.0)),
    "an empty tensor": add(extra__empty=torch.zeros(0, 4)),
    "64-bit counters": add(model__steps=torch.tensor(7), extra__ids=torch.arange(4)),
    "norms in fp32": tensors_edit(lambda t: t.update({n: v.float() for n, v in t.items() if "norm" in n})),
    "one weight in fp16": tensors_edit(lambda t: t.update({n: t[n].half() for n in linears(t)[:1]})),
    "one weight in fp64": tensors_edit(lambda t: t.update({n: t[n].double() for n in linears(t)[:1]})),
    "shards with a wrong total size": sharded(lambda index: index["metadata"].update(total_size=5)),
    "an index without metadata": sharded(lambda index: index.pop("metadata") and None),
    "shards beside the whole file": sharded(lambda index: None, keep=True),
    "PyTorch's own format beside it": both(
        text("pytorch_model.bin", "not read"), text("pytorch_model.bin.index.json", '{"weight_map": {}}')
    ),
    "GGUF beside it": text("model-q4.gguf", "not read"),
    "the publisher's own folder": moved("model.safetensors", "original"),
    "ONNX beside it": moved("config.json", "onnx"),
    "no generation_config.json": gone("generation_config.json"),
    "no tokenizer": gone(*TOKENIZER),
    "no tokenizer_config.json": gone("tokenizer_config.json"),
    "named chat templates": lambda folder: (gone("chat_template.jinja")(folder), settings(folder, "tokenizer_config.json", chat_template=NAMED))[0],
    "a chat template in two places": lambda folder: (text("chat_template.jinja", PLAIN)(folder), settings(folder, "tokenizer_config.json", chat_template="x"))[0],
    "chat_template.json": both(gone("chat_template.jinja"), text("chat_template.json", json.dumps({"chat_template": PLAIN}))),
    "an empty chat template": text("chat_template.jinja", ""),
    "dynamic rotary scaling": config_edit(rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}),
    "linear rotary scaling": config_edit(rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}),
    "no architectures": config_edit(architectures="DROP"),
    "another dtype in the config": config_edit(dtype="float16", torch_dtype="DROP"),
    "no dtype in the config": config_edit(dtype="DROP", torch_dtype="DROP"),
    "no use of a cache": config_edit(use_cache=False),
    "a sliding window that is switched off": config_edit(use_sliding_window=False, sliding_window=4096),
}  # fmt: skip
REFUSED: dict[str, Edit] = {
    **QUANTISERS,
    "_orig_mod. before the names": prefixed("_orig_mod."),
    "module. before the names": prefixed("module."),
    "another case in a name": tensors_edit(shouted),
    "fused attention": tensors_edit(fused),
    "an empty norm": first_norm(lambda t: t[:0]),
    "a scalar norm": first_norm(lambda t: t.sum()),
    "a norm of whole numbers": first_norm(lambda t: t.long()),
    "a norm of bytes": first_norm(lambda t: t.to(torch.uint8)),
    "an embedding with padding": padded(128, say=True),
    "an embedding with padding that the config does not know": padded(128, say=False),
    "fewer key heads in the config": config_edit(num_key_value_heads=1),
    "biases that are not stored": config_edit(attention_bias=True),
    "an index that names a missing shard": sharded(first_entry("model-00003-of-00002.safetensors")),
    "an index that leaves the folder": sharded(first_entry("../model.safetensors")),
    "an index of pickles": sharded(first_entry("pytorch_model-00001.bin")),
    "an index that promises a tensor": sharded(lambda index: index["weight_map"].update(x="model-00001-of-00002.safetensors")),
    "an empty index": sharded(lambda index: index["weight_map"].clear()),
    "an index of numbers": sharded(lambda index: index.update(weight_map=5)),
    "weights in PyTorch's own format alone": lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin") and None,
    "weights in GGUF alone": lambda folder: (folder / "model.safetensors").rename(folder / "model.gguf") and None,
    "weights of another name": lambda folder: (folder / "model.safetensors").rename(folder / "weights.safetensors") and None,
    "a pointer for weights": text("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
    "an empty file for weights": text("model.safetensors", ""),
    "a folder for weights": as_folder("model.safetensors"),
    "a folder for config.json": as_folder("config.json"),
    "config.json in UTF-16": reencoded("config.json", "utf-16"),
    "config.json is a list": text("config.json", "[]"),
    "an empty config.json": text("config.json", ""),
    "an empty tokenizer.json": text("tokenizer.json", ""),
    "another model type": config_edit(model_type="llama"),
}  # fmt: skip
# What is right is not decided here; every way in must say the same.
EITHER: dict[str, Edit] = {
    "config.json with a BOM": reencoded("config.json", "utf-8-sig"),
    "tokenizer.json is a folder": as_folder("tokenizer.json"),
    "chat_template.jinja is a folder": as_folder("chat_template.jinja"),
    "chat_template.jinja is no text": lambda folder: (folder / "chat_template.jinja").write_bytes(b"\xff\xfe{{") and None,
    "NaN in the config": config_edit(rms_norm_eps=float("nan")),
    "infinity in the config": config_edit(rms_norm_eps=float("inf")),
    "no layer norm epsilon": config_edit(rms_norm_eps=0),
    "head_dim null": config_edit(head_dim=None),
    "key heads null": config_edit(num_key_value_heads=None),
    "a sliding window": config_edit(use_sliding_window=True, sliding_window=8, max_window_layers=0),
    "windows that are no number": config_edit(use_sliding_window=True, sliding_window=8, max_window_layers="x"),
    "longrope": config_edit(rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0], "long_factor": [1.0]}),
    "a factor of nought": config_edit(rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 0}),
    "a negative rope_theta": config_edit(rope_parameters={"rope_type": "default", "rope_theta": -1.0}),
    "rope_theta is a text": config_edit(rope_parameters="DROP", rope_theta="x"),
    "quantisation is a number": config_edit(quantization_config=5),
    "quantisation is a list": config_edit(quantization_config=[1]),
    "quantisation without a method": config_edit(quantization_config={}),
    "architectures is a number": config_edit(architectures=5),
    "use_cache is a text": config_edit(use_cache="x"),
    "dropout above one": config_edit(attention_dropout=2.0),
    "dropout is a text": config_edit(attention_dropout="x"),
    "initializer_range is a text": config_edit(initializer_range="x"),
    "true layers": config_edit(num_hidden_layers=True),
    "bos_token_id is a list": config_edit(bos_token_id=[1, 2]),
    "eos_token_id beyond the vocabulary": config_edit(eos_token_id=[5, 10**6]),
    "output_attentions": config_edit(output_attentions=True),
    "attention of another kind": config_edit(_attn_implementation="flash_attention_2", attn_implementation="x"),
    "return_dict is off": config_edit(return_dict=False, torchscript=True),
    "pruned heads": config_edit(pruned_heads={"0": [1]}),
    "an unknown activation": config_edit(hidden_act="swish_x"),
    "is_decoder": config_edit(is_decoder=True, add_cross_attention=True),
}  # fmt: skip
