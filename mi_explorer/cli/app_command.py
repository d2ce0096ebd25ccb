"""`app`: the page. Its options are the operator's settings, read by `mi_explorer.ui.access.settings`."""

from collections.abc import Sequence

from mi_explorer.cli.arguments import Commands


def add_app(commands: Commands) -> None:
    """List `app`; `main` hands its words over unread."""
    commands.add_parser("app", help="open the page; 'app --help' lists its settings", add_help=False)


def run_app(settings: Sequence[str]) -> int:
    """Serve the page until it is stopped; returns the exit code."""
    from mi_explorer.ui.open_page import open_page

    return open_page(settings)
