"""`doctor`: what this machine is, and what a pair can do on it, or on paper on any other."""

import argparse
import json
import sys

from mi_explorer.cli.arguments import Commands, add_command, argument, whole_number
from mi_explorer.cli.options import named_pair
from mi_explorer.cli.terminal import clean
from mi_explorer.errors import UserError
from mi_explorer.pairs import SETTINGS, Pair
from mi_explorer.untyped import JsonObject

DOCTOR_EXAMPLE = """
  python -m mi_explorer doctor
  python -m mi_explorer doctor --pair qwen3-4b --device cuda --json > doctor.json
  python -m mi_explorer doctor --config ./config.json --memory 24
  python -m mi_explorer doctor --config ./config.json --memory 4x24 --cap 16384
"""
DOCTOR_TEXT = """Look at this machine: its memory plan for a pair, fast paths compared with plain ones, step times at 1, 11 and 64
rows beside the time to read the weights once and beside transformers.generate, and the time of a merge. With --memory on paper: the
plan for a card of so many GB, from a config or from headers alone; nothing is loaded."""
MOST_GB = 100_000


@argument
def cards_of(text: str) -> tuple[int, float]:
    """GB of a card, or NxGB for several: (cards, GB of each)."""
    count, cross, size = text.lower().replace("gb", "").rpartition("x")
    try:
        cards, gigabytes = int(count) if cross else 1, float(size)
    except ValueError:
        raise UserError(f"GB of a card, such as 24, or 4x24 for four; not {text[:40]!r}") from None
    if not (1 <= cards <= 1024 and 0 < gigabytes <= MOST_GB):
        raise UserError(f"between 0 and {MOST_GB:,} GB on 1 to 1024 cards, not {text[:40]!r}")
    return cards, gigabytes


def add_doctor(commands: Commands) -> None:
    """Add `doctor`."""
    parser = add_command(
        commands,
        "doctor",
        "what this machine can do with a pair, and what fits which card",
        DOCTOR_TEXT,
        DOCTOR_EXAMPLE,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--pair", metavar="NAME", help="a preset or 'instruct|thinking[|base]' (default: mini)")
    which.add_argument("--config", metavar="FILE", help="a model's config.json, for the plan on paper")
    parser.add_argument("--memory", type=cards_of, metavar="GB", help="on paper: GB of a card, or NxGB for several")
    parser.add_argument(
        "--cap",
        type=whole_number(1, 10_000_000),
        default=32_768,
        metavar="N",
        help="most tokens of a response (default: 32768)",
    )
    parser.add_argument(
        "--rows",
        type=whole_number(1, 65_536),
        default=64,
        metavar="N",
        help="sequences that decode together (default: 64)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps, auto (default: cpu)")
    parser.add_argument(
        "--dtype", help="float32, bfloat16 or float16 (default: as stored; for small models on a CPU what is quicker)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.set_defaults(handler=run_doctor, **{name: getattr(Pair, name) for name in SETTINGS})


def run_doctor(args: argparse.Namespace) -> int:
    """Print the report."""
    report = _on_paper(args) if args.memory or args.config else _here(args)
    print(json.dumps(report, ensure_ascii=False, indent=1) if args.json else clean(_text(report)))
    return 0


def _on_paper(args: argparse.Namespace) -> JsonObject:
    from mi_explorer.engine.paper_plan import file_sizes, free_gigabytes, header_sizes, paper_plan, plan_values

    sizes = (
        file_sizes(args.config, args.dtype)
        if args.config
        else header_sizes(named_pair(args, args.pair or "mini"), args.dtype)
    )
    cards, gigabytes = args.memory or (1, free_gigabytes(args.device))
    plan = paper_plan(sizes, gigabytes, args.cap, args.rows, cards)
    of = {"config": args.config} if args.config else {"pair": args.pair or "mini"}
    return {**of, "cards": cards, "memory_gb": gigabytes, "cap": args.cap, **plan_values(plan)}


def _here(args: argparse.Namespace) -> JsonObject:
    from mi_explorer.engine.doctor import examine
    from mi_explorer.engine.resident import ResidentPair
    from mi_explorer.pairs import get_pair

    def say(text: str) -> None:
        print(f"… {text}", file=sys.stderr, flush=True)

    say("opening the pair")
    resident = ResidentPair.load(get_pair(named_pair(args, args.pair or "mini")), device=args.device, dtype=args.dtype)
    return {"cap": args.cap, **examine(resident, args.rows, args.cap, say)}


def _text(report: JsonObject) -> str:
    from mi_explorer.engine.paper_plan import values_words

    lines = []
    if "machine" in report:
        machine = report["machine"]
        free = f", {machine['free_bytes'] / 1e9:.1f} GB free" if machine["free_bytes"] else ""
        lines.append(
            f"{machine['device']}: {machine['name']}{free}, {machine['cores']} cores, torch {machine['torch']}"
        )
    name = report.get("pair") or report.get("config")
    on = f" on {report['cards']} × {report['memory_gb']:g} GB" if "cards" in report else ""
    lines += [f"{name}{on}, responses of up to {report['cap']:,} tokens", values_words(report)]
    for check in report.get("checks", ()):
        lines.append(f"{check['name']}: {'used' if check['used'] else 'not used'}, {check['why']}")
    for step in report.get("steps", ()):
        lines.append(
            f"step, {step['mode']}, {step['rows']} rows: {1e3 * step['seconds']:.2f} ms "
            f"(weights read once: {1e3 * step['floor_s']:.2f} ms), {step['tokens_s']:,.0f} tokens/s"
        )
    if isinstance(report.get("generate"), list):
        for step in report["generate"]:
            lines.append(
                f"transformers.generate, {step['rows']} rows: {1e3 * step['seconds']:.2f} ms, {step['tokens_s']:,.0f} tokens/s"
            )
    elif "generate" in report:
        lines.append(f"transformers.generate: {report['generate']}")
    if report.get("merge_s") is not None:
        lines.append(f"merge: {1e3 * report['merge_s']:.1f} ms")
    return "\n".join([*lines, *([report["verdict"]] if "verdict" in report else [])])
