"""`search`: the blends with the most accuracy for the fewest tokens, judged on questions that the search never saw."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mi_explorer.cli.arguments import Commands, add_command, add_lambdas, number_between, whole_number, word_list
from mi_explorer.cli.interrupts import stop_on_interrupt
from mi_explorer.cli.options import (
    add_decoding,
    add_home,
    add_pair,
    add_recipe,
    decoding_of,
    named_pair,
    open_workbench,
    recipe_of,
)
from mi_explorer.cli.search_route import add_route_options, route_study
from mi_explorer.cli.terminal import SearchLine
from mi_explorer.cli.worker_options import add_workers, crew_of, has_workers
from mi_explorer.errors import UserError
from mi_explorer.pairs import get_pair
from mi_explorer.studies.plan import Cell, parse_lambdas
from mi_explorer.untyped import JsonObject

if TYPE_CHECKING:
    from mi_explorer.cluster.crew_workbench import CrewWorkbench
    from mi_explorer.search.result import SearchResult
    from mi_explorer.search.settings import SearchSettings
    from mi_explorer.search.space import SearchSpace
    from mi_explorer.workbench import Workbench

SEARCH_TEXT = """Search the blends with the most accuracy for the fewest tokens. Candidates are proposed by optuna and run side by side in
one batch; clearly dominated ones stop early. The best are measured anew on held-out questions and compared with the plain λ line at
equal tokens. Run the same command again to resume after a stop or a crash, or with more evaluations to extend."""
SEARCH_EXAMPLE = """
  python -m mi_explorer search --vary lambda,layers,budget --evaluations 48
  python -m mi_explorer search --vary lambda,layers --groups 6 --sampler nsga2 --json > search.json
  python -m mi_explorer search --vary lambda,budget --within 80
  python -m mi_explorer search show
  python -m mi_explorer search route mini-sweep --low 0.4 --high 0.6 --out router.json
