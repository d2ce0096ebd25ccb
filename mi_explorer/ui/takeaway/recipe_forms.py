"""A view of Explore in every form in which it can be taken elsewhere: YAML, mergekit, Python, the command line, a link.

Each form gives the same blend, and Python and the command line the same trace (same question, decoding and seed). What a form
cannot say is said in a sentence, never left out. And the way in: `read_pasted` takes any of the forms that hold a recipe.
"""

import os
from collections.abc import Iterable

from mi_explorer import recipe_io
from mi_explorer.command_line import export_command, probe_command, run_command
from mi_explorer.errors import UserError
from mi_explorer.generation.schedule import schedule_text
from mi_explorer.mergekit_reader import read_recipe
from mi_explorer.mergekit_yaml import to_mergekit
from mi_explorer.pair_names import short_names
from mi_explorer.pairs import Pair
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import MODULES, Decoding, Recipe, RecipeError, Scope
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.branch_path import parse_branch, parse_probe
from mi_explorer.ui.explore.view import View
from mi_explorer.untyped import JsonObject

QUESTION = "What is 14 + 3 * 6 - 9?"  # where the view has none


def forms(view: View, pair: Pair, names: Iterable[str] = (), dtype: str = "bfloat16") -> JsonObject:
    """`{"title", "hash", "yaml", "mergekit", "why", "python", "command", "export", "query", "cut"}`.

    `names` are the pair's tensor names (for mergekit filters). Where there is no mergekit form, `mergekit` is "" and `why` says why;
    `export` is "" for a method that mixes no weights; `cut` tells that the link leaves out a question that is too long for it.
    """
    from mi_explorer.merging.methods import METHODS

    recipe = view.recipe()
    mergekit, why = "", ""
    try:
        mergekit = to_mergekit(recipe, pair, names, dtype=dtype)
    except UserError as error:
        why = str(error)
    query = views.view_query(view)
    return {
        "title": title(recipe),
        "hash": recipe.hash,
        "yaml": recipe_io.to_yaml(recipe),
        "mergekit": mergekit,
        "why": why,
        "python": python(view),
        "command": command(view),
        "export": export_command(recipe, pair) if recipe.method in METHODS else "",
        "query": query,
        "cut": len(view.prompt) > views.LINK_LIMIT,
    }


def title(recipe: Recipe) -> str:
    """The recipe in one line of words."""
    scope = recipe.scope
    missing = [m for m in MODULES if m not in scope.modules]
    where = [] if scope.layers == "all" else ["no layer"] if scope.layers == "none" else [f"layers {scope.layers}"]
    if not scope.modules:
        where.append("no module")
    elif missing:
        where.append(f"without {', '.join(missing)}" if len(missing) < 4 else f"{', '.join(scope.modules)} only")
    params = [f"{name} {value:g}" for name, value in recipe.params]
    return ", ".join(
        [recipe.method.replace("_", " "), f"λ {recipe.lam:g}", *(where or ["everything blended"]), *params]
    )


def _call(name: str, values: JsonObject, first: str = "") -> str:
    return f"mi.{name}({', '.join(filter(None, [first, *(f'{k}={v}' for k, v in values.items())]))})"


def python(view: View) -> str:
    """Five lines for `import mi_explorer` that answer the view's question with its blend."""
    recipe, plain = view.recipe(), Recipe()
    scope = {"layers": repr(recipe.scope.layers), "modules": repr(recipe.scope.modules)}
    default = {"layers": repr("all"), "modules": repr(MODULES)}
    given: JsonObject = {"method": repr(recipe.method)} if recipe.method != plain.method else {}
    given["lam"] = repr(recipe.lam)
    if recipe.scope != Scope():
        given["scope"] = _call("Scope", {k: v for k, v in scope.items() if v != default[k]})
    if recipe.params:
        given["params"] = repr(recipe.params)
    if recipe.template != plain.template:
        given["template"] = repr(recipe.template)
    if recipe.answer_lam is not None:
        given["answer_lam"] = repr(recipe.answer_lam)
    usual, drawn = vars(Decoding()), vars(view.decoding)
    decoding = {k: repr(v) for k, v in drawn.items() if v != usual[k]}
    asked = {"decoding": "decoding"} | ({"gold": repr(view.gold)} if view.gold else {})
    return "\n".join([
        "import mi_explorer as mi",
        f"recipe = {_call('Recipe', given, repr(recipe.pair))}",
        f"decoding = {_call('Decoding', decoding)}",
        f"found = {_call('generate', asked, f'{view.prompt or QUESTION!r}, recipe')}",
        'print(found.trace.text, found.trace.tokens, found.verdict, sep="\\n")',
        *_python_interventions(view),
    ]) + "\n"  # fmt: skip


