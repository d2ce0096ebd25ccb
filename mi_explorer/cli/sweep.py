"""`sweep`: measure blends over a λ grid on a task; what is measured is kept."""

import argparse
from typing import Any

from mi_explorer.cli.measure import Benches, add_size, items_of_task, run_plan
from mi_explorer.cli.options import add_command, add_decoding, add_pair, add_recipe, decoding_of, recipe_of, whole
from mi_explorer.pairs import get_pair
from mi_explorer.studies.plan import Cell, grid, parse_lambdas

SWEEP_TEXT = """Measure accuracy, tokens and think ratio over a λ grid. Every finished sample is saved at once: run the same command
again to resume after a stop or a crash, and the same command with more λ, questions or samples to extend; nothing
is made twice."""
SWEEP_EXAMPLE = """
  python -m mi_explorer sweep --lambda 0:1:0.1 --questions 100 --samples 4
  python -m mi_explorer sweep --lambda 0:1:0.1 --refine --json > sweep.json
  python -m mi_explorer sweep --method linear,ties --lambda 0.2:1:0.2
  python -m mi_explorer sweep --pair qwen3-4b --device cuda --task aime25 --samples 64 --cap 65536 --shard 3/8
"""


def add_commands(commands: Any) -> None:
    """Add `sweep` to an argparse sub-command group."""
    sweep = add_command(commands, "sweep", "measure a λ grid on a task", SWEEP_TEXT, SWEEP_EXAMPLE)
    sweep.add_argument(
        "--lambda",
        dest="lams",
        action="append",
        metavar="L",
        help="λs: a range 0:1:0.1, a list, a number; may be repeated (default: 0:1:0.1)",
    )
    add_size(sweep, 100, 4)
    sweep.add_argument(
        "--refine",
        nargs="?",
        const=2,
        default=0,
        metavar="ROUNDS",
        help="add λs where the transition is, up to ROUNDS times (default: 2 rounds)",
    )
    sweep.add_argument(
        "--shard", default="1/1", metavar="I/N", help="make only the I-th of N parts (counted from 1); merge them later"
    )
    add_recipe(sweep, "several")
    add_decoding(sweep)
    add_pair(sweep)
    sweep.set_defaults(handler=run_sweep)


def run_sweep(args: argparse.Namespace) -> int:
    """`sweep`."""
    items = items_of_task(args)
    lams = [lam for text in args.lams or ["0:1:0.1"] for lam in parse_lambdas(text)]
    decoding, pair = decoding_of(args), get_pair(args.pair)
    methods = [m.strip() for m in args.method.split(",") if m.strip()]
    cells: tuple[Cell, ...] = ()
    for method in methods:
        cells += grid(
            recipe_of(args, pair.name, method=method), dict.fromkeys(lams), decoding, method if len(methods) > 1 else ""
        )
    with Benches(args) as benches:
        return run_plan(args, cells, items, "sweep", benches, whole(args.refine, "--refine", 0, 20))
