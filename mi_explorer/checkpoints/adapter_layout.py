"""Which tensors of an adapter belong to which tensors of its base: names, shapes and ranks, before anything is read."""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from mi_explorer.checkpoints.adapter_settings import CONFIG, AdapterSettings
from mi_explorer.checkpoints.headers import BLENDABLE, TensorEntry
from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.checkpoints.tensor_names import classify
from mi_explorer.untyped import JsonObject

# Layers of these models are stored as [in, out] (transformers' Conv1D), the transpose of a linear layer.
CONV1D_MODELS = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp")
CONV1D_LAYERS = ("c_attn", "c_proj", "c_fc", "q_attn")
FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")


class Factors(NamedTuple):
    """The low-rank part of one tensor: keys of A [r, in] and B [out, r] in the adapter file, and how they act on the base."""

    a: str
    b: str
    scale: float
    transposed: bool  # the tensor is stored as [in, out]
    reduced: bool  # the base lost the product of the initial factors


@dataclass(frozen=True)
class AdapterLayout:
    """What an adapter does to the checkpoint under it, told from headers alone."""

    factors: dict[str, Factors]  # by tensor
    replaced: dict[str, str]  # tensor → key in the adapter file
    entries: dict[
        str, TensorEntry
    ]  # of the adapted model: one more than below where training gave a tied model a head of its own
    own_head: str | None = None  # that head's name
    tied_to: str | None = None  # the embedding that it starts from

    def config(self, under: JsonObject) -> JsonObject:
        """config.json of the adapted model."""
        if self.own_head is None:
            return under
        text = under.get("text_config")
        nested = {"text_config": {**text, "tie_word_embeddings": False}} if isinstance(text, dict) else {}
        return {**under, **nested, "tie_word_embeddings": False}


def match_adapter(
    own: dict[str, TensorEntry],
    entries: dict[str, TensorEntry],
    config: JsonObject,
    settings: AdapterSettings,
    under: str,
) -> AdapterLayout:
    """Match every tensor of an adapter (`own`) with one of the checkpoint under it (`entries`, `config`, called `under`).

    Raises `CheckpointError` for whatever `peft` would not load, or would load to another effect.
    """
    return _Matcher(own, entries, config, settings, under).layout()


