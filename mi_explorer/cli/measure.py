"""What `sweep` and `ablate` share: size options, questions, and running a plan with progress, Ctrl+C and a closing table."""

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from mi_explorer.cli.options import add_home, open_bench, whole
from mi_explorer.cli.terminal import ProgressLine, study_table
from mi_explorer.studies.plan import Cell, Item, Plan, parse_shard
from mi_explorer.studies.progress import Progress
from mi_explorer.studies.runner import Refined, Runner, items_of
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.task import load_task


def add_size(parser: argparse.ArgumentParser, questions: int, samples: int) -> None:
    parser.add_argument(
        "--task",
        default="mini",
        metavar="NAME",
        help="a task by name, or a .jsonl or .csv file with question and answer (default: mini)",
    )
    parser.add_argument(
        "--questions", default=questions, metavar="N", help=f"questions, drawn by --task-seed (default: {questions})"
    )
    parser.add_argument(
        "--samples", default=samples, metavar="K", help=f"samples of each question (default: {samples})"
    )
    parser.add_argument("--task-seed", default=0, metavar="N", help="which questions are drawn (default: 0)")
    parser.add_argument(
        "--name",
        help="name of the study (default: made from pair, task and recipe, so that the same command finds it again)",
    )
    parser.add_argument(
        "--json", action="store_true", help="end with one JSON object on standard output instead of a table"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    add_home(parser)


def items_of_task(args: argparse.Namespace) -> tuple[Item, ...]:
    """The questions that the options name."""
    return items_of(
        load_task(args.task, whole(args.questions, "--questions"), whole(args.task_seed, "--task-seed", 0, 2**31))
    )


def run_plan(
    args: argparse.Namespace,
    cells: Sequence[Cell],
    items: Sequence[Item],
    kind: str,
    benches: "Benches",
    refine: int = 0,
) -> int:
    """Run a plan with progress on standard error, then print its table or JSON."""
    from mi_explorer.studies.stats.summary import next_cells, summarise

    plan = Plan(
        args.task,
        tuple(cells),
        len(items),
        whole(args.samples, "--samples"),
        kind,
        int(args.task_seed),
        command=command_line(),
    )
    shard = parse_shard(args.shard)
    bar = ProgressLine(quiet=args.quiet)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(args.home))
        runner = Runner(
            store, plan, items, benches.get, name=args.name, shard=shard, refine=refine, next_cells=next_cells
        )
        before = signal.getsignal(signal.SIGINT)

        def interrupted(*_: object) -> None:
            runner.stop()
            signal.signal(signal.SIGINT, before)  # a second Ctrl+C does not wait for the current step

        signal.signal(signal.SIGINT, interrupted)
        stack.callback(signal.signal, signal.SIGINT, before)
        last = Progress(runner.name, "running", 0)
        for event in runner.run():
            if isinstance(event, Progress):
                last = event
                bar.show(event)
            elif isinstance(event, Refined):
                bar.note(f"{event.why} Adding λ {', '.join(f'{x:g}' for x in event.lams)}.")
        bar.end()
        summary = summarise(store, runner.name, [row.key for row in runner.cells], items, plan.samples)
        if last.state != "stopped":
            print(json.dumps(summary.json(), ensure_ascii=False) if args.json else study_table(summary), flush=True)
        if shard != (1, 1):
            bar.note(
                f"This is shard {shard[0]} of {shard[1]}: merge all of them ('study merge') before reading the figures."
            )
        if last.failed:
            print(
                f"{last.failed:,} samples failed ({last.message}). Run the same command to try them again.",
                file=sys.stderr,
            )
        if last.state == "stopped":
            print(
                f"Stopped. {last.done + last.reused:,} of {last.total:,} samples are saved in study {runner.name}; "
                "run the same command to go on.",
                file=sys.stderr,
            )
            return 130
        return 1 if last.failed else 0


def command_line() -> str:
    """The command as it was typed, for the study's record, without what only changes what is printed."""
    return shlex.join(
        ["python", "-m", "mi_explorer", *(word for word in sys.argv[1:] if word not in ("--quiet", "--json"))]
    )


class Benches:
    """One loaded pair at a time."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.name, self.bench = args, "", None

    def get(self, pair: str) -> Any:
        if self.name != pair:
            self.close()
            self.bench, self.name = open_bench(self.args, pair), pair
        return self.bench

    def close(self) -> None:
        if self.bench is not None:
            self.bench.close()
            self.bench, self.name = None, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
