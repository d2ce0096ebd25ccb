"""`search route`: routers between two λs, trained on one half of a study's questions and judged on the other."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mi_explorer.cli.arguments import number_between
from mi_explorer.cli.options import open_workbench
from mi_explorer.errors import UserError
from mi_explorer.recipe import LAM_RANGE
from mi_explorer.studies.report.table import Table

if TYPE_CHECKING:
    from mi_explorer.search.routing import RoutingResult

NOTE = """share: of the questions that go to the lower λ. difference: accuracy minus that of the best mix of the line's λs at equal tokens,
paired, on held-out questions, with a 95 % interval. The oracle chooses each question's λ by half of its samples and is scored
on the rest."""


def add_route_options(parser: argparse.ArgumentParser) -> None:
    """--low, --high, --out."""
    group = parser.add_argument_group("routers")
    for name, default, what in (("--low", 0.4, "easy"), ("--high", 0.6, "other")):
        group.add_argument(
            name,
            type=number_between(name, *LAM_RANGE),
            default=default,
            metavar="L",
            help=f"route: λ of {what} questions (default: {default:g})",
        )
    group.add_argument("--out", metavar="FILE", help="route: write the trained router to this .json file")


def route_study(args: argparse.Namespace) -> int:
    """Train and judge; returns the exit code."""
    from mi_explorer.search.line_samples import line_samples
    from mi_explorer.search.routing import study_routing
    from mi_explorer.studies.store.bundled import open_study
    from mi_explorer.studies.store.store import Store

    if not args.saved:
        raise UserError(
            "Name the study of a λ line to train on: 'search route NAME'. 'study list' shows what there is."
        )
    if not args.low < args.high:
        raise UserError(f"--low must lie below --high; {args.low:g} does not lie below {args.high:g}.")
    if args.out and Path(args.out).exists():
        raise UserError(f"{args.out[-80:]} is there already and is left as it was. Name another file.")
    with Store.open_to_read(args.home) as own:
        store, info = open_study(own, args.saved)
        with open_workbench(args) as bench:
            search, heldout = line_samples(store, info.name, bench)
            for lam in (args.low, args.high):
                if lam not in search.lams:
                    raise UserError(
                        f"λ {lam:g} was not measured in {info.name!r}. It has {', '.join(f'{x:g}' for x in search.lams)}."
                    )
            result = study_routing(search, heldout, args.low, args.high, bench.pair.name)
        _keep(own.path.parent, info.name, result)
    if args.out:
        text = json.dumps(result.routers[-1][0].json(), ensure_ascii=False, indent=1)
        Path(args.out).write_text(text + "\n", encoding="utf-8")
    print(json.dumps(result.json(), ensure_ascii=False) if args.json else routing_text(result), flush=True)
    return 0


def _keep(home: Path, study: str, result: "RoutingResult") -> None:
    """Save it for the page's Curves; a folder that cannot be written to is no reason to lose the result."""
    from mi_explorer.search.saved_routing import keep_routing

    try:
        keep_routing(home, study, result)
    except OSError as error:
        print(f"Not saved for the page: {error.strerror}.", file=sys.stderr)


def routing_text(result: "RoutingResult") -> str:
    """Routers and the oracle for a terminal."""
    rows = []
    for router, curve in result.routers:
        for p in curve:
            low, high = (100 * x for x in p.difference_ci)
            mark = " ←" if p.threshold == router.threshold else ""
            rows.append(
                [
                    f"{router.kind}{mark}",
                    f"{p.threshold:.3f}",
                    f"{100 * p.share:.0f}",
                    f"{100 * p.right:.1f}",
                    f"{p.tokens:.1f}",
                    f"{100 * p.difference:+.1f} [{low:+.1f}, {high:+.1f}]",
                ]
            )
    columns = ["router", "threshold", "share %", "held-out %", "tokens", "difference"]
    oracle = [
        [f"{p.price:g}", f"{100 * p.right:.1f}", f"{p.tokens:.1f}", f"{100 * p.naive_right:.1f}"] for p in result.oracle
    ]
    search, heldout = result.questions
    better = [
        r.kind
        for r, curve in result.routers
        if any(p.threshold == r.threshold and p.difference_ci[0] > 0 for p in curve)
    ]
    words = (
        f"better than the line: {', '.join(better)}."
        if better
        else "no better than the line: no router, at its own threshold."
    )
    return "\n".join(
        [
            f"Trained on {search} questions, judged on {heldout}. ← is the threshold that was best in training.",
            "",
            Table.of(columns, rows).text(),
            "",
            Table.of(["oracle: a token's price", "held-out %", "tokens", "not cross-fitted %"], oracle).text(),
            "",
            NOTE,
            words,
        ]
    )
