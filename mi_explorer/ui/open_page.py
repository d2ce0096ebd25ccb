"""Opening the page: settings → workbench → page. `python app.py`, `python -m mi_explorer app` and `mi-explorer app` end here."""

import os
import signal
import threading
from collections.abc import Sequence

from mi_explorer.errors import end_with_sentence
from mi_explorer.machine import own_process
from mi_explorer.ui.access import settings as options
from mi_explorer.ui.gradio_import import without_type_stubs


def interrupt_on_sigterm() -> None:
    """Let SIGTERM (of a container, of a service) end the process like Ctrl+C; process 1 of a container would ignore it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def open_page(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted (Ctrl+C, or the SIGTERM of a container or a service); 2 with a message when a setting cannot be used."""
    interrupt_on_sigterm()
    own_process()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        settings = options.read_page_settings(arguments)
        options.check_port(settings.host, settings.port)
        for note in options.startup_notes(settings):
            print(note, flush=True)
        print(f"Opening the pair {settings.pair!r} …", flush=True)
        with without_type_stubs():
            from mi_explorer.ui.server import serve_page

        serve_page(settings)
    except KeyboardInterrupt:  # before the page was there
        return 130
    except Exception as error:
        return end_with_sentence(error, "mi_explorer app")
    return 0
