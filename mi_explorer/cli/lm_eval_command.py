"""`lm-eval`: tasks of EleutherAI's harness against λ, on one loaded pair."""

import argparse
import json
import os
from collections.abc import Sequence

from mi_explorer.cli.arguments import Commands, add_command, add_lambdas, number_between, whole_number, word_list
from mi_explorer.cli.options import add_pair, add_recipe, open_workbench, recipe_of
from mi_explorer.errors import UserError, unknown
from mi_explorer.paths import ASSETS
from mi_explorer.studies.plan import parse_lambdas
from mi_explorer.studies.report.table import Table
from mi_explorer.untyped import Json, JsonObject, LibraryObject

OWN = ASSETS / "lm_eval"
DECODING_LIMITS = {"temperature": 5.0, "top_p": 1.0, "top_k": 1_000_000.0, "min_p": 1.0}
COST_DIGITS = {"tokens": 1, "think_tokens": 1, "think_ratio": 3, "truncated": 3}
TEXT = """Run tasks of lm-eval (the extra: pip install 'lm-eval>=0.4.9') on the blend at some λ. The question goes through the pair's
chat template; the thought is stripped before scoring and counts in the tokens; stop strings and max_gen_toks of a task hold
for the answer alone. mi_mini is the embedded pair's own task and needs no network; a task may also be a YAML file of yours."""
EXAMPLE = """
  python -m mi_explorer lm-eval --tasks mi_mini --lambda 0:1:0.1 --limit 100
  python -m mi_explorer lm-eval --tasks gsm8k --pair qwen3-4b --device cuda --lambda 0,0.4,1 --cap 16384 --temperature 0.6 --top-p 0.95
  python -m mi_explorer lm-eval --tasks ./my_task.yaml --lambda 0.5 --json
"""


def add_lm_eval(commands: Commands) -> None:
    """Add `lm-eval`."""
    parser = add_command(commands, "lm-eval", "tasks of lm-eval against λ", TEXT, EXAMPLE)
    parser.add_argument(
        "--tasks",
        type=word_list,
        required=True,
        metavar="LIST",
        help="tasks by name, or YAML files, separated by commas",
    )
    add_lambdas(parser, "λs", "0,0.5,1")
    parser.add_argument("--limit", type=whole_number(), metavar="N", help="questions of each task (default: all)")
    parser.add_argument(
        "--num-fewshot",
        type=whole_number(0, 1000),
        metavar="N",
        help="examples in the prompt (default: the task's own)",
    )
    parser.add_argument("--include", action="append", default=[], metavar="DIR", help="a further folder of task files")
    parser.add_argument("--raw", action="store_true", help="no chat template: the task's text as it is")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    add_recipe(parser)
    group = parser.add_argument_group("decoding (default: what the task says)")
    group.add_argument(
        "--cap",
        type=whole_number(),
        metavar="N",
        help="most tokens of a response, thought included (default: what the context holds)",
    )
    group.add_argument(
        "--seed", type=whole_number(0, 2**31), default=0, metavar="N", help="of sampled responses (default: 0)"
    )
    for name, high in DECODING_LIMITS.items():
        flag = name.replace("_", "-")
        group.add_argument(
            f"--{flag}", type=number_between(flag, 0, high), metavar="X", help="instead of the task's own"
        )
    add_pair(parser)
    parser.set_defaults(handler=run_lm_eval)


def run_lm_eval(args: argparse.Namespace) -> int:
    """Evaluate at each λ, then print the table or JSON."""
    try:
        from mi_explorer.harness import BlendLM, mean_costs
    except ImportError as error:
        raise UserError(
            f"lm-eval is not installed here ({error.name or error} is missing): pip install 'lm-eval>=0.4.9,<0.5'"
        ) from None
    lams = tuple(dict.fromkeys(args.lams or parse_lambdas("0,0.5,1")))
    decoding = {name: value for name in DECODING_LIMITS if (value := getattr(args, name)) is not None}
    recipe_of(args, "mini")  # a wrong option is told before anything is loaded
    manager = task_manager(args.tasks, args.include)
    cells = []
    with open_workbench(args) as bench:
        recipe = recipe_of(args, bench.pair.name, lams[0])
        model = BlendLM(bench=bench, recipe=recipe, cap=args.cap, seed=args.seed, **decoding)
        for lam in lams:
            blend = model.at(lam)
            found = _evaluate(blend, args, manager)
            results = {"results": _json_types(found["results"]), "n": _json_types(found["n-samples"])}
            cells.append({"lambda": lam, "recipe": blend.recipe.hash, **results, **mean_costs(blend.costs)})
    if args.json:
        values = {"tasks": list(args.tasks), "pair": bench.pair.name, "cells": cells}
        print(json.dumps(values, ensure_ascii=False))
    else:
        print(_cells_table(cells))
    return 0


