"""The process that renders chat templates: Jinja's sandbox as `transformers` sets it up, within limits of time, memory and output.

A chat template is a program of the checkpoint's. `python -m mi_explorer.prompts.template_process` answers requests
`{"template", "messages", "generation", "options"}` with `{"text"}`, or `{"error"}` and the `limit` that was broken.
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mi_explorer.limited_process import OutOfTime, processor_time, serve
from mi_explorer.untyped import JsonObject, TemplateValue

SOFT_S, HARD_S = 2.0, 3.0  # seconds of processor time for one rendering
MEMORY = 2 * 2**30  # bytes of address space
MAX_TEXT = 4_000_000  # characters of a rendered prompt


class _GenerationBlock(jinja2.ext.Extension):
    """`{% generation %}`, which marks what the assistant wrote: its content, as it is."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_content"), [], [], body).set_lineno(line)

    def _content(self, caller: Callable[[], TemplateValue]) -> TemplateValue:
        return caller()


class _Dict:
    """`dict` without its attributes."""

    def __call__(self, *args: TemplateValue, **kwargs: TemplateValue) -> dict[TemplateValue, TemplateValue]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: TemplateValue) -> dict[TemplateValue, TemplateValue]:
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """`namespace` without names that reach into Python."""

    def __init__(*args: TemplateValue, **kwargs: TemplateValue) -> None:  # noqa: N805 - `namespace(self=...)` is allowed
        values = dict(*args[1:], **kwargs)
        for name in values:
            _check_name(name)
        jinja2.utils.Namespace.__init__(args[0], values)

    def __setitem__(self, name: str, value: object) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"the name {name[:40]!r} is not allowed in a namespace")


def _raise(message: str) -> None:
    raise jinja2.exceptions.TemplateError(message)


def _to_json(
    value: TemplateValue,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@lru_cache(maxsize=16)
def _compile(template: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return environment.from_string(template)


def render(request: JsonObject) -> JsonObject:
    """The reply to one request."""
    try:
        with processor_time(SOFT_S, HARD_S):
            parts, length = [], 0
            values = {"tools": None, "documents": None, **request["options"]}
            for part in _compile(request["template"]).generate(
                messages=request["messages"], add_generation_prompt=request["generation"], **values
            ):
                parts.append(part)
                length += len(part)
                if length > MAX_TEXT:
                    return {"limit": "size", "error": f"it writes more than {MAX_TEXT:,} characters"}
        return {"text": "".join(parts)}
    except OutOfTime:
        return {"limit": "time", "error": f"it takes more than {SOFT_S:g} seconds"}
    except MemoryError:
        return {"limit": "memory", "error": "it takes too much memory"}
    except Exception as error:  # noqa: BLE001 - any fault of a checkpoint's program is its own
        return {"error": str(error)[:200] or type(error).__name__}


if __name__ == "__main__":
    serve(render, MEMORY)
