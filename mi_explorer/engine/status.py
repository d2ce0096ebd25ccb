"""What the engine does now, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """What the engine does now. `mode`: "idle", "rowwise" or "folded"; `slots` in use of `max_slots`; `context` positions a slot."""

    mode: str
    rows: int
    waiting: int
    slots: int
    max_slots: int
    max_rows: int
    context: int
    supports_rowwise: bool
    why_folded: str
    steps: int
    device: str
    dtype: str
    notes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """Which fast paths run, and why the others do not."""
