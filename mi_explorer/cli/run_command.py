"""`run` and `strip`: one prompt at some λ, in the terminal. All λ run in one batch; what comes is shown as it comes."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mi_explorer.cli.arguments import AUTO, Commands, add_command, add_lambdas
from mi_explorer.cli.options import (
    add_decoding,
    add_interventions,
    add_pair,
    add_recipe,
    decoding_of,
    open_workbench,
    recipe_of,
)
from mi_explorer.cli.terminal import clean, tokens_text, trace_sentence
from mi_explorer.errors import UserError
from mi_explorer.generation.schedule import ScheduleStep, parse_schedule
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.studies.plan import parse_lambdas
from mi_explorer.studies.report.table import Table
from mi_explorer.untyped import JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

RUN_EXAMPLE = """
  python -m mi_explorer run "What is 3 + 4 * 5?" --lambda 0 --lambda 0.4 --lambda 1
  python -m mi_explorer run "What is 3 + 4 * 5?" --lambda 0:1:0.25 --gold 23 --json
  python -m mi_explorer run "What is 3 + 4 * 5?" --lambda auto --router confidence
  python -m mi_explorer run "What is 3 + 4 * 5?" --lambda 1 --think-budget 40 --answer-lambda 0
  python -m mi_explorer run "What is 3 + 4 * 5?" --lambda 1 --schedule 30:0.2,60:close
  python -m mi_explorer run - --lambda 0.8 --layers 2-5 --modules all-mlp < question.txt
"""
STRIP_EXAMPLE = """
  python -m mi_explorer strip "What is 3 + 4 * 5?" --gold 23
  python -m mi_explorer strip "What is 3 + 4 * 5?" --lambda 0:1:0.05 --temperature 0
"""
RUN_TEXT = """Answer one prompt with the blend at one or several λ (0 = Instruct, 1 = Thinking) and show the traces as they
stream. With --json, one object a line: lambda, text, tokens, think_tokens, think_closed, answer, correct
(null without --gold), truncated."""
STRIP_TEXT = """A film strip: one prompt at λ = 0, 0.1 … 1, one line a λ with tokens, thought, answer and verdict."""


def add_run(commands: Commands) -> None:
    """Add `run`."""
    parser = add_command(commands, "run", "answer one prompt at some λ", RUN_TEXT, RUN_EXAMPLE)
    _add_options(parser, "0, 0.5, 1")
    parser.add_argument(
        "--schedule",
        type=schedule_option,
        default=(),
        metavar="STEPS",
        help="what changes on the way: 40:0.8,95:close (token:λ, token:close, token:hint=…), as a steered response records it",
    )
    parser.set_defaults(handler=run_prompt, default_lams="0,0.5,1")


def schedule_option(text: str) -> tuple[ScheduleStep, ...]:
    """The value of `--schedule`."""
    try:
        return parse_schedule(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_strip(commands: Commands) -> None:
    """Add `strip`."""
    parser = add_command(commands, "strip", "one prompt over the whole λ range", STRIP_TEXT, STRIP_EXAMPLE)
    _add_options(parser, "0:1:0.1")
    parser.set_defaults(handler=run_strip, default_lams="0:1:0.1")


def _add_options(parser: argparse.ArgumentParser, lams: str) -> None:
    parser.add_argument("prompt", help="the question; '-' reads it from standard input")
    add_lambdas(parser, "weight of Thinking", lams, auto=True)
    parser.add_argument(
        "--router",
        default="auto",
        metavar="NAME|FILE",
        help="who chooses λ auto: confidence, or a file of 'search route' (default: the pair's own, else confidence)",
    )
    parser.add_argument("--gold", metavar="ANSWER", help="the right answer: turns verdicts on")
    parser.add_argument(
        "--kind", default="auto", help="kind of answer: auto, number, math, choice, text (default: auto)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    add_recipe(parser)
    add_decoding(parser)
    add_interventions(parser)
    add_pair(parser)


def run_prompt(args: argparse.Namespace) -> int:
    """Stream the traces, one λ after the other on the screen although all run together."""
    shown = 0
    current: float | None = None
    for snapshot in _snapshots(args, live=not args.json):
        values = trace_json(snapshot)
        if args.json:
            print(json.dumps(values, ensure_ascii=False), flush=True)
            continue
        if current != snapshot.recipe.lam:
            current, shown = snapshot.recipe.lam, 0
            print(f"── λ {current:g} " + "─" * 60, flush=True)
        print(clean(snapshot.trace.text[shown:]), end="", flush=True)
        shown = len(snapshot.trace.text)
        if not snapshot.live:
            print(f"\n   {trace_sentence(values)}\n", flush=True)
    return 0


def run_strip(args: argparse.Namespace) -> int:
    """One line a λ."""
    rows = []
    for snapshot in _snapshots(args, live=False):
        if args.json:
            print(json.dumps(trace_json(snapshot), ensure_ascii=False), flush=True)
        else:
            rows.append(_strip_row(snapshot))
    if not args.json:
        print(Table.of(["λ", "tokens", "of thought", "</think>", "after first right", "", "answer"], rows).text())
    return 0


def _strip_row(snapshot: Snapshot) -> list[str]:
    trace = snapshot.trace
    return [
        f"{snapshot.recipe.lam:g}",
        tokens_text(trace.tokens),
        tokens_text(trace.think_tokens),
        "yes" if trace.think_closed else "no",
        "" if trace.overthinking is None else f"{100 * trace.overthinking:.0f} %",
        "" if snapshot.verdict is None else "✓" if snapshot.verdict == "correct" else "✗",
        "cut off" if trace.truncated else clean(trace.answer or "–")[:40],
    ]


def trace_json(snapshot: Snapshot) -> JsonObject:
    """A trace as the command line's JSON object."""
    trace = snapshot.trace
    return {
        "lambda": snapshot.recipe.lam,
        "text": trace.text,
        "tokens": trace.tokens,
        "think_tokens": trace.think_tokens,
        "think_closed": trace.think_closed,
        "answer": trace.answer,
        "correct": None if snapshot.verdict is None else snapshot.verdict == "correct",
        "truncated": trace.truncated,
    }


