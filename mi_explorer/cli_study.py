"""`sweep`, `ablate` and `study`: measure blends over a task, keep what was measured, show and move it."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from mi_explorer.cli_options import (
    Formatter,
    add_command,
    add_decoding,
    add_home,
    add_pair,
    add_recipe,
    decoding_of,
    open_bench,
    recipe_of,
    whole,
)
from mi_explorer.errors import UserError
from mi_explorer.pairs import get_pair
from mi_explorer.study import ablations
from mi_explorer.study.exchange import FORMATS, export_study, import_study, merge_studies
from mi_explorer.study.plan import Cell, Item, Plan, grid, parse_lambdas, parse_shard
from mi_explorer.study.progress import Progress
from mi_explorer.study.run import Refined, Runner, items_of
from mi_explorer.study.shelf import open_study, shelf
from mi_explorer.study.store import Store, StudyInfo
from mi_explorer.tasks.common import load_task
from mi_explorer.terminal import ProgressLine, duration, study_table, table

SWEEP_TEXT = """Measure accuracy, tokens and think ratio over a λ grid. Every finished sample is saved at once: run the same command
again to resume after a stop or a crash, and the same command with more λ, questions or samples to extend; nothing
is made twice."""
SWEEP_EXAMPLE = """
  python -m mi_explorer sweep --lambda 0:1:0.1 --questions 100 --samples 4
  python -m mi_explorer sweep --lambda 0:1:0.1 --refine --json > sweep.json
  python -m mi_explorer sweep --method linear,ties --lambda 0.2:1:0.2
  python -m mi_explorer sweep --pair qwen3-4b --device cuda --task aime25 --samples 64 --cap 65536 --shard 3/8
"""
ABLATE_TEXT = """The paper's ablations at one λ: layers (which third carries thought), modules (attention or MLP), decoding (temperature
× top-p), backbone (blended into Instruct or into the base), methods (each at its published setting, or over a grid)."""
ABLATE_EXAMPLE = """
  python -m mi_explorer ablate layers --questions 50 --samples 4
  python -m mi_explorer ablate decoding --lambda 0.4 --temperatures 0.6,0.8 --top-ps 0.95,0.8
  python -m mi_explorer ablate methods --methods linear,ties,dare_ties --lambda 0.2:1:0.2
"""
STUDY_TEXT = """Studies that were saved: list, show, export, import, merge, remove."""
STUDY_EXAMPLE = """
  python -m mi_explorer study list
  python -m mi_explorer study show mini-mini-linear-1a2b3c
  python -m mi_explorer study export mini-mini-linear-1a2b3c sweep.mistudy
  python -m mi_explorer study merge all shard1.mistudy shard2.mistudy
