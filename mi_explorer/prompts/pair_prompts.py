"""Prompt → token ids and back: the chat templates and tokenizers of a pair, by the recipe's template policy.

The template is a control, not an accident: `recipe.template` says whose template a blend gets ("own": λ = 0 uses
Instruct's, everything else Thinking's). The tokenizer goes with the template. A template may open the thought itself;
`Prompt.opened` says so, because the thought then starts before the first generated token.
"""

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mi_explorer.pairs import Pair
from mi_explorer.prompts.chat_template import (
    FORMS,
    PROBE,
    Message,
    TemplateFault,
    folder_template,
    question_turns,
    render_template,
)
from mi_explorer.prompts.think_tags import DEFAULT, TagPair, opens_thought, recognise_tags
from mi_explorer.prompts.thinking_switches import switch_values
from mi_explorer.prompts.token_codec import (
    PromptError,
    TokenCodec,
    as_ids,
    check_text,
    configured_ends,
    has_tokenizer,
    load_tokenizer,
    same_tokenizer,
)
from mi_explorer.recipe import Recipe
from mi_explorer.untyped import Tokenizer

MAX_CHARACTERS = 1_000_000  # beyond this nobody means it, and a tokenizer would be busy for seconds
PARENTS = ("instruct", "thinking")


class BrokenTemplate(PromptError):
    """A chat template that fails; `hopeless`: it broke a limit, and would again."""

    def __init__(self, message: str, hopeless: bool) -> None:
        super().__init__(message)
        self.hopeless = hopeless


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt: its token ids, the text they stand for, whether it ends inside a thought, and whose tokenizer made it."""

    ids: tuple[int, ...]
    text: str
    opened: bool
    parent: str = "thinking"


class Prompts:
    """Renders prompts for one pair.

    `tokenizer` serves both parents where `thinking_tokenizer` is not given. `templates` maps "instruct" and "thinking" to Jinja
    chat templates; a parent that is not in it has its tokenizer's. `pair` says how thoughts are tagged and switched on.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        templates: dict[str, str | None] | None = None,
        stop_ids: Sequence[int] = (),
        context: int | None = None,
        thinking_tokenizer: Tokenizer = None,
        pair: Pair | None = None,
    ) -> None:
        instruct = TokenCodec(tokenizer)
        alone = thinking_tokenizer is None or thinking_tokenizer is tokenizer
        thinking = instruct if alone else TokenCodec(thinking_tokenizer)
        self.codecs = {"instruct": instruct, "thinking": thinking}
        self.templates = templates or {}
        self.switch = pair.thinking_switch if pair else "auto"
        named = TagPair(pair.think_open, pair.think_close) if pair else DEFAULT
        self.tags, self.tags_known = recognise_tags(named, self._template("thinking")[0], thinking.added_tokens())
        self.stop_ids = tuple(dict.fromkeys(int(i) for i in stop_ids))
        self.context = context
        # a strip asks one question at eleven λ, of one or two templates
        self._encode_again = lru_cache(64)(self._encode)
        self._form = lru_cache(8)(self._write_probe)

    @classmethod
    def load(
        cls,
        folders: Sequence[str],
        pair: Pair | None = None,
        context: int | None = None,
    ) -> "Prompts":
        """From the tokenizer files in the folders of Instruct, Thinking and perhaps a base; a parent without any borrows.

        Raises `PromptError` if there are none at all, or broken ones.
        """
        have = [place for place in folders if has_tokenizer(place)]
        if not have:
            raise PromptError(
                f"Neither {folders[0]} nor {folders[1]} has a tokenizer (tokenizer.json); copy one there."
            )
        places = [place if place in have else have[0] for place in folders[:2]]
        one = load_tokenizer(places[0])
        two = one if same_tokenizer(*places) else load_tokenizer(places[1])
        templates = {role: folder_template(Path(place)) for role, place in zip(PARENTS, places)}
        made = cls(one, templates, context=context, thinking_tokenizer=two, pair=pair)
        stops = [i for codec in made.codecs.values() for i in codec.end_ids()]
        stops += [i for place in folders[:2] for i in configured_ends(place)]
        stops += [i for role in PARENTS for i in made.turn_ends(role)]
        made.stop_ids = tuple(dict.fromkeys(stops))
        return made

    @property
    def tokenizer(self) -> Tokenizer:
        """Instruct's tokenizer."""
        return self.codecs["instruct"].tokenizer

    def parent(self, recipe: Recipe) -> str:
        """Whose chat template and tokenizer this recipe gets: "instruct" or "thinking"."""
        if recipe.template == "own":
            return "instruct" if recipe.lam == 0 else "thinking"
        return recipe.template

    def template(self, recipe: Recipe) -> str | None:
        """The chat template that this recipe's prompts get, if any."""
        return self._template(self.parent(recipe))[0]

    def codec(self, recipe: Recipe) -> TokenCodec:
        """The tokenizer with which this recipe's prompts and responses are read."""
        return self.codec_for(self.parent(recipe))

    def codec_for(self, parent: str) -> TokenCodec:
        """The tokenizer that goes with the template of this parent's prompts."""
        return self._template(parent)[1]

    def render(self, prompt: str, recipe: Recipe) -> Prompt:
        """The prompt as one user turn, ready for the response. Raises `PromptError` for empty and over-long prompts."""
        if not isinstance(prompt, str) or not prompt.strip():
            raise PromptError("The prompt is empty. Write a question first.")
        if len(prompt) > MAX_CHARACTERS:
            raise PromptError(f"The prompt has {len(prompt):,} characters; at most {MAX_CHARACTERS:,} are read.")
        check_text(prompt)
        parent = self.parent(recipe)
        text, ids, opened = self._encode_again(prompt, parent, self._template(parent)[0])
        if self.context is not None and len(ids) >= self.context:
            raise PromptError(
                f"The prompt has {len(ids):,} tokens, but this pair's context holds {self.context:,}, prompt and "
                f"response together. Shorten it to well under {self.context:,} tokens."
            )
        return Prompt(ids, text, opened, parent)

    def render_chat(self, messages: Sequence[Message], recipe: Recipe, generation: bool = True) -> str:
        """A conversation as text. Without `generation` it ends within the last message, which the model goes on with."""
        parent = self.parent(recipe)
        template, codec = self._template(parent)
        last = str(messages[-1].get("content", "")) if messages else ""
        if not template:
            return "\n\n".join(str(m.get("content", "")) for m in messages)
        text = self._render(template, codec, parent, messages, generation)
        return text if generation or last.strip() not in text else text[: text.rindex(last.strip()) + len(last.strip())]

    def turn_ends(self, parent: str) -> list[int]:
        """The special token with which a template ends the assistant's turn, unless it is part of a think tag."""
        template, codec = self._template(parent)
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": PROBE}]
        try:
            text = self._render(template, codec, parent, turns, generation=False) if template else ""
        except PromptError:
            return []
        after = text.rpartition(PROBE)[2].lstrip() if PROBE in text else ""
        ends = [
            t for t in codec.added_tokens() if t and after.startswith(t) and t not in self.tags.open + self.tags.close
        ]
        return as_ids(codec.token_id(max(ends, key=len))) if ends else []

    def decode(self, ids: Sequence[int], parent: str = "thinking") -> str:
        """Text of response ids, as the tokenizer of this parent's template has it."""
        return self.codec_for(parent).decode(ids)

    def tag_id(self, tag: str, parent: str = "thinking") -> int | None:
        """The id of a think tag where it is one token: of this parent's tokenizer, else Thinking's if that id is free here."""
        codec, thinking = self.codec_for(parent), self.codec_for("thinking")
        found = codec.token_id(tag)
        if found is None and codec is not thinking:
            found = thinking.token_id(tag)
            found = None if found is None or codec.decode([found]) else found
        return found

    def _template(self, parent: str) -> tuple[str | None, TokenCodec]:
        """(chat template, the tokenizer that goes with it). Thinking without a template borrows Instruct's, both of them."""
        own, instruct = self.codecs[parent], self.codecs["instruct"]
        if parent in self.templates:
            found = self.templates[parent]
        else:
            found = own.template
        if found or parent == "instruct":
            return found, own
        borrowed = self.templates.get("instruct") or (None if "instruct" in self.templates else instruct.template)
        return (borrowed, instruct) if borrowed else (None, own)

    def _encode(self, prompt: str, parent: str, template: str | None) -> tuple[str, tuple[int, ...], bool]:
        """(text, ids, whether the text ends inside a thought) of a question."""
        codec = self.codec_for(parent)
        if not template:  # a base model: the bare text is the honest prompt
            return prompt, codec.encode(prompt, bare=True), False
        form, tail = self._form(parent, template)
        text = self._render(template, codec, parent, question_turns(prompt, form))
        if not holds(text, prompt):
            raise self._unusable(parent, "does not write the whole question into the prompt")
        return text, codec.encode(text), opens_thought(tail if text.endswith(tail) else text[-200:], self.tags)

    def _write_probe(self, parent: str, template: str) -> tuple[int, str]:
        """(the first form of a question that the template writes into the prompt, what it writes after it)."""
        fault: PromptError | None = None
        for form in range(FORMS):
            try:
                text = self._render(template, self.codec_for(parent), parent, question_turns(PROBE, form))
            except BrokenTemplate as error:
                fault = fault or error
                if error.hopeless:
                    break
            else:
                if PROBE in text:
                    return form, text.rpartition(PROBE)[2]
        raise fault or self._unusable(parent, "does not write the question into the prompt")

    @staticmethod
    def _unusable(parent: str, why: str) -> PromptError:
        return PromptError(
            f"{parent.capitalize()}'s chat template {why}. Choose the other parent's with the template policy, or mend "
            "chat_template in its tokenizer files."
        )

    def _render(
        self, template: str, codec: TokenCodec, parent: str, messages: Sequence[Message], generation: bool = True
    ) -> str:
        options = {**codec.special_tokens(), **switch_values(template, self.switch, parent == "thinking")}
        try:
            return render_template(template, messages, options, generation)
        except TemplateFault as fault:
            raise BrokenTemplate(str(self._unusable(parent, f"fails ({fault})")), fault.hopeless) from None


def holds(text: str, prompt: str) -> bool:
    """Whether a rendered prompt holds the question, white space and escapes aside."""

    def squash(words: str) -> str:
        return re.sub(r"\s+", " ", words).strip()

    wanted = squash(prompt)
    return (
        wanted in squash(text)
        or wanted in squash(html.unescape(text))
        or any(json.dumps(prompt, ensure_ascii=ascii)[1:-1] in text for ascii in (True, False))
    )