def _python_interventions(view: View) -> list[str]:
    """The lines that make the view's steered response and branches, and the probes of traces with a known answer."""
    question, gold = view.prompt or QUESTION, view.gold
    lines = []
    made = [("branch", path.lam, schedule_text(path.schedule)) for path in map(parse_branch, view.branches)]
    if view.schedule:
        made.insert(0, ("steered", view.lam, view.schedule))
    for name, lam, steps in made:
        asked = f'"{name}", {question!r}, recipe.at({lam!r}), decoding, {gold or None!r}, schedule=parse_schedule({steps!r})'
        lines += [
            f"request = mi.GenerationRequest({asked})",
            f"*_, ({name},) = bench.stream([request])",
            f'print({name}.trace.text, {name}.trace.tokens, {name}.verdict, sep="\\n")',
        ]
    for probe in map(parse_probe, view.probes):
        if probe.at is None or not gold:
            continue
        more = {"points": probe.points, "at_lambda": probe.lam, "free": probe.free}
        given = {
            "gold": repr(gold),
            **{k: repr(v) for k, v in more.items() if v},
            "decoding": "decoding",
            "bench": "bench",
        }
        if probe.lam is not None:
            given["at_lambda"] = repr(probe.lam)
        lines += [
            f"probed = {_call('probe', given, f'{question!r}, recipe.at({probe.at!r})')}",
            "print(probed.json())",
        ]
    if not lines:
        return []
    first = ["from mi_explorer.generation.schedule import parse_schedule"] if made else []
    return [*first, f"with mi.Workbench.open({view.pair!r}) as bench:", *(f"    {line}" for line in lines)]


def command(view: View) -> str:
    """The command lines that answer the view's question with its blend, and probe the traces that were probed."""
    question = view.prompt or QUESTION
    lines = [run_command(view.recipe(), view.decoding, question, view.gold, view.schedule)]
    for path in map(parse_branch, view.branches):
        steps = schedule_text(path.schedule)
        lines += ["# a branch", run_command(view.recipe(path.lam), view.decoding, question, view.gold, steps)]
    left = False
    for probe in map(parse_probe, view.probes):
        if probe.at is None or not view.gold:
            left = True
            continue
        made = probe_command(
            view.recipe(probe.at), view.decoding, question, view.gold, probe.points, probe.lam, probe.free
        )
        lines += [f"# probes of the trace at λ {probe.at:g}", made]
    if left:
        lines.append("# probes of branches, and probes without a known answer, have no command: use the link")
    return "\n".join(lines) + "\n"


def read_pasted(text: str, pair: Pair, layers: int | None = None) -> tuple[JsonObject, str, str]:
    """What a pasted text asks of Explore: the part of a view to set, what it was, and a note ("" if there is nothing to say).

    `text`: a recipe as YAML or JSON, a mergekit configuration, or a link of this page. `pair` is the loaded pair: a recipe of
    another one is applied to it, and the note says so. Raises `RecipeError` and other `UserError`s.
    """
    text = text.strip().removeprefix("\ufeff")
    if not text:
        raise RecipeError("There is nothing here yet. Paste a recipe, a mergekit configuration or a link.")
    if len(text) > recipe_io.LIMIT:
        raise RecipeError(f"This is {len(text):,} characters long; a recipe has a few hundred.")
    if "\n" not in text and text.startswith(("?", "http://", "https://")):
        return _link(text, pair)
    recipe, is_mergekit = read_recipe(text, layers)
    note = _other(recipe.pair, pair)
    chosen = (recipe.lam, recipe.method, recipe.params, recipe.scope, recipe.template, recipe.answer_lam)
    view = views.view_dict(View(pair.name, *chosen))
    kind = "mergekit configuration" if is_mergekit else "recipe"
    return {key: view[key] for key in views.RECIPE_KEYS if key != "pair"}, kind, note


def _link(text: str, pair: Pair) -> tuple[JsonObject, str, str]:
    """The view of an address of this page; parts that cannot be used are told."""
    query = text.partition("?")[2].partition("#")[0]
    if not query:
        raise RecipeError("This link holds no view: it has no part after a question mark.")
    view, messages = views.view_of_query(query)
    given = views.given_keys(query)
    if not given - {"pair"}:
        raise RecipeError("This link holds no view of Explore.")
    note = _other(view.pair, pair) if "pair" in given else ""
    return (
        {key: x for key, x in views.view_dict(view).items() if key in given and key != "pair"},
        "link",
        " ".join(filter(None, [note, *messages])),
    )


def _other(named: str, pair: Pair) -> str:
    """A note where `named` (a preset, or parents spelled out) is not the loaded pair; "" where it is."""
    parents = [pair.instruct, pair.thinking]
    same = {pair.name, "|".join(parents), pair.spec}
    if named in same or "|".join(named.split("|")[:2]) in same | {brief(text) for text in same}:
        return ""
    names = short_names([named, pair.name])
    return f"It was made for the pair “{names[named][:200]}”; it is applied to the loaded pair “{names[pair.name]}”."


def brief(text: str) -> str:
    """Paths of shipped models relative to the checkout: what a page that is open to others shows."""
    return text.replace(str(ASSETS.parent) + os.sep, "")
