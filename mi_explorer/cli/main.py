"""The command line: `python -m mi_explorer <command>`. Nothing heavy is imported for --help.

Exit codes: 0 done, 1 something failed on the way, 2 bad input (one paragraph on standard error), 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence

from mi_explorer.cli.ablate_command import add_ablate
from mi_explorer.cli.app_command import add_app, run_app
from mi_explorer.cli.arguments import CommandParser
from mi_explorer.cli.doctor_command import add_doctor
from mi_explorer.cli.export_command import add_export
from mi_explorer.cli.lm_eval_command import add_lm_eval
from mi_explorer.cli.preflight_command import add_preflight
from mi_explorer.cli.probe_command import add_probe
from mi_explorer.cli.run_command import add_run, add_strip
from mi_explorer.cli.search_command import add_search
from mi_explorer.cli.study_command import add_study
from mi_explorer.cli.sweep_command import add_sweep
from mi_explorer.cli.weights_command import add_weights
from mi_explorer.errors import UserError, end_with_sentence
from mi_explorer.machine import own_process

TEXT = """Model interpolation: blend an Instruct and a Thinking checkpoint of one architecture, (1−λ)·instruct + λ·thinking,
and see how reasoning, length and accuracy change with λ. Everything runs on the embedded pair without a download."""
COMMANDS = (
    add_app,
    add_run,
    add_strip,
    add_probe,
    add_sweep,
    add_ablate,
    add_search,
    add_study,
    add_preflight,
    add_doctor,
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
    """Run one command; returns the exit code. Every error ends as a sentence here."""
    argv = sys.argv[1:] if argv is None else list(argv)
    own_process()
    try:
        _check_words(argv)
        if argv[:1] == ["app"]:
            return run_app(argv[1:])
        args = parser().parse_args(argv)
        return int(args.handler(args) or 0)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return end_with_sentence(error, f"mi_explorer {argv[0] if argv else ''}".strip())


def _check_words(words: Sequence[str]) -> None:
    """Refuse words that no command can mean: bytes that are no text, and "--" as a value, which argparse drops."""
    for word in words:
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in word):
            shown = word[:80].encode("utf-8", "backslashreplace").decode()
            raise UserError(f"The word '{shown}' is not UTF-8 text. Write it again, or rename the file.")
        if word.endswith("=--"):
            raise UserError(f"{word[:40]} names no value.")
    if words.count("--") > 1:
        raise UserError("'--' stands at most once, before words that begin with a dash.")
