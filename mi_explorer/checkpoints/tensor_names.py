"""Where a tensor sits: its module and layer, told from its name alone, for any architecture.

The rules read the words of a name, not the name of an architecture: the *block* that holds the tensor decides (attention, mlp,
norm, embedding, lm_head), and a mixer that is none of these (convolution, state space, linear attention) is `other`.
A name that no rule knows is `other` too, and `unknown_names` reports it; nothing is ever dropped.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from mi_explorer.recipe import Scope

LAYER_WORDS = frozenset({"layers", "layer", "h", "blocks", "block", "decoder_layers"})
# Towers and heads beside the text decoder: their blocks are numbered too, but they are not the decoder's layers.
BESIDE = re.compile(
    r"^(visual|vision\w*|audio\w*|vit|image\w*|multi_modal_projector|mm_projector|connector|mtp\w*|merger)$"
)


def is_beside(key: str) -> bool:
    """Whether a key of a model belongs to what stands beside its language model: a tower that sees or hears, a connector."""
    return any(BESIDE.match(word) for word in key.split("."))


RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("lm_head", re.compile(r"^(lm_head|embed_out|output_projection|output)$")),
    (
        "embedding",
        re.compile(
            r"^(embed_tokens|tok_embeddings?|word_embeddings?|embed_in|wte|wpe|embed_positions|embeddings?"
            r"|embed_tokens_per_layer|embedding_projection)$"
        ),
    ),
    (
        "other",
        re.compile(
            r"^(conv|conv1d|short_conv|linear_attn|mamba\w*|mixer|ssm|rwkv|time_mix\w*|recurrent\w*|delta_?net\w*)$"
        ),
    ),
    (
        "attention",
        re.compile(
            r"^(self_attn|attn|attention|self_attention|cross_attn|query_key_value|[qkvo]_proj|qkv_proj|wqkv|w[qkvo])$"
        ),
    ),
    ("norm", re.compile(r"(norm|^ln(_?\w+)?$)")),
    (
        "mlp",
        re.compile(
            r"^(mlp|feed_forward|ffn|moe|block_sparse_moe|experts|shared_experts?|router|gate|gate_proj|up_proj|down_proj"
            r"|gate_up_proj|fc1|fc2|fc_in|fc_out|dense_h_to_4h|dense_4h_to_h)$"
        ),
    ),
)


@lru_cache(maxsize=1 << 16)
def classify(name: str) -> tuple[str, int | None, bool]:
    """(module, layer or None, known) of a tensor name. `layer` is 0-based; None for what belongs to no decoder layer."""
    words = name.split(".")
    if is_beside(name):
        return "other", None, True
    layer, tail = None, words
    for i, word in enumerate(words[:-1]):
        if word in LAYER_WORDS and words[i + 1].isdigit():
            layer, tail = int(words[i + 1]), words[i + 2 :]
            break
    # The outermost word that means something decides: the q_norm of an attention block belongs to that block, as does
    # everything that a person who says "without attention" wants to leave alone.
    for word in tail:
        for module, pattern in RULES:
            if layer is not None and module == "lm_head":
                continue  # "output" inside a layer is a projection of its block, never the head
            if pattern.search(word):
                return module, layer, True
    return "other", layer, False


def place(name: str) -> tuple[str, int | None]:
    """(module, layer) of a tensor name; module is one of `recipe.MODULES`, layer None for embedding, head and final norm."""
    module, layer, _ = classify(name)
    return module, layer


def unknown_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names that no rule knows; they are placed in `other` and should be reported to the user."""
    return tuple(name for name in names if not classify(name)[2])


def layer_count(names: Iterable[str]) -> int:
    """Number of decoder layers: the highest layer index + 1; 0 without layers."""
    return 1 + max((layer for layer in (place(name)[1] for name in names) if layer is not None), default=-1)


def inside(scope: Scope, name: str) -> bool:
    """Whether the tensor of this name is blended under `scope`; outside it stays Instruct's, bit for bit."""
    return scope.includes(*place(name))
