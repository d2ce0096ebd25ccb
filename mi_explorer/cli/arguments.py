"""Words of the command line as values: argparse types, and a parser whose complaints are `UserError`s."""

import argparse
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, TypeAlias, TypeVar

from mi_explorer.errors import UserError
from mi_explorer.recipe import number
from mi_explorer.studies.plan import parse_lambdas
from mi_explorer.untyped import LibraryObject

Value = TypeVar("Value")
Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"  # argparse has no public name for it
AUTO = "auto"  # a λ that a router chooses


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help with the text as written and wide enough for the options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)
        self._action_max_length = 13  # argparse forgets the indent of sub-commands, and breaks the longest one's line


class CommandParser(argparse.ArgumentParser):
    """A parser that raises `UserError` for wrong words instead of ending the process."""

    def __init__(self, *args: LibraryObject, **options: LibraryObject) -> None:
        super().__init__(*args, **{"formatter_class": HelpFormatter, "allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')} ('{self.prog} --help' lists the options.)")


def add_command(commands: Commands, name: str, help: str, text: str, example: str) -> CommandParser:
    """A command with a description and examples, in an argparse group of commands."""
    return commands.add_parser(name, help=help, description=text, epilog="examples:\n" + example.strip("\n"))


def argument(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """`read` as an argparse type: its `UserError` is shown behind the option's name."""

    @wraps(read)
    def wrapped(text: str) -> Value:
        try:
            return read(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return wrapped


def whole_number(low: int = 1, high: int = 1_000_000) -> Callable[[str], int]:
    """A whole number within [low, high]."""

    @argument
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise UserError(f"must be a whole number from {low:,} to {high:,}, not {text[:40]!r}.")
        return value

    return read


def number_between(name: str, low: float, high: float) -> Callable[[str], float]:
    """A number within [low, high]."""
    return argument(lambda text: number(text, name, low, high))


lambda_list = argument(parse_lambdas)  # "0:1:0.1", "0,0.4,1" or "0.8" as numbers


def word_list(text: str) -> tuple[str, ...]:
    """Words between commas, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def number_list(text: str) -> tuple[float, ...]:
    """Numbers between commas."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"a list of numbers looks like 0.6,0.65,0.7, not {text[:40]!r}.") from None


@argument
def lambdas_or_auto(text: str) -> tuple[float | str, ...]:
    """λs as `lambda_list` has them, or "auto"."""
    return (AUTO,) if text.strip() == AUTO else parse_lambdas(text)


def add_lambdas(parser: argparse.ArgumentParser, what: str, default: str, auto: bool = False) -> None:
    """`--lambda`, as often as one likes; `args.lams` is a list of numbers, or None where it is not given. `auto`: or "auto"."""
    parser.add_argument(
        "--lambda",
        dest="lams",
        action="extend",
        type=lambdas_or_auto if auto else lambda_list,
        metavar="L",
        help=f"{what}: a number, a list 0,0.4,1 or a range 0:1:0.1{', or auto' if auto else ''}; may be repeated (default: {default})",
    )
