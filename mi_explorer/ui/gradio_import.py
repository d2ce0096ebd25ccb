"""Gradio, imported sooner. The one patch that must be there before Gradio is, so it stands apart from `gradio_patches.py`."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from mi_explorer.untyped import LibraryObject


@contextmanager
def without_type_stubs() -> Iterator[None]:
    """Import Gradio in here. For each of its 80 components it would parse the source file and write a type stub beside it: a quarter of
    the time in which the page starts, and a change to the installation. It leaves out a class that has no source file.
    """
    source_file = inspect.getfile

    def getfile(thing: LibraryObject) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError("no stub is wanted")
        return source_file(thing)

    with patch.object(inspect, "getfile", getfile):
        yield
