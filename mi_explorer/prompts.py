"""Prompt → token ids and back: the chat templates and the tokenizer of a pair, by the recipe's template policy.

The template is a control, not an accident: `recipe.template` says whose template a blend gets ("own": λ = 0 uses
Instruct's, everything else Thinking's). A template may pre-fill the opening think tag; `Prompt.opened` says so, because
the thought then starts before the first generated token. No weights are read here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe

MAX_CHARACTERS = 1_000_000  # beyond this nobody means it, and a tokenizer would be busy for seconds


class PromptError(UserError):
    """A prompt that cannot be answered: empty, or longer than the model's context."""


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt: its token ids, the text they stand for, and whether the template already opened the thought."""

    ids: tuple[int, ...]
    text: str
    opened: bool


class Prompts:
    """Renders prompts for one pair. `tokenizer` is a transformers fast tokenizer (or anything that answers the same calls).

    `templates` maps "instruct" and "thinking" to Jinja chat templates; None means that the tokenizer's own is used.
    """

    def __init__(
        self,
        tokenizer: Any,
        templates: dict[str, str | None] | None = None,
        think_open: str = "<think>",
        stop_ids: Sequence[int] = (),
        context: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.templates = templates or {}
        self.think_open = think_open
        self.stop_ids = tuple(dict.fromkeys(int(i) for i in stop_ids))
        self.context = context
        self._decode_few = lru_cache(1 << 16)(self._decode)
        self._encode_again = lru_cache(64)(
            self._encode
        )  # a strip asks one question at eleven λ, of one or two templates

    @classmethod
    def load(cls, folders: Sequence[str], think_open: str = "<think>", context: int | None = None) -> "Prompts":
        """From the tokenizer files in the folders of Instruct, Thinking and perhaps a base; a parent without any borrows.

        Raises `PromptError` if there are none at all, or broken ones.
        """
        found = [_tokenizer(folder) for folder in folders]
        have = [tokenizer for tokenizer in found if tokenizer is not None]
        if not have:
            raise PromptError(
                f"Neither {folders[0]} nor {folders[1]} has a tokenizer (tokenizer.json); copy one there."
            )
        templates = {name: _template(found[i] or have[0]) for i, name in enumerate(("instruct", "thinking"))}
        stops = [have[0].eos_token_id, *_eos(folders[0]), *_eos(folders[1])]
        return cls(have[0], templates, think_open, [i for i in stops if i is not None], context)

    def parent(self, recipe: Recipe) -> str:
        """Whose chat template this recipe gets: "instruct" or "thinking"."""
        if recipe.template == "own":
            return "instruct" if recipe.lam == 0 else "thinking"
        return recipe.template

    def render(self, prompt: str, recipe: Recipe) -> Prompt:
        """The prompt as one user turn, ready for the response. Raises `PromptError` for empty and over-long prompts."""
        if not isinstance(prompt, str) or not prompt.strip():
            raise PromptError("The prompt is empty. Write a question first.")
        if len(prompt) > MAX_CHARACTERS:
            raise PromptError(f"The prompt has {len(prompt):,} characters; at most {MAX_CHARACTERS:,} are read.")
        parent = self.parent(recipe)
        text, ids = self._encode_again(prompt, parent, self.templates.get(parent) or _template(self.tokenizer))
        if self.context is not None and len(ids) >= self.context:
            raise PromptError(
                f"The prompt has {len(ids):,} tokens, but this pair's context holds {self.context:,}, prompt and "
                f"response together. Shorten it to well under {self.context:,} tokens."
            )
        return Prompt(ids, text, text.rstrip().endswith(self.think_open))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of response ids with special tokens visible, so that think tags can be seen."""
        # Streaming decodes windows of two or three ids at every token: those repeat, and a look-up is 20 times cheaper.
        return self._decode_few(tuple(ids)) if len(ids) <= 3 else self._decode(ids)

    def token_id(self, text: str) -> int | None:
        """The id of `text` where the tokenizer has it as one token."""
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return ids[0] if len(ids) == 1 else None

    def _decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def _encode(self, prompt: str, parent: str, template: Any) -> tuple[str, tuple[int, ...]]:
        text = self._text(prompt, parent, template)
        return text, tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def _text(self, prompt: str, parent: str, template: Any) -> str:
        if not template:  # a base model: the bare text is the honest prompt
            return prompt
        turns = [{"role": "user", "content": prompt}]
        try:
            return self.tokenizer.apply_chat_template(
                turns, chat_template=template, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # noqa: BLE001 - a template is a program of the checkpoint's (run in Jinja's sandbox): any fault is its own
            raise PromptError(
                f"{parent.capitalize()}'s chat template fails ({str(error)[:200] or type(error).__name__}). Choose the other parent's "
                "with the template policy, or mend chat_template in its tokenizer files."
            ) from None


def _tokenizer(place: str) -> Any | None:
    """The fast tokenizer at a folder or hub id; None where the folder has no tokenizer files."""
    from transformers import AutoTokenizer

    folder = Path(place)
    if folder.is_dir() and not any(
        (folder / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")
    ):
        return None
    try:
        return AutoTokenizer.from_pretrained(place, trust_remote_code=False, local_files_only=folder.is_dir())
    except Exception as error:  # noqa: BLE001 - transformers raises many types for broken files; all of them mean the same to a user
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise PromptError(
            f"The tokenizer of {place} cannot be read ({reason}). Check tokenizer.json and "
            "tokenizer_config.json there, or copy them from the other parent."
        ) from None


def _template(tokenizer: Any) -> str | None:
    """A tokenizer's chat template; of several named ones the default."""
    template = getattr(tokenizer, "chat_template", None)
    return template.get("default") if isinstance(template, dict) else template


def _eos(place: str) -> list[int]:
    """End-of-turn ids named by a local folder's generation config (one or several)."""
    try:
        found = json.loads((Path(place) / "generation_config.json").read_text(encoding="utf-8")).get("eos_token_id")
    except (OSError, ValueError, AttributeError, RecursionError):
        return []
    found = found if isinstance(found, list) else [found]
    return [i for i in found if isinstance(i, int)]
