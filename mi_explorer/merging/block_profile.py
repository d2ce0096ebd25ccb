"""A closed-form λ for every attention and MLP block of a pair (2504.10902), from a few responses of each parent.

Taking a block's output as linear in its weights, the blend that stays nearest to Instruct on Instruct's own responses D_I and to
Thinking on Thinking's own D_T minimises λ²·A + (1 − λ)²·B, with A = Σ over D_I and B = Σ over D_T of ‖Δf‖², where Δf is
the difference of the parents' block outputs on the same input. So λ* = B / (A + B). Inputs are what the parent who wrote the
response feeds the block. Every response counts once, whatever its length: its tokens are averaged.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.errors import UserError
from mi_explorer.merging.blend import bind
from mi_explorer.merging.merged_weights import MergedWeights
from mi_explorer.recipe import Recipe
from mi_explorer.untyped import TorchOperand

Ids = Sequence[int]
BLOCKS = ("attention", "mlp", "other")


class ProfileError(UserError):
    """A profile that cannot be computed: no responses, or a pair that is not in the shape of blocks."""


@dataclass(frozen=True)
class BlockShare:
    """One block: ‖Δf‖² on Instruct's and on Thinking's responses (mean over tokens, summed over responses), and λ* from them.

    `lam` is None where the parents' blocks are the same: there any λ is.
    """

    module: str
    layer: int
    instruct: float
    thinking: float

    @property
    def lam(self) -> float | None:
        total = self.instruct + self.thinking
        return self.thinking / total if total > 0 else None


@dataclass(frozen=True)
class BlockProfile:
    """λ* of every block, by layer and module; `responses` of each parent and `tokens` of both went in."""

    pair: str
    blocks: tuple[BlockShare, ...]
    responses: int
    tokens: int

    @property
    def mean(self) -> float:
        """The mean λ* over blocks, what the rest of the model takes; 0.5 if no block differs."""
        found = [b.lam for b in self.blocks if b.lam is not None]
        return sum(found) / len(found) if found else 0.5

    def recipe(self, lam: float = 1.0, template: str = "own") -> Recipe:
        """The profile as a recipe of the method `submodule`, four decimals each."""
        params = {f"{b.module}.{b.layer}": round(b.lam, 4) for b in self.blocks if b.lam is not None}
        return Recipe(
            self.pair,
            "submodule",
            lam,
            params=tuple({**params, "rest": round(self.mean, 4)}.items()),
            template=template,
        )


def find_profile(
    parents: Parents,
    instruct: Sequence[Ids],
    thinking: Sequence[Ids],
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> BlockProfile:
    """The profile from whole sequences (prompt and response ids) that Instruct and Thinking wrote.

    Both parents are in memory while it runs, beside whatever else is. Raises `UserError`.
    """
    if not instruct or not thinking:
        raise ProfileError("A profile needs at least one response of each parent.")
    models = [_model(parents, lam, device, dtype) for lam in (0.0, 1.0)]
    try:
        blocks = [_blocks(model) for model in models]
        if not blocks[0] or list(blocks[0]) != list(blocks[1]):
            raise ProfileError("This architecture has no attention and MLP blocks that can be told apart.")
        sums = [dict.fromkeys(blocks[0], 0.0), dict.fromkeys(blocks[0], 0.0)]
        total, done = len(instruct) + len(thinking), 0
        for own, sequences in enumerate((instruct, thinking)):
            with _BlockComparison(blocks[own], blocks[1 - own], sums[own]):
                for ids in sequences:
                    with torch.no_grad():
                        models[own](torch.tensor([list(ids)], device=device), use_cache=False)
                    done += 1
                    progress(done, total)
    finally:
        del models
        gc.collect()
    found = tuple(BlockShare(*key, sums[0][key], sums[1][key]) for key in sorted(sums[0], key=lambda k: (k[1], k[0])))
    return BlockProfile(
        parents.pair.name, found, min(len(instruct), len(thinking)), sum(map(len, (*instruct, *thinking)))
    )


def _model(parents: Parents, lam: float, device: str, dtype: torch.dtype) -> nn.Module:
    """A parent as `transformers` runs it, its weights read through the pair (so that adapters and renamed shards are right)."""
    from mi_explorer.checkpoints.model_config import model_class

    try:
        built = model_class(parents.config).from_config(parents.config, dtype=dtype, trust_remote_code=False)
    except (ValueError, KeyError, ImportError) as error:
        raise ProfileError(f"transformers cannot build this model: {str(error)[:200]}") from None
    built.tie_weights()
    model: nn.Module = built.to(device).eval()
    MergedWeights(model, parents.loaded).to(bind(Recipe(parents.pair.name, lam=lam), parents))
    return model


def _blocks(model: nn.Module) -> dict[tuple[str, int], nn.Module]:
    """The blocks of the decoder layers by (module, layer), in the model's order: the outermost module of each kind in a layer."""
    out: dict[tuple[str, int], nn.Module] = {}
    taken: list[str] = []
    for name, module in model.named_modules():
        kind, layer = place(f"{name}.weight")
        if layer is None or kind not in BLOCKS or any(name.startswith(t + ".") for t in taken):
            continue
        if name.split(".")[-1] == str(layer) or (kind, layer) in out:  # the layer itself
            continue
        taken.append(name)
        out[kind, layer] = module
    return out


class _BlockComparison:
    """While entered: every call of a block is repeated by its counterpart, and the squared difference is added up."""

    def __init__(
        self,
        blocks: dict[tuple[str, int], nn.Module],
        others: dict[tuple[str, int], nn.Module],
        sums: dict[tuple[str, int], float],
    ):
        self.blocks, self.others, self.sums = blocks, others, sums
        self.hooks: list[RemovableHandle] = []

    def __enter__(self) -> None:
        for key, block in self.blocks.items():
            self.hooks.append(block.register_forward_hook(self._hook(key), with_kwargs=True))

    def __exit__(self, *exc: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _hook(self, key: tuple[str, int]) -> Callable[..., None]:
        other = self.others[key]

        def compare(
            module: nn.Module, args: tuple[TorchOperand, ...], kwargs: dict[str, TorchOperand], output: TorchOperand
        ) -> None:
            mine, theirs = (x[0] if isinstance(x, tuple) else x for x in (output, other(*args, **kwargs)))
            self.sums[key] += float((theirs.float() - mine.float()).square().sum(-1).mean())  # over tokens

        return compare
