"""`study probe`: stop the thoughts of a study's stored samples early and ask for the answer; nothing is decoded anew but that."""

import argparse
import json
import sys

from mi_explorer.cli.arguments import number_between, whole_number
from mi_explorer.cli.interrupts import stop_on_interrupt
from mi_explorer.cli.measure import PairOpener
from mi_explorer.cli.options import add_pair
from mi_explorer.cli.terminal import ProgressLine, probes_text
from mi_explorer.command_line import command_line
from mi_explorer.generation.probe_points import MAX_ANSWER_TOKENS, MAX_POINTS, MAX_SAMPLES, ProbeOptions
from mi_explorer.recipe import LAM_RANGE
from mi_explorer.studies.progress import Progress
from mi_explorer.studies.store.store import Store


def add_probe_options(parser: argparse.ArgumentParser) -> None:
    """The options of a probe, those of the pair, and the name of the study."""
    parser.add_argument("name", help="a study of this home; run the same command again to go on after a stop")
    add_points(parser)
    parser.add_argument(
        "--json", action="store_true", help="end with one JSON object on standard output instead of a table"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    add_pair(parser)


def add_points(parser: argparse.ArgumentParser) -> None:
    """--points, --at-lambda, --samples, --free, --max-answer-tokens."""
    add = parser.add_argument
    add("--points", type=whole_number(1, MAX_POINTS), default=12, metavar="K", help="most points (default: 12)")
    add(
        "--at-lambda",
        type=number_between("λ", *LAM_RANGE),
        metavar="L",
        help="λ that answers and goes on (default: the trace's own)",
    )
    add(
        "--samples",
        type=whole_number(0, MAX_SAMPLES),
        default=0,
        metavar="K",
        help="answers drawn beside the greedy one",
    )
    add("--free", type=whole_number(0, MAX_SAMPLES), default=0, metavar="K", help="continuations of each point")
    add(
        "--max-answer-tokens",
        type=whole_number(1, 100_000),
        default=MAX_ANSWER_TOKENS,
        metavar="N",
        help=f"most tokens of a forced answer (default: {MAX_ANSWER_TOKENS})",
    )


def probe_options(args: argparse.Namespace) -> ProbeOptions:
    """What the options ask for."""
    at = getattr(args, "at", ())
    return ProbeOptions(args.points, at, args.at_lambda, args.samples, args.free, args.max_answer_tokens)


def probe_study(args: argparse.Namespace) -> int:
    """`study probe`; returns the exit code."""
    from mi_explorer.studies.probe_runner import ProbeRunner
    from mi_explorer.studies.stats.summary import summarise

    options = probe_options(args)
    typed = command_line(*(word for word in sys.argv[1:] if word not in ("--quiet", "--json")))
    bar = ProgressLine(quiet=args.quiet)
    with Store.open(args.home) as store, PairOpener(args) as pairs:
        runner = ProbeRunner(store, args.name, pairs.get, options, typed)
        last = Progress(args.name, "running", 0)
        with stop_on_interrupt(runner.stop):
            for last in runner.run():
                bar.show(last)
        bar.end()
        summary = summarise(store, args.name)
    if last.state == "stopped":
        saved = last.done + last.reused
        print(
            f"Stopped. The probes of {saved:,} of {last.total:,} samples are saved; run the same command to go on.",
            file=sys.stderr,
        )
        return 130
    if last.failed:
        print(f"{last.failed:,} samples could not be probed ({last.message}).", file=sys.stderr)
    mine = tuple(probed for probed in summary.probes if probed.options == options)
    if args.json:
        print(json.dumps(mine[0].json() if mine else {}, ensure_ascii=False))
    else:
        print(probes_text(summary, mine))
    return 1 if last.failed else 0
