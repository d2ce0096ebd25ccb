"""Pairs: which two checkpoints are blended, with which base, and how their thoughts are tagged.

A pair is named by a preset of `assets/pairs.yaml`, or spelled out as `"instruct|thinking"` or `"instruct|thinking|base"`,
each a folder or a hub id. Settings may follow, as in a URL: `"instruct|thinking|base?adapter_on=base&untie=true"`. A parent may be
a PEFT LoRA adapter folder; `adapter_on` says on what it sits. No weights here.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import yaml

from mi_explorer.errors import UserError, unknown
from mi_explorer.paths import ASSETS
from mi_explorer.untyped import Json, JsonMapping, JsonObject

MAX_TAG_CHARACTERS = 100  # of a think tag, as in the page's field: a tag is part of the pair's name
SETTINGS = ("adapter_on", "untie", "think_open", "think_close", "thinking_switch")  # what may follow a name or spec
ADAPTER_ON = ("auto", "instruct", "thinking", "base")
THINKING_SWITCH = ("auto", "on", "off")
SWITCH = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]{0,60})\s*=\s*([^\s=][^\n=]*)")
NO_SWITCHES = (
    "messages",
    "add_generation_prompt",
    "tools",
    "documents",
    "bos_token",
    "eos_token",
    "pad_token",
    "unk_token",
)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class PairError(UserError):
    """A pair that cannot be meant: unknown preset, malformed spec, missing parent."""


@dataclass(frozen=True)
class Pair:
    """Two parents and, where a method needs it, their common base. Paths are folders or hub ids.

    `adapter_on` matters only for LoRA parents: "auto" follows the adapter's own config, else the other endpoint, else the base.
    `think_open` and `think_close` name the tags of a thought; left at `<think>`, they are recognised from Thinking's template and
    tokenizer. `thinking_switch` is for templates with a variable that switches thinking: "auto" is on in Thinking's template and
    as it stands in Instruct's; `NAME=VALUE` sets one by its name (`reasoning_effort=high`). `untie` lets a tied and an untied
    parent meet (the tied one's embedding serves as its lm_head; the result is untied).
    The rest is what the page says of a preset, and asks it: `size` (parameters of one checkpoint, "4.0B"), `kv` (bytes of KV cache a token
    in 16 bits), `positions` (of its context), 0 where unknown, `about`, `licence`, `task` and `questions`.
    """

    name: str
    instruct: str
    thinking: str
    base: str | None = None
    think_open: str = "<think>"
    think_close: str = "</think>"
    title: str = ""
    notes: str = ""
    size: str = ""
    kv: int = 0
    positions: int = 0
    about: str = ""
    licence: str = ""
    task: str = ""
    questions: tuple[str, ...] = ()
    adapter_on: str = "auto"
    untie: bool = False
    thinking_switch: str = "auto"

    def __post_init__(self) -> None:
        if not self.instruct or not self.thinking:
            raise PairError(
                "A pair needs an Instruct and a Thinking checkpoint: a preset name, or 'instruct|thinking[|base]'."
            )
        if self.adapter_on not in ADAPTER_ON:
            raise PairError(f"adapter_on must be one of {', '.join(ADAPTER_ON)}, not {self.adapter_on!r}.")
        if self.thinking_switch not in THINKING_SWITCH and not _switches(self.thinking_switch):
            raise PairError(
                f"thinking_switch is {', '.join(THINKING_SWITCH)} or NAME=VALUE (with commas for several), where NAME is a "
                f"variable of the chat template, such as reasoning_effort=high; not {self.thinking_switch[:80]!r}."
            )
        if not self.think_open.strip() or not self.think_close.strip() or self.think_open == self.think_close:
            raise PairError("A think tag is a text, and the closing one is another than the opening one.")
        if max(len(self.think_open), len(self.think_close)) > MAX_TAG_CHARACTERS:
            raise PairError(f"A think tag has at most {MAX_TAG_CHARACTERS} characters.")

    @property
    def spec(self) -> str:
        """`"instruct|thinking|base"`: what a recipe of an unnamed pair stores."""
        return "|".join(filter(None, (self.instruct, self.thinking, self.base)))

    @property
    def local(self) -> bool:
        """Whether every parent is an existing folder, so that nothing needs the network."""
        return all(os.path.isdir(p) for p in (self.instruct, self.thinking, self.base) if p)


def same_place(one: str, other: str) -> bool:
    """Whether two parents are the same hub id or the same path, however it is written. Nothing looks at the disk: an answer about a
    path that somebody named must tell nothing about it."""
    return one == other or os.path.abspath(os.path.expanduser(one)) == os.path.abspath(os.path.expanduser(other))


def _switches(setting: str) -> bool:
    """Whether a text is `NAME=VALUE[,NAME=VALUE]`, with names that a template may be given."""
    parts = setting.split(",")
    return len(setting) <= 400 and all((m := SWITCH.fullmatch(part)) and m[1] not in NO_SWITCHES for part in parts)


_DEFAULTS = {field.name: field.default for field in fields(Pair) if field.name in SETTINGS}


def _value(field: str, value: Json) -> Json:
    if field == "questions":
        return tuple(map(str, value if isinstance(value, list | tuple) else [value]))
    if field in ("kv", "positions"):
        return int(value) if str(value).isdigit() else 0
    return value if isinstance(value, bool) and field == "untie" else str(value)


def _preset(name: str, entry: JsonMapping) -> Pair:
    allowed = {f.name for f in fields(Pair)}
    if wrong := sorted(set(entry) - allowed):
        raise PairError(
            f"Pair {name!r} in pairs.yaml has an unknown field {wrong[0]!r}. Known: {', '.join(sorted(allowed))}."
        )
    values = {k: _value(k, v) for k, v in entry.items() if v is not None}
    for role in ("instruct", "thinking", "base"):
        if str(values.get(role, "")).startswith("models/"):  # the embedded pair lies below assets/
            values[role] = str(ASSETS / str(values[role]))
    return Pair(name=name, **values)


@lru_cache(maxsize=8)
def read_presets(file: Path = ASSETS / "pairs.yaml") -> Mapping[str, Pair]:
    """The presets of a YAML file, by name, in its order. Raises `PairError` for a malformed file."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise PairError(f"The presets {file.name} cannot be read: {str(error)[:200]}.") from None
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise PairError(f"The presets {file.name} must map names to pairs.")
    return {str(name): _preset(str(name), entry) for name, entry in content.items()}


def list_pairs() -> tuple[Pair, ...]:
    """Every preset, the embedded pair first."""
    return tuple(read_presets().values())


def with_settings(spec: str, **settings: Json) -> str:
    """A name or spec followed by these settings, where they are not the default."""
    changed = {k: settings[k] for k in SETTINGS if settings.get(k, _DEFAULTS[k]) != _DEFAULTS[k]}
    given = {k: str(v).lower() if isinstance(v, bool) else v for k, v in changed.items()}
    return spec + ("&" if "?" in spec else "?") + urlencode(given) if given else spec


def _with_settings(spec: str, query: str) -> Pair:
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name in given:
        if name not in SETTINGS:
            raise PairError(str(unknown("setting of a pair", name, SETTINGS)))
    if given.get("untie", "false") not in ("true", "false"):
        raise PairError(f"untie is true or false, not {given['untie'][:40]!r}.")
    values: JsonObject = {**given, **({"untie": given["untie"] == "true"} if "untie" in given else {})}
    return replace(get_pair(spec), name=with_settings(spec.strip(), **values), **values)


def get_pair(spec: str | Pair | JsonMapping) -> Pair:
    """The pair of a preset name, of `"instruct|thinking[|base]"`, or of a mapping with those fields. `PairError` otherwise."""
    if isinstance(spec, Pair):
        return spec
    if isinstance(spec, Mapping):
        return _preset(str(spec.get("name") or "custom"), {k: v for k, v in spec.items() if k != "name"})
    spec = str(spec).strip()
    presets = read_presets()
    if spec in presets:
        return presets[spec]
    if "?" in spec:
        return _with_settings(*spec.split("?", 1))
    if spec.endswith("@base"):  # the same pair with the base in Instruct's place: the backbone ablation
        pair = get_pair(spec.removesuffix("@base"))
        if pair.base is None:
            raise PairError(f"The pair {pair.name!r} names no base, so it cannot serve as the backbone.")
        return replace(pair, name=spec, instruct=pair.base)
    if "|" in spec:
        parts = [p.strip() for p in spec.split("|")]
        if len(parts) > 3 or not all(parts):
            raise PairError(f"A pair is written 'instruct|thinking' or 'instruct|thinking|base', not {spec[:120]!r}.")
        pair = Pair(spec, parts[0], parts[1], parts[2] if len(parts) == 3 else None)
        known = [p for p in presets.values() if same_place(p.thinking, pair.thinking)]
        if known:  # the Thinking of a preset: its task holds, and with the same Instruct its think tags
            pair = replace(pair, task=known[0].task, questions=known[0].questions)
        known = [p for p in known if same_place(p.instruct, pair.instruct)]
        if known:
            pair = replace(pair, think_open=known[0].think_open, think_close=known[0].think_close)
        return pair
    raise PairError(
        str(unknown("pair", spec, presets)) + " Or write 'instruct|thinking[|base]' with folders or hub ids."
    )
