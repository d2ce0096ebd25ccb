"""`app`: the page from the command line. Its options are the operator's settings (`ui/settings.py`), and are read there."""

from collections.abc import Sequence
from typing import Any


def add_commands(commands: Any) -> None:
    """List `app` in an argparse sub-command group; `cli.main` hands it its arguments unread."""
    commands.add_parser("app", help="open the page; 'app --help' lists its settings", add_help=False)


def run(settings: Sequence[str]) -> int:
    """Serve the page."""
    from mi_explorer.ui.main import main

    return main(settings)
