"""The command line: `python -m mi_explorer <command>`. Commands live in `cli_*.py`; nothing heavy is imported for --help.

Exit codes: 0 done, 1 something failed on the way, 2 bad input (one paragraph on standard error), 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from mi_explorer.cli import ablate, app, lm_eval, run, study, sweep, weights
from mi_explorer.cli.options import Formatter
from mi_explorer.errors import UserError

TEXT = """Model interpolation: blend an Instruct and a Thinking checkpoint of one architecture, (1−λ)·instruct + λ·thinking,
and see how reasoning, length and accuracy change with λ. Everything runs on the embedded pair without a download."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        "python -m mi_explorer", description=TEXT, formatter_class=Formatter, allow_abbrev=False
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    app.add_commands(commands)
    run.add_commands(commands)
    sweep.add_commands(commands)
    ablate.add_commands(commands)
    study.add_commands(commands)
    weights.add_commands(commands)
    lm_eval.add_commands(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["app"]:
        return app.run(argv[1:])
    args = parser().parse_args(argv)
    try:
        return int(args.handler(args) or 0)
    except UserError as error:
        print(f"mi_explorer {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
