"""What those who wait for a slot are told: their place in the queue, and how long it may take at the present rate."""

import time
from collections import deque
from collections.abc import Iterable

from mi_explorer.engine.events import INTERACTIVE
from mi_explorer.engine.request_queue import RequestQueue
from mi_explorer.engine.sequence import Sequence
from mi_explorer.engine.stream import EventStream, QueuePosition

RATE_WINDOW_S = 60.0  # seconds over which the rate of the queue is measured
MIN_ENDED = 3  # requests that must have ended in them for a rate
REPORT_EVERY_S = 0.25  # seconds between two reports


class QueuePositions:
    """Sets `waits` of the streams of people whose requests wait, and clears it when they no longer do."""

    def __init__(self) -> None:
        self.ends: deque[float] = deque(maxlen=256)  # when requests ended, by the monotonic clock
        self._waiting: list[EventStream] = []
        self._reported = 0.0

    def report(self, queue: RequestQueue, running: Iterable[Sequence]) -> None:
        """Look at the queue and at the sequences in slots; at most every `REPORT_EVERY_S`."""
        now = time.monotonic()
        if not (self._waiting or len(queue)) or now < self._reported + REPORT_EVERY_S:
            return
        self._reported = now
        busy: dict[EventStream, int] = {}
        for sequence in running:
            if sequence.priority == INTERACTIVE:
                busy[sequence.stream] = busy.get(sequence.stream, 0) + len(sequence.slots)
        order = queue.order(INTERACTIVE, busy)
        rate = self._rate(now)
        for place, (stream, rows, ahead) in enumerate(order, 1):
            seconds = float(round((ahead + 1) / rate)) if rate else None
            stream.waits = QueuePosition(place, len(order), rows, ahead, seconds)
        streams = [stream for stream, _, _ in order]
        for stream in self._waiting:
            if stream not in streams:
                stream.waits = None
        self._waiting = streams

    def _rate(self, now: float) -> float:
        """Requests that end in a second; 0 while too few have."""
        ends = [end for end in self.ends if end > now - RATE_WINDOW_S]
        return len(ends) / max(now - ends[0], REPORT_EVERY_S) if len(ends) >= MIN_ENDED else 0.0
