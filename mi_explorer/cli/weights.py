"""`preflight`, `weights`, `export`: the weight-space commands. None of them loads a model; all of them stream."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mi_explorer.cli.options import add_command, add_recipe, recipe_of
from mi_explorer.cli.terminal import clean, table
from mi_explorer.command_line import export_command
from mi_explorer.errors import UserError
from mi_explorer.pairs import ADAPTER_ON, Pair, get_pair
from mi_explorer.recipe import MODULES, Recipe, number

PREFLIGHT_EXAMPLE = """
  python -m mi_explorer preflight mini
  python -m mi_explorer preflight Qwen/Qwen3-4B-Instruct-2507 Qwen/Qwen3-4B-Thinking-2507 --base Qwen/Qwen3-4B-Base
  python -m mi_explorer preflight ./instruct ./thinking --json
"""
PREFLIGHT_TEXT = """Judge a pair from its configs, tokenizer files and safetensors headers alone, before anything large is downloaded
or loaded: ok, ok with notes, or refused, each finding with what, why and what to do. A refused pair exits with 2."""
WEIGHTS_EXAMPLE = """
  python -m mi_explorer weights mini
  python -m mi_explorer weights ./instruct ./thinking --base ./base --tensors
  python -m mi_explorer weights qwen3-4b --json > distances.json
"""
WEIGHTS_TEXT = """Distances between the parents, streamed in fp64: σ, relative L2, cosine, Pearson, and kinship of the task vectors where
the pair has a base; per layer and module, per tensor, and overall with a gauge of how well the pair will blend."""
EXPORT_EXAMPLE = """
  python -m mi_explorer export --pair mini --lambda 0.4 --out runs/mini-0.4
  python -m mi_explorer export --pair mini --method ties --param density=0.2 --lambda 0.5 --out runs/mini-ties
  python -m mi_explorer export --recipe recipe.yaml --out runs/blend
  python -m mi_explorer export --pair mini --lambda 0.4 --layers 2-5 --show mergekit