"""


def add_commands(commands: Any) -> None:
    """Add `sweep`, `ablate` and `study` to an argparse sub-command group."""
    sweep = add_command(commands, "sweep", "measure a λ grid on a task", SWEEP_TEXT, SWEEP_EXAMPLE)
    sweep.add_argument(
        "--lambda",
        dest="lams",
        action="append",
        metavar="L",
        help="λs: a range 0:1:0.1, a list, a number; may be repeated (default: 0:1:0.1)",
    )
    _add_size(sweep, 100, 4)
    sweep.add_argument(
        "--refine",
        nargs="?",
        const=2,
        default=0,
        metavar="ROUNDS",
        help="add λs where the transition is, up to ROUNDS times (default: 2 rounds)",
    )
    sweep.add_argument(
        "--shard", default="1/1", metavar="I/N", help="make only the I-th of N parts (counted from 1); merge them later"
    )
    add_recipe(sweep, "several")
    add_decoding(sweep)
    add_pair(sweep)
    sweep.set_defaults(handler=run_sweep)

    ablate = add_command(commands, "ablate", "the paper's ablations", ABLATE_TEXT, ABLATE_EXAMPLE)
    ablate.add_argument("what", choices=ablations.KINDS, help="what is varied")
    ablate.add_argument(
        "--lambda",
        dest="lams",
        action="append",
        metavar="L",
        help="the λ (default: 0.8; decoding: 0.4; methods: published settings, or a grid)",
    )
    _add_size(ablate, 50, 4)
    ablate.add_argument(
        "--shard", default="1/1", metavar="I/N", help="make only the I-th of N parts (counted from 1); merge them later"
    )
    ablate.add_argument("--methods", default="", metavar="LIST", help="methods to compare (default: all that the pair can run)")
    ablate.add_argument("--temperatures", default="0.6,0.65,0.7", metavar="LIST", help="for decoding (default: 0.6,0.65,0.7)")
    ablate.add_argument("--top-ps", default="0.95,0.9,0.85,0.8", metavar="LIST", help="for decoding (default: 0.95,0.9,0.85,0.8)")
    ablate.add_argument(
        "--backbone",
        action="append",
        default=[],
        metavar="PAIR",
        help="a further backbone, written as a pair with the same Thinking",
    )
    add_recipe(ablate, "none")
    add_decoding(ablate)
    add_pair(ablate)
    ablate.set_defaults(handler=run_ablation)

    study = add_command(commands, "study", "studies that were saved", STUDY_TEXT, STUDY_EXAMPLE)
    actions = study.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    _study_actions(actions)


def _add_size(parser: argparse.ArgumentParser, questions: int, samples: int) -> None:
    parser.add_argument(
        "--task",
        default="mini",
        metavar="NAME",
        help="a task by name, or a .jsonl or .csv file with question and answer (default: mini)",
    )
    parser.add_argument(
        "--questions", default=questions, metavar="N", help=f"questions, drawn by --task-seed (default: {questions})"
    )
    parser.add_argument("--samples", default=samples, metavar="K", help=f"samples of each question (default: {samples})")
    parser.add_argument("--task-seed", default=0, metavar="N", help="which questions are drawn (default: 0)")
    parser.add_argument(
        "--name", help="name of the study (default: made from pair, task and recipe, so that the same command finds it again)"
    )
    parser.add_argument("--json", action="store_true", help="end with one JSON object on standard output instead of a table")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    add_home(parser)


def run_sweep(args: argparse.Namespace) -> int:
    """`sweep`."""
    items = _items(args)
    lams = [lam for text in args.lams or ["0:1:0.1"] for lam in parse_lambdas(text)]
    decoding, pair = decoding_of(args), get_pair(args.pair)
    methods = [m.strip() for m in args.method.split(",") if m.strip()]
    cells: tuple[Cell, ...] = ()
    for method in methods:
        cells += grid(
            recipe_of(args, pair.name, method=method), dict.fromkeys(lams), decoding, method if len(methods) > 1 else ""
        )
    with _Benches(args) as benches:
        return _run(args, cells, items, "sweep", benches, whole(args.refine, "--refine", 0, 20))


def run_ablation(args: argparse.Namespace) -> int:
    """`ablate`."""
    given = list(dict.fromkeys(lam for text in args.lams or [] for lam in parse_lambdas(text)))
    if len(given) > 1 and args.what != "methods":
        raise UserError(f"The {args.what} ablation is made at one λ, not at {len(given)}.")
    decoding, pair = decoding_of(args), get_pair(args.pair)
    recipe = recipe_of(args, pair.name, given[0] if given else 0.4 if args.what == "decoding" else 0.8)
    items = _items(args)
    with _Benches(args) as benches:
        if args.what == "layers":
            cells = ablations.layers(recipe, decoding, benches.get(pair.name).layers)
        elif args.what == "modules":
            cells = ablations.modules(recipe, decoding)
        elif args.what == "decoding":
            cells = ablations.decoding_grid(recipe, decoding, _numbers(args.temperatures), _numbers(args.top_ps))
        elif args.what == "backbone":
            for spec in (f"{pair.name}@base", *args.backbone):
                get_pair(spec)  # a wrong one is told before anything is loaded
            cells = ablations.backbone(recipe, decoding, args.backbone)
        else:
            names = [name.strip() for name in args.methods.split(",") if name.strip()]
            cells = ablations.methods(
                lambda name: recipe_of(args, pair.name, method=name), decoding, names, given or None, pair.base is not None
            )
        return _run(args, cells, items, args.what, benches)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(f"A list of numbers looks like 0.6,0.65,0.7, not {text[:40]!r}.") from None


def _items(args: argparse.Namespace) -> tuple[Item, ...]:
    """The questions that the options name."""
    return items_of(load_task(args.task, whole(args.questions, "--questions"), whole(args.task_seed, "--task-seed", 0, 2**31)))


def _run(
    args: argparse.Namespace, cells: Sequence[Cell], items: Sequence[Item], kind: str, benches: "_Benches", refine: int = 0
) -> int:
    """Run a plan with progress on standard error, then print its table or JSON."""
    from mi_explorer.study.summary import next_cells, summarise

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
        runner = Runner(store, plan, items, benches.get, name=args.name, shard=shard, refine=refine, next_cells=next_cells)
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
            bar.note(f"This is shard {shard[0]} of {shard[1]}: merge all of them ('study merge') before reading the figures.")
        if last.failed:
            print(f"{last.failed:,} samples failed ({last.message}). Run the same command to try them again.", file=sys.stderr)
        if last.state == "stopped":
            print(
                f"Stopped. {last.done + last.reused:,} of {last.total:,} samples are saved in study {runner.name}; "
                "run the same command to go on.",
                file=sys.stderr,
            )
            return 130
        return 1 if last.failed else 0


def command_line() -> str:
    """The command as it was typed, for the study's record."""
    import shlex

    return shlex.join(["python", "-m", "mi_explorer", *sys.argv[1:]])


