"""Attention of one query a row straight from the blocks of the pool, without mask, padding or copies: torch's variable-length kernel.

It needs a GPU's kernel, so `paged_check` compares it with the plain way on the user's device before it is used (`engine/fast_paths.py`).
"""

import torch
import torch.nn.functional as F

from mi_explorer.engine.fast_paths import PathCheck, check_path
from mi_explorer.engine.kv_cache import KVCache

PAGED_DEVICES = ("cuda",)  # whose build of torch has the kernel
HALF = (torch.bfloat16, torch.float16)  # the dtypes that it computes in
CHECKED_LENGTHS = (100, 300, 700, 1000)
TOLERANCE = 2e-2  # of bf16, relative to the largest value


def paged_attention(
    q: torch.Tensor, cache: KVCache, layer: int, table: torch.Tensor, used: torch.Tensor, longest: int, scale: float
) -> torch.Tensor:
    """Outputs [n, heads, dim] of queries of the same shape; `table` [n, blocks] and `used` [n] positions, both int32."""
    # not at the top: it loads torch's compiler, seconds at every start that only a GPU needs
    from torch.nn.attention import varlen

    pages = cache.layers[layer].view(2 * cache.heads, -1, cache.blocks.block, cache.dim).permute(1, 2, 0, 3)
    keys, values = pages[:, :, : cache.heads], pages[:, :, cache.heads :]
    starts = torch.arange(q.shape[0] + 1, device=q.device, dtype=torch.int32)
    out = varlen.varlen_attn(
        q, keys, values, starts, None, 1, longest, scale=scale, enable_gqa=True, seqused_k=used, block_table=table
    )
    assert isinstance(out, torch.Tensor)
    return out


def paged_check(device: torch.device, dtype: torch.dtype, heads: int, kv_heads: int, dim: int) -> PathCheck:
    """Whether it gives the plain path's numbers on this device, and sooner: four rows of different lengths in scattered blocks."""
    name = "paged attention"
    if device.type not in PAGED_DEVICES:
        return PathCheck(name, False, f"its kernel is for {', '.join(PAGED_DEVICES)}, and this is {device.type}")
    if device.type == "cuda" and dtype not in HALF:
        return PathCheck(name, False, "its kernel computes in bfloat16 or float16")
    n, longest = len(CHECKED_LENGTHS), max(CHECKED_LENGTHS)
    cache = KVCache(1, kv_heads, dim, n, 1024, device, dtype, 12)
    for slot in reversed(range(n)):
        cache.take(slot, CHECKED_LENGTHS[slot])
    generator = torch.Generator().manual_seed(0)
    cache.kv.copy_(torch.randn(cache.kv.shape, generator=generator))
    q = torch.randn(n, heads, dim, generator=generator).to(device, dtype)
    used = torch.tensor(CHECKED_LENGTHS, device=device, dtype=torch.int32)
    mask = torch.zeros(n, 1, 1, longest, device=device, dtype=dtype)
    mask.masked_fill_(cache.columns[:longest] >= used[:, None, None, None], float("-inf"))
    table, scale = cache.pages(0, n, longest), dim**-0.5

    def plain() -> torch.Tensor:
        keys, values = cache.keys_values(0, 0, n, longest)
        grouped = q.view(n, kv_heads, heads // kv_heads, dim)
        return F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=scale).reshape(q.shape)

    def fast() -> torch.Tensor:
        return paged_attention(q, cache, 0, table, used, longest, scale)

    return check_path(name, plain, fast, TOLERANCE, device)
