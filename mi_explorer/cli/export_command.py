"""`export`: a blend as a checkpoint or scaled adapter, or its recipe in another form. Streams the weights."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from mi_explorer.cli.arguments import Commands, add_command, number_between
from mi_explorer.cli.options import add_recipe, recipe_of
from mi_explorer.cli.parent_options import add_pair_settings, pair_of, progress_bar
from mi_explorer.cli.terminal import byte_size, clean
from mi_explorer.command_line import export_command
from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair, get_pair
from mi_explorer.recipe import LAM_RANGE, MODULES, Recipe

EXPORT_EXAMPLE = """
  python -m mi_explorer export --pair mini --lambda 0.4 --out runs/mini-0.4
  python -m mi_explorer export --pair mini --method ties --param density=0.2 --lambda 0.5 --out runs/mini-ties
  python -m mi_explorer export --recipe recipe.yaml --out runs/blend
  python -m mi_explorer export --pair mini --lambda 0.4 --layers 2-5 --show mergekit
"""
EXPORT_TEXT = """Write a blend as a checkpoint in its parents' own layout, streamed, staged and verified, with tokenizer, template and a
model card. --adapter writes a scaled LoRA adapter instead; --show prints the recipe in another form and writes nothing."""


def add_export(commands: Commands) -> None:
    """Add `export`."""
    parser = add_command(
        commands, "export", "write a blend as a checkpoint or scaled adapter", EXPORT_TEXT, EXPORT_EXAMPLE
    )
    parser.add_argument("--out", metavar="DIR", help="folder to write, new or empty")
    parser.add_argument(
        "--lambda",
        dest="lam",
        type=number_between("λ", *LAM_RANGE),
        metavar="L",
        help="λ: a number from -1 to 2 (default: 0.5)",
    )
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="a recipe as YAML or JSON, or a mergekit configuration, instead of the options below",
    )
    parser.add_argument(
        "--adapter", action="store_true", help="write the scaled LoRA adapter (one parent is an adapter on the other)"
    )
    parser.add_argument(
        "--show", choices=("yaml", "json", "url", "mergekit", "command"), help="print the recipe in this form and stop"
    )
    group = parser.add_argument_group("pair")
    group.add_argument("--pair", metavar="NAME", help="a preset, or 'instruct|thinking[|base]' (default: mini)")
    add_recipe(parser)
    add_pair_settings(parser)
    parser.set_defaults(handler=run_export)


def run_export(args: argparse.Namespace) -> int:
    """Write the blend, or show its recipe."""
    recipe, pair = _recipe_and_pair(args)
    if args.show:
        print(_recipe_text(recipe, pair, args.show).rstrip("\n"))
        return 0
    if not args.out:
        raise UserError("Say where to write: --out DIR (a new or empty folder).")
    from mi_explorer.checkpoints.parents import Parents
    from mi_explorer.merging.blend import bind
    from mi_explorer.merging.export import export_checkpoint
    from mi_explorer.merging.export_adapter import export_adapter

    with progress_bar("B", "exporting", args.json) as show:
        blend = bind(recipe, Parents.open(pair))
        done = export_adapter(blend, args.out) if args.adapter else export_checkpoint(blend, args.out, progress=show)
    if args.json:
        print(json.dumps(asdict(done), ensure_ascii=False))
        return 0
    files = f"{done.shards} file{'s' if done.shards > 1 else ''}"
    print(
        f"{clean(done.path)}: {byte_size(done.bytes)} in {done.tensors:,} tensors, {files}, λ = {recipe.lam:g}, "
        f"recipe {done.recipe}; read back and checked."
    )
    return 0


def _recipe_and_pair(args: argparse.Namespace) -> tuple[Recipe, Pair]:
    """The recipe and pair of the options, or of --recipe (whose λ and pair the options may override)."""
    if args.recipe:
        recipe = _recipe_file(args)
        pair = pair_of(args, [args.pair or recipe.pair])
    else:
        pair = pair_of(args, [args.pair or "mini"])
        recipe = recipe_of(args, pair.name)
    if args.lam is not None:
        recipe = recipe.at(args.lam)
    return replace(recipe, pair=pair.name if get_pair(pair.name).spec == pair.spec else pair.spec), pair


def _recipe_file(args: argparse.Namespace) -> Recipe:
    """The recipe of --recipe: ours as YAML or JSON, or a mergekit configuration (the pair's layers are counted where it needs them)."""
    from mi_explorer.input_limits import read_text
    from mi_explorer.mergekit_reader import read_recipe
    from mi_explorer.mergekit_slices import LayersNeededError
    from mi_explorer.recipe_io import LIMIT

    text = read_text(Path(args.recipe), 4 * LIMIT)
    try:
        return read_recipe(text)[0]
    except LayersNeededError as error:
        from mi_explorer.checkpoints.checkpoint_info import read_info
        from mi_explorer.checkpoints.hub_cache import open_source
        from mi_explorer.checkpoints.tensor_names import layer_count

        if not args.pair:
            raise LayersNeededError(f"{error} Name the pair with --pair, so that its layers can be counted.") from None
        info = read_info(open_source(get_pair(args.pair).instruct), "instruct")
        return read_recipe(text, layer_count(info.tensors.places))[0]


def _recipe_text(recipe: Recipe, pair: Pair, form: str) -> str:
    """The recipe in one of the forms of --show."""
    from mi_explorer.recipe_io import to_json, to_query, to_yaml

    forms: dict[str, Callable[[Recipe], str]] = {"yaml": to_yaml, "json": to_json, "url": to_query}
    if form in forms:
        return forms[form](recipe)
    if form == "command":
        return export_command(recipe, pair)
    from mi_explorer.mergekit_yaml import to_mergekit

    names: tuple[str, ...] = ()
    if recipe.scope.layers != "all" or recipe.scope.modules != MODULES:
        from mi_explorer.checkpoints.checkpoint_info import read_info
        from mi_explorer.checkpoints.hub_cache import open_source

        names = tuple(read_info(open_source(pair.instruct), "instruct").tensors.places)
    return to_mergekit(recipe, pair, names)