class _Benches:
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


# -- study --------------------------------------------------------------------------------------------------------------


def _study_actions(actions: Any) -> None:
    def action(name: str, help: str, handler: Any) -> argparse.ArgumentParser:
        parser = actions.add_parser(
            name, help=help, description=help[:1].upper() + help[1:] + ".", formatter_class=Formatter, allow_abbrev=False
        )
        add_home(parser)
        parser.set_defaults(handler=handler)
        return parser

    action("list", "all studies", list_studies).add_argument("--json", action="store_true", help="as a JSON array")
    show = action("show", "a study's table, stages, and who made it", show_study)
    show.add_argument("name")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    out = action("export", f"write a study to a file ({', '.join(FORMATS)})", export)
    out.add_argument("name")
    out.add_argument("file")
    out.add_argument(
        "--texts", metavar="N", help="keep the text of N samples a question and cell (default: all; 0: figures only)"
    )
    out.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    into = action("import", "read a study from a file", import_)
    into.add_argument("file")
    into.add_argument("--name", help="name here (default: its own)")
    merge = action("merge", "bring shards together: files, other homes' studies.db, or studies of this store", merge_)
    merge.add_argument("name", help="the study that receives them (made if it is not there)")
    merge.add_argument("sources", nargs="+")
    gone = action("rm", "delete studies, and the samples that no other study uses", remove)
    gone.add_argument("names", nargs="+", metavar="name")


def list_studies(args: argparse.Namespace) -> int:
    """`study list`."""
    with Store.open(args.home) as store:
        studies = [*store.studies(), *shelf()]
        if args.json:
            print(json.dumps([_described(info) for info in studies]))
        elif not studies:
            print(f"No studies in {store.path}. 'python -m mi_explorer sweep' makes one.")
        else:
            rows = [list(_described(info).values()) for info in studies]
            print(table(["study", "kind", "task", "pair", "cells", "samples", "of", "origin", "updated"], rows))
    return 0


def _described(info: StudyInfo) -> dict[str, Any]:
    """A study as JSON values, in the order of the table's columns."""
    updated = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.updated))
    return {"name": info.name, "kind": info.plan.kind, "task": info.plan.task, "pair": ", ".join(info.plan.pairs)[:60],
            "cells": len(info.plan.cells), "samples": info.samples, "units": info.units, "origin": info.origin, "updated": updated}  # fmt: skip


def show_study(args: argparse.Namespace) -> int:
    """`study show`."""
    from mi_explorer.study.summary import summarise

    with Store.open(args.home) as own, open_study(own, args.name)[0] as store:
        summary = summarise(store, args.name)
        runs = store.runs(summary.info.id)
        if args.json:
            print(json.dumps({**summary.json(), "command": summary.info.plan.command, "runs": runs}, ensure_ascii=False))
            return 0
        print(study_table(summary))
        print(f"\ncommand: {summary.info.plan.command}")
        for run in runs:
            v = run["versions"]
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run["started"]))
            print(
                f"run of {when} on {run['host']}: {run['samples']:,} samples, {run['device']} {run['dtype']}, "
                f"{duration(run['seconds'])} of decoding, torch {v.get('torch', '?')}, "
                f"mi_explorer {v.get('mi_explorer', '?')} {v.get('commit', '')}".rstrip()
            )
    return 0


def export(args: argparse.Namespace) -> int:
    """`study export`."""
    with Store.open(args.home) as own, open_study(own, args.name)[0] as store:
        texts = None if args.texts is None else whole(args.texts, "--texts", 0)
        count = export_study(store, args.name, args.file, texts=texts, overwrite=args.overwrite)
        print(f"{count:,} samples written to {args.file}")
    return 0


def import_(args: argparse.Namespace) -> int:
    """`study import`."""
    with Store.open(args.home) as store:
        name, new = import_study(store, args.file, args.name)
        print(f"study {name}: {new:,} new samples")
    return 0


def merge_(args: argparse.Namespace) -> int:
    """`study merge`."""
    with Store.open(args.home) as store:
        print(f"study {args.name}: {merge_studies(store, args.name, args.sources):,} new samples")
    return 0


def remove(args: argparse.Namespace) -> int:
    """`study rm`."""
    with Store.open(args.home) as store:
        for name in args.names:
            store.study(name)  # all names are right before the first is deleted
        for name in args.names:
            print(f"study {name} deleted, {store.delete(name):,} samples with it")
    return 0