def prompt_of(args: argparse.Namespace) -> str:
    """The question that the words name: themselves, or standard input for "-"."""
    prompt = sys.stdin.read() if args.prompt == "-" else str(args.prompt)
    if not prompt.strip():
        raise UserError("The prompt is empty. Write a question first.")
    return prompt


def _snapshots(args: argparse.Namespace, live: bool) -> Iterator[Snapshot]:
    """Snapshots in the order of the λs: of each the last one, before that (if `live`) the growing ones."""
    prompt = prompt_of(args)
    lams = dict.fromkeys(args.lams or parse_lambdas(args.default_lams))
    decoding = decoding_of(args)
    recipe_of(args, "mini")  # a wrong option is told before anything is loaded
    with open_workbench(args) as bench:
        lams = dict.fromkeys(_routed(args, bench, prompt) if lam == AUTO else float(lam) for lam in lams)
        asks = [
            GenerationRequest(
                str(i),
                prompt,
                recipe_of(args, bench.pair.name, lam),
                decoding,
                args.gold,
                args.kind,
                schedule=getattr(args, "schedule", ()),
            )
            for i, lam in enumerate(lams)
        ]
        yield from _in_order(asks, bench.stream(asks), live)


def _routed(args: argparse.Namespace, bench: "Workbench", prompt: str) -> float:
    """The λ that a router chooses for the prompt; what it chose and why goes to standard error."""
    from mi_explorer.search.line_samples import route_question
    from mi_explorer.search.router import load_router

    found = route_question(load_router(args.router, bench.pair.name), bench, prompt)
    print(found.why, file=sys.stderr, flush=True)
    return found.lam


def _in_order(
    asks: Sequence[GenerationRequest], stream: Iterator[tuple[Snapshot, ...]], live: bool
) -> Iterator[Snapshot]:
    latest: dict[str, Snapshot] = {}
    place = 0
    for snapshots in stream:
        latest.update({s.id: s for s in snapshots})
        while place < len(asks) and not latest[asks[place].id].live:
            done = latest[asks[place].id]
            if done.state == "failed":
                raise UserError(f"λ {done.recipe.lam:g} could not run: {done.message}")
            yield done
            place += 1
        if live and place < len(asks) and latest[asks[place].id].trace.text:
            yield latest[asks[place].id]
