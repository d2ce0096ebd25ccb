"""What two configs say about a pair: of one architecture, and would the same weights compute the same under both?

The fields are those of the library's config objects, so that a field that one file leaves to its default compares as that default.
"""

import re
from collections.abc import Callable, Iterator

from mi_explorer.checkpoints.checkpoint_info import CheckpointInfo
from mi_explorer.checkpoints.findings import Finding, note, refused, shorten
from mi_explorer.checkpoints.model_config import read_config
from mi_explorer.pairs import Pair
from mi_explorer.untyped import JsonObject, ModelConfig

# Fields without effect on the computation of a forward pass, or that another check covers.
HARMLESS = frozenset(
    [
        "_name_or_path",
        "architectures",
        "transformers_version",
        "torch_dtype",
        "dtype",
        "use_cache",
        "eos_token_id",
        "bos_token_id",
        "pad_token_id",
        "unk_token_id",
        "auto_map",
        "initializer_range",
        "attention_dropout",
        "hidden_dropout",
        "resid_pdrop",
        "embd_pdrop",
        "attn_pdrop",
        "output_router_logits",
        "router_aux_loss_coef",
        "tie_word_embeddings",
        "vocab_size",
        "quantization_config",
        "_attn_implementation",
        "_attn_implementation_autoset",
        "chunk_size_feed_forward",
        "gradient_checkpointing",
        "problem_type",
        "task_specific_params",
        "id2label",
        "label2id",
        "return_dict",
        "torchscript",
        "output_attentions",
        "output_hidden_states",
        "pretraining_tp",
        "unsloth_version",
        "unsloth_fixed",
        "name_or_path",
        "text_config",
        "sub_configs",
        "summary_type",
        "summary_use_proj",
        "summary_activation",
        "summary_proj_to_labels",
        "summary_first_dropout",
        "embedding_dropout",
        "mlp_dropout",
        "num_nextn_predict_layers",
        "model_type",
    ]
)
# Fields that change how far positions reach, not what a weight means: Instruct's config is kept, and said.
REACH = frozenset(
    [
        "max_position_embeddings",
        "n_positions",
        "rope_scaling",
        "sliding_window",
        "use_sliding_window",
        "max_window_layers",
        "original_max_position_embeddings",
    ]
)
BY_LENGTH = ("default", "dynamic")  # rotary scalings that leave the positions of a short context alone
# Of one architecture and size, but not of one lineage: R1-Distill descends from Qwen2.5-Math (relative L2 to these is over 100 %).
STRANGERS = (
    (
        re.compile(r"Qwen/Qwen2\.5-(1\.5B|7B)(-Instruct)?"),
        re.compile(r"deepseek-ai/DeepSeek-R1-Distill-Qwen-(1\.5B|7B)"),
    ),
)
THETA = ("rope_theta", "partial_rotary_factor")


def lineage_findings(pair: Pair) -> Iterator[Finding]:
    """Pairs that look right and are not, told from their names alone, before anything is asked from a hub."""
    for one, two in STRANGERS:
        for a, b in ((pair.instruct, pair.thinking), (pair.thinking, pair.instruct)):
            if one.fullmatch(a) and two.fullmatch(b):
                yield refused(
                    "lineage",
                    f"{a} and {b} are of different lineages.",
                    "They have the same shapes, but their weights are over 100 % "
                    "(relative L2) apart: R1-Distill descends from Qwen2.5-Math.",
                    "Use the Qwen2.5-Math model of the same size instead.",
                )


def config_findings(one: CheckpointInfo, two: CheckpointInfo, backbone: bool = False) -> Iterator[Finding]:
    """Compare the configs of the parents. `backbone`: Instruct is the pair's base on purpose, so differences are notes.

    Raises `CheckpointError` where a config describes no model.
    """
    kinds = one.config.get("model_type"), two.config.get("model_type")
    if kinds[0] != kinds[1]:
        yield refused(
            "architecture",
            f"Instruct is a {str(kinds[0])[:40]}, Thinking a {str(kinds[1])[:40]}.",
            "Their tensors do not mean the same.",
            "Choose two fine-tunes of one base model.",
        )
        return
    a, b = text_fields(one.config), text_fields(two.config)
    for key in sorted((a.keys() | b.keys()) - HARMLESS):
        x, y = a.get(key), b.get(key)
        if x == y:
            continue
        what = f"{key} is {shorten(x)} in Instruct and {shorten(y)} in Thinking."
        if key == "rope_scaling" and not all(_kind(v) in BY_LENGTH for v in (x, y)):
            yield note(
                "config",
                what,
                "It turns every position differently, from the first token on. The blend computes with Instruct's, so that "
                "even λ = 1 is not quite Thinking.",
                "Expect the Thinking end to be weaker than the model itself; parents with one rope_scaling are exact.",
            )
        elif key in REACH or backbone:
            yield note(
                "config",
                what,
                "It changes how far positions reach; the blend keeps Instruct's config."
                if key in REACH
                else "The blend keeps the base's config, as the backbone was asked to be the base.",
                "Nothing to do for short contexts." if key in REACH else "",
            )
        else:
            yield refused(
                "config",
                what,
                "The same weights would compute something else.",
                "Choose parents with the same configuration, or correct config.json if one of them is wrong.",
            )


def text_fields(raw: JsonObject) -> JsonObject:
    """The fields of a config's language model, with rotary settings in one form: `rope_theta`, …, and `rope_scaling` (None: plain)."""
    text = read_config(raw).get_text_config(decoder=True)
    known = _known_fields(type(text))
    fields: JsonObject = {k: v for k, v in text.to_dict().items() if k in known}
    rope = fields.pop("rope_parameters", None)
    if isinstance(rope, dict) and any(isinstance(v, dict) for v in rope.values()):  # one setting for each kind of layer
        return fields | {f"rope_parameters.{kind}": value for kind, value in rope.items()}
    if isinstance(rope, dict):
        fields |= {k: float(rope[k]) for k in THETA if isinstance(rope.get(k), int | float)}
        scaling = {k: v for k, v in rope.items() if k not in THETA}
        fields["rope_scaling"] = None if _kind(scaling) == "default" else scaling
    return fields


def _known_fields(kind: Callable[[], ModelConfig]) -> frozenset[str]:
    """Fields that the library's model reads: those of the class, without other parts of the model and the library's own notes."""
    return frozenset(k for k in kind().to_dict() if not k.endswith("_config") and not k.startswith("_"))


def _kind(scaling: object) -> str:
    return str(scaling.get("rope_type", scaling.get("type", "default"))) if isinstance(scaling, dict) else "default"
