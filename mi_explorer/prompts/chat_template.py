"""Chat templates: which one a checkpoint has, and rendering it in a process with limits."""

import json
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.input_limits import read_bytes
from mi_explorer.limited_process import SharedProcess
from mi_explorer.untyped import Json, JsonMapping

WALL_LIMIT_S = 20.0  # by the clock, whatever the rendering process waits for
LARGEST, LARGEST_TEMPLATE = 64 << 20, 4 << 20  # bytes of a JSON file, and of a template file, that are read
FORMS = 4  # in which a question is put to a template (`question_turns`)
PROBE = "Q7x1"  # stands for a text whose place in a rendered conversation is sought
TEMPLATE_FILE, FOLDER = "chat_template.jinja", "additional_chat_templates/"
NOT_FOR_CHAT = ("tool_use", "tool", "tools", "rag")  # named templates for other uses
Message = JsonMapping


class TemplateFault(UserError):
    """A chat template that cannot be rendered; the message says why. `hopeless`: it broke a limit, and would again."""

    def __init__(self, why: str, hopeless: bool = False) -> None:
        super().__init__(why)
        self.hopeless = hopeless


def read_template(names: Collection[str], read: Callable[[str], bytes]) -> str | None:
    """The chat template of a checkpoint with the files `names`, each read by `read(name)`; None if there is none.

    As `transformers` has it: chat_template.jinja, else tokenizer_config.json, else chat_template.json. Of several named ones
    "default", else the first that is not for tools or retrieval.
    """
    found: dict[str, str] = {}
    for name in ("chat_template.json", "tokenizer_config.json"):
        if name in names:
            found |= _named(_json(read(name)))
    for name in sorted(n for n in names if n.startswith(FOLDER) and n.endswith(".jinja")):
        found.setdefault(name.removeprefix(FOLDER).removesuffix(".jinja"), read(name).decode("utf-8", "replace"))
    if TEMPLATE_FILE in names:
        found["default"] = read(TEMPLATE_FILE).decode("utf-8", "replace")
    order = sorted(found, key=lambda name: (name != "default", name in NOT_FOR_CHAT))
    return found[order[0]] if order else None


def folder_template(folder: Path) -> str | None:
    """The chat template in a local folder's files, additional ones included; None for what is no folder.

    Raises `UserError` for a template that is no regular file or larger than any real one: the library would read it whole, too.
    """
    if not os.path.isdir(folder):
        return None
    names = {name for name in os.listdir(folder) if os.path.exists(folder / name)}  # without links to nowhere
    names |= {FOLDER + p.name for p in (folder / FOLDER).glob("*.jinja")}
    return read_template(
        names, lambda name: read_bytes(folder / name, LARGEST if name.endswith(".json") else LARGEST_TEMPLATE)
    )


def _json(raw: bytes) -> Json:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None  # whoever reads the tokenizer says that the file is damaged


def _named(content: object) -> dict[str, str]:
    """Named templates of tokenizer_config.json or chat_template.json: one text, a list of named ones, or a mapping."""
    template = content.get("chat_template") if isinstance(content, dict) else content
    if isinstance(template, list):
        template = {str(t.get("name")): t.get("template") for t in template if isinstance(t, dict)}
    named = template if isinstance(template, dict) else {"default": template}
    return {str(name): text for name, text in named.items() if isinstance(text, str) and text}


def question_turns(question: str, form: int) -> list[Message]:
    """A question as messages: plain; after an empty system turn (some templates take the first message for it); in parts."""
    content = question if form < 2 else [{"type": "text", "text": question}]
    return [*([{"role": "system", "content": ""}] if form % 2 else []), {"role": "user", "content": content}]


renderer = SharedProcess("mi_explorer.prompts.template_process")


def render_template(template: str, messages: Sequence[Message], options: JsonMapping, generation: bool = True) -> str:
    """The conversation as text. `generation` adds what asks for the next answer. Raises `TemplateFault`; threads take turns."""
    request = {"template": template, "messages": list(messages), "options": dict(options), "generation": generation}
    try:
        with renderer.turn() as child:
            reply = child.call(request, WALL_LIMIT_S)
    except (TimeoutError, EOFError, ValueError) as error:
        why = "it takes too long" if isinstance(error, TimeoutError) else "it broke a limit of time or memory"
        raise TemplateFault(why, hopeless=True) from None
    except OSError as error:
        raise TemplateFault(f"no process could be started for it ({error.strerror})", hopeless=True) from None
    if "text" not in reply:
        raise TemplateFault(str(reply.get("error")), hopeless="limit" in reply)
    return str(reply["text"])
