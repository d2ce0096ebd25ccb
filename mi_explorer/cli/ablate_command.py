"""`ablate`: the paper's ablations of one recipe; what is measured is kept."""

import argparse

from mi_explorer.cli.arguments import Commands, add_command, add_lambdas, number_list, word_list
from mi_explorer.cli.measure import PairOpener, add_study_size, questions_of, run_plan
from mi_explorer.cli.options import add_decoding, add_pair, add_recipe, decoding_of, named_pair, recipe_of
from mi_explorer.cli.worker_options import add_workers
from mi_explorer.errors import UserError
from mi_explorer.pairs import get_pair
from mi_explorer.studies import ablations

ABLATE_TEXT = """The paper's ablations at one λ: layers (which third carries thought), modules (attention or MLP), decoding (temperature
× top-p), backbone (blended into Instruct or into the base), methods (each at its published setting, or over a grid)."""
ABLATE_EXAMPLE = """
  python -m mi_explorer ablate layers --questions 50 --samples 4
  python -m mi_explorer ablate decoding --lambda 0.4 --temperatures 0.6,0.8 --top-ps 0.95,0.8
  python -m mi_explorer ablate methods --methods linear,ties,dare_ties --lambda 0.2:1:0.2
"""


def add_ablate(commands: Commands) -> None:
    """Add `ablate`."""
    ablate = add_command(commands, "ablate", "the paper's ablations", ABLATE_TEXT, ABLATE_EXAMPLE)
    ablate.add_argument("what", choices=ablations.KINDS, help="what is varied")
    add_lambdas(ablate, "the λ; for methods also a grid", "0.8; decoding: 0.4; methods: published settings")
    add_study_size(ablate, 50, 4)
    ablate.add_argument(
        "--methods",
        type=word_list,
        default=(),
        metavar="LIST",
        help="methods to compare (default: all that the pair can run)",
    )
    for name, default in (("temperatures", "0.6,0.65,0.7"), ("top-ps", "0.95,0.9,0.85,0.8")):
        ablate.add_argument(
            f"--{name}", type=number_list, default=default, metavar="LIST", help=f"for decoding (default: {default})"
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
    add_workers(ablate)
    ablate.set_defaults(handler=run_ablate)


def run_ablate(args: argparse.Namespace) -> int:
    """Measure one ablation; returns the exit code."""
    given = list(dict.fromkeys(args.lams or ()))
    if len(given) > 1 and args.what != "methods":
        raise UserError(f"The {args.what} ablation is made at one λ, not at {len(given)}.")
    decoding, pair = decoding_of(args), get_pair(named_pair(args))
    recipe = recipe_of(args, pair.name, given[0] if given else 0.4 if args.what == "decoding" else 0.8)
    questions = questions_of(args)
    with PairOpener(args) as pairs:
        if args.what == "layers":
            cells = ablations.layers(recipe, decoding, pairs.layers(pair.name))
        elif args.what == "modules":
            cells = ablations.modules(recipe, decoding)
        elif args.what == "decoding":
            cells = ablations.decoding_grid(recipe, decoding, args.temperatures, args.top_ps)
        elif args.what == "backbone":
            for spec in (f"{pair.name}@base", *args.backbone):
                get_pair(spec)  # a wrong one is told before anything is loaded
            cells = ablations.backbone(recipe, decoding, args.backbone)
        else:
            has_base = pair.base is not None
            cells = ablations.methods(
                lambda name: recipe_of(args, pair.name, method=name), decoding, args.methods, given or None, has_base
            )
        return run_plan(args, cells, questions, args.what, pairs)
