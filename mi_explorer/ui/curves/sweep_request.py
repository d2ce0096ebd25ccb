"""A sweep as the form describes it: values in, a checked plan and its questions out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mi_explorer.command_line import command_line, decoding_options, lambda_option, recipe_options
from mi_explorer.errors import UserError
from mi_explorer.recipe import MODULES, Decoding, Recipe, Scope, number
from mi_explorer.studies.plan import Cell, Item, Plan, grid, parse_lambdas
from mi_explorer.studies.runner import items_of
from mi_explorer.studies.stats.curve import curves
from mi_explorer.tasks import load_task
from mi_explorer.untyped import Json, JsonMapping, JsonObject

REFINE_ROUNDS = 2
MAX_QUESTIONS, MAX_SAMPLES = 100_000, 1_000
UNIFORM, REFINED = "uniform", "refine at the transition"

DEFAULTS: JsonObject = {
    "task": "mini", "questions": 50, "samples": 2, "lams": "0:1:0.1", "grid": UNIFORM, "methods": ["linear"], "layers": "all",
    "modules": list(MODULES), "template": "own", "temperature": 0.6, "top_p": 0.95, "top_k": 20, "cap": 512, "seed": 0, "task_seed": 0,
    "name": "",
}  # fmt: skip


@dataclass(frozen=True)
class SweepRequest:
    """A plan with its questions, the name of its study ("": its own) and the rounds of refinement."""

    plan: Plan
    items: tuple[Item, ...]
    name: str
    refine: int


def sweep_request(form: JsonMapping, pair: str, allowed: Callable[[str], str] = str) -> SweepRequest:
    """The sweep of a form (keys of `DEFAULTS`). `allowed` turns a visitor's task name into one that may be loaded.

    Raises `UserError` for everything that cannot be meant.
    """
    values = {**DEFAULTS, **{k: v for k, v in form.items() if k in DEFAULTS and v is not None}}
    questions = _whole(values["questions"], "Questions", 1, MAX_QUESTIONS)
    samples = _whole(values["samples"], "Samples of each question", 1, MAX_SAMPLES)
    lams = parse_lambdas(str(values["lams"]))
    methods = list(dict.fromkeys(str(m) for m in values["methods"] or ()))
    if not methods:
        raise UserError("Choose at least one method.")
    scope = Scope(str(values["layers"]), tuple(str(m) for m in values["modules"]))
    decoding = Decoding(
        values["temperature"], values["top_p"], values["top_k"], cap=values["cap"], seed=values["seed"]
    )  # fmt: skip
    cells: tuple[Cell, ...] = ()
    for method in methods:
        cells += grid(
            Recipe(pair, method, lams[0], scope, (), str(values["template"])),
            lams,
            decoding,
            method if len(methods) > 1 else "",
        )
    task, task_seed = allowed(str(values["task"]).strip()), _whole(values["task_seed"], "Task seed", 0, 2**31)
    items = items_of(load_task(task, questions, task_seed))
    plan = Plan(task, cells, len(items), samples, task_seed=task_seed)
    return SweepRequest(
        replace(plan, command=sweep_command(plan)),
        items,
        _name(values["name"]),
        REFINE_ROUNDS if values["grid"] == REFINED else 0,
    )


def extended_plan(plan: Plan, items: Sequence[Item], questions: Json = None, samples: Json = None, lams: str = "",
             allowed: Callable[[str], str] = str) -> tuple[Plan, tuple[Item, ...]]:  # fmt: skip
    """A stored plan with more questions, samples or λs (each curve gets them); never with fewer. Raises `UserError`."""
    asked = plan.questions if questions is None else _whole(questions, "Questions", 1, MAX_QUESTIONS)
    each = plan.samples if samples is None else _whole(samples, "Samples of each question", 1, MAX_SAMPLES)
    kept = tuple(items)
    if asked > len(kept):
        more = items_of(load_task(allowed(plan.task), asked, plan.task_seed))
        known = {item.key for item in kept}
        kept += tuple(item for item in more if item.key not in known)[: asked - len(kept)]
    cells = plan.cells
    if str(lams or "").strip():
        wanted = parse_lambdas(lams)
        firsts = [cells[indices[0]] for indices in curves(cells, least=1).values()]
        cells += tuple(replace(cell, recipe=cell.recipe.at(lam)) for cell in firsts for lam in wanted)
    new = replace(plan, cells=cells, questions=max(plan.questions, len(kept)), samples=max(plan.samples, each))
    return replace(new, command=sweep_command(new)), kept


def sweep_command(plan: Plan) -> str:
    """The command line that makes the same samples; "" where one line cannot say it (several recipes besides the method)."""
    besides_method = {(replace(c.recipe.at(0.0), method="linear"), c.decoding) for c in plan.cells}
    if len(besides_method) > 1 or plan.kind != "sweep":
        return ""
    recipe, decoding = next(iter(besides_method))
    methods = ",".join(dict.fromkeys(c.recipe.method for c in plan.cells))
    words = [
        "sweep",
        "--pair",
        recipe.pair,
        "--task",
        plan.task,
        lambda_option(sorted({c.recipe.lam for c in plan.cells})),
    ]
    words += ["--questions", f"{plan.questions}", "--samples", f"{plan.samples}"]
    words += ["--method", methods] if methods != "linear" else []
    words += recipe_options(recipe) + decoding_options(decoding)
    return command_line(*words, *(["--task-seed", f"{plan.task_seed}"] if plan.task_seed else []))


def _whole(value: Json, what: str, low: int, high: int) -> int:
    found = number(value, what, low, high)
    if found != int(found):
        raise UserError(f"{what} must be a whole number, not {found:g}.")
    return int(found)


def _name(value: Json) -> str:
    text = " ".join(str(value or "").split())
    if len(text) > 200:
        raise UserError("A study's name must have at most 200 characters.")
    return text
