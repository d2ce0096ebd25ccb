"""What `sweep` and `ablate` share: size options, questions, and running a plan with progress, Ctrl+C and a closing table."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from mi_explorer.cli.arguments import argument, whole_number
from mi_explorer.cli.interrupts import stop_on_interrupt
from mi_explorer.cli.options import add_home, named_pair, open_workbench
from mi_explorer.cli.terminal import ProgressLine, clean, study_table
from mi_explorer.cli.worker_options import crew_of, has_workers
from mi_explorer.command_line import command_line
from mi_explorer.errors import UserError
from mi_explorer.studies.plan import Cell, Item, Plan, parse_shard
from mi_explorer.studies.progress import Progress, WorkerNews
from mi_explorer.studies.refine import Refined
from mi_explorer.studies.runner import Runner, items_of
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.registry import load_task
from mi_explorer.untyped import JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench


def add_study_size(parser: argparse.ArgumentParser, questions: int, samples: int) -> None:
    """Task, questions, samples, shard, name of the study, and how it is told."""
    add = parser.add_argument
    add(
        "--task",
        default="mini",
        metavar="NAME",
        help="a task by name, or a file with question and answer (.jsonl, .json, .csv, .tsv, .parquet) (default: mini)",
    )
    add(
        "--questions",
        type=whole_number(),
        default=questions,
        metavar="N",
        help=f"questions, drawn by --task-seed (default: {questions})",
    )
    add(
        "--samples",
        type=whole_number(),
        default=samples,
        metavar="K",
        help=f"samples of each question (default: {samples})",
    )
    add(
        "--task-seed",
        type=whole_number(0, 2**31),
        default=0,
        metavar="N",
        help="which questions are drawn (default: 0)",
    )
    add(
        "--name",
        help="name of the study (default: made from pair, task and recipe, so that the same command finds it again)",
    )
    add(
        "--shard",
        type=argument(parse_shard),
        default="1/1",
        metavar="I/N",
        help="make only the I-th of N parts (counted from 1); merge them later",
    )
    add("--json", action="store_true", help="end with one JSON object on standard output instead of a table")
    add("--quiet", action="store_true", help="no progress on standard error")
    add_home(parser)


def questions_of(args: argparse.Namespace) -> tuple[Item, ...]:
    """The questions that the options name."""
    return items_of(load_task(args.task, args.questions, args.task_seed))


class PairOpener:
    """Opens the pairs that a plan names, one at a time."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self._open: Workbench | None = None
        self._spec = ""

    def get(self, pair: str) -> "Workbench":
        """The workbench of this pair; the one before it is closed."""
        if self._open is None or self._spec != pair:
            self.close()
            self._open, self._spec = open_workbench(self.args, pair), pair
        return self._open

    def layers(self, pair: str) -> int:
        """How many layers a pair has; from its headers where workers hold it and not this process."""
        if has_workers(self.args):
            from mi_explorer.checkpoints.parents import Parents

            return Parents.open(named_pair(self.args, pair)).layers
        found = self.get(pair).layers
        assert found is not None  # a pair that was opened here knows its layers
        return found

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open, self._spec = None, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def run_plan(
    args: argparse.Namespace,
    cells: Sequence[Cell],
    questions: Sequence[Item],
    kind: str,
    pairs: PairOpener,
    refine: int = 0,
) -> int:
    """Run a plan with progress on standard error, then print its table or JSON; returns the exit code."""
    from mi_explorer.studies.refine import next_cells
    from mi_explorer.studies.stats.summary import summarise

    # The command is part of the study's record, without what changes only what is printed.
    typed = command_line(*(word for word in sys.argv[1:] if word not in ("--quiet", "--json")))
    plan = Plan(args.task, tuple(cells), len(questions), args.samples, kind, args.task_seed, command=typed)
    bar = ProgressLine(quiet=args.quiet)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(args.home))
        options: JsonObject = {
            "name": args.name, "shard": args.shard, "refine": refine, "next_cells": next_cells
        }  # fmt: skip
        if has_workers(args):
            from mi_explorer.cluster.cluster_runner import ClusterRunner

            crew = stack.enter_context(crew_of(args))
            runner: Runner = ClusterRunner(store, plan, questions, crew, **options)
            if crew.dashboard:
                bar.note(f"Ray's dashboard: {crew.dashboard}")
        else:
            runner = Runner(store, plan, questions, pairs.get, **options)
        stack.enter_context(stop_on_interrupt(runner.stop))
        last = Progress(runner.name, "running", 0)
        for event in runner.run():
            if isinstance(event, Progress):
                last = event
                bar.show(event)
            elif isinstance(event, WorkerNews):
                bar.note(clean(event.text))
            elif isinstance(event, Refined):
                bar.note(f"{event.why} Adding λ {', '.join(f'{x:g}' for x in event.lams)}.")
        bar.end()
        if store.find(runner.name) is None:
            raise UserError("Stopped before a worker had loaded the pair; nothing was made.")
        summary = summarise(store, runner.name, [row.key for row in runner.cells], questions, plan.samples)
    if last.state != "stopped":
        print(json.dumps(summary.json(), ensure_ascii=False) if args.json else study_table(summary), flush=True)
    if args.shard != (1, 1):
        part, of = args.shard
        bar.note(f"This is shard {part} of {of}: merge all of them ('study merge') before reading the figures.")
    return _exit_code(last, runner.name)


def _exit_code(last: Progress, name: str) -> int:
    """Say what is missing, on standard error."""
    if last.failed:
        print(
            f"{last.failed:,} samples failed ({last.message}). Run the same command to try them again.", file=sys.stderr
        )
    if last.state == "stopped":
        saved = last.done + last.reused
        print(
            f"Stopped. {saved:,} of {last.total:,} samples are saved in study {name}; run the same command to go on.",
            file=sys.stderr,
        )
        return 130
    return 1 if last.failed else 0
