"""The memory plan: what of a pair is held where, and how many positions of KV cache that leaves. Pure arithmetic, no device asked.

From the sizes of a pair, the memory of a device and what is wanted come the mode (which weights are on the device), the rows of a
step, the context of a row and the blocks of the KV pool that all rows share. More memory never gives less of any of them: a mode that
takes more weights begins only where its pool is as large as the one of the mode before it may get. All sizes in bytes.
"""

from dataclasses import dataclass
from typing import Literal

from mi_explorer.errors import UserError
from mi_explorer.machine import gigabytes

BLOCK_TOKENS = 256  # positions of one block of KV cache; paged attention kernels want a multiple of 256
SHORT_CONTEXT = 2048  # positions of the pool for each row on average, below which rows are given up
ROWWISE_CONTEXTS = 2  # rows of full length that the pool must hold before both endpoints are kept on the device
BOTH_CONTEXTS = 12  # and before merged weights are kept beside them
PROMPT_TOKENS = 1024  # positions for a prompt beside the response
PREFILL_TOKENS = 4096  # tokens of prompts in a pass, whose activations must fit
GATHERED_TOKENS = 65_536  # positions of one layer that attention may copy out of the pool at a time
LOGIT_COPIES = 4  # fp32 copies of a step's logits that the sampler holds at most
SCORED_BLENDS = 3  # hidden states of a whole trace that a score keeps: two endpoints and a blend

Mode = Literal["folded", "rowwise", "both"]


class NotEnoughMemory(UserError):
    """A pair that does not fit into this machine's memory."""


@dataclass(frozen=True)
class PairSizes:
    """`weights`: one checkpoint in the dtype it runs in; `kv_token`: keys and values of one position in all `layers`; `itemsize`: of
    that dtype; `width`: features of activations that one token has at the same time; `positions`: the model's own limit."""

    weights: int
    kv_token: int
    layers: int = 1
    itemsize: int = 2
    hidden: int = 0
    width: int = 0
    vocab: int = 0
    positions: int | None = None

    def workspace(self, rows: int, context: int) -> int:
        """Activations of a pass over prompts, a step's logits, and the keys and values that attention copies."""
        activations = min(PREFILL_TOKENS, rows * context) * self.width * self.itemsize
        logits = rows * self.vocab * 4 * LOGIT_COPIES
        gathered = min(GATHERED_TOKENS, rows * context) * self.kv_token // self.layers
        return activations + logits + gathered

    @property
    def score_token(self) -> int:
        """What a score of a finished trace holds for each of its positions, beside the KV blocks that it borrows."""
        return SCORED_BLENDS * self.hidden * self.itemsize


@dataclass(frozen=True)
class MemoryPlan:
    """What may be used.

    `mode`: "folded" (one blend is on the device), "rowwise" (both endpoints) or "both". `endpoints`: where P and Q are: "device",
    "host" (copies in its memory, pinned for a GPU) or "files". `packed`: row-wise weights are held twice (see `native.packed`).
    `rows` in a step, `slots` for sequences, `context` positions of a sequence, `wanted` what was asked for; `blocks` of `block`
    positions in the KV pool. `weights`, `pool` and `workspace` in bytes; `usable` None: not known. `notes`: what was lowered, and why.
    """

    mode: Mode
    endpoints: Literal["device", "host", "files"]
    rows: int
    slots: int
    context: int
    blocks: int
    block: int
    wanted: int
    weights: int
    pool: int
    workspace: int
    usable: int | None = None
    packed: bool = False
    why_folded: str = ""
    notes: tuple[str, ...] = ()

    @property
    def rowwise(self) -> bool:
        """Whether rows at different λ share a batch."""
        return self.mode != "folded"

    @property
    def tokens(self) -> int:
        """Positions in the pool."""
        return self.blocks * self.block


