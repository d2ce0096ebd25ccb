"""What the visitor looks at, as one frozen value: the question, the recipe, the decoding, the pins and the lens.

It travels in three forms: the address bar (`?v=1&lam=0.45&…`, defaults left out), the flat dict that the page sends with a run,
and this value. The recipe's part of each is written and read by `recipe_io`. Everything from outside is checked like any input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode

from mi_explorer import recipe_io
from mi_explorer.errors import UserError, unknown
from mi_explorer.generation.schedule import parse_schedule, schedule_text
from mi_explorer.recipe import LAM_RANGE, MODULES, Decoding, Recipe, Scope, number
from mi_explorer.ui.explore.branch_path import parse_branch, parse_probe
from mi_explorer.ui.explore.token_check import TOKEN_CHECK
from mi_explorer.untyped import Json, JsonMapping, JsonObject

VERSION = recipe_io.QUERY_VERSION
LENSES = ("plain", "markers", "writer", "entropy")
PROMPT_LIMIT = 20_000  # characters; the model's context is checked again, in tokens, by the workbench
GOLD_LIMIT = 500
LINK_LIMIT = 1_500  # a longer question does not go into the address bar
LONG_TEXTS = ("q", "gold", "schedule")
MOST_PINS = 8
MOST_BRANCHES = 6  # of one strip; each takes a pane
MOST_PROBED = 24  # traces


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
    answer_lam: float | None = None
    decoding: Decoding = field(default_factory=Decoding)
    prompt: str = ""
    gold: str = ""
    pins: tuple[float, ...] = ()
    lens: str = "plain"
    schedule: str = ""
    """What was done to a steered response, as `generation.schedule` writes it: `lam` is the λ that it began with."""
    expected: str = ""
    """The tokens that came of it, as `token_check.token_check` writes them."""
    branches: tuple[str, ...] = ()
    """The branches of the strip, as `branch_path.BranchPath.text` writes them."""
    probes: tuple[str, ...] = ()
    """The traces that were probed, as `branch_path.LinkedProbe.text` writes them."""

    def recipe(self, lam: float | None = None) -> Recipe:
        """The recipe of this view, at its own λ or another one. Raises `RecipeError`."""
        at = self.lam if lam is None else lam
        return Recipe(self.pair, self.method, at, self.scope, self.params, self.template, self.answer_lam)


DECODING_KEYS = ("t", "top_p", "top_k", "min_p", "rep", "cap", "seed", "budget")  # in the order of `Decoding`
# key on the wire and in the address, kind (how the page writes it), default; the recipe's keys come first
RECIPE_KEYS = (*recipe_io.QUERY_KEYS, "answer_lam")
FIELDS: tuple[tuple[str, str, Json], ...] = (
    ("pair", "text", "mini"),
    ("lam", "number", 0.5),
    ("method", "text", "linear"),
    ("params", "pairs", {}),
    ("layers", "text", "all"),
    ("modules", "names", list(MODULES)),
    ("template", "text", "own"),
    ("answer_lam", "number", None),
    ("t", "number", Decoding().temperature),
    ("top_p", "number", Decoding().top_p),
    ("top_k", "number", Decoding().top_k),
    ("min_p", "number", Decoding().min_p),
    ("rep", "number", Decoding().repetition_penalty),
    ("cap", "number", Decoding().cap),
    ("seed", "number", Decoding().seed),
    ("budget", "number", Decoding().think_budget),
    ("q", "text", ""),
    ("gold", "text", ""),
    ("pins", "numbers", []),
    ("lens", "text", "plain"),
    ("schedule", "text", ""),
    ("expected", "text", ""),
    ("branches", "texts", []),
    ("probes", "texts", []),
)
DEFAULTS = {key: default for key, _, default in FIELDS}


def view_dict(view: View) -> JsonObject:
    """The flat dict of a view, as the page holds it (JSON types only): the recipe's, with `lam` for λ, and the rest."""
    recipe, d = recipe_io.to_dict(view.recipe()), view.decoding
    recipe["lam"] = recipe.pop("lambda")
    recipe["answer_lam"] = recipe.pop(recipe_io.ANSWER_KEY, None)
    rest = (
        d.temperature, d.top_p, d.top_k, d.min_p, d.repetition_penalty, d.cap, d.seed, d.think_budget,
        view.prompt, view.gold, list(view.pins), view.lens, view.schedule, view.expected,
        list(view.branches), list(view.probes),
    )  # fmt: skip
    return {**recipe, **dict(zip(list(DEFAULTS)[len(recipe) :], rest, strict=True))}


