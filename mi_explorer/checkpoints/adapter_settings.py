"""What adapter_config.json says: which modules a LoRA adapter changes, by which rank and scale. `peft`'s own rules, checked.

Only settings that are understood pass; whatever else is switched on is refused by its name, because it would change numbers.
"""

import json
import math
from dataclasses import dataclass
from typing import TypeVar

import regex

from mi_explorer.checkpoints.source import CheckpointError, CheckpointSource
from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.untyped import Json, JsonObject

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

# Initialisations that leave the base as it is: the file alone says what the adapter adds.
PLAIN_INITIALISATIONS = ("true", "false", "gaussian", "eva", "orthogonal", "mica")
# Those that take their first product out of the base, which can be computed again from the base.
REDUCING_INITIALISATIONS = ("pissa", "olora")
# Those that change the base by data, quantised codes or random numbers that the adapter does not hold.
LOST_INITIALISATIONS = {
    "corda": "takes a product out of the base that depends on training data",
    "loftq": "sits on a quantised base",
    "lora_ga": "takes a product out of the base that depends on gradients",
    "pissa_niter": "takes a product out of the base that depends on random numbers",
}
REFUSED = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "target_parameters": "LoRA on raw parameters",
    "trainable_token_indices": "trained token rows",
    "lora_bias": "a LoRA bias",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "layer replication",
    "megatron_config": "Megatron layers",
}
# Settings that are read below, or that do not change what a finished adapter computes.
KNOWN = frozenset(
    [
        "peft_type",
        "task_type",
        "auto_mapping",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "peft_version",
        "r",
        "lora_alpha",
        "lora_dropout",
        "target_modules",
        "exclude_modules",
        "fan_in_fan_out",
        "bias",
        "use_rslora",
        "modules_to_save",
        "init_lora_weights",
        "layers_to_transform",
        "layers_pattern",
        "rank_pattern",
        "alpha_pattern",
        "megatron_core",
        "loftq_config",
        "eva_config",
        "corda_config",
        "lora_ga_config",
        "runtime_config",
        "qalora_group_size",
        "ensure_weight_tying",
        "_custom_modules",
    ]
)
Number = TypeVar("Number", int, float)
PATTERN_SECONDS, PATTERN_CHARACTERS = 1.0, 10_000


@dataclass(frozen=True)
class AdapterSettings:
    """The settings of a plain LoRA adapter. `raw` is the whole file, for writing it again."""

    label: str
    raw: JsonObject
    rank: int
    alpha: float
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]
    initialisation: str

    @property
    def named_base(self) -> str:
        """The checkpoint that the adapter was trained on, as its config says: a folder or hub id, or nothing."""
        return str(self.raw.get("base_model_name_or_path") or "")

    @property
    def reduces_base(self) -> bool:
        """Whether the base lost the product of the factors' first values when the adapter was made."""
        return self.initialisation in REDUCING_INITIALISATIONS

    def rank_of(self, module: str) -> int:
        return self._first_match(self.rank_pattern, module, self.rank)

    def scale_of(self, module: str) -> float:
        """α/r, or α/√r for rank-stabilised LoRA."""
        rank = self.rank_of(module)
        alpha = self._first_match(self.alpha_pattern, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.raw.get("use_rslora") else rank)

    def saves(self, module: str) -> bool:
        """Whether `peft` keeps a trained copy of this module beside the base's (`modules_to_save`)."""
        parts = module.split(".")
        return any(
            ".".join(parts[:n]).endswith(name)
            for name in _names(self.raw.get("modules_to_save"))
            for n in range(1, len(parts) + 1)
        )

    def targets(self, module: str) -> bool:
        """Whether the settings name this module as one with factors: others in the file are left alone by `peft`."""
        if self._excluded(module):
            return False
        target = self.raw.get("target_modules")
        if isinstance(target, str):
            if target.lower() == "all-linear":  # every linear layer but the output
                return place(f"{module}.weight")[0] not in ("lm_head", "embedding")
            return self._matches(f"(?:{target})$", module)
        if not any(_is_or_ends(module, name) for name in _names(target)):
            return False
        wanted = self.raw.get("layers_to_transform")
        if wanted is None or wanted == [] or module in _names(target):
            return True
        layer = self._layer_of(module)
        return layer is not None and layer in (wanted if isinstance(wanted, list) else [wanted])

    def _excluded(self, module: str) -> bool:
        excluded = self.raw.get("exclude_modules")
        if isinstance(excluded, str) and excluded and self._matches(f"(?:{excluded})$", module):
            return True
        if not isinstance(excluded, str) and any(_is_or_ends(module, name) for name in _names(excluded)):
            return True
        saved = _names(self.raw.get("modules_to_save"))
        return any(self._matches(rf"(^|.*\.){name}($|\..*)", module) for name in saved)

    def _layer_of(self, module: str) -> int | None:
        patterns = _names(self.raw.get("layers_pattern"))
        for pattern in [rf"(?:^|.*?\.){p}\.(\d+)\." for p in patterns] or [r".*?\.[^.]*\.(\d+)\."]:
            if found := self._match(pattern, module):
                return int(found.group(found.re.groups))
        return None

    def _first_match(self, patterns: dict[str, Number], module: str, default: Number) -> Number:
        """The value of the first pattern that matches the end of a module's name."""
        return next((v for k, v in patterns.items() if self._matches(rf"(.*\.)?({k})$", module)), default)

    def _matches(self, pattern: str, module: str) -> bool:
        return self._match(pattern, module) is not None

    def _match(self, pattern: str, module: str) -> "regex.Match[str] | None":
        try:
            if len(pattern) > PATTERN_CHARACTERS:
                raise regex.error("too long")
            return regex.match(pattern, module, timeout=PATTERN_SECONDS)
        except (regex.error, TimeoutError, RecursionError, OverflowError, MemoryError) as error:
            raise CheckpointError(
                f"{self.label}: {CONFIG} holds a pattern that cannot be used, {pattern[:60]!r} "
                f"({str(error)[:80] or type(error).__name__}). Correct it, or merge the adapter first."
            ) from None


