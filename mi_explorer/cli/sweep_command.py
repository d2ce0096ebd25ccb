"""`sweep`: measure blends over a λ grid on a task; what is measured is kept."""

import argparse
from dataclasses import replace
from itertools import product

from mi_explorer.cli.arguments import Commands, add_command, add_lambdas, whole_number, word_list
from mi_explorer.cli.measure import PairOpener, add_study_size, questions_of, run_plan
from mi_explorer.cli.options import (
    add_decoding,
    add_interventions,
    add_pair,
    add_recipe,
    decoding_of,
    named_pair,
    recipe_of,
)
from mi_explorer.cli.worker_options import add_workers
from mi_explorer.pairs import get_pair
from mi_explorer.studies.plan import Cell, grid, parse_lambdas

SWEEP_TEXT = """Measure accuracy, tokens and think ratio over a λ grid. Every finished sample is saved at once: run the same command
again to resume after a stop or a crash, and the same command with more λ, questions or samples to extend; nothing
is made twice."""
SWEEP_EXAMPLE = """
  python -m mi_explorer sweep --lambda 0:1:0.1 --questions 100 --samples 4
  python -m mi_explorer sweep --lambda 0:1:0.1 --refine --json > sweep.json
  python -m mi_explorer sweep --method linear,ties --lambda 0.2:1:0.2
  python -m mi_explorer sweep --lambda 0:1:0.2 --think-budget 20,40,80,none
  python -m mi_explorer sweep --lambda 0,0.5,1 --answer-lambda 0,0.5,1
  python -m mi_explorer sweep --pair qwen3-4b --device cuda --task aime25 --samples 64 --cap 65536 --shard 3/8
  python -m mi_explorer sweep --pair qwen3-4b --device cuda --task aime25 --workers 8
  python -m mi_explorer sweep --pair qwen3-4b --device cuda --task aime25 --ray auto
"""


def add_sweep(commands: Commands) -> None:
    """Add `sweep`."""
    sweep = add_command(commands, "sweep", "measure a λ grid on a task", SWEEP_TEXT, SWEEP_EXAMPLE)
    add_lambdas(sweep, "λs", "0:1:0.1")
    add_study_size(sweep, 100, 4)
    sweep.add_argument(
        "--refine",
        nargs="?",
        type=whole_number(0, 20),
        const=2,
        default=0,
        metavar="ROUNDS",
        help="add λs where the transition is, up to ROUNDS times (default: 2 rounds)",
    )
    add_recipe(sweep, "several")
    add_decoding(sweep)
    add_interventions(sweep, several=True)
    add_pair(sweep)
    add_workers(sweep)
    sweep.set_defaults(handler=run_sweep)


def run_sweep(args: argparse.Namespace) -> int:
    """Measure the grid; returns the exit code."""
    questions = questions_of(args)
    lams = tuple(dict.fromkeys(args.lams or parse_lambdas("0:1:0.1")))
    decoding, pair = decoding_of(args), get_pair(named_pair(args))
    methods = word_list(args.method)
    cells: tuple[Cell, ...] = ()
    budgets, answers = args.think_budget or (None,), args.answer_lambda or (None,)
    for method, budget, answer in product(methods, budgets, answers):
        words = [method] if len(methods) > 1 else []
        words += [f"budget {budget or 'none'}"] if len(budgets) > 1 else []
        words += [f"answer λ {'as thought' if answer is None else f'{answer:g}'}"] if len(answers) > 1 else []
        recipe = replace(recipe_of(args, pair.name, method=method), answer_lam=answer)
        cells += grid(recipe, lams, replace(decoding, think_budget=budget), " · ".join(words))
    with PairOpener(args) as pairs:
        return run_plan(args, cells, questions, "sweep", pairs, args.refine)
