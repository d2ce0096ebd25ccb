"""Where a run stands while it waits: in the page's own line of requests, or in the engine's for a slot of the batch.

Both are told as `{"what", "place", "of", "seconds"}`: place counted from 1 among those who wait, seconds until the turn
comes at the pace of the last minute, or None while too little has ended to know one.
"""

import time
from collections import deque
from typing import Any

PACE, FEW = 60.0, 3  # seconds over which a pace is measured, and how many ends make one


class Pace:
    """How many things end in a second, by those of the last minute."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=256)

    def ended(self) -> None:
        """One ended now."""
        self._ends.append(time.monotonic())

    def per_second(self) -> float:
        """0 while it cannot be told."""
        now = time.monotonic()
        recent = [t for t in list(self._ends) if t > now - PACE]
        return len(recent) / max(now - recent[0], 1.0) if len(recent) >= FEW else 0.0


def for_slot(waits: Any) -> dict[str, Any]:
    """What the engine says of a run that waits for a slot (`engine.stream.Waits`), for the page."""
    return {"what": "slot", "place": waits.place, "of": waits.of, "rows": waits.rows, "ahead": waits.ahead, "seconds": waits.seconds}


def for_turn(queue: Any, token: str, pace: float) -> dict[str, Any] | None:
    """Where the run of this token stands in the queue of a `gr.Blocks`; None when it does not wait there. `pace`: runs per second."""
    for line in list(getattr(queue, "event_queue_per_concurrency_id", {}).values()):
        waiting = list(line.queue)
        for i, event in enumerate(waiting):
            sent = getattr(event.data, "event_data", None)
            if isinstance(sent, dict) and sent.get("token") == token:
                return {"what": "turn", "place": i + 1, "of": len(waiting), "seconds": round((i + 1) / pace) if pace else None}
    return None