"""
EXPORT_TEXT = """Write a blend as a checkpoint in its parents' own layout, streamed, staged and verified, with tokenizer, template and a
model card. --adapter writes a scaled LoRA adapter instead; --show prints the recipe in another form and writes nothing."""


def add_commands(commands: Any) -> None:
    """Add `preflight`, `weights` and `export` to an argparse sub-command group."""
    check = add_command(
        commands, "preflight", "can this pair be blended? (reads no weights)", PREFLIGHT_TEXT, PREFLIGHT_EXAMPLE
    )
    check.set_defaults(handler=run_preflight)
    measure = add_command(commands, "weights", "distances between the parents of a pair", WEIGHTS_TEXT, WEIGHTS_EXAMPLE)
    measure.add_argument("--tensors", action="store_true", help="one line per tensor instead of per layer and module")
    measure.set_defaults(handler=run_weights)
    for parser in (check, measure):
        parser.add_argument(
            "parents",
            nargs="+",
            metavar="PAIR",
            help="a preset or 'instruct|thinking[|base]'; or two parents: INSTRUCT THINKING",
        )
    write = add_command(
        commands, "export", "write a blend as a checkpoint or scaled adapter", EXPORT_TEXT, EXPORT_EXAMPLE
    )
    write.add_argument("--out", metavar="DIR", help="folder to write, new or empty")
    write.add_argument("--lambda", dest="lam", metavar="L", help="λ: a number from -1 to 2 (default: 0.5)")
    write.add_argument(
        "--recipe",
        metavar="FILE",
        help="a recipe as YAML or JSON, or a mergekit configuration, instead of the options below",
    )
    write.add_argument(
        "--adapter", action="store_true", help="write the scaled LoRA adapter (one parent is an adapter on the other)"
    )
    write.add_argument(
        "--show", choices=("yaml", "json", "url", "mergekit", "command"), help="print the recipe in this form and stop"
    )
    group = write.add_argument_group("pair")
    group.add_argument("--pair", metavar="NAME", help="a preset, or 'instruct|thinking[|base]' (default: mini)")
    add_recipe(write)
    write.set_defaults(handler=run_export)
    for parser in (check, measure, write):
        parser.add_argument("--base", metavar="C", help="the base that both were fine-tuned from")
        parser.add_argument(
            "--untie", action="store_true", help="a tied and an untied parent may meet; the result is untied"
        )
        parser.add_argument(
            "--adapter-on",
            choices=ADAPTER_ON,
            default="auto",
            help="what a LoRA parent sits on (default: its own config says)",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def pair_of(args: argparse.Namespace, parents: list[str]) -> Pair:
    """The pair that positional parents (or --pair) and --base name."""
    if len(parents) > 2:
        raise UserError(f"Give one pair or two parents (and --base for the base), not {len(parents)} names.")
    pair = get_pair(parents[0] if len(parents) == 1 else "|".join(parents))
    if args.base:
        spec = f"{pair.instruct}|{pair.thinking}|{args.base}"
        pair = replace(get_pair(spec), think_open=pair.think_open, think_close=pair.think_close)
    return replace(pair, untie=args.untie, adapter_on=args.adapter_on)


@contextmanager
def bar(total_unit: str, label: str, quiet: bool):
    """A progress callback `(done, total)` drawn as a bar on standard error when that is a terminal."""
    from tqdm import tqdm

    shown = tqdm(unit=total_unit, unit_scale=True, desc=label, leave=False, disable=True if quiet else None)

    def show(done: int, total: int) -> None:
        shown.total = total
        shown.update(done - shown.n)

    try:
        yield show
    finally:
        shown.close()


def run_preflight(args: argparse.Namespace) -> int:
    """Print the verdict and its findings."""
    from mi_explorer.checkpoints.preflight import preflight

    result = preflight(pair_of(args, args.parents))
    if args.json:
        print(json.dumps(result.to_dict(), ensure_ascii=False, default=str))
        return 0 if result.ok else 2
    f = result.facts
    print(
        f"{result.verdict.upper()}: {clean(f['instruct'])} | {clean(f['thinking'])}"
        + (f" | {clean(f['base'])}" if f["base"] else "")
    )
    if "architecture" in f:
        memory = f["memory"]
        print(
            f"{f['architecture']}, {f['layers']} layers, {f['parameters']:,} parameters in {f['tensors']:,} tensors, {', '.join(f['dtype'])}"
            f"{', tied' if f['tied'] else ''}; vocabulary {f['vocabulary']:,}"
        )
        print(
            f"memory: fold {size(memory['fold'])}, row-wise λ {size(memory['rowwise'])}, free here {size(memory['free'])}; "
            f"on disk {', '.join(f'{role} {size(n)}' for role, n in f['disk'].items())}"
        )
    for finding in result.findings:
        print(f"- {'REFUSED' if finding.level == 'refused' else 'note'} ({finding.topic}): {clean(finding.text())}")
    if not result.ok:
        print(f"mi_explorer preflight: {clean(result.findings[0].text())}", file=sys.stderr)
    return 0 if result.ok else 2


def run_weights(args: argparse.Namespace) -> int:
    """Print the distances as a table or JSON."""
    from mi_explorer.checkpoints.parents import Parents
    from mi_explorer.merging.distances import distances

    parents = Parents.open(pair_of(args, args.parents))
    with bar("el", "measuring", args.json) as show:
        found = distances(parents, progress=show)
    if args.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
        return 0
    head = ["tensor" if args.tensors else "group", "σ %", "relative L2 %", "cosine", "Pearson"]
    rows = (*(found.tensors if args.tensors else found.groups), found.overall)
    print(table(head + (["kinship cosine", "kinship Pearson"] if found.base else []), [line(row) for row in rows]))
    print(
        f"\nσ: unweighted mean over tensors, norms included (over all elements: {100 * found.overall.sigma_global:.2f} %)."
        + (f" Kinship: task vectors from {clean(found.base)}." if found.base else "")
    )
    print(f"{found.gauge}: relative L2 {100 * found.overall.relative_l2:.1f} %. {found.verdict}")
    gain = max((r.slerp_gain for r in found.tensors if r.slerp_gain == r.slerp_gain), default=0.0)  # nan is no gain
    print(f"SLERP's coefficients differ from linear's by at most {100 * gain:.2g} % here.")
    return 0


def line(row: Any) -> list[str]:
    """A row of the distance table."""
    cells = [
        clean(row.name),
        f"{100 * row.sigma:.2f}",
        f"{100 * row.relative_l2:.2f}",
        plain(row.cosine, 5),
        plain(row.pearson, 5),
    ]
    return cells + ([plain(row.kin_cosine, 4), plain(row.kin_pearson, 4)] if row.kin_cosine is not None else [])


def plain(value: float, digits: int) -> str:
    """A number, or a dash where it is undefined (a constant or zero tensor)."""
    return "–" if value != value else f"{value:.{digits}f}"


def recipe_from(args: argparse.Namespace) -> tuple[Recipe, Pair]:
    """The recipe and pair of the options, or of --recipe (whose λ and pair the options may override)."""
    from mi_explorer.recipe_io import from_json, from_yaml, load_yaml

    if args.recipe:
        try:
            text = Path(args.recipe).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"The recipe {args.recipe!r} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8 text'})."
            ) from None
        if text.lstrip().startswith("{"):
            recipe = from_json(text)
        elif "merge_method" in (load_yaml(text) or {}):
            recipe = _from_mergekit(text, args)
        else:
            recipe = from_yaml(text)
        pair = pair_of(args, [args.pair or recipe.pair])
    else:
        pair = pair_of(args, [args.pair or "mini"])
        recipe = recipe_of(args, pair.name)
    if args.lam is not None:
        recipe = recipe.at(number(args.lam, "λ", -1, 2))
    return replace(recipe, pair=pair.name if get_pair(pair.name).spec == pair.spec else pair.spec), pair


def _from_mergekit(text: str, args: argparse.Namespace) -> Recipe:
    """A mergekit configuration; the number of layers comes from the pair's headers only where the configuration depends on it."""
    from mi_explorer.checkpoints.headers import read_layout
    from mi_explorer.checkpoints.source import open_source
    from mi_explorer.checkpoints.tensor_names import layer_count
    from mi_explorer.mergekit_yaml import MergekitError, from_mergekit

    try:
        recipe, pair = from_mergekit(text)
    except MergekitError as error:
        if "how many layers" not in str(error):
            raise
        first = args.pair and get_pair(args.pair).instruct
        if not first:
            raise MergekitError(f"{error} Name the pair with --pair, so that its layers can be counted.") from None
        recipe, pair = from_mergekit(text, layers=layer_count(read_layout(open_source(first))[0]))
    return replace(recipe, pair=pair.name)


