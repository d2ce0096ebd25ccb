"""What the visitor looks at, as one frozen value: the question, the recipe, the decoding, the pins and the lens.

It travels in three forms that all pass through the one table `FIELDS`: the address bar (`?v=1&lam=0.45&…`, defaults left
out), the flat dict that the page sends with a run, and this value. Everything from outside is validated like any input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from mi_explorer.errors import UserError, unknown
from mi_explorer.recipe import LAM_RANGE, MODULES, TEMPLATES, Decoding, Recipe, Scope, number

VERSION = "1"
LENSES = ("plain", "markers", "writer", "entropy")
PROMPT_LIMIT = 20_000  # characters; the model's context is checked again, in tokens, by the workbench
GOLD_LIMIT = 500
LINK_LIMIT = 1_500  # a longer question does not go into the address bar
MOST_PINS = 8
MOST_PARAMS = 300  # a submodule profile has one for every attention and MLP block


class ViewError(UserError):
    """A view that cannot be shown as asked: the message names the field and what it may be."""


@dataclass(frozen=True)
class View:
    """One state of Explore. `lam` is the λ of the middle pane; `pins` are further λs that stay on the board."""

    pair: str = "mini"
    lam: float = 0.5
    method: str = "linear"
    params: tuple[tuple[str, float], ...] = ()
    scope: Scope = field(default_factory=Scope)
    template: str = "own"
    decoding: Decoding = field(default_factory=Decoding)
    prompt: str = ""
    gold: str = ""
    pins: tuple[float, ...] = ()
    lens: str = "plain"

    def recipe(self, lam: float | None = None) -> Recipe:
        """The recipe of this view, at its own λ or another one. Raises `RecipeError`."""
        at = self.lam if lam is None else lam
        return Recipe(self.pair, self.method, at, self.scope, self.params, self.template)


# key in the address and on the wire, kind, default
FIELDS: tuple[tuple[str, str, Any], ...] = (
    ("pair", "text", "mini"),
    ("lam", "number", 0.5),
    ("method", "text", "linear"),
    ("params", "pairs", {}),
    ("layers", "text", "all"),
    ("modules", "names", list(MODULES)),
    ("template", "text", "own"),
    ("t", "number", Decoding().temperature),
    ("top_p", "number", Decoding().top_p),
    ("top_k", "number", Decoding().top_k),
    ("min_p", "number", Decoding().min_p),
    ("rep", "number", Decoding().repetition_penalty),
    ("cap", "number", Decoding().cap),
    ("seed", "number", Decoding().seed),
    ("q", "text", ""),
    ("gold", "text", ""),
    ("pins", "numbers", []),
    ("lens", "text", "plain"),
)
DEFAULTS = {key: default for key, _, default in FIELDS}


def as_dict(view: View) -> dict[str, Any]:
    """The flat dict of a view, as the page holds it (JSON types only)."""
    d = view.decoding
    values = (
        view.pair, view.lam, view.method, dict(view.params), view.scope.layers, list(view.scope.modules), view.template,
        d.temperature, d.top_p, d.top_k, d.min_p, d.repetition_penalty, d.cap, d.seed,
        view.prompt, view.gold, list(view.pins), view.lens,
    )  # fmt: skip
    return dict(zip(DEFAULTS, values, strict=True))


def from_dict(values: Mapping[str, Any]) -> View:
    """The view of a flat dict; missing keys are defaults, unknown keys are ignored. Raises `UserError`."""
    v = {**DEFAULTS, **{k: values[k] for k in DEFAULTS if k in values}}
    text = {k: _text(v[k], k) for k in ("pair", "method", "layers", "template", "q", "gold", "lens")}
    if len(text["q"]) > PROMPT_LIMIT:
        raise ViewError(
            f"The question has {len(text['q']):,} characters; at most {PROMPT_LIMIT:,} are allowed. Shorten it."
        )
    if len(text["gold"]) > GOLD_LIMIT:
        raise ViewError(f"The known answer may have at most {GOLD_LIMIT} characters.")
    if text["lens"] not in LENSES:
        raise unknown("lens", text["lens"], LENSES)
    if text["template"] not in TEMPLATES:
        raise unknown("template policy", text["template"], TEMPLATES)
    if not isinstance(v["pins"], (list, tuple)) or len(v["pins"]) > MOST_PINS:
        raise ViewError(f"Pins must be a list of at most {MOST_PINS} λ values.")
    if not isinstance(v["modules"], (list, tuple)):
        raise ViewError("Modules must be a list of names.")
    if not isinstance(v["params"], Mapping) or len(v["params"]) > MOST_PARAMS:
        raise ViewError("Method parameters must be names with numbers.")
    return View(
        pair=text["pair"],
        lam=round(number(v["lam"], "λ", *LAM_RANGE), 4),
        method=text["method"],
        params=tuple(
            sorted(
                (_text(k, "parameter")[:40], number(x, f"Parameter {str(k)[:40]}", -1e6, 1e6))
                for k, x in v["params"].items()
            )
        ),
        scope=Scope(text["layers"][:400], tuple(_text(m, "module")[:40] for m in v["modules"])),
        template=text["template"],
        decoding=Decoding(v["t"], v["top_p"], v["top_k"], v["min_p"], v["rep"], v["cap"], v["seed"]),
        prompt=text["q"],
        gold=text["gold"].strip(),
        pins=tuple(sorted({round(number(x, "A pin", *LAM_RANGE), 4) for x in v["pins"]})),
        lens=text["lens"],
    )


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ViewError(f"{what} must be text, not {type(value).__name__}.")
    return value.replace("\x00", "").replace("\r\n", "\n")


def to_query(view: View) -> str:
    """The address of a view, without the leading `?`; fields at their default are left out."""
    pairs = [("v", VERSION)]
    for key, kind, default in FIELDS:
        value = as_dict(view)[key]
        if value == default or (key in ("q", "gold") and len(value) > LINK_LIMIT):
            continue
        pairs.append((key, _encode(kind, value)))
    return urlencode(pairs)


def _encode(kind: str, value: Any) -> str:
    if kind == "number":
        return _digits(value)
    if kind == "numbers":
        return ",".join(map(_digits, value))
    if kind == "names":
        return ",".join(value) or "none"
    if kind == "pairs":
        return ",".join(f"{k}:{_digits(x)}" for k, x in value.items())
    return str(value)


def _digits(x: float) -> str:
    """The shortest text that reads back as x."""
    return str(int(x)) if x == int(x) else repr(float(x))


def _decode(kind: str, text: str) -> Any:
    if kind == "numbers":
        return [x.strip() for x in text.split(",") if x.strip()]
    if kind == "names":
        return [] if text == "none" else [x.strip() for x in text.split(",") if x.strip()]
    if kind == "pairs":
        return {part.partition(":")[0]: part.partition(":")[2] for part in text.split(",") if part}
    return text


def from_query(query: str | Mapping[str, str]) -> tuple[View, tuple[str, ...]]:
    """The view of an address, and one message for every part of it that could not be used (that part stays at its default).

    Never raises: an address is often typed, cut or old, and the rest of it is still worth showing.
    """
    try:
        given = dict(parse_qsl(query[:100_000], max_num_fields=100)) if isinstance(query, str) else dict(query)
    except ValueError:
        return View(), ("The address has too many parts; it was ignored.",)
    messages = []
    if given.get("v", VERSION) != VERSION:
        messages.append(f"This link was made by another version (v={given['v'][:10]}); what could be read is shown.")
    view = View()
    for key, kind, _ in FIELDS:
        if key not in given:
            continue
        try:
            view = from_dict({**as_dict(view), key: _decode(kind, str(given[key]))})
        except UserError as error:
            messages.append(f"“{key}” in the address was ignored: {error}")
    return view, tuple(messages)


def plain(view: View, pair: str) -> View:
    """The same view of this pair with the plain recipe: layers, methods and their parameters mean something else elsewhere."""
    return replace(view, pair=pair, scope=Scope(), method="linear", params=())
