"""Recipes as plain values and as text: one dict form, YAML, JSON, and the query of the page's address.

What is written is read back as the same recipe, and nothing else passes: an unknown or repeated key, a boolean where a number
belongs, an alias or a text of absurd size is a `RecipeError`, never a guess. Older spellings (`lam` or `lambda`, a nested
`scope`, `p.<name>` in a link) are read everywhere and never written. The mergekit form lives in `mergekit_yaml.py`.
"""

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode

import yaml

from mi_explorer.errors import unknown
from mi_explorer.recipe import LAM_RANGE, MODULES, Recipe, RecipeError, Scope, number, short_text
from mi_explorer.untyped import Json, JsonObject

LIMIT = 64_000  # characters; a recipe has some hundred
MAX_PARAMS = 1_000  # a submodule profile has one for every attention and MLP block
KEYS = ("pair", "method", "lambda", "layers", "modules", "params", "template")
ANSWER_KEY = "answer_lambda"  # only where the answer has a λ of its own
QUERY_VERSION = "1"
QUERY_KEYS = ("pair", "lam", "method", "params", "layers", "modules", "template")  # in the order of the address
DEFAULT = Recipe()


# The dict -----------------------------------------------------------------------------------------------------------


def to_dict(recipe: Recipe) -> JsonObject:
    """Plain values, every key present: `{"pair", "method", "lambda", "layers", "modules", "params", "template"}`.

    `"answer_lambda"` is among them where the answer has a λ of its own.
    """
    plain = {
        "pair": recipe.pair,
        "method": recipe.method,
        "lambda": recipe.lam,
        "layers": recipe.scope.layers,
        "modules": list(recipe.scope.modules),
        "params": dict(recipe.params),
        "template": recipe.template,
    }
    return plain | _with_answer(recipe, ANSWER_KEY)


def from_dict(data: object, whole: bool = False) -> Recipe:
    """The recipe of a mapping; missing keys take their defaults. `modules` may be a list, or a text: "all" or names with commas.

    Also reads the form in which stores hold recipes: `lam` for `lambda`, `answer_lam` for `answer_lambda`, and `scope` with `layers`
    and `modules` in it. With `whole` no key may be missing.
    """
    if not isinstance(data, Mapping):
        raise RecipeError(f"A recipe is a set of 'key: value' lines ({', '.join(KEYS)}), not {type(data).__name__}.")
    given = dict(data)
    if isinstance(scope := given.get("scope"), Mapping) and set(scope) <= {"layers", "modules"} - set(given):
        given |= given.pop("scope")
    if "lam" in given and "lambda" not in given:
        given["lambda"] = given.pop("lam")
    if "answer_lam" in given and ANSWER_KEY not in given:
        given[ANSWER_KEY] = given.pop("answer_lam")
    for key in given:
        if key not in (*KEYS, ANSWER_KEY):
            raise RecipeError(str(unknown("recipe key", str(key)[:80], (*KEYS, ANSWER_KEY))))
    if whole and (missing := [key for key in KEYS if key not in given]):
        raise RecipeError(f"A stored recipe cannot be read: it has no {missing[0]!r}.")
    params = given.get("params") or {}
    if not isinstance(params, Mapping) or len(params) > MAX_PARAMS:
        raise RecipeError(f"params must map names to numbers, at most {MAX_PARAMS} of them.")
    answer = given.get(ANSWER_KEY)
    return Recipe(
        pair=_text(given.get("pair", DEFAULT.pair), "pair"),
        method=_text(given.get("method", DEFAULT.method), "method"),
        lam=_number(given.get("lambda", DEFAULT.lam), "λ", *LAM_RANGE),
        scope=Scope(_layers(given.get("layers", "all")), _modules(given.get("modules", "all"))),
        params=tuple((_text(k, "a parameter's name"), _number(v, f"parameter {k[:40]}")) for k, v in params.items()),
        template=_text(given.get("template", DEFAULT.template), "template"),
        answer_lam=None if answer is None else _number(answer, "The answer's λ", *LAM_RANGE),
    )


def _with_answer(recipe: Recipe, key: str) -> JsonObject:
    return {} if recipe.answer_lam is None else {key: recipe.answer_lam}


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 1000 or not value.isprintable():
        raise RecipeError(f"{what} must be a short text, not {short_text(value)}.")
    return value