def plan_memory(
    sizes: PairSizes,
    usable: int | None,
    rows: int,
    context: int,
    *,
    host: int = 0,
    only: str = "auto",
    why_folded: str = "",
    may_pack: bool = False,
    rowwise_alone: bool = True,
    devices: int = 1,
    where: str = "this device",
) -> MemoryPlan:
    """Divide `usable` bytes of the device (several: their sum; None: unlimited) among weights, workspace and KV blocks.

    Wanted: `rows` in a step and `context` positions of each; context is served first, then rows. `host`: bytes of pinned host memory
    that may hold the endpoints (0: they are read from their files). `only`: "fold" or "rowwise" to hold nothing for the other mode.
    `why_folded`: why row-wise passes cannot be (""; they can). `rowwise_alone`: whether they need no merged weights. Raises
    `NotEnoughMemory` if not even one block fits beside a blend.
    """
    context = max(1, min(context, sizes.positions or context))
    block = min(BLOCK_TOKENS, context)
    w, full = sizes.weights, _blocks(context, block)
    fixed = devices * sizes.workspace(rows, context)
    wanted = 2 * rows * full
    tiers = _tiers(sizes, wanted, full, block, "fold" if why_folded else only, may_pack, rowwise_alone)
    if usable is None:
        return _plan(sizes, tiers[-1], rows, context, context, wanted, block, fixed, None, why_folded, host)
    least = w + fixed + block * (sizes.kv_token + sizes.score_token)
    if least > usable:
        raise NotEnoughMemory(
            f"This pair needs at least {gigabytes(least)} (blend {gigabytes(w)}, workspace {gigabytes(fixed)}, and a first block of "
            f"KV cache), and {gigabytes(usable)} may be used on {where}. Use a smaller dtype (bfloat16 halves fp32), another device, "
            "fewer rows, or a smaller pair."
        )

    def pool(copies: int) -> tuple[int, int]:
        """Positions of a row and blocks beside so many copies of the weights; a score's hidden states have their place too."""
        room = usable - copies * w - fixed
        longest = min(context, max(0, room) // (sizes.kv_token + sizes.score_token))
        blocks = max(0, room - longest * sizes.score_token) // (sizes.kv_token * block)
        return min(longest, blocks * block), min(blocks, wanted)

    chosen = max(i for i, tier in enumerate(tiers) if i == 0 or pool(tier.copies)[1] >= tier.enough)
    longest, blocks = pool(tiers[chosen].copies)
    if chosen + 1 < len(tiers):
        blocks = min(blocks, tiers[chosen + 1].enough)
    if chosen == 0 and len(tiers) > 1:
        need = tiers[1].copies * w + fixed + tiers[1].enough * block * sizes.kv_token + context * sizes.score_token
        why_folded = f"both endpoints in memory need {gigabytes(need)} with their KV cache, and {gigabytes(usable)} may be used on {where}"
    return _plan(sizes, tiers[chosen], rows, context, longest, blocks, block, fixed, usable, why_folded, host)


@dataclass(frozen=True)
class _Tier:
    """A mode with so many copies of the weights on the device; it begins where its pool has `enough` blocks."""

    mode: Mode
    copies: int
    enough: int = 0
    packed: bool = False


def _tiers(
    sizes: PairSizes, wanted: int, full: int, block: int, only: str, may_pack: bool, rowwise_alone: bool
) -> list[_Tier]:
    """The modes that may run, in the order of their memory. What a mode takes beyond the one before, the pool holds as well, so that
    the mode before never leaves more than half of its room unused."""
    as_weights = sizes.weights // (sizes.kv_token * block)
    some = min(wanted, max(ROWWISE_CONTEXTS * full, as_weights))
    many = min(wanted, max(BOTH_CONTEXTS * full, 2 * as_weights))
    tiers = [_Tier("folded", 1)]
    if only != "fold" and not rowwise_alone:
        tiers.append(_Tier("both", 3, some))
    elif only == "rowwise":
        tiers.append(_Tier("rowwise", 2, min(wanted, full)))
        tiers += [_Tier("rowwise", 4, many, True)] if may_pack else []
    elif only == "auto":
        tiers += [_Tier("rowwise", 2, some), _Tier("both", 3, many)]
        tiers += [_Tier("both", 5, many, True)] if may_pack else []
    return tiers


def _blocks(tokens: int, block: int) -> int:
    return -(-tokens // block)


def _plan(
    sizes: PairSizes, tier: _Tier, rows: int, wanted: int, context: int, blocks: int, block: int, fixed: int,
    usable: int | None, why_folded: str, host: int,
) -> MemoryPlan:  # fmt: skip
    pool = blocks * block * sizes.kv_token
    fitting = max(1, min(rows, blocks * block // min(context, SHORT_CONTEXT)))
    notes = []
    if context < wanted:
        notes.append(
            f"Context lowered to {context:,} of {wanted:,} positions: {gigabytes(pool)} are left for the KV cache, "
            f"and a position takes {gigabytes(sizes.kv_token)}."
        )
    if fitting < rows:
        notes.append(f"Rows lowered to {fitting} of {rows}: the KV cache holds {blocks * block:,} positions.")
    endpoints: Literal["device", "host", "files"] = "device" if tier.mode != "folded" else "files"
    if tier.mode == "folded" and host >= 2 * sizes.weights:
        endpoints = "host"
    return MemoryPlan(
        tier.mode, endpoints, fitting, 2 * rows, context, blocks, block, wanted, tier.copies * sizes.weights, pool,
        fixed + context * sizes.score_token, usable, tier.packed, why_folded, tuple(notes),
    )  # fmt: skip