class _Matcher:
    """One pass over an adapter's header."""

    def __init__(
        self,
        own: dict[str, TensorEntry],
        entries: dict[str, TensorEntry],
        config: JsonObject,
        settings: AdapterSettings,
        under: str,
    ) -> None:
        self.own, self.entries, self.config, self.settings, self.under = own, dict(entries), config, settings, under
        self.head, self.tied_to = self._tied()
        if self.head and self.tied_to:
            self.entries[self.head] = replace(entries[self.tied_to], name=self.head)

    def _tied(self) -> tuple[str | None, str | None]:
        """(the head's name, the embedding that serves as head) where the checkpoint under the adapter stores no head."""
        if any(classify(n)[0] == "lm_head" and n.endswith("weight") for n in self.entries):
            return None, None
        found = sorted(n for n in self.entries if classify(n)[:2] == ("embedding", None) and n.endswith("weight"))
        named = [n for n in found if re.search("tok|wte|word", n)] or found
        return ("lm_head.weight", named[0]) if named else (None, None)

    def layout(self) -> AdapterLayout:
        sides: dict[str, dict[str, str]] = {}
        wrapped: dict[str, str] = {}  # tensors under a module with factors
        plain: dict[str, str] = {}
        for key in self.own:
            inner = key.removeprefix("base_model.model.")
            if match := FACTOR.match(inner):
                side = match["side"] + ("e" if match["embedding"] else "")
                sides.setdefault(match["module"], {})[side] = key
            elif ".base_layer." in inner:
                wrapped[inner.replace(".base_layer.", ".")] = key
            else:
                plain[inner] = key
        for name, key in {**plain, **wrapped}.items():
            has_factors = name.rpartition(".")[0] in sides
            if name not in self.entries or has_factors != (name in wrapped):
                raise self._wrong(
                    f"the adapter holds {key!r}, which is not a LoRA factor or a tensor of {self.under}. "
                    "Only plain LoRA (and fully saved modules) can be blended; merge the adapter first."
                )
            if self.own[key].shape != self.entries[name].shape or self.own[key].code not in BLENDABLE:
                raise self._wrong(
                    f"{key!r} is {self._about(key)}, the tensor under it {list(self.entries[name].shape)} of numbers."
                )
        replaced = plain | wrapped
        factors = {}
        for module, keys in sides.items():
            factors[f"{module}.weight"] = self._factors(module, keys, f"{module}.weight" in replaced)
        return self._with_head(factors, replaced, wrapped)

    def _factors(self, module: str, keys: dict[str, str], base_saved: bool) -> Factors:
        target = f"{module}.weight"
        embedding = "Ae" in keys
        a, b = keys.get("Ae" if embedding else "A"), keys.get("Be" if embedding else "B")
        if target not in self.entries or a is None or b is None or len(keys) != 2:
            raise self._wrong(
                f"the adapter changes {target!r}, which {self.under} does not have as one tensor. "
                "Is the adapter meant for another model?"
            )
        if embedding != (classify(target)[0] == "embedding"):
            raise self._wrong(f"the factors of {target!r} are of another kind than the tensor. Save the adapter again.")
        if not self.settings.targets(module) and not (
            target == self.head and self.settings.raw.get("ensure_weight_tying")
        ):
            raise self._wrong(
                f"the file holds factors of {module!r}, which {CONFIG} does not target, so that peft leaves them out. "
                "Correct one of them."
            )
        conv1d = self.config.get("model_type") in CONV1D_MODELS and module.rpartition(".")[2] in CONV1D_LAYERS
        transposed, rank = embedding or conv1d, self.settings.rank_of(module)
        shape = self.entries[target].shape
        height, width = (shape[::-1] if transposed else shape) if len(shape) == 2 else (-1, -1)
        if (self.own[a].shape, self.own[b].shape) != ((rank, width), (height, rank)):
            raise self._wrong(
                f"the factors of {target!r} have shapes {self._about(a)}, {self._about(b)}; the tensor is {list(shape)}, "
                f"the rank in {CONFIG} {rank}."
            )
        if any(self.own[key].code not in BLENDABLE for key in (a, b)):
            raise self._wrong(f"the factors of {target!r} are stored as {self.own[a].code}. Save them as bf16 or fp32.")
        reduced = self.settings.reduces_base and not embedding and not base_saved
        if reduced and (rank > min(height, width) or target == self.head or conv1d and self._is_olora()):
            raise self._wrong(
                f"{target!r} with init_lora_weights {self.settings.initialisation!r} takes a product out of the base that "
                "cannot be made again. Merge the adapter first."
            )
        return Factors(a, b, self.settings.scale_of(module), transposed, reduced)

    def _is_olora(self) -> bool:
        return self.settings.initialisation == "olora"

    def _with_head(
        self, factors: dict[str, Factors], replaced: dict[str, str], wrapped: dict[str, str]
    ) -> AdapterLayout:
        """A tied model whose embedding or head was trained has two different ones from then on, as in `peft`.

        `peft` changes a module, not the tensor that two modules share. Only what it loads into the shared tensor itself (the
        base under factors, an embedding that is not among `modules_to_save`) changes both.
        """
        if self.head is None or self.tied_to is None:
            return AdapterLayout(factors, replaced, self.entries)
        ends = (self.head, self.tied_to)
        own = {n for n in ends if n in replaced and n not in wrapped and self.settings.saves(n.removesuffix(".weight"))}
        shared = [replaced[n] for n in ends if n in replaced and n not in own]
        for name in set(ends) - own if shared else ():
            replaced = {**replaced, name: shared[-1]}
        if any(n in own or n in factors for n in ends):
            return AdapterLayout(factors, replaced, self.entries, self.head, self.tied_to)
        del self.entries[self.head]  # neither was trained by itself: still tied
        return AdapterLayout(factors, {n: k for n, k in replaced.items() if n != self.head}, self.entries)

    def _about(self, key: str) -> str:
        return f"{list(self.own[key].shape)}"

    def _wrong(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.settings.label}: {what}")
