"""`probe`: what the model would have answered had its thought stopped earlier, and how it goes on from there."""

import argparse
import json

from mi_explorer.cli.arguments import Commands, add_command, argument, number_between
from mi_explorer.cli.options import (
    add_decoding,
    add_interventions,
    add_pair,
    add_recipe,
    decoding_of,
    open_workbench,
    recipe_of,
)
from mi_explorer.cli.run_command import prompt_of
from mi_explorer.cli.study_probe import add_points, probe_options
from mi_explorer.cli.terminal import clean, percent
from mi_explorer.errors import UserError
from mi_explorer.generation.probe_points import ProbedTrace
from mi_explorer.generation.probes import ProbeRun, ProbeTarget
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.generation.traces import Trace
from mi_explorer.recipe import LAM_RANGE
from mi_explorer.studies.report.table import Table

PROBE_TEXT = """Answer one prompt, then stop its thought at the ends of sentences and ask what the model would have answered there
(forced answers), and with --free how it goes on (continuations): a forced answer can fail where going on succeeds, so look at
both. With --json, one object: points (token, answer, right, confidence; with --free how many of them were right), sufficient
(tokens of the first prefix from which the forced answer is right and stays right), verbose (share of a right response's tokens
after that), harmful (right at some point, wrong at the end), switches (how often the forced answer changes)."""
PROBE_EXAMPLE = """
  python -m mi_explorer probe "What is 14 + 3 * 6 - 9?" --lambda 1 --gold 23
  python -m mi_explorer probe "What is 14 + 3 * 6 - 9?" --lambda 1 --gold 23 --points 12 --free 4 --json
  python -m mi_explorer probe "What is 14 + 3 * 6 - 9?" --lambda 1 --gold 23 --at 20,40,60 --at-lambda 0.5
"""
CONTEXT = 44  # characters of the thought that the table shows before a point


def add_probe(commands: Commands) -> None:
    """Add `probe`."""
    parser = add_command(
        commands, "probe", "stop a thought early: what is the answer there?", PROBE_TEXT, PROBE_EXAMPLE
    )
    parser.add_argument("prompt", help="the question; '-' reads it from standard input")
    parser.add_argument(
        "--lambda",
        dest="lam",
        type=number_between("λ", *LAM_RANGE),
        default=1.0,
        metavar="L",
        help="weight of Thinking in the trace that is probed (default: 1)",
    )
    parser.add_argument("--gold", metavar="ANSWER", help="the right answer; without it nothing can be right or wrong")
    parser.add_argument(
        "--kind", default="auto", help="kind of answer: auto, number, math, choice, text (default: auto)"
    )
    parser.add_argument(
        "--at",
        type=argument(token_list),
        default=(),
        metavar="N,N…",
        help="stop after these tokens of the response instead",
    )
    add_points(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    add_recipe(parser)
    add_decoding(parser)
    add_interventions(parser)
    add_pair(parser)
    parser.set_defaults(handler=run_probe_command)


def token_list(text: str) -> tuple[int, ...]:
    """Whole numbers between commas."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UserError(f"points look like 20,40,60, not {text[:40]!r}.") from None


def run_probe_command(args: argparse.Namespace) -> int:
    """Make the trace, probe it, and print what came; returns the exit code."""
    prompt = prompt_of(args)
    options = probe_options(args)
    if not (args.gold or "").strip():
        raise UserError("A probe needs the right answer (--gold): without it nothing can be right or wrong.")
    decoding = decoding_of(args)
    recipe_of(args, "mini")  # a wrong option is told before anything is loaded
    with open_workbench(args) as bench:
        recipe = recipe_of(args, bench.pair.name, args.lam)
        request = GenerationRequest("trace", prompt, recipe, decoding, args.gold, args.kind)
        *_, (snapshot,) = bench.stream([request])
        if snapshot.state == "failed":
            raise UserError(f"λ {recipe.lam:g} could not run: {snapshot.message}")
        target = ProbeTarget.of(snapshot, prompt, args.gold, args.kind)
        run = ProbeRun(bench.generator, target, options)
        for snapshots in bench.stream(run.requests):
            run.add(snapshots)
    probed = run.result
    if args.json:
        values = {**probed.json(), "lambda": recipe.lam, "at_lambda": args.at_lambda, "answer": snapshot.trace.answer}
        print(json.dumps(values, ensure_ascii=False))
    else:
        print(probe_table(probed, snapshot.trace))
    return 0


def probe_table(probed: ProbedTrace, trace: Trace) -> str:
    """The points of a trace as a table, and a sentence on what they say together."""
    heads = ["token", "the thought until there", "answer", "", "confidence"]
    drawn = any(point.samples for point in probed.points)
    free = any(point.free for point in probed.points)
    rows = []
    for point in probed.points:
        row = [
            str(point.token),
            "… " + " ".join(clean(trace.text[: trace.ends[point.token - 1]]).split())[-CONTEXT:],
            "cut off" if point.cut else clean(point.answer or "–")[:40],
            "✓" if point.right else "✗",
            "–" if point.confidence is None else f"{point.confidence:.3f}",
        ]
        row += [f"{sum(point.samples)}/{len(point.samples)}"] if drawn else []
        row += [f"{sum(point.free)}/{len(point.free)}"] if free else []
        rows.append(row)
    table = Table.of([*heads, *(["drawn"] if drawn else []), *(["going on"] if free else [])], rows).text()
    return "\n".join([table, "", probe_sentence(probed, trace)])


def probe_sentence(probed: ProbedTrace, trace: Trace) -> str:
    """What the points of one trace say together, beside what its text says."""
    own = "right" if probed.right else "wrong"
    said = f"The response has {probed.tokens} tokens, {probed.think_tokens} of them thought; its answer is {own}."
    if probed.sufficient is not None:
        said += f" Stopping is right from token {probed.sufficient} on: {percent(probed.verbose)} % of the tokens come after it."
    elif probed.right:
        said += " No earlier stop gives an answer that is right and stays right."
    if probed.harmful:
        said += " It was right at an earlier point: the rest of the thought did harm."
    if trace.first_correct is not None:
        said += f" The text first gives the right answer at token {trace.first_correct}."
    return f"{said} The forced answer changes {probed.switches} time{'' if probed.switches == 1 else 's'}."
