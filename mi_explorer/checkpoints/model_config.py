"""config.json as the config object of `transformers`, and the model of it on the meta device: names and shapes, no memory.

A config comes from outside. Everything that it can do wrong (wrong types, impossible sizes, an unknown model) ends in a
`CheckpointError`; sizes that would keep a machine busy are refused before anything is built from them.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch.overrides import TorchFunctionMode

from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.untyped import JsonMapping, LibraryObject, ModelConfig, ModelModule, TorchOperand

LARGEST_NUMBER = 1 << 40  # no whole number in a real config is larger
LARGEST_COUNT = 10_000  # layers, heads, experts, blocks, labels: far above every real language model
LARGEST_POSITION = 1 << 28  # far above every real context
COUNTS = re.compile(r"^(num|n|encoder|decoder)_(\w+_)?(layer|head|expert|block|group|stage|label)s?$|^depths?$")
POSITIONS = ("max_position_embeddings", "n_positions", "sliding_window")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
SCALED_QUERIES = ("ministral3", "mistral4")  # model types whose attention scales queries by position
# What a config may say of weights that are not quantised here, and of the form in which a forward pass answers.
NOT_MEANT = ("quantization_config", "return_dict", "torchscript", "output_attentions", "output_hidden_states")
CREATED_PER_TENSOR = 40  # real models create 3 to 4 tensors while they are built for each one that their files hold


def read_config(raw: JsonMapping) -> ModelConfig:
    """The `transformers` config of a config.json, without settings that are `NOT_MEANT`.

    Raises `CheckpointError` for a model type that this version does not know, and for values that describe no model.
    """
    from transformers import CONFIG_MAPPING

    kind = raw.get("model_type", "")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise CheckpointError(
            f"Model type {str(kind)[:60]!r} is not known to the installed transformers. A newer version may know it."
        )
    try:
        check_numbers(raw)
        plain = json.loads(json.dumps({k: v for k, v in raw.items() if k not in NOT_MEANT}))
        if isinstance(plain.get("text_config"), dict):
            plain["text_config"] = {k: v for k, v in plain["text_config"].items() if k not in NOT_MEANT}
        config = CONFIG_MAPPING[kind].from_dict(plain)
        _check_sizes(config.get_text_config(decoder=True))
    except Exception as error:  # whatever a foreign value makes a config class raise, it means the same
        raise CheckpointError(f"config.json does not describe a {kind} model: {_reason(error)}") from None
    return config


def check_numbers(value: object, key: str = "") -> None:
    """`ValueError` for a whole number that no model has: some of them would be counted up to before anything else fails."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            check_numbers(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            check_numbers(inner)
    elif isinstance(value, int) and abs(value) > (LARGEST_COUNT if COUNTS.match(key) else LARGEST_NUMBER):
        raise ValueError(f"{key} is {str(value)[:24]}, which no model has")


def _check_sizes(text: object) -> None:
    """`ValueError` for fields that a config class accepts but no model can run with."""
    vocab = getattr(text, "vocab_size", None)
    if not isinstance(vocab, int) or vocab < 1:
        raise ValueError(f"vocab_size is {vocab!r}")
    for key in POSITIONS:
        value = getattr(text, key, None)
        if value is not None and not (isinstance(value, int | float) and 1 <= value <= LARGEST_POSITION):
            raise ValueError(f"{key} is {value!r}")
    experts = [n for key in EXPERTS if isinstance(n := getattr(text, key, None), int)]
    chosen = getattr(text, "num_experts_per_tok", None)
    if chosen is not None and not isinstance(chosen, int) or experts and not 1 <= (chosen or 1) <= max(experts):
        raise ValueError(f"num_experts_per_tok is {chosen!r} of {max(experts, default=0)} experts")
    for key, value in vars(text).items():
        if key.endswith(("_eps", "epsilon")) and isinstance(value, int | float) and not 0 <= value < 1:
            raise ValueError(f"{key} is {value!r}")
    _check_rotations(text)
    pad = getattr(text, "pad_token_id", None)
    if isinstance(pad, int) and not -vocab <= pad < vocab:
        raise ValueError(f"pad_token_id is {pad}, outside the vocabulary of {vocab}")


def _check_rotations(text: object) -> None:
    """`ValueError` where rotary settings turn positions by what is no finite number: every response would be lost."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = getattr(text, "rope_parameters", None)
    if not isinstance(rope, dict):
        return
    if getattr(text, "model_type", "") in SCALED_QUERIES:  # read in the forward pass alone, and without a default
        for key, least in (("llama_4_scaling_beta", -math.inf), ("original_max_position_embeddings", 0)):
            value = rope.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least < value < math.inf:
                raise ValueError(f"{key} is {value!r}")
    sections = rope.get("mrope_section")
    if sections is not None and not (
        isinstance(sections, list) and len(sections) == 3 and all(type(n) is int and n >= 0 for n in sections)
    ):
        raise ValueError(f"mrope_section is {sections!r}")
    by_layer = {kind: found for kind, found in rope.items() if isinstance(found, dict)}
    for kind, found in (by_layer or {None: rope}).items():
        theta = 1.0 if found.get("rope_theta") is None else found["rope_theta"]
        angles = ROPE_INIT_FUNCTIONS.get(found.get("rope_type", "default"))
        made = angles(text, "cpu", layer_type=kind) if angles else (torch.zeros(1), 1.0)
        if not (0 < theta < math.inf and bool(torch.isfinite(made[0]).all()) and math.isfinite(made[1])):
            raise ValueError(f"rope_parameters turn positions by no finite number ({found})")


def _reason(error: Exception) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip()
    return f"{text[:200] or type(error).__name__}."


class _Limit(TorchFunctionMode):
    """Counts the tensors that are created while a model is built, so that an absurd config cannot build for ever."""

    def __init__(self, most: int) -> None:
        self.left = most

    def __torch_function__(
        self,
        func: Callable[..., TorchOperand],
        types: object,
        args: Sequence[TorchOperand] = (),
        kwargs: dict[str, TorchOperand] | None = None,
    ) -> TorchOperand:
        self.left -= 1
        if self.left < 0:
            raise CheckpointError("config.json describes a model with far more tensors than the files hold.")
        return func(*args, **(kwargs or {}))


def model_class(config: ModelConfig) -> LibraryObject:
    """The `Auto…` class that makes a text generating model of this config: a causal language model, or one that also sees images."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        return AutoModelForCausalLM
    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return AutoModelForImageTextToText
    raise CheckpointError(
        f"Model type {config.model_type!r} is no language model that the installed transformers can run. "
        "Choose two causal language models."
    )


@lru_cache(maxsize=4)
def meta_model(text: str, tensors: int) -> ModelModule:
    """The model of a config.json (its text) on the meta device, for files of so many tensors; `CheckpointError` if there is none.

    Tied parameters are one object. Nobody may change the result: it is kept.
    """
    config = read_config(json.loads(text))
    maker = model_class(config)
    try:
        with torch.device("meta"), _Limit(CREATED_PER_TENSOR * tensors + 20_000):
            # fp32 is named because the library would make the config's dtype the default of all threads meanwhile
            return maker.from_config(config, dtype=torch.float32, trust_remote_code=False).eval()
    except CheckpointError:
        raise
    except Exception as error:  # whatever a foreign value makes a model class raise, it means the same
        raise CheckpointError(
            f"config.json does not describe a {config.model_type} model that can be built: {_reason(error)}"
        ) from None
