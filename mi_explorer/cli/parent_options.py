"""What `preflight`, `weights` and `export` share: naming a pair by its parents, and a bar for long reads."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from mi_explorer.cli.options import add_pair_details
from mi_explorer.errors import UserError
from mi_explorer.pairs import SETTINGS, Pair, get_pair


def add_parents(parser: argparse.ArgumentParser) -> None:
    """One pair or two parents as words without an option."""
    parser.add_argument(
        "parents",
        nargs="+",
        metavar="PAIR",
        help="a preset or 'instruct|thinking[|base]'; or two parents: INSTRUCT THINKING",
    )


def add_pair_settings(parser: argparse.ArgumentParser) -> None:
    """--base, the settings of a pair, and --json."""
    parser.add_argument("--base", metavar="C", help="the base that both were fine-tuned from")
    add_pair_details(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def pair_of(args: argparse.Namespace, parents: list[str]) -> Pair:
    """The pair that the parents (or a preset) and the pair settings name."""
    if len(parents) > 2:
        raise UserError(f"Give one pair or two parents (and --base for the base), not {len(parents)} names.")
    pair = get_pair(parents[0] if len(parents) == 1 else "|".join(parents))
    if args.base:
        spec = f"{pair.instruct}|{pair.thinking}|{args.base}"
        pair = replace(get_pair(spec), think_open=pair.think_open, think_close=pair.think_close)
    changed = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) != getattr(Pair, name)}
    return replace(pair, **changed)


@contextmanager
def progress_bar(unit: str, label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A callback `(done, total)` that draws a bar on standard error when that is a terminal."""
    from tqdm import tqdm

    bar = tqdm(unit=unit, unit_scale=True, desc=label, leave=False, disable=True if quiet else None)

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield show
    finally:
        bar.close()
