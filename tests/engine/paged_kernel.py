"""What `varlen_attn` is documented to compute, for machines that have not its kernel."""

import torch
import torch.nn.functional as F


def reference(q, k, v, starts, ends, max_q, max_k, *, scale, enable_gqa, seqused_k, block_table):
    """`varlen_attn` as its documentation has it: pages [blocks, block, heads, dim], one query a sequence."""
    assert (starts.tolist(), ends, max_q, enable_gqa) == (list(range(len(q) + 1)), None, 1, True)
    assert seqused_k.dtype == block_table.dtype == torch.int32 and int(seqused_k.max()) <= max_k
    out = torch.empty_like(q)
    for i, (pages, used) in enumerate(zip(block_table.long(), seqused_k.tolist())):
        keys, values = (side[pages].flatten(0, 1)[:used].transpose(0, 1) for side in (k, v))
        out[i] = F.scaled_dot_product_attention(q[i][:, None], keys, values, scale=scale, enable_gqa=True)[:, 0]
    return out


def reference_of_fixed_shapes(q, k, v, starts, ends, max_q, max_k, *, scale, enable_gqa, seqused_k, block_table):
    """The same by operations whose shapes and number do not depend on values."""
    assert (ends, max_q, enable_gqa) == (None, 1, True)
    n, group = len(q), q.shape[1] // k.shape[2]
    keys, values = (side[block_table.long()].flatten(1, 2).permute(0, 2, 1, 3) for side in (k, v))
    unseen = torch.arange(keys.shape[2], device=q.device) >= seqused_k[:, None]
    mask = torch.zeros(n, 1, 1, keys.shape[2], dtype=q.dtype).masked_fill(unseen[:, None, None], float("-inf"))
    grouped = q.view(n, k.shape[2], group, -1)
    return F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=scale).reshape(q.shape)
