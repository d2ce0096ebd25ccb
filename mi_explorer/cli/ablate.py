"""`ablate`: the paper's ablations of one recipe; what is measured is kept."""

import argparse
from typing import Any

from mi_explorer.cli.measure import Benches, add_size, items_of_task, run_plan
from mi_explorer.cli.options import add_command, add_decoding, add_pair, add_recipe, decoding_of, recipe_of
from mi_explorer.errors import UserError
from mi_explorer.pairs import get_pair
from mi_explorer.studies import ablations
from mi_explorer.studies.plan import parse_lambdas

ABLATE_TEXT = """The paper's ablations at one λ: layers (which third carries thought), modules (attention or MLP), decoding (temperature
× top-p), backbone (blended into Instruct or into the base), methods (each at its published setting, or over a grid)."""
ABLATE_EXAMPLE = """
  python -m mi_explorer ablate layers --questions 50 --samples 4
  python -m mi_explorer ablate decoding --lambda 0.4 --temperatures 0.6,0.8 --top-ps 0.95,0.8
  python -m mi_explorer ablate methods --methods linear,ties,dare_ties --lambda 0.2:1:0.2
"""


def add_commands(commands: Any) -> None:
    """Add `ablate` to an argparse sub-command group."""
    ablate = add_command(commands, "ablate", "the paper's ablations", ABLATE_TEXT, ABLATE_EXAMPLE)
    ablate.add_argument("what", choices=ablations.KINDS, help="what is varied")
    ablate.add_argument(
        "--lambda",
        dest="lams",
        action="append",
        metavar="L",
        help="the λ (default: 0.8; decoding: 0.4; methods: published settings, or a grid)",
    )
    add_size(ablate, 50, 4)
    ablate.add_argument(
        "--shard", default="1/1", metavar="I/N", help="make only the I-th of N parts (counted from 1); merge them later"
    )
    ablate.add_argument(
        "--methods", default="", metavar="LIST", help="methods to compare (default: all that the pair can run)"
    )
    ablate.add_argument(
        "--temperatures", default="0.6,0.65,0.7", metavar="LIST", help="for decoding (default: 0.6,0.65,0.7)"
    )
    ablate.add_argument(
        "--top-ps", default="0.95,0.9,0.85,0.8", metavar="LIST", help="for decoding (default: 0.95,0.9,0.85,0.8)"
    )
    ablate.add_argument(
        "--backbone",
        action="append",
        default=[],
        metavar="PAIR",
        help="a further backbone, written as a pair with the same Thinking",
    )
    add_recipe(ablate, "none")
    add_decoding(ablate)
    add_pair(ablate)
    ablate.set_defaults(handler=run_ablation)


def run_ablation(args: argparse.Namespace) -> int:
    """`ablate`."""
    given = list(dict.fromkeys(lam for text in args.lams or [] for lam in parse_lambdas(text)))
    if len(given) > 1 and args.what != "methods":
        raise UserError(f"The {args.what} ablation is made at one λ, not at {len(given)}.")
    decoding, pair = decoding_of(args), get_pair(args.pair)
    recipe = recipe_of(args, pair.name, given[0] if given else 0.4 if args.what == "decoding" else 0.8)
    items = items_of_task(args)
    with Benches(args) as benches:
        if args.what == "layers":
            cells = ablations.layers(recipe, decoding, benches.get(pair.name).layers)
        elif args.what == "modules":
            cells = ablations.modules(recipe, decoding)
        elif args.what == "decoding":
            cells = ablations.decoding_grid(recipe, decoding, _numbers(args.temperatures), _numbers(args.top_ps))
        elif args.what == "backbone":
            for spec in (f"{pair.name}@base", *args.backbone):
                get_pair(spec)  # a wrong one is told before anything is loaded
            cells = ablations.backbone(recipe, decoding, args.backbone)
        else:
            names = [name.strip() for name in args.methods.split(",") if name.strip()]
            cells = ablations.methods(
                lambda name: recipe_of(args, pair.name, method=name),
                decoding,
                names,
                given or None,
                pair.base is not None,
            )
        return run_plan(args, cells, items, args.what, benches)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(f"A list of numbers looks like 0.6,0.65,0.7, not {text[:40]!r}.") from None