def view_of_dict(values: JsonMapping) -> View:
    """The view of a flat dict; missing keys are defaults, unknown keys are ignored. Raises `UserError`."""
    v = {**DEFAULTS, **{k: values[k] for k in DEFAULTS if k in values}}
    recipe = recipe_io.from_dict({key: v[key] for key in RECIPE_KEYS})
    text = {k: _text(v[k], k) for k in ("q", "gold", "lens", "schedule", "expected")}
    if len(text["q"]) > PROMPT_LIMIT:
        raise ViewError(
            f"The question has {len(text['q']):,} characters; at most {PROMPT_LIMIT:,} are allowed. Shorten it."
        )
    if len(text["gold"]) > GOLD_LIMIT:
        raise ViewError(f"The known answer may have at most {GOLD_LIMIT} characters.")
    if text["lens"] not in LENSES:
        raise unknown("lens", text["lens"], LENSES)
    if not isinstance(v["pins"], (list, tuple)) or len(v["pins"]) > MOST_PINS:
        raise ViewError(f"Pins must be a list of at most {MOST_PINS} λ values.")
    for key, most in (("branches", MOST_BRANCHES), ("probes", MOST_PROBED)):
        if not isinstance(v[key], (list, tuple)) or len(v[key]) > most:
            raise ViewError(f"{key.capitalize()} must be a list of at most {most}.")
    branches = tuple(parse_branch(_text(x, "A branch")).text() for x in v["branches"])
    probes = tuple(parse_probe(_text(x, "A probe")).text() for x in v["probes"])
    if text["expected"] and not TOKEN_CHECK.fullmatch(text["expected"]):
        raise ViewError(
            "The expected tokens are written as their number and twelve hexadecimal digits, such as 225-1f0c9ab37e44."
        )
    return View(
        pair=recipe.pair,
        lam=recipe.lam,
        method=recipe.method,
        params=recipe.params,
        scope=recipe.scope,
        template=recipe.template,
        answer_lam=recipe.answer_lam,
        decoding=Decoding(*(v[key] for key in DECODING_KEYS)),
        prompt=text["q"],
        gold=text["gold"].strip(),
        pins=tuple(sorted({number(x, "A pin", *LAM_RANGE) for x in v["pins"]})),
        lens=text["lens"],
        schedule=schedule_text(parse_schedule(text["schedule"])),
        expected=text["expected"],
        branches=branches,
        probes=probes,
    )


def _text(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise ViewError(f"{what} must be text, not {type(value).__name__}.")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise ViewError(f"{what} holds half of a character (a lone surrogate). Write or copy it again.")
    return value.replace("\x00", "").replace("\r\n", "\n")


def view_query(view: View) -> str:
    """The address of a view, without the leading `?`; fields at their default are left out."""
    items = [("v", VERSION), *recipe_io.query_items(view.recipe())]
    values = view_dict(view)
    for key, kind, default in FIELDS[len(RECIPE_KEYS) :]:
        value = values[key]
        if value == default or (key in LONG_TEXTS and len(value) > LINK_LIMIT):
            continue
        if kind == "texts":  # of this question: where that is too long for a link, they would be another's
            value = ";".join(value)
            if max(len(value), len(view.prompt)) > LINK_LIMIT:
                continue
        numbers = value if kind == "numbers" else [value] if kind == "number" else None
        items.append((key, value if numbers is None else ",".join(map(recipe_io.digits, numbers))))
    return urlencode(items, safe=",:/")


def _parts(query: str | Mapping[str, str]) -> dict[str, str]:
    """The parts of an address under today's keys. Raises `ValueError` where there are far too many."""
    items = dict(parse_qsl(query[:100_000], max_num_fields=2000)) if isinstance(query, str) else query
    return {key: str(text) for key, text in recipe_io.current_query(items).items()}


def given_keys(query: str | Mapping[str, str]) -> set[str]:
    """The fields that an address sets. A question brings its known answer along, or none: never another question's."""
    try:
        given = set(_parts(query)) & set(DEFAULTS)
    except ValueError:
        return set()
    return given | ({"gold"} if "q" in given else set())


def view_of_query(query: str | Mapping[str, str]) -> tuple[View, tuple[str, ...]]:
    """The view of an address, and one message for every part of it that could not be used (that part stays at its default).

    Never raises: an address is often typed, cut or old, and the rest of it is still worth showing.
    """
    try:
        given = _parts(query)
    except ValueError:
        return View(), ("The address has too many parts; it was ignored.",)
    messages = []
    if given.get("v", VERSION) != VERSION:
        messages.append(f"This link was made by another version (v={given['v'][:10]}); what could be read is shown.")
    view = View()
    for key in DEFAULTS:
        if key not in given:
            continue
        text: Json = recipe_io.query_value(key, given[key])
        between = {"pins": ",", "branches": ";", "probes": ";"}.get(key)
        value = [x.strip() for x in text.split(between) if x.strip()] if between else text
        try:
            view = view_of_dict({**view_dict(view), key: value})
        except UserError as error:
            messages.append(f"“{key}” in the address was ignored: {error}")
    return view, tuple(messages)


def plain_view(view: View, pair: str) -> View:
    """The same view of this pair with the plain recipe: layers, methods and their parameters mean something else elsewhere."""
    return replace(view, pair=pair, scope=Scope(), method="linear", params=())
