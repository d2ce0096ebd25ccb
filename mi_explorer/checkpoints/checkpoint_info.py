"""What can be told about a checkpoint without its weights: config, tensors, tokenizer, template, size. For folders and hub ids."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from mi_explorer.checkpoints.adapter import match_adapter, read_factor_header
from mi_explorer.checkpoints.adapter_settings import CONFIG, WEIGHTS, read_settings
from mi_explorer.checkpoints.headers import Entry, read_layout
from mi_explorer.checkpoints.source import CheckpointError, Source
from mi_explorer.checkpoints.tensor_names import classify


@dataclass
class CheckpointInfo:
    """One parent as its small files and headers show it. For a LoRA adapter `entries` are those of the checkpoint under it."""

    role: str
    label: str
    config: dict[str, Any]
    entries: dict[str, Entry]
    shards: tuple[str, ...]
    size: int  # bytes on disk, of the adapter alone if it is one
    vocab: dict[str, int] = field(repr=False, default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    template: str | None = None
    tokenizer: str = ""  # short hash of tokenizer.json; "" without one
    adapter: dict[str, Any] | None = None

    @property
    def head(self) -> str | None:
        return next((n for n in self.entries if n.endswith("weight") and classify(n)[0] == "lm_head"), None)

    @property
    def weights(self) -> int:
        """Bytes of all tensors once loaded as they are stored."""
        return sum(e.stop - e.start for e in self.entries.values())

    def rows(self) -> int | None:
        """Rows of the token embedding."""
        found = [e for n, e in self.entries.items() if classify(n)[:2] == ("embedding", None) and len(e.shape) == 2]
        return max((e.shape[0] for e in found), default=None)


def read_json(source: Source, name: str) -> dict[str, Any]:
    """A JSON object of a checkpoint; `CheckpointError` if it is damaged."""
    try:
        value = json.loads(source.read(name))
    except (ValueError, RecursionError):
        raise CheckpointError(f"{source.label}: {name} is damaged. Download it again.") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{source.label}: {name} is not a JSON object. Download it again.")
    return value


def read_info(source: Source, role: str) -> CheckpointInfo:
    """Read a full checkpoint's small files and headers."""
    files = source.files()
    if "config.json" not in files:
        raise CheckpointError(f"{source.label}: there is no config.json; this is not a checkpoint in hub layout.")
    config = read_json(source, "config.json")
    entries, headers = read_layout(source)
    seen = CheckpointInfo(role, source.label, config, entries, tuple(headers), sum(files[s] for s in headers))
    read_tokenizer(source, seen)
    return seen


def read_adapter_info(source: Source, role: str, under: CheckpointInfo) -> CheckpointInfo:
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
    seen = CheckpointInfo(role, source.label, config, layout.entries, (WEIGHTS,), size, adapter=about)
    read_tokenizer(source, seen)
    if not seen.tokenizer:
        seen.vocab, seen.added, seen.template, seen.tokenizer = (
            under.vocab,
            under.added,
            under.template,
            under.tokenizer,
        )
    return seen


def is_adapter_source(source: Source) -> bool:
    return CONFIG in source.files()


def read_tokenizer(source: Source, seen: CheckpointInfo) -> None:
    """Vocabulary, added tokens and chat template from `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`."""
    files = source.files()
    if "tokenizer.json" in files:
        raw = source.read("tokenizer.json")
        seen.tokenizer = hashlib.sha256(raw).hexdigest()[:12]
        try:
            content = json.loads(raw)
            vocab = content["model"]["vocab"]
            # a list is a unigram model's [token, score] pairs; its ids are positions
            seen.vocab = dict(vocab) if isinstance(vocab, dict) else {str(item[0]): i for i, item in enumerate(vocab)}
            seen.added = {str(t["content"]): int(t["id"]) for t in content.get("added_tokens") or ()}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            raise CheckpointError(f"{source.label}: tokenizer.json is damaged. Download it again.") from None
    if "chat_template.jinja" in files:
        seen.template = source.read("chat_template.jinja").decode("utf-8", "replace")
    elif "tokenizer_config.json" in files:
        template = read_json(source, "tokenizer_config.json").get("chat_template")
        if isinstance(template, list):  # several named templates
            template = next(
                (t.get("template") for t in template if isinstance(t, dict) and t.get("name") == "default"), None
            )
        seen.template = template if isinstance(template, str) else None