def _evaluate(blend: object, args: argparse.Namespace, manager: object) -> JsonObject:
    """lm-eval's results of one blend."""
    from lm_eval import simple_evaluate

    try:
        found = simple_evaluate(
            model=blend,
            tasks=list(args.tasks),
            task_manager=manager,
            limit=args.limit,
            num_fewshot=args.num_fewshot,
            bootstrap_iters=1000,
            log_samples=False,
            apply_chat_template=not args.raw,
            fewshot_as_multiturn=bool(args.num_fewshot) and not args.raw,
        )
    except UserError:
        raise
    except (ValueError, KeyError, AssertionError, OSError) as error:  # a task that cannot be had, here or offline
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(
            f"lm-eval could not run {', '.join(args.tasks)} ({said}). Check the task, its data and the options."
        ) from error
    if found is None:
        raise UserError("lm-eval gave no results; is this one process of several (LOCAL_RANK)?")
    return dict(found)


def task_manager(names: Sequence[str], include: Sequence[str] = ()) -> LibraryObject:
    """lm-eval's task manager. Its own 14,000 tasks are scanned (20 s) only where a name is not in the given folders."""
    from lm_eval.tasks import TaskManager

    if not names:
        raise UserError("Name at least one task: --tasks mi_mini")
    for name in names:
        if name.endswith((".yaml", ".yml")) and not os.path.isfile(name):
            raise UserError(f"There is no task file {name!r}.")
    for folder in include:
        if not os.path.isdir(folder):
            raise UserError(f"There is no folder {folder!r} of task files.")
    wanted = [name for name in names if not name.endswith((".yaml", ".yml"))]
    folders = [str(OWN), *include]
    manager = TaskManager(include_path=folders, include_defaults=False)
    if set(wanted) <= set(manager.all_tasks):
        return manager
    manager = TaskManager(include_path=folders)
    if missing := sorted(set(wanted) - set(manager.all_tasks)):
        error = str(unknown("task", missing[0], manager.all_tasks)).split(" Known:")[0]
        raise UserError(f"{error} 'lm-eval ls tasks' lists them.")
    return manager


def _json_types(value: Json) -> Json:
    """JSON types alone: numbers of numpy become Python's, anything else its text."""
    if isinstance(value, dict):
        return {str(k): _json_types(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_types(v) for v in value]
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    return value.item() if hasattr(value, "item") else str(value)


def _cells_table(cells: Sequence[JsonObject]) -> str:
    """One line a λ, task and metric, with lm-eval's standard error; then what the responses cost."""
    rows = []
    for cell in cells:
        cost = [_mean(cell[name], digits) for name, digits in COST_DIGITS.items()]
        for task, values in cell["results"].items():
            for name, value in values.items():
                metric, _, choice = name.partition(",")
                is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
                if not is_number or metric.endswith("_stderr") or metric in ("alias", "sample_len"):
                    continue
                error = values.get(f"{metric}_stderr,{choice}")
                spread = f" ± {error:.4f}" if isinstance(error, (int, float)) else ""
                label = metric if choice in ("", "none") else f"{metric} ({choice})"
                rows.append([f"{cell['lambda']:g}", task, label, f"{value:.4f}{spread}", *cost])
    return Table.of(["λ", "task", "metric", "value", "tokens", "of thought", "think ratio", "truncated"], rows).text()


def _mean(value: float | None, digits: int) -> str:
    """A mean, or a dash where nothing was generated (likelihood tasks)."""
    return "–" if value is None else f"{value:.{digits}f}"
