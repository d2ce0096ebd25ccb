"""What generation needs of an engine."""

from collections.abc import Sequence
from typing import Any, Protocol

from mi_explorer.engine.events import (
    Event,
    Request,
)


class EventSource(Protocol):
    """What `submit` returns: the events of one user's requests, in order per request."""

    def get(self, timeout: float | None = None) -> Event | None: ...
    def drain(self, within: float = 0.0) -> list[Event]: ...
    def cancel(self, ids: Sequence[str] | None = None) -> None: ...


class RequestEngine(Protocol):
    """The part of an engine that is needed here. `stream`: what an earlier call returned, to add to it."""

    def submit(
        self, requests: Sequence[Request], stream: Any = None
    ) -> EventSource: ...  # each engine has its own kind of stream
