"""Recipes as text: YAML file, JSON, URL query. Strict both ways: what we write we read back as the same value, and nothing else passes.

An unknown or repeated key, a boolean where a number belongs, an alias or a text of absurd size is a `RecipeError`, never a guess.
The mergekit form lives in `mergekit_yaml.py`.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import yaml

from mi_explorer.errors import unknown
from mi_explorer.recipe import MODULES, Recipe, RecipeError, Scope, number

LIMIT = 64_000  # characters; a recipe has some hundred
KEYS = ("pair", "method", "lambda", "layers", "modules", "params", "template")
DEFAULT = Recipe()


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """Plain values, every key present: `{"pair", "method", "lambda", "layers", "modules", "params", "template"}`."""
    return {
        "pair": recipe.pair,
        "method": recipe.method,
        "lambda": recipe.lam,
        "layers": recipe.scope.layers,
        "modules": list(recipe.scope.modules),
        "params": dict(recipe.params),
        "template": recipe.template,
    }


def from_dict(data: object) -> Recipe:
    """The recipe of a mapping; missing keys take their defaults. `modules` may be a list or the word "all"."""
    if not isinstance(data, Mapping):
        raise RecipeError(f"A recipe is a set of 'key: value' lines ({', '.join(KEYS)}), not {type(data).__name__}.")
    for key in data:
        if key not in KEYS:
            raise RecipeError(str(unknown("recipe key", str(key), KEYS)))
    modules = data.get("modules", list(MODULES))
    if isinstance(modules, str):
        modules = (
            list(MODULES) if modules.strip().lower() == "all" else [m.strip() for m in modules.split(",") if m.strip()]
        )
    if not isinstance(modules, (list, tuple)) or not all(isinstance(m, str) for m in modules):
        raise RecipeError(f"modules must be a list out of {', '.join(MODULES)}, or 'all'.")
    params = data.get("params") or {}
    if not isinstance(params, Mapping) or not all(isinstance(k, str) for k in params):
        raise RecipeError("params must map names to numbers.")
    return Recipe(
        pair=_text(data.get("pair", DEFAULT.pair), "pair"),
        method=_text(data.get("method", DEFAULT.method), "method"),
        lam=_number(data.get("lambda", DEFAULT.lam), "λ"),
        scope=Scope(_layers(data.get("layers", "all")), tuple(modules)),
        params=tuple((k, _number(v, f"parameter {k}")) for k, v in params.items()),
        template=_text(data.get("template", DEFAULT.template), "template"),
    )


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 1000 or not value.isprintable():
        raise RecipeError(f"{what} must be a short text, not {str(value)[:40]!r}.")
    return value


def _layers(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):  # YAML reads a single layer as a number
        return str(value)
    return _text(value, "layers")


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise RecipeError(f"{what} must be a number, not {str(type(value).__name__)}.")
    return number(value, what, -1e12, 1e12)


# YAML ---------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases (no expansion bombs) and without repeated keys."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        seen: set[Any] = set()
        for key in keys:
            if key in seen:
                raise yaml.YAMLError(f"the key {str(key)[:40]!r} appears twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Plain data of a small YAML text: no aliases, no repeated keys, no tags. `RecipeError` otherwise."""
    if len(text) > LIMIT:
        raise RecipeError(f"This is {len(text)} characters long; a recipe has a few hundred.")
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise RecipeError(f"This is not valid YAML: {' '.join(str(error).split())[:200]}.") from None


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
    if len(text) > LIMIT:
        raise RecipeError(f"This is {len(text)} characters long; a recipe has a few hundred.")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({k for k, _ in items}) != len(items):
            raise RecipeError("A key appears twice in the JSON.")
        return dict(items)

    try:
        return from_dict(json.loads(text, object_pairs_hook=pairs))
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecipeError(f"This is not valid JSON: {str(error)[:200]}.") from None


# URL query ----------------------------------------------------------------------------------------------------------


def to_query(recipe: Recipe) -> str:
    """A URL query without the question mark, as short as can be: defaults are left out (λ and method stay); parameters are `p.<name>`."""
    items: list[tuple[str, str]] = []
    if recipe.pair != DEFAULT.pair:
        items.append(("pair", recipe.pair))
    items += [("method", recipe.method), ("lambda", repr(recipe.lam))]
    if recipe.scope.layers != "all":
        items.append(("layers", recipe.scope.layers))
    if recipe.scope.modules != MODULES:
        items.append(("modules", ",".join(recipe.scope.modules) or "none"))
    items += [(f"p.{name}", repr(value)) for name, value in recipe.params]
    if recipe.template != DEFAULT.template:
        items.append(("template", recipe.template))
    return urlencode(items, safe=",|/")


def from_query(query: str) -> Recipe:
    """The recipe of a URL query; unknown or repeated keys are errors (a page strips its own keys first)."""
    if len(query) > LIMIT:
        raise RecipeError("The link is too long to be a recipe.")
    try:
        items = parse_qsl(
            query.removeprefix("?"),
            keep_blank_values=True,
            strict_parsing=bool(query.removeprefix("?")),
            errors="strict",
            max_num_fields=1000,
        )
    except ValueError:
        raise RecipeError("The link is not a valid query of key=value parts.") from None
    data: dict[str, Any] = {}
    params: dict[str, str] = {}
    for key, value in items:
        target, name = (params, key[2:]) if key.startswith("p.") and len(key) > 2 else (data, key)
        if name in target:
            raise RecipeError(f"The link says {key[:40]!r} twice.")
        target[name] = value
    if "params" in data:
        raise RecipeError("In a link, parameters are written p.<name>=<number>.")
    if data.get("modules") == "none":
        data["modules"] = []
    return from_dict({**data, "params": params})
