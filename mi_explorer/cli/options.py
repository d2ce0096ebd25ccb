"""Options that several commands share, and what they mean: pair, recipe, decoding, device, home."""

import argparse
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.recipe import MODULES, TEMPLATES, Decoding, Recipe, Scope

DEFAULTS = Decoding()


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help with the text as written and wide enough for the options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)
        self._action_max_length = 13  # argparse forgets the indent of sub-commands, and breaks the longest one's line


def add_command(commands: Any, name: str, help: str, text: str, example: str) -> argparse.ArgumentParser:
    """A sub-command with a description and examples."""
    return commands.add_parser(
        name,
        help=help,
        description=text,
        epilog="examples:\n" + example.strip("\n"),
        formatter_class=Formatter,
        allow_abbrev=False,
    )


def add_pair(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pair")
    group.add_argument(
        "--pair",
        default="mini",
        metavar="NAME",
        help="a preset, or 'instruct|thinking[|base]' with folders or hub ids (default: mini, the embedded pair)",
    )
    group.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: cpu)")
    group.add_argument(
        "--dtype", help="float32, bfloat16 or float16 (default: float32 for small models on a CPU, else as stored)"
    )
    group.add_argument("--rows", metavar="N", help="sequences that decode together at most")
    group.add_argument("--context", metavar="N", help="positions per sequence at most (default: what the model has)")


def add_home(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--home", metavar="DIR", help="folder of the store (default: MI_EXPLORER_HOME, else the user's data folder)"
    )


def add_recipe(parser: argparse.ArgumentParser, method: str = "one") -> None:
    """Recipe options; `method`: "one", "several" (a list of them), or "none" where the command itself varies the recipe."""
    group = parser.add_argument_group("recipe")
    if method != "none":
        more = ", or several to compare: linear,ties" if method == "several" else ""
        group.add_argument("--method", default="linear", help=f"merge method{more} (default: linear)")
    group.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the method, such as density=0.2; of one of several: ties.density=0.2",
    )
    if method != "none":
        group.add_argument(
            "--layers",
            default="all",
            metavar="RANGES",
            help="layers that are blended, such as 12-35 or 0-3,8 (default: all)",
        )
        group.add_argument(
            "--modules",
            default="all",
            metavar="LIST",
            help=f"modules that are blended: {', '.join(MODULES)}; all-mlp is all but mlp (default: all)",
        )
    group.add_argument(
        "--template",
        default="own",
        choices=TEMPLATES,
        help="whose chat template: own = Instruct's at λ 0, Thinking's elsewhere (default)",
    )


def add_decoding(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("decoding")
    for name, what in (
        ("temperature", "0 is greedy"),
        ("top-p", ""),
        ("top-k", "0 is off"),
        ("min-p", "0 is off"),
        ("repetition-penalty", "1 is off"),
        ("cap", "most tokens of a response"),
        ("seed", ""),
    ):
        default = getattr(DEFAULTS, name.replace("-", "_"))
        group.add_argument(
            f"--{name}", default=default, metavar="X", help=f"{what}{', ' if what else ''}default {default:g}"
        )


def scope_of(args: argparse.Namespace) -> Scope:
    """The scope that --layers and --modules name."""
    first, *less = args.modules.strip().lower().split("-")
    names = tuple(part.strip() for part in first.split(",") if part.strip())
    modules = MODULES if names == ("all",) else names
    Scope(modules=tuple(less))  # complains about an unknown one
    return Scope(args.layers, tuple(m for m in modules if m not in less))


def recipe_of(args: argparse.Namespace, pair: str, lam: float = 0.5, method: str | None = None) -> Recipe:
    """The recipe that the options name, at one λ."""
    method = str(method or getattr(args, "method", "linear"))
    params = []
    for text in args.param:
        name, _, value = text.partition("=")
        name = name.strip().removeprefix(f"{method}.")
        owner, dot, short = (
            ("", "", name) if name.partition(".")[0] in MODULES else name.rpartition(".")
        )  # a block: mlp.3
        try:
            if not dot or owner == method:
                params.append((short, float(value)))
        except ValueError:
            raise UserError(f"A parameter is written NAME=VALUE, such as density=0.2, not {text[:40]!r}.") from None
    scope = scope_of(args) if hasattr(args, "layers") else Scope()
    return Recipe(pair, method, lam, scope, tuple(params), args.template)


def decoding_of(args: argparse.Namespace) -> Decoding:
    """The decoding that the options name."""
    return Decoding(args.temperature, args.top_p, args.top_k, args.min_p, args.repetition_penalty, args.cap, args.seed)


def whole(text: Any, what: str, low: int = 1, high: int = 1_000_000) -> int:
    """`text` as a whole number within [low, high], or a `UserError`."""
    try:
        value = int(str(text))
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise UserError(f"{what} must be a whole number from {low:,} to {high:,}, not {str(text)[:40]!r}.")
    return value


def open_bench(args: argparse.Namespace, pair: str | None = None) -> Any:
    """The workbench of the pair that the options name."""
    from mi_explorer.workbench import Workbench

    return Workbench.open(
        pair or args.pair,
        device=args.device,
        dtype=args.dtype,
        home=getattr(args, "home", None),
        max_rows=None if args.rows is None else whole(args.rows, "--rows", 1, 65536),
        max_context=None if args.context is None else whole(args.context, "--context", 16, 10_000_000),
    )
