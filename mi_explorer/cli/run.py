"""`run` and `strip`: one prompt at some λ, in the terminal. All λ run in one batch; what comes is shown as it comes."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mi_explorer.cli.options import add_command, add_decoding, add_pair, add_recipe, decoding_of, open_bench, recipe_of
from mi_explorer.cli.terminal import amount, clean, sentence, table
from mi_explorer.errors import UserError
from mi_explorer.generation.generate import Ask, Snapshot
from mi_explorer.studies.plan import parse_lambdas

RUN_EXAMPLE = """
  python -m mi_explorer run "What is 3 + 4 * 5?" --lambda 0 --lambda 0.4 --lambda 1
  python -m mi_explorer run "What is 3 + 4 * 5?" --lambda 0:1:0.25 --gold 23 --json
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


def add_commands(commands: Any) -> None:
    """Add `run` and `strip` to an argparse sub-command group."""
    for name, help, text, example, default in (
        ("run", "answer one prompt at some λ", RUN_TEXT, RUN_EXAMPLE, None),
        ("strip", "one prompt over the whole λ range", STRIP_TEXT, STRIP_EXAMPLE, "0:1:0.1"),
    ):
        parser = add_command(commands, name, help, text, example)
        parser.add_argument("prompt", help="the question; '-' reads it from standard input")
        parser.add_argument(
            "--lambda",
            dest="lams",
            action="append",
            metavar="L",
            help="weight of Thinking: a number, a list 0,0.4,1 or a range 0:1:0.1; may be repeated "
            f"(default: {default or '0, 0.5, 1'})",
        )
        parser.add_argument("--gold", metavar="ANSWER", help="the right answer: turns verdicts on")
        parser.add_argument(
            "--kind", default="auto", help="kind of answer: auto, number, math, choice, text (default: auto)"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
        add_recipe(parser)
        add_decoding(parser)
        add_pair(parser)
        parser.set_defaults(handler=run if name == "run" else strip, default_lams=default or "0,0.5,1")


def run(args: argparse.Namespace) -> int:
    """Stream the traces, one λ after the other on the screen although all run together."""
    shown = 0
    current: float | None = None
    for snapshot in _ordered(args, live=not args.json):
        values = result(snapshot)
        if args.json:
            if not snapshot.live and snapshot.state != "failed":
                print(json.dumps(values, ensure_ascii=False), flush=True)
            continue
        if current != snapshot.recipe.lam:
            current, shown = snapshot.recipe.lam, 0
            print(f"── λ {current:g} " + "─" * 60, flush=True)
        print(clean(snapshot.trace.text[shown:]), end="", flush=True)
        shown = len(snapshot.trace.text)
        if not snapshot.live:
            print(f"\n   {sentence(values)}\n", flush=True)
    return 0


def strip(args: argparse.Namespace) -> int:
    """One line a λ."""
    rows = []
    for snapshot in _ordered(args, live=False):
        values = result(snapshot)
        if args.json:
            print(json.dumps(values, ensure_ascii=False), flush=True)
            continue
        verdict = {True: "✓", False: "✗", None: ""}[values["correct"]]
        t = snapshot.trace
        after = f"{100 * t.overthinking:.0f} %" if t.overthinking is not None else ""
        rows.append(
            [
                f"{values['lambda']:g}",
                amount(t.tokens, None),
                amount(t.think_tokens, None),
                "yes" if t.think_closed else "no",
                after,
                verdict,
                "cut off" if t.truncated else clean(values["answer"] or "–")[:40],
            ]
        )
    if not args.json:
        print(table(["λ", "tokens", "of thought", "</think>", "after first right", "", "answer"], rows))
    return 0


def result(snapshot: Snapshot) -> dict[str, Any]:
    """A finished trace as the command line's JSON object."""
    t = snapshot.trace
    correct = None if snapshot.verdict is None else snapshot.verdict == "correct"
    return {
        "lambda": snapshot.recipe.lam,
        "text": t.text,
        "tokens": t.tokens,
        "think_tokens": t.think_tokens,
        "think_closed": t.think_closed,
        "answer": t.answer,
        "correct": correct,
        "truncated": t.truncated,
    }


def _ordered(args: argparse.Namespace, live: bool) -> Iterator[Snapshot]:
    """Snapshots in the order of the λs: of each the last one, before that (if `live`) the growing ones. Checks input first."""
    prompt = sys.stdin.read() if args.prompt == "-" else args.prompt
    if not prompt.strip():
        raise UserError("The prompt is empty. Write a question first.")
    lams = list(dict.fromkeys(lam for text in args.lams or [args.default_lams] for lam in parse_lambdas(text)))
    decoding = decoding_of(args)
    recipe_of(args, "mini")  # a wrong option is told before anything is loaded
    with open_bench(args) as bench:
        asks = [
            Ask(str(i), prompt, recipe_of(args, bench.pair.name, lam), decoding, args.gold, args.kind)
            for i, lam in enumerate(lams)
        ]
        yield from _in_order(asks, bench.stream(asks), live)


def _in_order(asks: Sequence[Ask], stream: Iterator[tuple[Snapshot, ...]], live: bool) -> Iterator[Snapshot]:
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