"""


def add_search(commands: Commands) -> None:
    """Add `search`."""
    parser = add_command(commands, "search", "find the best blends for their tokens", SEARCH_TEXT, SEARCH_EXAMPLE)
    add = parser.add_argument
    add(
        "action",
        nargs="?",
        choices=("run", "show", "route"),
        default="run",
        help="run a search (default), show what is saved, or train routers on a study of the λ line",
    )
    add("saved", nargs="?", metavar="NAME", help="show: the search (default: list all); route: the study")
    add("--vary", type=word_list, default=("lambda", "layers"), metavar="LIST",
        help="what may vary: lambda, layers, modules, method, answer, budget (default: lambda,layers)")  # fmt: skip
    add(
        "--groups",
        type=whole_number(),
        metavar="N",
        help="layer groups with a λ each (default: 3, or all layers if fewer)",
    )
    add(
        "--methods", type=word_list, metavar="LIST", help="methods to choose among (default: all that the pair can run)"
    )
    add("--step", type=number_between("--step", 0.001, 1), default=0.05, metavar="X", help="step of λ (default: 0.05)")
    add("--budgets", type=word_list, metavar="LOW,HIGH", help="range of thought budgets (default: 16 to the cap)")
    add("--evaluations", type=whole_number(), default=48, metavar="N", help="candidates to measure (default: 48)")
    add("--tokens", type=whole_number(1, 10**12), metavar="N", help="most tokens of all candidates' responses")
    add("--within", type=number_between("--within", 0, 1e9), metavar="N",
        help="maximise accuracy within N tokens a response (default: a frontier of both)")  # fmt: skip
    add("--sampler", default="tpe", metavar="NAME", help="tpe, nsga2 or random (default: tpe)")
    add("--batch", type=whole_number(1, 1000), default=8, metavar="N", help="candidates side by side (default: 8)")
    add("--no-race", action="store_true", help="measure clearly dominated candidates to the end, too")
    add("--cold", action="store_true", help="begin without the points of the λ line")
    add_lambdas(parser, "λs of the plain line", "0:1:0.1")
    group = parser.add_argument_group("questions")
    add = group.add_argument
    add(
        "--task",
        default="mini",
        metavar="NAME",
        help="a task by name, or a file with question and answer (default: mini)",
    )
    add("--task-seed", type=whole_number(0, 2**31), default=0, metavar="N", help="order of the questions (default: 0)")
    add("--questions", type=whole_number(), default=48, metavar="N", help="that measure a candidate (default: 48)")
    add("--samples", type=whole_number(), default=2, metavar="K", help="samples of each (default: 2)")
    add(
        "--heldout-questions",
        type=whole_number(),
        default=100,
        metavar="N",
        help="that judge the finalists (default: 100)",
    )
    add("--heldout-samples", type=whole_number(), default=4, metavar="K", help="samples of each (default: 4)")
    add("--finalists", type=whole_number(1, 100), default=6, metavar="N", help="recipes to judge at most (default: 6)")
    add = parser.add_argument
    add("--name", help="name of the search (default: made of what it is, so that the same command finds it again)")
    add("--json", action="store_true", help="end with one JSON object on standard output instead of a table")
    add("--quiet", action="store_true", help="no progress on standard error")
    add_route_options(parser)
    add_home(parser)
    add_recipe(parser)
    add_decoding(parser)
    add_pair(parser)
    add_workers(parser)
    parser.set_defaults(handler=run_search)


def run_search(args: argparse.Namespace) -> int:
    """Run or show a search; returns the exit code."""
    from mi_explorer.search.search import Search
    from mi_explorer.studies.runner import items_of
    from mi_explorer.studies.store.store import Store
    from mi_explorer.tasks.registry import load_task

    if args.action == "show":
        return show_search(args)
    if args.action == "route":
        return route_study(args)
    settings = settings_of(args)
    space_of(args, 10**6, args.pair)  # what is wrong whatever the pair is told before anything is loaded
    items = items_of(load_task(args.task, None, args.task_seed))
    from mi_explorer.search.split import split_items

    split_items(items)
    line = SearchLine(quiet=args.quiet)
    asked: JsonObject = {"task": args.task, "task_seed": args.task_seed, "name": args.name}
    with ExitStack() as stack:
        bench: Workbench | CrewWorkbench
        if has_workers(args):
            bench = stack.enter_context(crew_workbench(args))
        else:
            bench = stack.enter_context(open_workbench(args))
        store = stack.enter_context(Store.open(args.home))
        space = space_of(args, bench.layers or 1, get_pair(named_pair(args)).name)
        search = Search(store, bench, items, space, settings, **asked, runner_for=getattr(bench, "runner", None))
        line.note(f"Search {search.name}. {search.cost().text}")
        with stop_on_interrupt(search.stop):
            for event in search.run():
                line.show(event)
        line.end()
        result = search.result
        if result is None:
            print(
                f"Stopped after {search.evaluations} evaluations, which are saved; run the same command to go on.",
                file=sys.stderr,
            )
            return 130
        print(json.dumps(result.json(), ensure_ascii=False) if args.json else result_text(result), flush=True)
    return 0


@contextmanager
def crew_workbench(args: argparse.Namespace) -> Iterator["CrewWorkbench"]:
    """The workers that the options name, with the pair loaded."""
    from mi_explorer.cluster.crew_workbench import CrewWorkbench

    recipe, decoding = recipe_of(args, get_pair(named_pair(args)).name), decoding_of(args)
    if "budget" in args.vary and decoding.think_budget is None:
        decoding = replace(decoding, think_budget=decoding.cap)  # whether the pair's tags are known is asked at once
    with crew_of(args) as crew:
        yield CrewWorkbench.open(crew, recipe.pair, (Cell(recipe, decoding),))


def settings_of(args: argparse.Namespace) -> "SearchSettings":
    """How much the options let it spend."""
    from mi_explorer.search.settings import SearchSettings

    decoding = decoding_of(args)
    return SearchSettings(
        evaluations=args.evaluations,
        tokens=args.tokens,
        within=args.within,
        questions=args.questions,
        samples=args.samples if decoding.temperature > 0 else 1,
        heldout_questions=args.heldout_questions,
        heldout_samples=args.heldout_samples if decoding.temperature > 0 else 1,
        finalists=args.finalists,
        batch=args.batch,
        sampler=args.sampler,
        seed=decoding.seed,
        line=tuple(args.lams or parse_lambdas("0:1:0.1")),
        race=not args.no_race,
        warm=not args.cold,
    )


def space_of(args: argparse.Namespace, layers: int, pair: str) -> "SearchSpace":
    """What the options let vary, for a pair of so many layers."""
    from mi_explorer.merging.methods import METHODS
    from mi_explorer.search.space import SearchSpace

    has_base = get_pair(named_pair(args)).base is not None
    methods = args.methods or tuple(n for n, m in METHODS.items() if (has_base or not m.needs_base) and not m.blocks)
    budgets = None
    if args.budgets:
        try:
            low, high = (int(x) for x in args.budgets)
        except ValueError:
            raise UserError("--budgets takes the lowest and the highest thought budget, such as 16,256.") from None
        budgets = low, high
    groups = args.groups or min(3, layers)
    return SearchSpace(
        args.vary,
        layers,
        recipe_of(args, pair),
        decoding_of(args),
        groups,
        step=args.step,
        methods=methods,
        budgets=budgets,
        has_base=has_base,
    )


def result_text(result: "SearchResult") -> str:
    """A result for a terminal."""
    spent = (
        f"{result.evaluations} evaluations, {result.stopped_early} of them stopped early; {result.tokens_used:,} tokens of "
        f"candidates, {result.tokens_generated:,} generated in all."
    )
    volumes = f"Hypervolume on held-out questions: {result.heldout_volume:.4f}, of the λ line {result.heldout_line_volume:.4f}."
    notes = (
        "search: scores that chose the recipe, and flatter it. held-out: on "
        f"{result.heldout_questions[0]} questions × {result.heldout_questions[1]} it never saw, with 95 % intervals.\n"
        "difference: accuracy minus that of the plain λ line at equal tokens, paired."
    )
    return "\n".join([f"{result.name}", "", result.table().text(), "", notes, "", spent, volumes, result.verdict])


def show_search(args: argparse.Namespace) -> int:
    """`search show`."""
    from mi_explorer.search.saved import saved_search, saved_searches
    from mi_explorer.studies.report.table import Table
    from mi_explorer.studies.store.schema import home_folder

    home = home_folder(args.home)
    if args.saved:
        found = saved_search(home, args.saved)
        if found.result is not None:
            print(json.dumps(found.result.json(), ensure_ascii=False) if args.json else result_text(found.result))
        elif args.json:
            print(json.dumps(found.json(), ensure_ascii=False))
        else:
            print(f"{found.name}: {found.evaluations} of {found.wanted} evaluations, not judged yet.")
        return 0
    every = saved_searches(home)
    if args.json:
        print(json.dumps([one.json() for one in every], ensure_ascii=False))
    elif not every:
        print("No searches yet. 'python -m mi_explorer search' makes one.")
    else:
        rows = [[one.name, f"{one.evaluations}/{one.wanted}", one.verdict or "not judged yet"] for one in every]
        print(Table.of(["search", "evaluations", "verdict"], rows).text())
    return 0
