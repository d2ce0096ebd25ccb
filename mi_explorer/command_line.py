"""Commands as text: the one place where a recipe or a decoding is written as options of the command line.

Given values, gives words and lines that `mi_explorer.cli` reads back as the same values (tests/cli/test_command_line.py).
"""

import shlex
from collections.abc import Iterable

from mi_explorer.pairs import Pair
from mi_explorer.recipe import MODULES, Decoding, Recipe, Scope

PROGRAM = ("python", "-m", "mi_explorer")
_PLAIN = Decoding()


def command_line(*words: str) -> str:
    """`python -m mi_explorer` with these words, quoted for a shell."""
    return shlex.join([*PROGRAM, *words])


def lambda_option(lams: Iterable[float]) -> str:
    """`--lambda=…`, in one word because a λ may begin with a minus; every digit is written."""
    return "--lambda=" + ",".join(f"{lam:g}" if float(f"{lam:g}") == lam else repr(lam) for lam in lams)


def scope_options(scope: Scope) -> list[str]:
    """--layers and --modules, where they are not all."""
    words = [] if scope.layers == "all" else ["--layers", scope.layers]
    return words if set(scope.modules) == set(MODULES) else [*words, "--modules", ",".join(scope.modules)]


def recipe_options(recipe: Recipe) -> list[str]:
    """Method, parameters, scope, template and the answer's λ, where they are not the default; pair and λ are the caller's."""
    words = [] if recipe.method == "linear" else ["--method", recipe.method]
    for name, value in recipe.params:
        words += ["--param", f"{name}={value!r}"]
    words += scope_options(recipe.scope)
    words += [] if recipe.template == "own" else ["--template", recipe.template]
    return words if recipe.answer_lam is None else [*words, f"--answer-lambda={recipe.answer_lam!r}"]


def decoding_options(decoding: Decoding) -> list[str]:
    """The settings of a decoding that are not the default."""
    words = []
    for name, value in vars(decoding).items():
        if value != getattr(_PLAIN, name):
            words += [f"--{name.replace('_', '-')}", repr(value)]
    return words


def export_command(recipe: Recipe, pair: Pair | None = None, adapter: bool = False) -> str:
    """The command that exports this recipe (of a `pair` with settings of its own; as a scaled adapter)."""
    words = ["export", "--pair", recipe.pair, lambda_option([recipe.lam]), *recipe_options(recipe.for_thought)]
    if pair and pair.untie:
        words.append("--untie")
    if pair and pair.adapter_on != "auto":
        words += ["--adapter-on", pair.adapter_on]
    if adapter:
        words.append("--adapter")
    return command_line(*words, "--out", "DIR")


def run_command(recipe: Recipe, decoding: Decoding, prompt: str, gold: str = "", schedule: str = "") -> str:
    """The command that answers one prompt with this recipe, under a schedule in one line (see `generation.schedule`)."""
    words = ["run", "--pair", recipe.pair, lambda_option([recipe.lam])]
    words += recipe_options(recipe) + decoding_options(decoding)
    if schedule:
        words.append(f"--schedule={schedule}")
    if gold:
        words.append(f"--gold={gold}")
    return command_line(*words, "--", prompt)


def probe_command(
    recipe: Recipe,
    decoding: Decoding,
    prompt: str,
    gold: str,
    points: int,
    at_lam: float | None = None,
    free: int = 0,
) -> str:
    """The command that answers one prompt with this recipe and probes the answer's thought."""
    words = ["probe", "--pair", recipe.pair, lambda_option([recipe.lam])]
    words += recipe_options(recipe) + decoding_options(decoding) + ["--points", str(points)]
    words += [] if at_lam is None else [lambda_option([at_lam]).replace("--lambda", "--at-lambda")]
    words += ["--free", str(free)] if free else []
    return command_line(*words, f"--gold={gold}", "--", prompt)