def run_export(args: argparse.Namespace) -> int:
    """Write the blend, or show its recipe."""
    recipe, pair = recipe_from(args)
    if args.show:
        print(shown(recipe, pair, args.show).rstrip("\n"))
        return 0
    if not args.out:
        raise UserError("Say where to write: --out DIR (a new or empty folder).")
    from mi_explorer.checkpoints.parents import Parents
    from mi_explorer.merging.blend import bind
    from mi_explorer.merging.export import export
    from mi_explorer.merging.export_adapter import export_adapter

    with bar("B", "exporting", args.json) as show:
        blend = bind(recipe, Parents.open(pair))
        done = export_adapter(blend, args.out) if args.adapter else export(blend, args.out, progress=show)
    if args.json:
        print(json.dumps(asdict(done), ensure_ascii=False))
    else:
        print(
            f"{clean(done.path)}: {size(done.bytes)} in {done.tensors:,} tensors, {done.shards} file{'s' if done.shards > 1 else ''}, "
            f"λ = {recipe.lam:g}, recipe {done.recipe}; read back and checked."
        )
    return 0


def shown(recipe: Recipe, pair: Pair, form: str) -> str:
    """The recipe as text in one of the forms of --show."""
    from mi_explorer.recipe_io import to_json, to_query, to_yaml

    forms: dict[str, Callable[[Recipe], str]] = {"yaml": to_yaml, "json": to_json, "url": to_query}
    if form in forms:
        return forms[form](recipe)
    if form == "command":
        return export_command(recipe, pair)
    from mi_explorer.mergekit_yaml import to_mergekit

    names: tuple[str, ...] = ()
    if recipe.scope.layers != "all" or recipe.scope.modules != MODULES:
        from mi_explorer.checkpoints.headers import read_layout
        from mi_explorer.checkpoints.source import open_source

        names = tuple(read_layout(open_source(pair.instruct))[0])
    return to_mergekit(recipe, pair, names)


def size(n: int) -> str:
    """Bytes in words."""
    return f"{n / 1e9:.2f} GB" if n >= 1e9 else f"{n / 1e6:.1f} MB" if n >= 1e5 else f"{n:,} B"
