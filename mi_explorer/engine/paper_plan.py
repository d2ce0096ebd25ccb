"""The memory plan of a pair on paper: from a config.json or the headers of its files, for any card, nothing loaded."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from mi_explorer.checkpoints.hub_cache import open_sources
from mi_explorer.checkpoints.model_config import meta_model, read_config
from mi_explorer.checkpoints.preflight import read_infos
from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.engine.memory import USABLE_GPU_SHARE, available, pair_sizes
from mi_explorer.engine.memory_plan import PROMPT_TOKENS, MemoryPlan, NotEnoughMemory, PairSizes, plan_memory
from mi_explorer.errors import UserError
from mi_explorer.input_limits import read_text
from mi_explorer.machine import gigabytes
from mi_explorer.pairs import Pair, get_pair
from mi_explorer.untyped import JsonMapping, JsonObject

ITEMSIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
MAX_CONFIG_BYTES = 1 << 20
MOST_TENSORS = 100_000  # of a model that is only described


def config_sizes(config: JsonMapping, dtype: str | None = None) -> PairSizes:
    """Sizes of a pair with this config.json; parameters are counted on a model without memory. `dtype`: default the config's own."""
    model = meta_model(json.dumps(dict(config)), MOST_TENSORS)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return pair_sizes(read_config(config), parameters, _itemsize(config, dtype))


def file_sizes(path: str, dtype: str | None = None) -> PairSizes:
    """`config_sizes` of a config.json, or of the folder that has one. Raises `UserError` where it cannot be read."""
    file = Path(path)
    file = file / "config.json" if file.is_dir() else file
    try:
        config = json.loads(read_text(file, MAX_CONFIG_BYTES))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{str(file)[:120]!r} cannot be read as a config.json: {str(error)[:120]}") from None
    if not isinstance(config, dict):
        raise UserError(f"{str(file)[:120]!r} holds no JSON object. Give the model's config.json.")
    return config_sizes(config, dtype)


def header_sizes(pair: str | Pair, dtype: str | None = None) -> PairSizes:
    """Sizes of a pair by preset or spec, from configs and headers alone; of a hub pair no weights are downloaded."""
    pair = get_pair(pair)
    info = read_infos(pair, open_sources(pair))["instruct"]
    places = info.tensors.places
    parameters = sum(info.entries[name].numel for name in places)
    return pair_sizes(read_config(info.config), parameters, _itemsize(info.config, dtype))


def _itemsize(config: JsonMapping, dtype: str | None) -> int:
    text = config.get("text_config")
    inner = text if isinstance(text, Mapping) else {}
    name = dtype or config.get("dtype") or config.get("torch_dtype") or inner.get("dtype") or "bfloat16"
    if name not in ITEMSIZES:
        raise CheckpointError(f"dtype must be one of {', '.join(ITEMSIZES)}, not {str(name)[:40]!r}.")
    return ITEMSIZES[str(name)]


def paper_plan(sizes: PairSizes, card_gb: float, cap: int, rows: int, cards: int = 1) -> MemoryPlan:
    """The plan for `cards` empty cards of so many GB (1e9 bytes) each, for responses of up to `cap` tokens."""
    why = f"the model is spread over {cards} devices" if cards > 1 else ""
    usable = int(cards * card_gb * 1e9 * USABLE_GPU_SHARE)
    where = f"{cards} × {card_gb:g} GB" if cards > 1 else f"a card of {card_gb:g} GB"
    return plan_memory(sizes, usable, rows, cap + PROMPT_TOKENS, why_folded=why, devices=cards, where=where)


def free_gigabytes(device: str) -> float:
    """GB that are free on a device of this machine. Raises `UserError` where it is not there or does not tell."""
    try:
        free = available(torch.device(device))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"Device {device[:40]!r} is not available here: {str(error).splitlines()[0][:120]}") from None
    if free is None:
        raise UserError(f"Device {device[:40]!r} does not tell its free memory. Name it with --memory GB.")
    return free / 1e9


def plan_values(plan: MemoryPlan) -> JsonObject:
    """A plan as JSON values; bytes are named so."""
    values = asdict(plan)
    names = {"block": "block_tokens", "weights": "weights_bytes", "pool": "pool_bytes", "workspace": "workspace_bytes"}
    named = {names.get(name, name): value for name, value in values.items()}
    return named | {"usable_bytes": named.pop("usable"), "pool_tokens": plan.tokens, "notes": list(plan.notes)}


def values_words(plan: JsonMapping) -> str:
    """The values of a plan in a few lines."""
    modes = {
        "folded": "folded: one blend on the device, one λ at a time",
        "rowwise": "row-wise: both endpoints on the device, rows at different λ share a batch",
        "both": "row-wise and folded: both endpoints and a blend on the device, whichever is quicker",
    }
    rows, tokens, usable = plan["rows"], plan["pool_tokens"], plan["usable_bytes"]
    lines = [
        modes[plan["mode"]] + (f" ({plan['why_folded']})" if plan["why_folded"] else ""),
        f"{rows} rows in a step, {plan['context']:,} positions each at most",
        f"KV cache: {plan['blocks']:,} blocks of {plan['block_tokens']} positions, {tokens:,} shared by all rows: "
        f"{tokens // plan['context']} of full length, or {rows} of {tokens // rows:,}",
        f"memory: weights {gigabytes(plan['weights_bytes'])}, KV cache {gigabytes(plan['pool_bytes'])}, workspace "
        f"{gigabytes(plan['workspace_bytes'])}" + (f", of {gigabytes(usable)} that may be used" if usable else ""),
        f"endpoints: {plan['endpoints']}",
    ]
    return "\n".join([*lines, *plan["notes"]])


CARDS_GB = (24, 32, 48, 80, 141)  # of the table of what fits which card
KNOWN_MODELS: dict[str, JsonObject] = {
    name: {
        "model_type": "qwen3_moe" if experts else "qwen3",
        "vocab_size": 151_936,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 128,
        "max_position_embeddings": 262_144,
        "tie_word_embeddings": tied,
        **({"num_experts": experts, "num_experts_per_tok": 8, "moe_intermediate_size": 768} if experts else {}),
    }
    for name, hidden, inner, layers, heads, kv_heads, tied, experts in (
        ("Qwen3-4B", 2560, 9728, 36, 32, 8, True, 0),
        ("Qwen3-8B", 4096, 12288, 36, 32, 8, False, 0),
        ("Qwen3-14B", 5120, 17408, 40, 40, 8, False, 0),
        ("Qwen3-30B-A3B", 2048, 6144, 48, 32, 4, False, 128),
    )
}
"""Configs of models of which there are Instruct and Thinking, as published."""


def cards_table(cap: int = 32_768, rows: int = 64) -> str:
    """What fits which card, as Markdown: mode, and the positions of KV cache that all rows share."""
    sizes = {name: config_sizes(config, "bfloat16") for name, config in KNOWN_MODELS.items()}
    lines = [f"| pair (bf16) | {' | '.join(f'{gb} GB' for gb in CARDS_GB)} |", "|---" * (len(CARDS_GB) + 1) + "|"]
    for name, mine in sizes.items():
        cells = []
        for gb in CARDS_GB:
            try:
                plan = paper_plan(mine, gb, cap, rows)
            except NotEnoughMemory:
                cells.append("–")
                continue
            short = f" (a response: {plan.context:,})" if plan.context < cap else ""
            cells.append(f"{plan.mode}, {plan.tokens // 1000}k{short}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
