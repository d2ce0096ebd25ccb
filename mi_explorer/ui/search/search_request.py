"""A search as the form describes it: values in, a checked space, settings and questions out, and the command that does the same."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from mi_explorer.command_line import command_line, decoding_options, lambda_option, recipe_options
from mi_explorer.errors import UserError
from mi_explorer.merging.methods import METHODS
from mi_explorer.recipe import Decoding, Recipe, number
from mi_explorer.search.identity import space_of_plain
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import VARY, SearchSpace
from mi_explorer.studies.plan import Item
from mi_explorer.studies.runner import items_of
from mi_explorer.tasks import load_task
from mi_explorer.untyped import Json, JsonMapping, JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

MOST = {"evaluations": 2_000, "questions": 2_000, "samples": 64, "heldout_questions": 5_000, "heldout_samples": 64}
TITLES = {
    "evaluations": "Evaluations",
    "questions": "Questions for a candidate",
    "samples": "Samples of each",
    "heldout_questions": "Held-out questions",
    "heldout_samples": "Samples of each held-out question",
    "groups": "Layer groups",
    "finalists": "Finalists",
    "seed": "Seed",
}

DEFAULTS: JsonObject = {
    "vary": ["lambda", "layers", "budget"], "evaluations": 48, "tokens": None, "questions": 48, "task": "mini", "samples": 2, "groups": 3,
    "methods": ["linear"], "within": None, "sampler": "tpe", "heldout_questions": 100, "heldout_samples": 4, "finalists": 6, "cap": 512,
    "temperature": 0.6, "seed": 0, "name": "",
}  # fmt: skip


@dataclass(frozen=True)
class SearchRequest:
    """What a search is made of; `name` "" stands for its own."""

    space: SearchSpace
    settings: SearchSettings
    items: tuple[Item, ...]
    task: str
    task_seed: int = 0
    name: str = ""

    @property
    def command(self) -> str:
        """The command line that does the same, and goes on with it."""
        space, s, usual = self.space, self.settings, SearchSettings()
        words = ["search", "--pair", space.recipe.pair, "--task", self.task, "--vary", ",".join(space.vary)]
        words += ["--groups", str(space.groups)] if "layers" in space.vary else []
        words += ["--methods", ",".join(space.methods)] if "method" in space.vary else []
        words += ["--budgets", ",".join(map(str, space.budgets))] if space.budgets else []
        words += ["--step", f"{space.step:g}"] if space.step != 0.05 else []
        for key in (*MOST, "finalists", "batch", "tokens", "within", "sampler"):
            if getattr(s, key) != getattr(usual, key):
                words += [f"--{key.replace('_', '-')}", f"{getattr(s, key)}"]
        words += [] if s.race else ["--no-race"]
        words += [] if s.warm else ["--cold"]
        words += [] if s.line == usual.line else [lambda_option(s.line)]
        words += recipe_options(space.recipe) + decoding_options(space.decoding)
        words += ["--task-seed", str(self.task_seed)] if self.task_seed else []
        return command_line(*words, *(["--name", self.name] if self.name else []))


def offered_methods(has_base: bool) -> list[str]:
    """The methods that a search on a pair may choose among."""
    return [name for name, m in METHODS.items() if (has_base or not m.needs_base) and not m.blocks]


def search_request(form: JsonMapping, bench: "Workbench", allowed: Callable[[str], str] = str) -> SearchRequest:
    """The search of a form (keys of `DEFAULTS`) on a loaded pair. `allowed` turns a visitor's task name into one that may be loaded.

    Raises `UserError` for everything that cannot be meant.
    """
    values = {**DEFAULTS, **{k: v for k, v in form.items() if k in DEFAULTS and v is not None}}
    count = {key: _whole(values[key], title, MOST.get(key, 2**31)) for key, title in TITLES.items() if key != "seed"}
    seed = int(number(values["seed"], "Seed", 0, 2**31))
    decoding = Decoding(values["temperature"], cap=values["cap"], seed=seed)
    tokens, within = (_amount(values[key]) for key in ("tokens", "within"))
    greedy = decoding.temperature == 0  # every sample would be the same
    settings = SearchSettings(
        evaluations=count["evaluations"],
        tokens=_whole(tokens, "Token budget", 10**12) if tokens else None,
        within=number(within, "Tokens of an answer", 0.001, 1e9) if within else None,
        questions=count["questions"],
        samples=1 if greedy else count["samples"],
        heldout_questions=count["heldout_questions"],
        heldout_samples=1 if greedy else count["heldout_samples"],
        finalists=count["finalists"],
        sampler=str(values["sampler"]),
        seed=seed,
    )
    layers, has_base = int(bench.layers or 1), bench.pair.base is not None
    vary = tuple(str(x) for x in values["vary"] or ())
    methods = tuple(dict.fromkeys(str(m) for m in values["methods"] or ()))
    space = SearchSpace(
        vary,
        layers,
        Recipe(bench.pair.name),
        decoding,
        count["groups"] if "layers" in vary else min(DEFAULTS["groups"], layers),
        methods=methods if "method" in vary else tuple(offered_methods(has_base)),  # as the command has them
        has_base=has_base,
    )
    task = allowed(str(values["task"]).strip())
    return SearchRequest(space, settings, items_of(load_task(task)), task, 0, _name(values["name"]))


def saved_request(name: str, settings: JsonMapping, allowed: Callable[[str], str] = str) -> SearchRequest:
    """The search that was saved with these settings (see `SearchResult.settings`), to go on with it. Raises `UserError`."""
    try:
        space = space_of_plain(settings)
    except KeyError:
        raise UserError(
            f"The search {name!r} was made by another version, which did not note all of it. Go on with the command that made it."
        ) from None
    kept = SearchSettings.of({f.name: settings[f.name] for f in fields(SearchSettings) if f.name in settings})
    task, seed = allowed(str(settings["task"])), int(settings.get("task_seed", 0))
    return SearchRequest(space, kept, items_of(load_task(task, None, seed)), task, seed, name)


def vary_choices(layers: int) -> list[tuple[str, str]]:
    """What may vary, as (label, name): a pair without layers has no groups of them."""
    return [(_upper(text), name) for name, text in VARY.items() if layers > 1 or name != "layers"]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


def _whole(value: Json, what: str, most: int) -> int:
    found = number(value, what, 1, most)
    if found != int(found):
        raise UserError(f"{what} must be a whole number, not {found:g}.")
    return int(found)


def _amount(value: Json) -> Json:
    """An amount as typed, such as 200,000; None where nothing is."""
    return value.replace(",", "").strip() or None if isinstance(value, str) else value


def _name(value: Json) -> str:
    text = " ".join(str(value or "").split())
    if len(text) > 100:
        raise UserError("A search's name must have at most 100 characters.")
    return text
