"""Ctrl+C for commands that run long: what is finished is kept."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_on_interrupt(stop: Callable[[], object]) -> Iterator[None]:
    """Ctrl+C calls `stop`, which ends the work after its step; a second one does not wait for the step."""
    before = signal.getsignal(signal.SIGINT)

    def interrupted(*_: object) -> None:
        stop()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
