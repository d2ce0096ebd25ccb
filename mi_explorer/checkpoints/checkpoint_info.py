"""What can be told about a checkpoint without its weights: config, tensors, tokenizer, template, size. For folders and hub ids."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from mi_explorer.checkpoints.adapter import read_factor_header
from mi_explorer.checkpoints.adapter_layout import match_adapter
from mi_explorer.checkpoints.adapter_settings import WEIGHTS, read_settings
from mi_explorer.checkpoints.headers import TensorEntry, read_headers
from mi_explorer.checkpoints.model_tensors import ModelTensors, read_tensors
from mi_explorer.checkpoints.source import SMALL, CheckpointError, CheckpointSource, Folder
from mi_explorer.checkpoints.tokenizer_check import check_tokenizer
from mi_explorer.errors import UserError
from mi_explorer.prompts.chat_template import folder_template, read_template
from mi_explorer.prompts.token_codec import TOKENIZER_FILES
from mi_explorer.untyped import JsonObject

# Small files that some reader of a checkpoint opens; they are checked here, so that nobody meets a damaged one later.
OBJECTS = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
SMALL_FILES = (*OBJECTS, "config.json", "tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")


@dataclass
class CheckpointInfo:
    """One parent as its small files and headers show it. For a LoRA adapter `entries` are those of the checkpoint under it."""

    role: str
    label: str
    config: JsonObject
    entries: dict[str, TensorEntry]
    shards: tuple[str, ...]
    size: int  # bytes on disk, of the adapter alone if it is one
    vocab: dict[str, int] = field(repr=False, default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    template: str | None = None
    tokenizer: str = ""  # short hash of tokenizer.json; "" without one
    has_tokenizer: bool = False  # in whatever file
    cutting: str = ""  # short hash of how the tokenizer cuts text: normalizer, pre-tokenizer, merges
    adapter: JsonObject | None = None

    @cached_property
    def tensors(self) -> ModelTensors:
        """The tensors against the model of the config; `CheckpointError` or `LayoutError` where there is no such model."""
        return read_tensors(self.config, self.entries)

    @property
    def name(self) -> str:
        """How messages call it: Instruct, Thinking, Base."""
        return self.role.capitalize()

    @property
    def rows(self) -> int | None:
        """Rows of the stored token embedding."""
        name = self.tensors.embedding
        return self.entries[name].shape[0] if name and self.entries[name].shape else None


def read_json(source: CheckpointSource, name: str) -> JsonObject:
    """A JSON object of a checkpoint; `CheckpointError` if it is damaged."""
    try:
        value = json.loads(source.read(name))
    except (ValueError, RecursionError):
        raise CheckpointError(f"{source.label}: {name} is damaged. Download it again.") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{source.label}: {name} is not a JSON object. Download it again.")
    return value


def read_info(source: CheckpointSource, role: str, label: str = "") -> CheckpointInfo:
    """Read a full checkpoint's small files and headers. What a folder says is kept while its files stay as they are: preflight
    and `Parents` share it. Nobody may change the result."""
    if isinstance(source, Folder):
        return _folder_info(str(source.path), role, label or source.label, source.state())
    return _read_info(source, role)


@lru_cache(maxsize=6)
def _folder_info(folder: str, role: str, label: str, state: tuple[object, ...]) -> CheckpointInfo:
    source = Folder(folder)
    source.label = label
    return _read_info(source, role)


def _read_info(source: CheckpointSource, role: str) -> CheckpointInfo:
    files = source.files()
    if "config.json" not in files:
        raise CheckpointError(f"{source.label}: there is no config.json; this is not a checkpoint in hub layout.")
    config = read_json(source, "config.json")
    entries, headers = read_headers(source)
    info = CheckpointInfo(role, source.label, config, entries, tuple(headers), sum(files[s] for s in headers))
    read_tokenizer(source, info)
    return info


def read_adapter_info(source: CheckpointSource, role: str, under: CheckpointInfo) -> CheckpointInfo:
    """Read a LoRA adapter's small files and header; it must fit the checkpoint under it."""
    settings = read_settings(source)
    own, _ = read_factor_header(source, source.label)
    layout = match_adapter(own, under.entries, under.config, settings, under.label)
    about = {
        "on": under.role,
        "rank": settings.rank,
        "targets": len(layout.factors),
        "replaced": len(layout.replaced),
        "named base": settings.named_base,
        "own head": layout.own_head,
    }
    config, size = layout.config(under.config), source.files()[WEIGHTS]
    info = CheckpointInfo(role, source.label, config, layout.entries, (WEIGHTS,), size, adapter=about)
    read_tokenizer(source, info)
    if not info.tokenizer:
        for name in ("vocab", "added", "template", "tokenizer", "cutting"):
            setattr(info, name, getattr(under, name))
    info.has_tokenizer |= under.has_tokenizer
    return info


def read_tokenizer(source: CheckpointSource, info: CheckpointInfo) -> None:
    """Vocabulary, added tokens and chat template into `info`; every small file is checked on the way."""
    files = source.files()
    for name in SMALL_FILES:
        if files.get(name, 0) > SMALL:
            raise CheckpointError(f"{source.label}: {name} is larger than {SMALL >> 20} MB; that is no such file.")
    objects = {name: read_json(source, name) for name in OBJECTS if name in files}
    info.has_tokenizer = any(name in files for name in TOKENIZER_FILES)
    if "tokenizer.json" in files:
        try:
            info.tokenizer, info.cutting, info.vocab, info.added = _vocabulary(source.read("tokenizer.json"))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError):
            raise CheckpointError(f"{source.label}: tokenizer.json is damaged. Download it again.") from None
    try:
        if isinstance(source, Folder):
            info.template = folder_template(source.path)
        else:
            info.template = read_template(files, source.read)
    except UserError as error:
        raise CheckpointError(f"{source.label}: the chat template cannot be used: {error}") from None
    check_tokenizer(source)
    _check_generation(objects.get("generation_config.json", {}), source.label)


@lru_cache(maxsize=4)
def _vocabulary(raw: bytes) -> tuple[str, str, dict[str, int], dict[str, int]]:
    """(short hash of all, of how text is cut, token → id, added token → id) of a tokenizer.json.

    Kept, as a pair is read more than once while it is opened.
    """
    content = json.loads(raw)
    vocab = content["model"]["vocab"]
    # a list is a unigram model's [token, score] pairs; its ids are positions
    table = dict(vocab) if isinstance(vocab, dict) else {str(item[0]): i for i, item in enumerate(vocab)}
    added = {str(t["content"]): int(t["id"]) for t in content.get("added_tokens") or ()}
    if not all(isinstance(i, int) for i in table.values()):
        raise ValueError("a token id is no number")
    model = {k: v for k, v in content["model"].items() if k != "vocab"}
    cutting = json.dumps([content.get("normalizer"), content.get("pre_tokenizer"), model], sort_keys=True)
    short = [hashlib.sha256(part).hexdigest()[:12] for part in (raw, cutting.encode())]
    return short[0], short[1], table, added


def _check_generation(settings: JsonObject, label: str) -> None:
    """The ends of a response are the one thing that is read of generation_config.json."""
    ends = settings.get("eos_token_id")
    for end in ends if isinstance(ends, list) else [ends]:
        if not (end is None or (isinstance(end, int) and not isinstance(end, bool))):
            raise CheckpointError(
                f"{label}: generation_config.json says eos_token_id = {str(ends)[:40]!r}, which is no token id. Correct it."
            )
