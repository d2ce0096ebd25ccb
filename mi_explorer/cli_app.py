"""`app`: the page from the command line. Its options are the operator's settings (`ui/settings.py`), read there."""

import argparse
from typing import Any


def add_commands(commands: Any) -> None:
    """Add `app` to an argparse sub-command group."""
    parser = commands.add_parser("app", help="open the page; 'app --help' lists the settings", add_help=False)
    parser.add_argument("settings", nargs=argparse.REMAINDER)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Serve the page."""
    from mi_explorer.ui.main import main

    return main(args.settings)