def read_settings(folder: CheckpointSource) -> AdapterSettings:
    """adapter_config.json of a plain LoRA adapter. Raises `CheckpointError` for every other kind, by its name."""
    label = folder.label
    try:
        raw = json.loads(folder.read(CONFIG))
    except (ValueError, RecursionError):
        raise CheckpointError(f"{label}: {CONFIG} is damaged. Save the adapter again.") from None
    if not isinstance(raw, dict):
        raise CheckpointError(f"{label}: {CONFIG} is not a JSON object. Save the adapter again.")
    kind = raw.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(
            f"{label}: {'an adapter of the kind ' + _short(kind) if kind else 'an adapter without a peft_type'} is not a "
            "low-rank delta; only LoRA can be blended. Merge it into a full checkpoint first."
        )
    for key, value in raw.items():
        if key in REFUSED and value not in (None, False) or key not in KNOWN and value:
            what = REFUSED.get(key, f"a setting that is not known here, {_short(key)}")
            raise CheckpointError(
                f"{label}: the adapter uses {what}, which is not a plain low-rank delta. "
                "Merge it into a full checkpoint first."
            )
    initialisation = _initialisation(label, raw.get("init_lora_weights", True))
    rank, alpha = raw.get("r", 8), raw.get("lora_alpha", 8)
    rank_pattern, alpha_pattern = _pattern(label, raw, "rank_pattern"), _pattern(label, raw, "alpha_pattern")
    for key, values in (("r", [rank]), ("rank_pattern", rank_pattern.values())):
        if any(type(value) is not int or not 0 < value < 1 << 20 for value in values):
            raise _wrong(label, key, "ranks are whole numbers above 0")
    for key, values in (("lora_alpha", [alpha]), ("alpha_pattern", alpha_pattern.values())):
        if any(type(value) not in (int, float) or not abs(value) < 1e12 for value in values):
            raise _wrong(label, key, "scales are numbers")
    for key in ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern"):
        value = raw.get(key)
        if (
            isinstance(value, list)
            and not all(isinstance(v, str) for v in value)
            or isinstance(value, (dict, int, float))
        ):
            raise _wrong(label, key, "modules are named by texts")
    if not raw.get("target_modules"):
        raise _wrong(label, "target_modules", "the modules with factors must be named")
    return AdapterSettings(label, raw, rank, float(alpha), rank_pattern, alpha_pattern, initialisation)


def _initialisation(label: str, value: object) -> str:
    """The initialisation in lower case. Raises `CheckpointError` where the base cannot be made what it was for the adapter."""
    name = str(True if value is None else value).lower()
    if name in PLAIN_INITIALISATIONS + REDUCING_INITIALISATIONS:
        return name
    why = next((w for start, w in LOST_INITIALISATIONS.items() if name.startswith(start)), "is not known here")
    raise CheckpointError(
        f"{label}: an adapter with init_lora_weights {_short(name)} {why}. Save it again converted to plain LoRA "
        "(path_initial_model_for_weight_conversion in peft), or merge it into a full checkpoint first."
    )


def _pattern(label: str, raw: JsonObject, key: str) -> JsonObject:
    patterns = raw.get(key) or {}
    if not isinstance(patterns, dict):
        raise _wrong(label, key, "patterns map names to numbers")
    return patterns


def _wrong(label: str, key: str, why: str) -> CheckpointError:
    return CheckpointError(f"{label}: {key} in {CONFIG} is missing or wrong: {why}. Save the adapter again.")


def _names(value: Json) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else tuple(value or ())


def _is_or_ends(module: str, name: str) -> bool:
    return module == name or module.endswith(f".{name}")


def _short(value: object) -> str:
    return repr(str(value)[:60])
