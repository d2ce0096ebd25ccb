"""MI Explorer's page: settings → workbench → page. `python app.py --help` lists what can be set."""

import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from mi_explorer.errors import UserError
from mi_explorer.ui import settings as options


def main() -> int:
    """Serve until interrupted; 2 with a message when something set from outside cannot be used."""
    try:
        settings = options.read()
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


if __name__ == "__main__":
    sys.exit(main())
