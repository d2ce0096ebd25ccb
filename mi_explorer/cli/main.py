"""The command line: `python -m mi_explorer <command>`. Nothing heavy is imported for --help.

Exit codes: 0 done, 1 something failed on the way, 2 bad input (one paragraph on standard error), 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence

from mi_explorer.cli.ablate_command import add_ablate
from mi_explorer.cli.app_command import add_app, run_app
from mi_explorer.cli.arguments import CommandParser
from mi_explorer.cli.export_command import add_export
from mi_explorer.cli.lm_eval_command import add_lm_eval
from mi_explorer.cli.preflight_command import add_preflight
from mi_explorer.cli.run_command import add_run, add_strip
from mi_explorer.cli.study_command import add_study
from mi_explorer.cli.sweep_command import add_sweep
from mi_explorer.cli.weights_command import add_weights
from mi_explorer.errors import UserError
from mi_explorer.machine import own_process

TEXT = """Model interpolation: blend an Instruct and a Thinking checkpoint of one architecture, (1−λ)·instruct + λ·thinking,
and see how reasoning, length and accuracy change with λ. Everything runs on the embedded pair without a download."""
COMMANDS = (
    add_app,
    add_run,
    add_strip,
    add_sweep,
    add_ablate,
    add_study,
    add_preflight,
    add_weights,
    add_export,
    add_lm_eval,
)


def parser() -> CommandParser:
    """The whole command line."""
    top = CommandParser("python -m mi_explorer", description=TEXT)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for add in COMMANDS:
        add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    own_process()
    if argv[:1] == ["app"]:
        return run_app(argv[1:])
    try:
        args = parser().parse_args(argv)
        return int(args.handler(args) or 0)
    except UserError as error:
        print(f"mi_explorer {argv[0] if argv else ''}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