def _layers(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10_000:  # YAML reads "3" as a number
        return str(value)
    return _text(value, "layers")


def _modules(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        named = value.strip().lower()
        return MODULES if named == "all" else tuple(m.strip() for m in value.split(",") if m.strip())
    if not isinstance(value, (list, tuple)) or not all(isinstance(m, str) for m in value):
        raise RecipeError(f"modules must be a list out of {', '.join(MODULES)}, or 'all'.")
    return tuple(value)


def _number(value: object, what: str, low: float = -1e12, high: float = 1e12) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise RecipeError(f"{what} must be a number, not {type(value).__name__}.")
    return number(value, what, low, high)


def to_key_dict(recipe: Recipe) -> JsonObject:
    """The form that the keys of stored samples are hashed from, and that stores hold. It never changes; `from_dict` reads it."""
    scope = {"layers": recipe.scope.layers, "modules": recipe.scope.modules}
    plain = {
        "pair": recipe.pair,
        "method": recipe.method,
        "lam": recipe.lam,
        "scope": scope,
        "params": dict(recipe.params),
        "template": recipe.template,
    }
    return plain | _with_answer(recipe, "answer_lam")


# YAML ---------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases (no expansion bombs) and without repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Json, Json]:
        seen: set[Json] = set()
        for key in (self.construct_object(k, deep=True) for k, _ in node.value):
            if key in seen:
                raise yaml.YAMLError(f"the key {str(key)[:40]!r} appears twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _check_length(text: str) -> None:
    if len(text) > LIMIT:
        raise RecipeError(f"This is {len(text)} characters long; a recipe has a few hundred.")


def load_yaml(text: str) -> Json:
    """Plain data of a small YAML text: no aliases, no repeated keys, no tags. `RecipeError` otherwise."""
    _check_length(text)
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except Exception as error:  # noqa: BLE001 - PyYAML fails on odd scalars in many ways: IndexError, KeyError, AttributeError, …
        why = " ".join(str(error).encode("ascii", "backslashreplace").decode().split())[:200]
        raise RecipeError(f"This is not valid YAML: {why.rstrip('.')}.") from None


def to_yaml(recipe: Recipe) -> str:
    """The recipe as a YAML file, one key a line."""
    return yaml.safe_dump(to_dict(recipe), sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000)


def from_yaml(text: str) -> Recipe:
    """The recipe of a YAML file."""
    return from_dict(load_yaml(text))


# JSON ---------------------------------------------------------------------------------------------------------------


def to_json(recipe: Recipe) -> str:
    """The recipe as one line of JSON."""
    return json.dumps(to_dict(recipe), ensure_ascii=False)


def from_json(text: str) -> Recipe:
    """The recipe of a JSON object."""
    _check_length(text)

    def unique(items: list[tuple[str, Json]]) -> JsonObject:
        if len({k for k, _ in items}) != len(items):
            raise ValueError("a key appears twice")
        return dict(items)

    try:
        data = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise RecipeError(f"This is not valid JSON: {str(error)[:200]}.") from None
    return from_dict(data)


# The query of an address ---------------------------------------------------------------------------------------------


def to_query(recipe: Recipe) -> str:
    """The recipe as the query of the page's address, without the question mark; what is at its default is left out."""
    return urlencode([("v", QUERY_VERSION), *query_items(recipe)], safe=",:/")


def query_items(recipe: Recipe) -> list[tuple[str, str]]:
    """(key, text) of every part of the recipe that is not at its default, keys as in `QUERY_KEYS`."""
    texts = {
        "pair": recipe.pair,
        "lam": digits(recipe.lam),
        "method": recipe.method,
        "params": ",".join(f"{quote(name, safe='')}:{digits(value)}" for name, value in recipe.params),
        "layers": recipe.scope.layers,
        "modules": ",".join(recipe.scope.modules) or "none",
        "template": recipe.template,
        "answer_lam": "" if recipe.answer_lam is None else digits(recipe.answer_lam),
    }
    default = {**to_dict(DEFAULT), "lam": DEFAULT.lam, "answer_lam": None}
    here = {**to_dict(recipe), "lam": recipe.lam, "answer_lam": recipe.answer_lam}
    return [(key, texts[key]) for key in (*QUERY_KEYS, "answer_lam") if here[key] != default[key]]


def digits(x: float) -> str:
    """The shortest text that reads back as x."""
    return str(int(x)) if x == int(x) else repr(float(x))


def current_query(items: Mapping[str, str]) -> dict[str, str]:
    """The parts of an address under today's keys: `lambda` becomes `lam`, `p.<name>=<number>` a part of `params`."""
    out = {key: text for key, text in items.items() if key != "lambda" and not key.startswith("p.")}
    if "lambda" in items:
        out.setdefault("lam", items["lambda"])
    old = [f"{quote(key[2:], safe='')}:{text}" for key, text in items.items() if key.startswith("p.") and key[2:]]
    if old:
        out["params"] = ",".join(filter(None, [out.get("params", ""), *old]))
    return out


def query_value(key: str, text: str) -> str | list[str] | dict[str, str]:
    """What the text of one of `QUERY_KEYS` says, as a value that `from_dict` reads."""
    if key == "params":
        parts = (part.rpartition(":") for part in text.split(",") if part)
        return {unquote(name): value for name, _, value in parts}
    if key == "modules":
        return [] if text == "none" else text
    return text


def from_query(query: str) -> Recipe:
    """The recipe of a URL query; unknown or repeated keys are errors. The page reads more leniently (`ui.explore.view`)."""
    if len(query) > LIMIT:
        raise RecipeError("The link is too long to be a recipe.")
    query = query.removeprefix("?")
    try:
        items = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=2 * MAX_PARAMS
        )
    except ValueError:
        raise RecipeError("The link is not a valid query of key=value parts.") from None
    given: dict[str, str] = {}
    for key, text in items:
        if key in given:
            raise RecipeError(f"The link says {key[:40]!r} twice.")
        given[key] = text
    if {"lam", "lambda"} <= set(given):
        raise RecipeError("The link says λ twice, as lam and as lambda.")
    parts = current_query(given)
    if parts.pop("v", QUERY_VERSION) != QUERY_VERSION:
        raise RecipeError("The link was made by another version.")
    return from_dict({key: query_value(key, text) for key, text in parts.items()})
