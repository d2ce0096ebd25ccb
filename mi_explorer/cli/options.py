"""Options that several commands share, and what they mean: pair, recipe, decoding, device, home."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from mi_explorer.cli.arguments import Value, argument, whole_number
from mi_explorer.errors import UserError
from mi_explorer.pairs import ADAPTER_ON, SETTINGS, Pair, with_settings
from mi_explorer.recipe import MODULES, TEMPLATES, Decoding, Recipe, Scope

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

DECODING_OPTIONS = {
    "temperature": "0 is greedy",
    "top_p": "",
    "top_k": "0 is off",
    "min_p": "0 is off",
    "repetition_penalty": "1 is off",
    "cap": "most tokens of a response",
    "seed": "",
}


def add_pair(parser: argparse.ArgumentParser) -> None:
    """--pair and its settings, --device, --dtype, --rows, --context."""
    group = parser.add_argument_group("pair")
    group.add_argument(
        "--pair",
        default="mini",
        metavar="NAME",
        help="a preset, or 'instruct|thinking[|base]' with folders or hub ids (default: mini, the embedded pair)",
    )
    add_pair_details(group)
    group.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: cpu)")
    group.add_argument(
        "--dtype", help="float32, bfloat16 or float16 (default: as stored; for small models on a CPU what is quicker)"
    )
    group.add_argument(
        "--rows", type=whole_number(1, 65_536), metavar="N", help="sequences that decode together at most"
    )
    group.add_argument(
        "--context",
        type=whole_number(16, 10_000_000),
        metavar="N",
        help="positions per sequence at most (default: what the model has)",
    )


def add_pair_details(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """--untie, --adapter-on, --think-open, --think-close, --thinking-switch."""
    parser.add_argument(
        "--untie", action="store_true", help="a tied and an untied parent may meet; the result is untied"
    )
    parser.add_argument(
        "--adapter-on",
        choices=ADAPTER_ON,
        default="auto",
        help="what a LoRA parent sits on (default: its own config says)",
    )
    parser.add_argument(
        "--think-open", default=Pair.think_open, metavar="TAG", help="what begins a thought (default: recognised)"
    )
    parser.add_argument("--think-close", default=Pair.think_close, metavar="TAG", help="what ends a thought")
    parser.add_argument(
        "--thinking-switch",
        default="auto",
        metavar="auto|on|off|NAME=VALUE",
        help="a template's variable that switches thinking, or one by name, such as reasoning_effort=high (default: on in Thinking's)",
    )


def named_pair(args: argparse.Namespace, pair: str | None = None) -> str:
    """--pair (or another name or spec) with the settings that the options name."""
    return with_settings(pair or args.pair, **{name: getattr(args, name) for name in SETTINGS})


def add_home(parser: argparse.ArgumentParser) -> None:
    """--home."""
    parser.add_argument(
        "--home", metavar="DIR", help="folder of the store (default: MI_EXPLORER_HOME, else the user's data folder)"
    )


def add_recipe(parser: argparse.ArgumentParser, methods: str = "one") -> None:
    """Recipe options. `methods`: "one", "several" (a list of them), or "none" where the command varies the recipe."""
    group = parser.add_argument_group("recipe")
    if methods != "none":
        more = ", or several to compare: linear,ties" if methods == "several" else ""
        group.add_argument("--method", default="linear", help=f"merge method{more} (default: linear)")
    group.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the method, such as density=0.2; of one of several: ties.density=0.2",
    )
    if methods != "none":
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
    """Temperature, top-p, top-k, min-p, repetition penalty, cap, seed."""
    group = parser.add_argument_group("decoding")
    defaults = Decoding()
    for name, what in DECODING_OPTIONS.items():
        default = getattr(defaults, name)
        text = f"{what}{', ' if what else ''}default {default:g}"
        group.add_argument(f"--{name.replace('_', '-')}", default=default, metavar="X", help=text)


def add_interventions(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """--think-budget and --answer-lambda; with `several` each takes a list, and "none" in it."""
    group = parser.add_argument_group("interventions")
    more = ", or several to compare: 20,40,none" if several else ""
    group.add_argument(
        "--think-budget",
        type=_listed(thought_budget) if several else argument(thought_budget),
        metavar="N",
        help=f"a thought that is open after N tokens is closed there{more} (default: none)",
    )
    more = ", or several: 0,1,none" if several else ""
    group.add_argument(
        "--answer-lambda",
        type=_listed(answer_lambda) if several else argument(answer_lambda),
        metavar="L",
        help=f"λ from the end of the thought on{more} (default: that of the thought)",
    )


def thought_budget(text: str) -> int | None:
    """A thought budget in tokens; None for "none"."""
    return None if text == "none" else Decoding(think_budget=text).think_budget  # type: ignore[arg-type]  # checks the text


def answer_lambda(text: str) -> float | None:
    """A λ of the answer; None for "none"."""
    return None if text == "none" else Recipe(answer_lam=text).answer_lam  # type: ignore[arg-type]  # checks the text


def _listed(read: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    """Values between commas, each once, as an argparse type."""

    def read_all(text: str) -> tuple[Value, ...]:
        return tuple(dict.fromkeys(read(part.strip()) for part in text.split(",") if part.strip()))

    return argument(read_all)


def scope_of(args: argparse.Namespace) -> Scope:
    """The scope that --layers and --modules name."""
    first, *less = args.modules.strip().lower().split("-")
    names = tuple(part.strip() for part in first.split(",") if part.strip())
    modules = MODULES if names == ("all",) else names
    Scope(modules=tuple(less))  # complains about an unknown one
    return Scope(args.layers, tuple(m for m in modules if m not in less))


def recipe_of(args: argparse.Namespace, pair: str, lam: float = 0.5, method: str | None = None) -> Recipe:
    """The recipe that the options name, at one λ; of several methods, that of `method`."""
    method = str(method or getattr(args, "method", "linear"))
    params = []
    for text in args.param:
        name, _, value = text.partition("=")
        name = name.strip().removeprefix(f"{method}.")
        is_block = name.partition(".")[0] in MODULES  # mlp.3, a block of the method `submodule`
        owner, dot, short = ("", "", name) if is_block else name.rpartition(".")
        try:
            if not dot or owner == method:
                params.append((short, float(value)))
        except ValueError:
            raise UserError(f"A parameter is written NAME=VALUE, such as density=0.2, not {text[:40]!r}.") from None
    scope = scope_of(args) if hasattr(args, "layers") else Scope()
    answer = getattr(args, "answer_lambda", None)
    return Recipe(pair, method, lam, scope, tuple(params), args.template, None if isinstance(answer, tuple) else answer)


def decoding_of(args: argparse.Namespace) -> Decoding:
    """The decoding that the options name."""
    budget = getattr(args, "think_budget", None)
    values = {name: getattr(args, name) for name in DECODING_OPTIONS}
    return Decoding(**values, think_budget=None if isinstance(budget, tuple) else budget)


def open_workbench(args: argparse.Namespace, pair: str | None = None) -> "Workbench":
    """The workbench of the pair that the options name."""
    from mi_explorer.workbench import Workbench

    return Workbench.open(
        named_pair(args, pair),
        device=args.device,
        dtype=args.dtype,
        home=getattr(args, "home", None),
        max_rows=args.rows,
        max_context=args.context,
    )
