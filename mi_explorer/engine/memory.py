"""The memory of the devices: what is free, how much of it may be used, and what a pair of a config needs."""

from collections.abc import Sequence

import torch

from mi_explorer.engine.memory_plan import PairSizes
from mi_explorer.machine import free_memory
from mi_explorer.untyped import ModelConfig

USABLE_SHARE = 0.85  # of what is free in the machine's memory; the rest is everybody else's
USABLE_GPU_SHARE = 0.9  # of what is free on an accelerator; the rest is for its allocator's gaps
DEFAULT_POSITIONS = 4096  # of a config that does not say how long a sequence may be
GPUS = ("cuda", "xpu")


def available(device: torch.device) -> int | None:
    """Free memory of the device; None where it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory()


def usable_memory(device: torch.device, spread: bool = False) -> tuple[int | None, int, str]:
    """Bytes that may be used, on how many devices, and their name. `spread`: all accelerators of this machine together."""
    if spread and torch.cuda.is_available():
        free = gpus_free()
        return int(sum(free) * USABLE_GPU_SHARE), len(free), f"{len(free)} GPUs" if len(free) > 1 else "cuda"
    have = available(device)
    share = USABLE_GPU_SHARE if device.type in GPUS else USABLE_SHARE
    return None if have is None else int(have * share), 1, str(device)


def gpus_free() -> list[int]:
    """Free bytes of every GPU of this machine."""
    return [int(torch.cuda.mem_get_info(i)[0]) for i in range(torch.cuda.device_count())]


def spread_limits(free: Sequence[int], sizes: PairSizes) -> dict[int, int]:
    """Bytes of weights that each device may take, so that all keep room for their layers' KV cache in proportion to what is free.

    A library that fills one device after the other would leave none on the first ones. A layer cannot be divided: each may hold one
    more than its share.
    """
    total, layer = max(1, sum(free)), -(-sizes.weights // max(1, sizes.layers))
    usable = [int(have * USABLE_GPU_SHARE) for have in free]
    return {i: min(usable[i], sizes.weights * have // total + 2 * layer) for i, have in enumerate(free)}


def host_memory(device: torch.device) -> int:
    """Bytes of the machine's memory that copies of the endpoints may take; 0 where that is the device's own memory."""
    return int((free_memory() or 0) * USABLE_SHARE) if device.type in GPUS else 0


def pair_sizes(config: ModelConfig, parameters: int, itemsize: int) -> PairSizes:
    """Sizes of a pair with this `transformers` config, so many parameters in one checkpoint, in a dtype of `itemsize` bytes."""
    config = config.get_text_config(decoder=True)
    heads = getattr(config, "num_attention_heads", 1)
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    layers = config.num_hidden_layers
    inner = max(
        getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        (getattr(config, "moe_intermediate_size", None) or 0) * (getattr(config, "num_experts_per_tok", None) or 1),
    )
    width = 4 * config.hidden_size + 3 * inner + (2 * heads + 2 * kv_heads) * dim
    kv_token = layers * 2 * kv_heads * dim * itemsize
    size = parameters * itemsize
    return PairSizes(size, kv_token, layers, itemsize, config.hidden_size, width, config.vocab_size, positions(config))


def positions(config: ModelConfig) -> int:
    """The longest sequence that a model of this config was made for."""
    config = config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", 0) or getattr(config, "n_positions", 0) or DEFAULT_POSITIONS)
