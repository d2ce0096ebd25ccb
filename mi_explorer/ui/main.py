"""Opening the page: settings → workbench → page. `python app.py`, `python -m mi_explorer app` and `mi-explorer app` end here."""

import os
import sys
from collections.abc import Sequence

from mi_explorer.errors import UserError
from mi_explorer.ui import settings as options


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; 2 with a message when something set from outside cannot be used."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        settings = options.read(arguments)
        options.check_port(settings.host, settings.port)
        for note in options.notes(settings):
            print(note, flush=True)
        print(f"Opening the pair {settings.pair!r} …", flush=True)
        from mi_explorer.ui.page import serve

        serve(settings)
    except UserError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    return 0
