"""One parent's tokenizer: text to ids and back, its special tokens, and the ids that end a response."""

import json
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.input_limits import regular_size
from mi_explorer.untyped import Json, Tokenizer

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
COMPARED_FILES = (
    *TOKENIZER_FILES,
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
)
SMALL = 64 << 20  # bytes of a config file at most


class PromptError(UserError):
    """A prompt that cannot be answered: empty, not text, or longer than the model's context."""


class TokenCodec:
    """`tokenizer` is a transformers fast tokenizer (or anything that answers the same calls)."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._decode_few = lru_cache(1 << 16)(self._decode)
        self.token_id = lru_cache(64)(self._token_id)

    def encode(self, text: str, bare: bool = False) -> tuple[int, ...]:
        """The ids of a text. A `bare` one (no template wrote it) gets the BOS that the tokenizer puts before a text."""
        check_text(text)
        return (*(self._start() if bare else ()), *map(int, self.tokenizer.encode(text, add_special_tokens=False)))

    def _start(self) -> list[int]:
        """What the tokenizer puts before every text. An EOS that some put after it is left out: it would end the prompt."""
        added = [int(i) for i in self.tokenizer.encode("", add_special_tokens=True)]
        bos = as_ids(getattr(self.tokenizer, "bos_token_id", None))
        return added[:-1] if added and added[-1] in self.end_ids() and added != bos else added

    def decode(self, ids: Sequence[int]) -> str:
        """Text of response ids with special tokens visible, so that think tags can be seen."""
        # Streaming decodes windows of two or three ids at every token: those repeat, and a look-up is 20 times cheaper.
        return self._decode_few(tuple(ids)) if len(ids) <= 3 else self._decode(ids)

    def _decode(self, ids: Sequence[int]) -> str:
        text = self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def _token_id(self, text: str) -> int | None:
        """The id of `text` where the tokenizer has it as one token."""
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return int(ids[0]) if len(ids) == 1 else None

    def special_tokens(self) -> dict[str, str]:
        """The names under which a template knows special tokens (bos_token, …)."""
        found = getattr(self.tokenizer, "special_tokens_map", None) or {}
        return {str(k): str(v) for k, v in found.items() if isinstance(v, str)}

    def added_tokens(self) -> dict[str, int]:
        """Tokens beside the ordinary vocabulary, special or not."""
        found: dict[str, int] = getattr(self.tokenizer, "get_added_vocab", dict)()
        return {str(k): int(v) for k, v in found.items()}

    def end_ids(self) -> list[int]:
        """The tokenizer's own end-of-text ids."""
        return as_ids(getattr(self.tokenizer, "eos_token_id", None))

    @property
    def template(self) -> str | None:
        """The tokenizer's own chat template; of several named ones the default."""
        template = getattr(self.tokenizer, "chat_template", None)
        found = template.get("default") if isinstance(template, dict) else template
        return found if isinstance(found, str) else None


def check_text(text: str) -> None:
    """Raise `PromptError` for a text that no tokenizer takes: half a character (a lone surrogate) in it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PromptError(
            f"The text holds half a character (U+{ord(text[error.start]):04X}) at position {error.start + 1:,}, which stands "
            "for nothing. Remove it, or read the file it came from as UTF-8."
        ) from None


def has_tokenizer(place: str) -> bool:
    """Whether a folder has tokenizer files; True for a hub id, which is not looked at here."""
    folder = Path(place)
    return not os.path.isdir(folder) or any(os.path.exists(folder / name) for name in TOKENIZER_FILES)


def load_tokenizer(place: str) -> Tokenizer:
    """The fast tokenizer at a folder or hub id. Raises `PromptError` for broken files."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False, local_files_only=os.path.isdir(place))
    except Exception as error:  # noqa: BLE001 - transformers raises many types for broken files; all of them mean the same to a user
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise PromptError(
            f"The tokenizer of {place} cannot be read ({reason}). Check tokenizer.json and "
            "tokenizer_config.json there, or copy them from the other parent."
        ) from None
    tokenizer.model_max_length = int(1e30)  # the context is checked here; a file may hold anything
    return tokenizer


def same_tokenizer(one: str, two: str) -> bool:
    """Whether two places hold the same tokenizer files, chat templates aside."""
    return one == two or all(_content(one, name) == _content(two, name) for name in COMPARED_FILES)


def _content(place: str, name: str) -> Json:
    try:
        raw = (Path(place) / name).read_bytes()
        return {**json.loads(raw), "chat_template": None} if name == "tokenizer_config.json" else raw
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def configured_ends(place: str) -> list[int]:
    """End-of-text ids that a local folder's generation_config.json and config.json name."""
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        try:
            regular_size(Path(place) / name, SMALL)
            content = json.loads((Path(place) / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # whoever needs the file says what is wrong with it
        if isinstance(content, dict):
            text = content.get("text_config")
            found += as_ids(content.get("eos_token_id"))
            found += as_ids(text.get("eos_token_id")) if isinstance(text, dict) else []
    return found


def as_ids(value: object) -> list[int]:
    """One id or several as a list; whatever is no id is left out."""
    values: Iterable[object] = value if isinstance(value, (list, tuple)) else (value,)
    return [i for i in values if type(i) is int and 0 <= i < 1 << 31]
