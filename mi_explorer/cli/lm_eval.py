"""`lm-eval`: tasks of EleutherAI's harness against λ, on one loaded pair."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mi_explorer.cli.options import add_command, add_pair, add_recipe, open_bench, recipe_of, whole
from mi_explorer.cli.terminal import table
from mi_explorer.errors import UserError, unknown
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import number
from mi_explorer.studies.plan import parse_lambdas

OWN = ASSETS / "lm_eval"
TEXT = """Run tasks of lm-eval (the extra: pip install 'lm-eval>=0.4.9') on the blend at some λ. The question goes through the pair's
chat template; the thought is stripped before scoring and counts in the tokens; stop strings and max_gen_toks of a task hold
for the answer alone. mi_mini is the embedded pair's own task and needs no network; a task may also be a YAML file of yours."""
EXAMPLE = """
  python -m mi_explorer lm-eval --tasks mi_mini --lambda 0:1:0.1 --limit 100
  python -m mi_explorer lm-eval --tasks gsm8k --pair qwen3-4b --device cuda --lambda 0,0.4,1 --cap 16384 --temperature 0.6 --top-p 0.95
  python -m mi_explorer lm-eval --tasks ./my_task.yaml --lambda 0.5 --json
"""


def add_commands(commands: Any) -> None:
    """Add `lm-eval` to an argparse sub-command group."""
    parser = add_command(commands, "lm-eval", "tasks of lm-eval against λ", TEXT, EXAMPLE)
    parser.add_argument(
        "--tasks", required=True, metavar="LIST", help="tasks by name, or YAML files, separated by commas"
    )
    parser.add_argument(
        "--lambda",
        dest="lams",
        action="append",
        metavar="L",
        help="λs: a range 0:1:0.1, a list, a number (default: 0,0.5,1)",
    )
    parser.add_argument("--limit", metavar="N", help="questions of each task (default: all)")
    parser.add_argument("--num-fewshot", metavar="N", help="examples in the prompt (default: the task's own)")
    parser.add_argument("--include", action="append", default=[], metavar="DIR", help="a further folder of task files")
    parser.add_argument("--raw", action="store_true", help="no chat template: the task's text as it is")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    add_recipe(parser)
    group = parser.add_argument_group("decoding (default: what the task says)")
    group.add_argument(
        "--cap", metavar="N", help="most tokens of a response, thought included (default: what the context holds)"
    )
    group.add_argument("--seed", default=0, metavar="N", help="of sampled responses (default: 0)")
    for name in ("temperature", "top-p", "top-k", "min-p"):
        group.add_argument(f"--{name}", metavar="X", help="instead of the task's own")
    add_pair(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate at each λ, then print the table or JSON."""
    try:
        from mi_explorer.harness import BlendLM, costs
    except ImportError as error:
        raise UserError(
            f"lm-eval is not installed here ({error.name or error} is missing): pip install 'lm-eval>=0.4.9,<0.5'"
        ) from None
    from lm_eval import simple_evaluate

    lams = tuple(dict.fromkeys(lam for text in args.lams or ["0,0.5,1"] for lam in parse_lambdas(text)))
    limit = None if args.limit is None else whole(args.limit, "--limit")
    shots = None if args.num_fewshot is None else whole(args.num_fewshot, "--num-fewshot", 0, 1000)
    cap = None if args.cap is None else whole(args.cap, "--cap")
    ranges = {"temperature": (0, 5), "top_p": (0, 1), "top_k": (0, 1_000_000), "min_p": (0, 1)}
    decoding: dict[str, Any] = {
        name: number(value, name, *ranges[name]) for name in ranges if (value := getattr(args, name)) is not None
    }
    recipe_of(args, "mini")  # a wrong option is told before anything is loaded
    names, manager = tasks(args.tasks, args.include)
    cells = []
    with open_bench(args) as bench:
        model = BlendLM(
            bench=bench,
            recipe=recipe_of(args, bench.pair.name, lams[0]),
            cap=cap,
            seed=whole(args.seed, "--seed", 0, 2**31),
            **decoding,
        )
        for lam in lams:
            blend = model.at(lam)
            chat = {"apply_chat_template": not args.raw, "fewshot_as_multiturn": bool(shots) and not args.raw}
            sizes = {"limit": limit, "num_fewshot": shots, "bootstrap_iters": 1000, "log_samples": False}
            try:
                found = simple_evaluate(model=blend, tasks=list(names), task_manager=manager, **sizes, **chat)
            except UserError:
                raise
            except (
                ValueError,
                KeyError,
                AssertionError,
                OSError,
            ) as error:  # a task that is not there, or cannot be had offline
                said = " ".join(str(error).split())[:300] or type(error).__name__
                raise UserError(
                    f"lm-eval could not run {', '.join(names)} ({said}). Check the task, its data and the options."
                ) from error
            if found is None:
                raise UserError("lm-eval gave no results; is this one process of several (LOCAL_RANK)?")
            results = {"results": plain(found["results"]), "n": plain(found["n-samples"])}
            cells.append({"lambda": lam, "recipe": blend.recipe.hash, **results, **costs(blend.told)})
    print(
        json.dumps({"tasks": list(names), "pair": bench.pair.name, "cells": cells}, ensure_ascii=False)
        if args.json
        else shown(cells)
    )
    return 0


def tasks(text: str, include: Sequence[str] = ()) -> tuple[tuple[str, ...], Any]:
    """(names, lm-eval's task manager). Its own 14,000 tasks are only scanned (20 s) where a name is not among the given folders'."""
    from lm_eval.tasks import TaskManager

    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise UserError("Name at least one task: --tasks mi_mini")
    for name in names:
        if name.endswith((".yaml", ".yml")) and not Path(name).is_file():
            raise UserError(f"There is no task file {name!r}.")
    for folder in include:
        if not Path(folder).is_dir():
            raise UserError(f"There is no folder {folder!r} of task files.")
    wanted = [name for name in names if not name.endswith((".yaml", ".yml"))]
    folders = [str(OWN), *include]
    manager = TaskManager(include_path=folders, include_defaults=False)
    if set(wanted) <= set(manager.all_tasks):
        return names, manager
    manager = TaskManager(include_path=folders)
    if missing := sorted(set(wanted) - set(manager.all_tasks)):
        error = str(unknown("task", missing[0], manager.all_tasks)).split(" Known:")[0]
        raise UserError(f"{error} 'lm-eval ls tasks' lists them.")
    return names, manager


def plain(value: Any) -> Any:
    """JSON types alone: numbers of numpy become Python's, anything else its text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    return value.item() if hasattr(value, "item") else str(value)


def shown(cells: Sequence[dict[str, Any]]) -> str:
    """One line a λ, task and metric, with lm-eval's standard error; then what the responses cost."""
    rows = []
    for cell in cells:
        for task, values in cell["results"].items():
            for name, value in values.items():
                metric, _, choice = name.partition(",")
                if (
                    not isinstance(value, (int, float))
                    or isinstance(value, bool)
                    or metric.endswith("_stderr")
                    or metric in ("alias", "sample_len")
                ):
                    continue
                error = values.get(f"{metric}_stderr,{choice}")
                spread = f" ± {error:.4f}" if isinstance(error, (int, float)) else ""
                label = metric if choice in ("", "none") else f"{metric} ({choice})"
                rows.append(
                    [
                        f"{cell['lambda']:g}",
                        task,
                        label,
                        f"{value:.4f}{spread}",
                        *(amount(cell[k], d) for k, d in COSTS),
                    ]
                )
    return table(["λ", "task", "metric", "value", "tokens", "of thought", "think ratio", "truncated"], rows)


COSTS = (("tokens", 1), ("think_tokens", 1), ("think_ratio", 3), ("truncated", 3))


def amount(value: float | None, digits: int) -> str:
    """A mean, or a dash where nothing was generated (likelihood tasks)."""
    return "–" if value is None else f"{value:.{digits}f}"
